/* A few rows times a matrix: B streams through once, four of its rows at a time. */
#include "backends/cpu/blas.h"

/* Independent sums, so that one does not wait for the other. */
enum { LANES = 32 };

static real dot(const real *a, const real *b, int64_t k)
{
    real lane[LANES] = {0}, sum = 0;
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES) {
#pragma omp simd
        for (int i = 0; i < LANES; i++) lane[i] += a[p + i] * b[p + i];
    }
    for (int i = 0; p + i < k; i++) lane[i] += a[p + i] * b[p + i];
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < LANES; i++) sum += lane[i];
    return sum;
}

static void rows_of_b(const Gemm *g, const real *a, const real *b, real *c)
{
    for (int64_t j = 0; j < g->n; j++)
        for (int64_t i = 0; i < g->m; i++)
            real_put(&c[i * g->ld_c + j], dot(a + i * g->ld_a, b + j * g->ld_b, g->k), g->add);
}

/* c[j] += Σ a[p]·b[p·ld + j] over four rows p. */
static void add4(const real *a, const real *b, int64_t ld, int64_t n, real *c)
{
    const real *b0 = b, *b1 = b + ld, *b2 = b + 2 * ld, *b3 = b + 3 * ld;
    real a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
#pragma omp simd
    for (int64_t j = 0; j < n; j++) c[j] += (a0 * b0[j] + a1 * b1[j]) + (a2 * b2[j] + a3 * b3[j]);
}

static void add1(real a, const real *b, int64_t n, real *c)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++) c[j] += a * b[j];
}

static void columns_of_b(const Gemm *g, const real *a, const real *b, real *c)
{
    for (int64_t i = 0; i < g->m && !g->add; i++)
        for (int64_t j = 0; j < g->n; j++) c[i * g->ld_c + j] = 0;
    int64_t p = 0;
    for (; p + 4 <= g->k; p += 4)
        for (int64_t i = 0; i < g->m; i++)
            add4(a + i * g->ld_a + p, b + p * g->ld_b, g->ld_b, g->n, c + i * g->ld_c);
    for (; p < g->k; p++)
        for (int64_t i = 0; i < g->m; i++)
            add1(a[i * g->ld_a + p], b + p * g->ld_b, g->n, c + i * g->ld_c);
}

void CPU_NAME(gemv)(const Gemm *g, const real *a, const real *b, real *c)
{
    if (g->trans_b)
        rows_of_b(g, a, b, c);
    else
        columns_of_b(g, a, b, c);
}
