#include "model/wave_attention.h"

#include "model/layers.h"

#include <stdio.h>

typedef struct Attention {
    Builder *builder;
    int layer;
    int64_t heads, width;
    FieldParams field;
    TensorId frequency, damping, phase;
} Attention;

static TensorId parameter(Attention *a, const char *name)
{
    return builder_parameter(a->builder, "layers.%d.attention.%s", a->layer, name);
}

/* "layers.3.attention.NAME"; returns `text`. */
static const char *full_name(const Attention *a, const char *name, char *text, size_t size)
{
    snprintf(text, size, "layers.%d.attention.%s", a->layer, name);
    return text;
}
#define FULL_NAME(a, name) full_name((a), (name), (char[128]){0}, 128)

/* Plane `index` of [planes,B,N,D], by heads: [B,N,H,d]. */
static TensorId plane(Attention *a, TensorId planes, int index)
{
    Builder *b = a->builder;
    int64_t elements = b->batch * b->tokens * a->heads * a->width;
    return graph_view(b->graph, planes, SHAPE(b->batch, b->tokens, a->heads, a->width),
                      index * elements);
}

/* The feature map's last linear output; OP_FEATURE takes its ReLU. */
static TensorId feature_map(Attention *a, TensorId h, const char *which)
{
    char name[64];
    snprintf(name, sizeof name, "%s_feature_map.net.0", which);
    h = layer_linear(a->builder, h, FULL_NAME(a, name), true);
    if (a->builder->config->feature_map_depth == 1) return h;
    h = layer_elementwise(a->builder, OP_GELU, LAYER_IN(h));
    snprintf(name, sizeof name, "%s_feature_map.net.2", which);
    return layer_linear(a->builder, h, FULL_NAME(a, name), true);
}

/* The 32 points of each head's spectral gate [B,H,32], from the first token's query (spec §4). */
static TensorId spectral_gate(Attention *a, TensorId q)
{
    Builder *b = a->builder;
    int64_t width = a->heads * a->width;
    TensorId tokens = graph_view(b->graph, q, SHAPE(b->batch, b->tokens, width), 0);
    TensorId first =
        layer_op(b, OP_FIRST_TOKEN, (OpParams){{0}}, LAYER_IN(tokens), SHAPE(b->batch, width));
    first = graph_view(b->graph, first, SHAPE(b->batch, a->heads, a->width), 0);
    TensorId h = layer_norm(b, first, FULL_NAME(a, "spectral_gate.norm"));
    h = graph_view(b->graph, h, SHAPE(b->batch, width), 0);
    h = layer_linear(b, h, FULL_NAME(a, "spectral_gate.net.0"), true);
    h = layer_elementwise(b, OP_GELU, LAYER_IN(h));
    h = layer_linear(b, h, FULL_NAME(a, "spectral_gate.net.2"), true);
    return graph_view(b->graph, h, SHAPE(b->batch, a->heads, FIELD_GATE_POINTS), 0);
}

static TensorId propagate_sequence(Attention *a, TensorId u, TensorId gate)
{
    Builder *b = a->builder;
    return layer_op_into(
        b, OP_FIELD, (OpParams){.field = a->field},
        LAYER_IN(u, a->frequency, a->damping, a->phase, b->cell, b->fraction, gate),
        LAYER_OUT(NO_TENSOR, NO_TENSOR));
}

static TensorId state_tensor(Attention *a, const char *name, DType dtype, Shape shape,
                             int64_t offset)
{
    return graph_external(a->builder->graph, FULL_NAME(a, name), dtype, shape,
                          &a->builder->stream->region, offset);
}

static TensorId norms(Attention *a)
{
    return state_tensor(a, "norm", DTYPE_REAL, SHAPE(a->heads),
                        a->builder->stream->layers[a->layer].norm);
}

static TensorId propagate_stream(Attention *a, TensorId u)
{
    Builder *b = a->builder;
    TensorId state = state_tensor(a, "state", DTYPE_REAL, SHAPE(b->batch, a->heads, 2, a->width),
                                  b->stream->layers[a->layer].field);
    return layer_op_into(
        b, OP_FIELD_STREAM, (OpParams){.field = a->field},
        LAYER_IN(u, a->frequency, a->damping, a->phase, b->cell, b->fraction, b->at, norms(a)),
        LAYER_OUT(NO_TENSOR, state));
}

