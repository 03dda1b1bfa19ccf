#include "model/softmax_attention.h"

#include "model/layers.h"

#include <stdio.h>

/* q, k, v [B,N,H,d] → [B,N,H,d] of a whole sequence. */
static TensorId attend_sequence(Builder *b, const TensorId *qkv)
{
    return layer_op_into(b, OP_ATTENTION, (OpParams){{0}}, qkv, 3, LAYER_OUT(NO_TENSOR, NO_TENSOR));
}

static TensorId kept(Builder *b, int layer, const char *what, int64_t offset)
{
    const Config *config = b->config;
    char name[128];
    snprintf(name, sizeof name, "layers.%d.attention.%s", layer, what);
    Shape shape = SHAPE(b->batch, config->max_seq_len, config->num_heads,
                        config->embedding_dim / config->num_heads);
    return graph_external(b->graph, name, b->graph->storage, shape, &b->stream->region, offset);
}

/* The same of the next tokens, over the keys and values kept of all before. */
static TensorId attend_stream(Builder *b, const TensorId *qkv, int layer)
{
    const LayerState *state = &b->stream->layers[layer];
    TensorId keys = kept(b, layer, "keys", state->keys);
    TensorId values = kept(b, layer, "values", state->values);
    return layer_op_into(b, OP_ATTENTION_STREAM, (OpParams){{0}},
                         LAYER_IN(qkv[0], qkv[1], qkv[2], b->first),
                         LAYER_OUT(NO_TENSOR, keys, values));
}

TensorId softmax_attention(Builder *b, TensorId x, int layer)
{
    int64_t width = b->config->embedding_dim, heads = b->config->num_heads;
    char name[64];
    graph_scope(b->graph, "layers.%d.attention", layer);
    snprintf(name, sizeof name, "layers.%d.attention.qkv_proj", layer);
    TensorId planes = layer_planes(b, x, name, 0, 3), qkv[3];
    for (int i = 0; i < 3; i++)
        qkv[i] = graph_view(b->graph, planes, SHAPE(b->batch, b->tokens, heads, width / heads),
                            i * b->batch * b->tokens * width);
    TensorId y = b->stream ? attend_stream(b, qkv, layer) : attend_sequence(b, qkv);
    y = graph_view(b->graph, y, SHAPE(b->batch, b->tokens, width), 0);
    snprintf(name, sizeof name, "layers.%d.attention.out_proj", layer);
    return layer_linear(b, y, name, true);
}
