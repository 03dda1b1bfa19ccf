#include "model/interference.h"

#include "model/layers.h"

#include <stdio.h>

static const char *full_name(int module, const char *name, char *text, size_t size)
{
    snprintf(text, size, "interference_modules.%d.%s", module, name);
    return text;
}
#define FULL_NAME(name) full_name(module, (name), (char[128]){0}, 128)

static TensorId causal_mean(Builder *b, TensorId c, int module)
{
    if (!b->stream) return layer_elementwise(b, OP_CAUSAL_MEAN, LAYER_IN(c));
    if (b->graph->status) return NO_TENSOR;
    Shape sums = SHAPE(b->batch, shape_width(graph_shape(b->graph, c)));
    TensorId sum = graph_external(b->graph, FULL_NAME("sum"), DTYPE_REAL, sums, &b->stream->region,
                                  b->stream->mean[module]);
    return layer_op_into(b, OP_CAUSAL_MEAN_STREAM, (OpParams){{0}}, LAYER_IN(c, b->first),
                         LAYER_OUT(NO_TENSOR, sum));
}

/* interference_gate([x;ctx]): one half of its columns multiplies x, the other ctx. */
static TensorId gate_logits(Builder *b, TensorId x, TensorId ctx, int module)
{
    Graph *graph = b->graph;
    TensorId weight = builder_weight(b, "%s", FULL_NAME("interference_gate.weight"));
    TensorId bias = builder_parameter(b, "%s", FULL_NAME("interference_gate.bias"));
    if (graph->status) return NO_TENSOR;
    int64_t width = shape_width(graph_shape(graph, x)), rows = b->batch * b->tokens;
    OpParams params = {.product = {.batch = 1,
                                   .rows = rows,
                                   .cols = width,
                                   .inner = width,
                                   .trans_b = true,
                                   .ld_a = width,
                                   .ld_b = 2 * width,
                                   .ld_c = width}};
    Shape half = SHAPE(2 * width * width - width);
    TensorId of_x = graph_view(graph, weight, half, 0);
    TensorId of_ctx = graph_view(graph, weight, half, width);
    TensorId g = layer_op(b, OP_PRODUCT, params, LAYER_IN(x, of_x, bias), graph_shape(graph, x));
    graph_append(graph, &(NodeParams){.op = OP_PRODUCT,
                                      .params = params,
                                      .in = (TensorId[]){ctx, of_ctx, NO_TENSOR},
                                      .n_in = 3,
                                      .out = &g,
                                      .n_out = 1,
                                      .accumulate = 1});
    return g;
}

TensorId interference(Builder *b, TensorId x, int module)
{
    graph_scope(b->graph, "interference_modules.%d", module);
    TensorId c = layer_linear(b, x, FULL_NAME("compress"), true);
    TensorId mean = causal_mean(b, c, module);
    TensorId ctx = layer_dropout(b, layer_linear(b, mean, FULL_NAME("expand"), true));

    TensorId local = layer_linear(b, x, FULL_NAME("local_phase_proj"), true);
    TensorId global = layer_linear(b, ctx, FULL_NAME("global_phase_proj"), true);
    TensorId agreement = layer_op(b, OP_COSINE, (OpParams){{0}}, LAYER_IN(local, global),
                                  SHAPE(b->batch, b->tokens));

    TensorId g = gate_logits(b, x, ctx, module);
    TensorId temperature = builder_parameter(b, "%s", FULL_NAME("interference_temperature"));
    return layer_elementwise(b, OP_INTERFERE, LAYER_IN(x, ctx, g, agreement, temperature));
}
