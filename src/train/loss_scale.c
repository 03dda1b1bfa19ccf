#include "train/loss_scale.h"

static const double FIRST = 65536, LARGEST = 16777216;
enum { STEPS_TO_GROW = 1000 };

LossScale loss_scale_first(DType storage)
{
    return (LossScale){.scale = storage == DTYPE_F16 ? FIRST : 1};
}

void loss_scale_good(LossScale *scale, DType storage)
{
    if (storage != DTYPE_F16 || ++scale->good < STEPS_TO_GROW) return;
    scale->good = 0;
    if (scale->scale < LARGEST) scale->scale *= 2;
}

bool loss_scale_overflow(LossScale *scale)
{
    if (scale->scale <= 1) return false;
    scale->scale /= 2;
    scale->good = 0;
    return true;
}