/* Gated: the kernel is made at the first token and kept, and so are the deposits. */
static TensorId propagate_recall(Attention *a, TensorId u, TensorId gate)
{
    Builder *b = a->builder;
    OpParams params = {.field = a->field};
    TensorId kernel =
        state_tensor(a, "kernel", DTYPE_REAL, SHAPE(b->batch, a->heads, a->field.cells),
                     b->stream->layers[a->layer].kernel);
    if (b->stream_start)
        layer_op_into(b, OP_FIELD_KERNEL, params,
                      LAYER_IN(a->frequency, a->damping, a->phase, gate), LAYER_OUT(kernel));
    Shape deposits = SHAPE(b->batch, b->config->max_seq_len, a->heads, a->width);
    TensorId history =
        state_tensor(a, "history", b->graph->storage, deposits, b->stream->layers[a->layer].field);
    return layer_op_into(b, OP_FIELD_RECALL, params,
                         LAYER_IN(u, kernel, b->all_cells, b->all_fractions, b->first),
                         LAYER_OUT(NO_TENSOR, history));
}

/* Scatter, propagate, gather and couple: u [B,N,H,d] → [B,N,H,d] (spec §2). */
static TensorId field(Attention *a, TensorId u, TensorId gate)
{
    Builder *b = a->builder;
    TensorId r;
    if (!b->stream)
        r = propagate_sequence(a, u, gate);
    else if (b->config->spectral_gate)
        r = propagate_recall(a, u, gate);
    else
        r = propagate_stream(a, u);
    return layer_elementwise(b, OP_COUPLE, LAYER_IN(r, parameter(a, "field_coupling")));
}

/* out_proj of [B,N,H,d]. */
static TensorId output(Attention *a, TensorId o)
{
    Builder *b = a->builder;
    o = graph_view(b->graph, o, SHAPE(b->batch, b->tokens, a->heads * a->width), 0);
    return layer_linear(b, o, FULL_NAME(a, "out_proj"), true);
}

/* Version 3.5: the value weighted by the key's norm; q exists in the weights only (spec §3). */
static TensorId attention_v35(Attention *a, TensorId x)
{
    Builder *b = a->builder;
    TensorId kv = layer_planes(b, x, FULL_NAME(a, "qkv_proj"), 1, 2);
    TensorId k = plane(a, kv, 0), v = plane(a, kv, 1);
    TensorId u = layer_elementwise(b, OP_KEY_NORM, LAYER_IN(k, v));
    TensorId r = field(a, u, NO_TENSOR);
    TensorId gate = layer_linear(b, x, FULL_NAME(a, "gate_proj"), true);
    return output(a, layer_elementwise(b, OP_GATE, LAYER_IN(r, gate)));
}

/* Version 4: feature maps on both sides of the field, mixing within a head, output gate (spec §4).
 */
static TensorId attention_v4(Attention *a, TensorId x)
{
    Builder *b = a->builder;
    const Config *config = b->config;
    TensorId qkvg = layer_planes(b, x, FULL_NAME(a, "qkvg_proj"), 0, 4);
    TensorId q = plane(a, qkvg, 0), k = plane(a, qkvg, 1);
    TensorId v = plane(a, qkvg, 2), g = plane(a, qkvg, 3);
    bool gated = config->spectral_gate && (!b->stream || b->stream_start);
    TensorId gate = gated ? spectral_gate(a, q) : NO_TENSOR;

    TensorId u = layer_elementwise(b, OP_FEATURE, LAYER_IN(feature_map(a, k, "k"), v));
    TensorId r = field(a, u, gate);
    TensorId o = layer_elementwise(b, OP_FEATURE, LAYER_IN(feature_map(a, q, "q"), r));
    if (config->cross_dim) o = layer_linear(b, o, FULL_NAME(a, "cross_dim"), false);
    return output(a, layer_elementwise(b, OP_GATE, LAYER_IN(o, g)));
}

/* One layer's. */
static Attention attention(Builder *builder, int layer)
{
    const Config *config = builder->config;
    int64_t width = config->embedding_dim / config->num_heads;
    Attention a = {.builder = builder,
                   .layer = layer,
                   .heads = config->num_heads,
                   .width = width,
                   .field = {.heads = config->num_heads,
                             .width = width,
                             .cells = config->field_size,
                             .reach = builder->reach,
                             .norm = config->kernel_norm,
                             .damping_limit = config_damping_limit(config),
                             .evaluator = builder->evaluator}};
    graph_scope(builder->graph, "layers.%d.attention", layer);
    a.frequency = parameter(&a, "wave_frequency");
    a.damping = parameter(&a, "wave_damping");
    a.phase = parameter(&a, "wave_phase");
    return a;
}

TensorId wave_attention(Builder *builder, TensorId x, int layer)
{
    Attention a = attention(builder, layer);
    return builder->config->version == MODEL_V4 ? attention_v4(&a, x) : attention_v35(&a, x);
}

void wave_open_stream(Builder *builder, int layer)
{
    if (builder->config->spectral_gate) return;
    Attention a = attention(builder, layer);
    layer_op_into(builder, OP_FIELD_NORM, (OpParams){.field = a.field},
                  LAYER_IN(a.frequency, a.damping, a.phase), LAYER_OUT(norms(&a)));
}
