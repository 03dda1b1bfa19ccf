/* The small layers that models are made of: each appends one or two nodes. */
#ifndef MODEL_LAYERS_H
#define MODEL_LAYERS_H

#include "model/builder.h"

/* Appends a node and returns its first output, an activation of `shape`. */
TensorId layer_op(Builder *builder, Op op, OpParams params, const TensorId *in, int n_in,
                  Shape shape);
#define LAYER_IN(...)                                                                              \
    (const TensorId[]){__VA_ARGS__},                                                               \
        (int)(sizeof((const TensorId[]){__VA_ARGS__}) / sizeof(TensorId))

/* The same with outputs given, or NO_TENSOR for those of the op's own shape. Returns out[0]. */
TensorId layer_op_into(Builder *builder, Op op, OpParams params, const TensorId *in, int n_in,
                       TensorId *out, int n_out);
#define LAYER_OUT(...)                                                                             \
    (TensorId[]){__VA_ARGS__}, (int)(sizeof((const TensorId[]){__VA_ARGS__}) / sizeof(TensorId))

/* The same shape as its first input. */
TensorId layer_elementwise(Builder *builder, Op op, const TensorId *in, int n_in);

/* Parameters NAME.weight and NAME.bias. */
TensorId layer_norm(Builder *builder, TensorId x, const char *name);

/* x [..., in] → [..., out]: NAME.weight [out,in], NAME.bias [out] unless `bias` is false. */
TensorId layer_linear(Builder *builder, TensorId x, const char *name, bool bias);

/* `planes` linear layers of one input whose weights stand one below the other, from row `first` of
 * NAME.weight on, each of the input's width: x [B,N,D] → [planes, B, N, D]. */
TensorId layer_planes(Builder *builder, TensorId x, const char *name, int first, int planes);

/* Nothing unless training with config.dropout > 0. */
TensorId layer_dropout(Builder *builder, TensorId x);

#endif
