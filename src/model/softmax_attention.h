/* The attention layer of a standard Transformer (Vaswani et al., Attention Is All You Need, 2017),
 * causal: softmax(q·kᵀ/√d)·v per head. It needs no field. */
#ifndef MODEL_SOFTMAX_ATTENTION_H
#define MODEL_SOFTMAX_ATTENTION_H

#include "model/builder.h"

/* x [B,N,D], already normalised → [B,N,D], for layer `layer`. */
TensorId softmax_attention(Builder *builder, TensorId x, int layer);

#endif
