/* The language model (spec §1), top to bottom. */
#include "model/interference.h"
#include "model/layers.h"
#include "model/softmax_attention.h"
#include "model/wave_attention.h"

#include <stdio.h>

static TensorId embed(Builder *b)
{
    graph_scope(b->graph, "token_embedding");
    TensorId table = builder_weight(b, "token_embedding.weight");
    Shape shape = SHAPE(b->batch, b->tokens, b->config->embedding_dim);
    return layer_op(b, OP_EMBED, (OpParams){{0}}, LAYER_IN(b->token, table, b->position, b->order),
                    shape);
}

/* Linear(D→F), GELU, Dropout, Linear(F→D), Dropout. */
static TensorId feed_forward(Builder *b, TensorId x, int layer)
{
    char name[64];
    graph_scope(b->graph, "layers.%d.ffn", layer);
    snprintf(name, sizeof name, "layers.%d.ffn.0", layer);
    TensorId h = layer_linear(b, x, name, true);
    h = layer_dropout(b, layer_elementwise(b, OP_GELU, LAYER_IN(h)));
    snprintf(name, sizeof name, "layers.%d.ffn.3", layer);
    return layer_dropout(b, layer_linear(b, h, name, true));
}

static TensorId normalise(Builder *b, TensorId x, int layer, const char *which)
{
    char name[64];
    snprintf(name, sizeof name, "layers.%d.%s", layer, which);
    graph_scope(b->graph, "%s", name);
    return layer_norm(b, x, name);
}

static TensorId mix(Builder *b, TensorId x, int layer)
{
    if (config_mixer(b->config, layer) == MIXER_ATTENTION) return softmax_attention(b, x, layer);
    return wave_attention(b, x, layer);
}

/* An interference module belongs to the layer it follows. */
TensorId transformer_hidden(Builder *b)
{
    const Config *config = b->config;
    TensorId x = layer_dropout(b, embed(b));
    for (int layer = 0; layer < config->num_layers; layer++) {
        if (b->recompute) graph_segment_begin(b->graph);
        TensorId y = mix(b, normalise(b, x, layer, "norm1"), layer);
        x = layer_elementwise(b, OP_ADD, LAYER_IN(x, layer_dropout(b, y)));
        y = feed_forward(b, normalise(b, x, layer, "norm2"), layer);
        x = layer_elementwise(b, OP_ADD, LAYER_IN(x, y));

        int64_t interval = config->interference_interval;
        if (interval > 0 && (layer + 1) % interval == 0)
            x = interference(b, x, (int)((layer + 1) / interval) - 1);
    }
    graph_segment_end(b->graph);
    graph_scope(b->graph, "norm");
    x = layer_norm(b, x, "norm");
    graph_scope(b->graph, "head");
    return x;
}

void transformer_open_stream(Builder *b)
{
    for (int layer = 0; layer < b->config->num_layers; layer++)
        if (config_mixer(b->config, layer) == MIXER_WAVE) wave_open_stream(b, layer);
}

TensorId transformer_logits(Builder *b, TensorId hidden, bool last_only)
{
    Graph *graph = b->graph;
    TensorId table = builder_weight(b, "token_embedding.weight");
    if (graph->status) return NO_TENSOR;
    int64_t width = b->config->embedding_dim, vocabulary = b->config->vocab_size;
    int64_t rows = last_only ? b->batch : b->batch * b->tokens;
    int64_t apart = last_only ? b->tokens * width : width;
    if (last_only) {
        int64_t span = (rows - 1) * apart + width;
        hidden = graph_view(graph, hidden, SHAPE(span), (b->tokens - 1) * width);
    }
    OpParams params = {.product = {.batch = 1,
                                   .rows = rows,
                                   .cols = vocabulary,
                                   .inner = width,
                                   .trans_b = true,
                                   .ld_a = apart,
                                   .ld_b = width,
                                   .ld_c = vocabulary}};
    TensorId logits = graph_activation(graph, "logits", DTYPE_REAL, SHAPE(rows, vocabulary));
    return layer_op_into(b, OP_PRODUCT, params, LAYER_IN(hidden, table, NO_TENSOR),
                         LAYER_OUT(logits));
}
