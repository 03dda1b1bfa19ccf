#include "backends/cpu/blas.h"

#ifdef WAVEFIELD_HAVE_CBLAS
#include <cblas.h>

#ifdef REAL_IS_DOUBLE
#define cblas_gemm cblas_dgemm
#else
#define cblas_gemm cblas_sgemm
#endif

void CPU_NAME(gemm)(const Gemm *g, const real *a, const real *b, real *c)
{
    cblas_gemm(CblasRowMajor, g->trans_a ? CblasTrans : CblasNoTrans,
               g->trans_b ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n, (int)g->k, 1, a,
               (int)g->ld_a, b, (int)g->ld_b, g->add ? 1 : 0, c, (int)g->ld_c);
}

#else

/* Tiles: MICRO_M × MICRO_N sums stay in registers while k runs over a block whose parts of A and B,
 * copied side by side, stay in the nearest caches. */
enum { MICRO_M = 4, MICRO_N = 16, BLOCK_M = 64, BLOCK_N = 64, BLOCK_K = 128 };

/* rows × cols of op(X) from (row, col) on, as columns of `group` rows:
 * to[row/group][col][row%group], zeros past the end. */
static void pack(const real *x, int64_t ld, bool trans, int64_t row, int64_t col, int64_t rows,
                 int64_t cols, int group, real *to)
{
    for (int64_t r0 = 0; r0 < rows; r0 += group)
        for (int64_t c = 0; c < cols; c++)
            for (int64_t r = r0; r < r0 + group; r++, to++) {
                int64_t i = trans ? (col + c) * ld + row + r : (row + r) * ld + col + c;
                *to = r < rows ? x[i] : 0;
            }
}

static void micro(int64_t k, const real *a, const real *b, real sum[MICRO_M][MICRO_N])
{
    for (int i = 0; i < MICRO_M; i++)
        for (int j = 0; j < MICRO_N; j++) sum[i][j] = 0;
    for (int64_t p = 0; p < k; p++, a += MICRO_M, b += MICRO_N)
        for (int i = 0; i < MICRO_M; i++) {
#pragma omp simd
            for (int j = 0; j < MICRO_N; j++) sum[i][j] += a[i] * b[j];
        }
}

/* One block's contribution to C, from packed operands. */
static void block(const Gemm *g, int64_t m, int64_t n, int64_t k, const real *a, const real *b,
                  real *c)
{
    for (int64_t i = 0; i < m; i += MICRO_M)
        for (int64_t j = 0; j < n; j += MICRO_N) {
            real sum[MICRO_M][MICRO_N];
            micro(k, a + i * k, b + j * k, sum);
            int64_t rows = int64_min(MICRO_M, m - i), cols = int64_min(MICRO_N, n - j);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t q = 0; q < cols; q++) c[(i + r) * g->ld_c + j + q] += sum[r][q];
        }
}

static void clear(const Gemm *g, real *c)
{
    for (int64_t i = 0; i < g->m && !g->add; i++)
        for (int64_t j = 0; j < g->n; j++) c[i * g->ld_c + j] = 0;
}

void CPU_NAME(gemm)(const Gemm *g, const real *a, const real *b, real *c)
{
    real packed_a[BLOCK_M * BLOCK_K], packed_b[BLOCK_N * BLOCK_K];
    clear(g, c);
    for (int64_t j = 0; j < g->n; j += BLOCK_N)
        for (int64_t p = 0; p < g->k; p += BLOCK_K) {
            int64_t n = int64_min(BLOCK_N, g->n - j), k = int64_min(BLOCK_K, g->k - p);
            pack(b, g->ld_b, !g->trans_b, j, p, n, k, MICRO_N, packed_b);
            for (int64_t i = 0; i < g->m; i += BLOCK_M) {
                int64_t m = int64_min(BLOCK_M, g->m - i);
                pack(a, g->ld_a, g->trans_a, i, p, m, k, MICRO_M, packed_a);
                block(g, m, n, k, packed_a, packed_b, c + i * g->ld_c + j);
            }
        }
}

#endif
