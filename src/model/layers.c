#include "model/layers.h"

#include "graph/rules.h"

#include <stdio.h>

TensorId layer_op_into(Builder *builder, Op op, OpParams params, const TensorId *in, int n_in,
                       TensorId *out, int n_out)
{
    graph_append(
        builder->graph,
        &(NodeParams){
            .op = op, .params = params, .in = in, .n_in = n_in, .out = out, .n_out = n_out});
    return out[0];
}

TensorId layer_op(Builder *builder, Op op, OpParams params, const TensorId *in, int n_in,
                  Shape shape)
{
    Graph *graph = builder->graph;
    char name[160];
    snprintf(name, sizeof name, "%s.%s", graph->scope, op_rule(op)->name);
    bool stored = (op_rule(op)->stored_outputs | op_rule(op)->either_outputs) & 1u;
    TensorId out = graph_activation(graph, name, stored ? graph->storage : DTYPE_REAL, shape);
    return layer_op_into(builder, op, params, in, n_in, &out, 1);
}

TensorId layer_elementwise(Builder *builder, Op op, const TensorId *in, int n_in)
{
    if (builder->graph->status) return NO_TENSOR;
    return layer_op(builder, op, (OpParams){{0}}, in, n_in, graph_shape(builder->graph, in[0]));
}

TensorId layer_norm(Builder *builder, TensorId x, const char *name)
{
    TensorId weight = builder_parameter(builder, "%s.weight", name);
    TensorId bias = builder_parameter(builder, "%s.bias", name);
    return layer_op_into(builder, OP_LAYERNORM, (OpParams){{0}}, LAYER_IN(x, weight, bias),
                         LAYER_OUT(NO_TENSOR, NO_TENSOR, NO_TENSOR));
}

TensorId layer_linear(Builder *builder, TensorId x, const char *name, bool bias)
{
    Graph *graph = builder->graph;
    TensorId weight = builder_weight(builder, "%s.weight", name);
    TensorId add = bias ? builder_parameter(builder, "%s.bias", name) : NO_TENSOR;
    if (graph->status) return NO_TENSOR;
    Shape shape = graph_shape(graph, x);
    int64_t rows = shape_rows(shape), in = shape_width(shape);
    int64_t out = graph_shape(graph, weight).dim[0];
    shape.dim[shape.rank - 1] = out;
    OpParams params = {.product = {.batch = 1,
                                   .rows = rows,
                                   .cols = out,
                                   .inner = in,
                                   .trans_b = true,
                                   .ld_a = in,
                                   .ld_b = in,
                                   .ld_c = out}};
    return layer_op(builder, OP_PRODUCT, params, LAYER_IN(x, weight, add), shape);
}

TensorId layer_planes(Builder *builder, TensorId x, const char *name, int first, int planes)
{
    Graph *graph = builder->graph;
    TensorId weight = builder_weight(builder, "%s.weight", name);
    TensorId bias = builder_parameter(builder, "%s.bias", name);
    if (graph->status) return NO_TENSOR;
    Shape shape = graph_shape(graph, x);
    int64_t rows = shape_rows(shape), width = shape_width(shape);
    weight = graph_view(graph, weight, SHAPE(planes * width, width), first * width * width);
    bias = graph_view(graph, bias, SHAPE(planes * width), first * width);
    OpParams params = {.product = {.batch = planes,
                                   .rows = rows,
                                   .cols = width,
                                   .inner = width,
                                   .trans_b = true,
                                   .ld_a = width,
                                   .ld_b = width,
                                   .ld_c = width,
                                   .stride_b = width * width,
                                   .stride_c = rows * width,
                                   .stride_bias = width}};
    return layer_op(builder, OP_PRODUCT, params, LAYER_IN(x, weight, bias),
                    SHAPE(planes, builder->batch, builder->tokens, width));
}

TensorId layer_dropout(Builder *builder, TensorId x)
{
    if (!builder->training || builder->config->dropout <= 0 || builder->graph->status) return x;
    OpParams params = {
        .dropout = {.p = (float)builder->config->dropout, .stream = builder->dropout_streams++}};
    return layer_op(builder, OP_DROPOUT, params, LAYER_IN(x, builder->key),
                    graph_shape(builder->graph, x));
}
