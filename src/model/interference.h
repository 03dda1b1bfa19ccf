/* The interference layer (spec §5): each token meets the mean of all tokens so far, gated by how
 * well their phases agree. */
#ifndef MODEL_INTERFERENCE_H
#define MODEL_INTERFERENCE_H

#include "model/builder.h"

/* x [B,N,D] → [B,N,D], for interference module `module`. */
TensorId interference(Builder *builder, TensorId x, int module);

#endif
