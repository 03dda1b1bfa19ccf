/* Reals as 16 bits would hold them. */
#ifndef BACKENDS_CPU_STORE_H
#define BACKENDS_CPU_STORE_H

#include "backends/cpu/cpu.h"

/* To nearest, ties to even; beyond the range infinite; NaN stays. DTYPE_F16 or DTYPE_BF16. */
void CPU_NAME(store)(DType dtype, void *values, int64_t n);

#endif
