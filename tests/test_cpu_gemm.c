/* Our own products: of few rows, and those that a build without CBLAS falls back on, whether or not
 * this build has one. */
#define CPU_VARIANT plain_
#include "backends/cpu/gemm.c"
#include "backends/cpu/gemv.c"

#include "tests/support.h"

#include <math.h>

static double element(const real *x, int64_t ld, bool trans, int64_t row, int64_t col)
{
    return (double)(trans ? x[col * ld + row] : x[row * ld + col]);
}

static real *draw(uint64_t seed, int64_t n)
{
    double *drawn = test_normal(seed, n, 1);
    real *value = test_memory((size_t)n * sizeof *value);
    for (int64_t i = 0; i < n; i++) value[i] = (real)drawn[i];
    return value;
}

/* C of either function against the sums themselves; what lies between its rows is left alone. */
static void check(Gemm g, void (*run)(const Gemm *, const real *, const real *, real *))
{
    int64_t n = g.m * g.ld_c;
    real *a = draw(1, (g.trans_a ? g.k : g.m) * g.ld_a), *c = draw(3, n);
    real *b = draw(2, (g.trans_b ? g.n : g.k) * g.ld_b);
    double *expected = test_memory((size_t)n * sizeof *expected);
    double *got = test_memory((size_t)n * sizeof *got);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = i / g.ld_c, col = i % g.ld_c;
        expected[i] = g.add || col >= g.n ? (double)c[i] : 0;
        for (int64_t p = 0; p < g.k && col < g.n; p++)
            expected[i] +=
                element(a, g.ld_a, g.trans_a, row, p) * element(b, g.ld_b, g.trans_b, p, col);
        if (!g.add && col < g.n) c[i] = (real)NAN;
    }
    run(&g, a, b, c);
    for (int64_t i = 0; i < n; i++) got[i] = (double)c[i];
    test_close("gemm", got, expected, n, g.k + 1, false);
}

static Gemm shape(int64_t m, int64_t n, int64_t k, unsigned bits)
{
    int64_t gap = bits & 8u ? 5 : 0;
    Gemm g = {.m = m, .n = n, .k = k, .trans_a = bits & 1u, .trans_b = bits & 2u, .add = bits & 4u};
    g.ld_a = (g.trans_a ? m : k) + gap;
    g.ld_b = (g.trans_b ? k : n) + gap;
    g.ld_c = n + gap;
    return g;
}

static void test_gemm(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 1},     {5, 3, 2},     {4, 16, 128},
                                       {65, 67, 129}, {70, 17, 300}, {3, 130, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned bits = 0; bits < 16; bits++)
            check(shape(sizes[i][0], sizes[i][1], sizes[i][2], bits), CPU_NAME(gemm));
}

static void test_gemv(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1}, {3, 5}, {67, 129}, {301, 40}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int64_t rows = 1; rows < 5; rows++)
            for (unsigned bits = 0; bits < 16; bits += 2) /* A is not transposed */
                check(shape(rows, sizes[i][0], sizes[i][1], bits), CPU_NAME(gemv));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_gemm, test_release),
        cmocka_unit_test_teardown(test_gemv, test_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
