/* The wave-field attention layer (spec §3, §4): the tokens' values onto the field, the field's
 * answer back to the tokens. */
#ifndef MODEL_WAVE_ATTENTION_H
#define MODEL_WAVE_ATTENTION_H

#include "model/builder.h"

/* x [B,N,D], already normalised → [B,N,D], for layer `layer`. */
TensorId wave_attention(Builder *builder, TensorId x, int layer);

/* Keeps in the stream's state what the layer needs of its parameters, where that is much work: the
 * norms of its kernels, which are sums over the whole field. */
void wave_open_stream(Builder *builder, int layer);

#endif
