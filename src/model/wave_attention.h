/* The wave-field attention layer (spec §3, §4): the tokens' values onto the field, the field's
 * answer back to the tokens. */
#ifndef MODEL_WAVE_ATTENTION_H
#define MODEL_WAVE_ATTENTION_H

#include "model/builder.h"

/* x [B,N,D], already normalised → [B,N,D], for layer `layer`. */
TensorId wave_attention(Builder *builder, TensorId x, int layer);

#endif
