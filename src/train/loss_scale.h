/* Dynamic loss scaling, for gradients stored in binary16: they are computed as many times too large
 * as keeps the small ones from vanishing (Micikevicius et al., "Mixed precision training", 2018).
 *
 * A scale is a power of two, so that it changes no bit of what does not overflow. */
#ifndef TRAIN_LOSS_SCALE_H
#define TRAIN_LOSS_SCALE_H

#include "tensor/tensor.h"

typedef struct LossScale {
    double scale;
    int64_t good; /* steps since it last changed */
} LossScale;

/* What training in this type begins with: a scale of 1 where nothing need be scaled. */
LossScale loss_scale_first(DType storage);

/* After a step whose gradients were finite. */
void loss_scale_good(LossScale *scale, DType storage);

/* After one whose gradients were not: false where no smaller scale is left to try. */
bool loss_scale_overflow(LossScale *scale);

#endif
