/* The end of a sum over rows: the blocks' sums (cpu.h) added in order. */
#ifndef BACKENDS_CPU_SUMS_H
#define BACKENDS_CPU_SUMS_H

#include "backends/cpu/cpu.h"

/* y[i] = or += Σ_blocks partial[block·stride + i]; the sums gather in the first block's place. */
static inline void join_sums(real *partial, int64_t blocks, int64_t stride, int64_t width, real *y,
                             bool add)
{
    for (int64_t block = 1; block < blocks; block++) {
        const real *from = partial + block * stride;
#pragma omp simd
        for (int64_t i = 0; i < width; i++) partial[i] += from[i];
    }
    EACH(i, width, y, partial[i], add);
}

#endif
