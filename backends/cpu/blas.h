/* Dense products of one thread: CBLAS where the build found one, else our own. */
#ifndef BACKENDS_CPU_BLAS_H
#define BACKENDS_CPU_BLAS_H

#include <stddef.h>

#include "backends/cpu/cpu.h"

/* Keeps the library from starting threads of its own: the callers are already spread over all
 * cores, and results must not depend on their number. */
void blas_prepare(void);

/* Does the library run on one thread only inside a parallel region (an OpenBLAS built on OpenMP)?
 * Then every call must come from one, even a lone one. */
bool blas_wants_region(void);

/* "OpenBLAS 0.3.21 (Cooperlake)"; returns `text`. */
const char *blas_describe(char *text, size_t size);

/* C = op(A)·op(B) (+ C where `add`); row-major, op(A) is [m, k], op(B) [k, n]. */
typedef struct Gemm {
    bool trans_a, trans_b, add;
    int64_t m, n, k;
    int64_t ld_a, ld_b, ld_c;
} Gemm;
void CPU_NAME(gemm)(const Gemm *g, const real *a, const real *b, real *c);

/* The same for a few rows, where reading B is all the work; ours, as it outruns OpenBLAS there. A
 * is not transposed. */
void CPU_NAME(gemv)(const Gemm *g, const real *a, const real *b, real *c);

#endif
