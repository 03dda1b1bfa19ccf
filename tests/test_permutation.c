/* The order of the windows: every one once, and nothing to be seen in it.
 *
 * Statistics are of fixed seeds, so they never change. Their limits are about five standard
 * deviations; orders that are not random are shown to be far outside. */
#include "data/permutation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

static bool is_bijective(int64_t n, uint64_t seed, uint32_t number)
{
    Permutation p = permutation_make(n, seed, number);
    bool *seen = calloc((size_t)n, sizeof *seen), fine = true;
    assert_non_null(seen);
    for (int64_t i = 0; i < n && fine; i++) {
        int64_t at = permutation_at(&p, i);
        fine = at >= 0 && at < n && !seen[at];
        if (fine) seen[at] = true;
    }
    free(seen);
    return fine;
}

static void every_number_once(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 400; n++)
        for (uint32_t number = 0; number < 5; number++) assert_true(is_bijective(n, 7, number));
    static const int64_t large[] = {4095, 4096, 4097, 65535, 65537, 99991, 1000000};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        assert_true(is_bijective(large[i], UINT64_MAX - i, 3));
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Too many to look at all of them: those at both ends of the order. */
static void vast_orders(void **state)
{
    (void)state;
    enum { SOME = 20000 };
    static int64_t at[2 * SOME];
    static const int64_t sizes[] = {(INT64_C(1) << 40) + 12345, (INT64_C(1) << 62) - 57,
                                    INT64_C(1) << 62};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s];
        Permutation p = permutation_make(n, 5, 1);
        double sum = 0;
        for (int64_t i = 0; i < SOME; i++) {
            at[2 * i] = permutation_at(&p, i);
            at[2 * i + 1] = permutation_at(&p, n - 1 - i);
        }
        for (int i = 0; i < 2 * SOME; i++) {
            assert_true(at[i] >= 0 && at[i] < n);
            sum += (double)at[i] / (double)n;
        }
        /* The mean of uniform numbers: 1/2, deviation 1/√(12·40000). */
        assert_true(fabs(sum / (2 * SOME) - 0.5) < 5 / sqrt(12.0 * 2 * SOME));
        qsort(at, 2 * SOME, sizeof *at, compare);
        for (int i = 1; i < 2 * SOME; i++) assert_true(at[i] != at[i - 1]);
    }
}

static void seeds_and_epochs_have_orders_of_their_own(void **state)
{
    (void)state;
    enum { N = 5000, ORDERS = 40 };
    int64_t same = 0, pairs = 0;
    for (uint32_t a = 0; a < ORDERS; a++)
        for (uint32_t b = 0; b < a; b++, pairs++) {
            Permutation p = permutation_make(N, a % 2 ? 11 : 12, a / 2);
            Permutation q = permutation_make(N, b % 2 ? 11 : 12, b / 2);
            for (int64_t i = 0; i < N; i++) same += permutation_at(&p, i) == permutation_at(&q, i);
        }
    /* Two random orders agree in one place on average, Poisson. */
    assert_true(fabs((double)(same - pairs)) < 5 * sqrt((double)pairs));
    Permutation p = permutation_make(N, 11, 3), again = permutation_make(N, 11, 3);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(permutation_at(&p, i), permutation_at(&again, i));
}

/* ---- structure ---- */

/* Deviation of counts from an equal share, in standard deviations of χ² about its mean. */
static double excess(const int64_t *counts, int n)
{
    double total = 0, sum = 0;
    for (int i = 0; i < n; i++) total += (double)counts[i];
    for (int i = 0; i < n; i++) {
        double difference = (double)counts[i] - total / n;
        sum += difference * difference * n / total;
    }
    return (sum - (n - 1)) / sqrt(2.0 * (n - 1));
}

/* The largest excess over: where early and late places go, the distance between neighbours, and the
 * remainders of what stands at places of one remainder. */
static double structure(const int64_t *order, int64_t n)
{
    enum { CELLS = 16, MODULUS = 7 };
    static int64_t places[CELLS * CELLS], distances[CELLS * CELLS], remainders[MODULUS * MODULUS];
    memset(places, 0, sizeof places);
    memset(distances, 0, sizeof distances);
    memset(remainders, 0, sizeof remainders);
    for (int64_t i = 0; i < n; i++) {
        int64_t next = order[(i + 1) % n], distance = (next - order[i] + n) % n;
        places[i * CELLS / n * CELLS + order[i] * CELLS / n]++;
        distances[distance * CELLS * CELLS / n]++;
        remainders[i % MODULUS * MODULUS + order[i] % MODULUS]++;
    }
    double a = excess(places, CELLS * CELLS), b = excess(distances, CELLS * CELLS);
    return fmax(fmax(a, b), excess(remainders, MODULUS * MODULUS));
}

static void nothing_to_be_seen(void **state)
{
    (void)state;
    enum { N = 250007 };
    static int64_t order[N];
    for (uint32_t number = 0; number < 8; number++) {
        Permutation p = permutation_make(N, 1, number);
        for (int64_t i = 0; i < N; i++) order[i] = permutation_at(&p, i);
        assert_true(structure(order, N) < 5);
    }
    /* What is no random order does not pass: none at all, a stride, a shuffle of blocks. */
    for (int64_t i = 0; i < N; i++) order[i] = i;
    assert_true(structure(order, N) > 100);
    for (int64_t i = 0; i < N; i++) order[i] = i * 104729 % N;
    assert_true(structure(order, N) > 100);
    Permutation blocks = permutation_make(N / 10, 1, 0);
    for (int64_t i = 0; i < N; i++)
        order[i] = i / 10 < N / 10 ? permutation_at(&blocks, i / 10) * 10 + i % 10 : i;
    assert_true(structure(order, N) > 100);
}

/* Every order of four comes equally often, and of few windows each place's. */
static void small_orders_are_fair(void **state)
{
    (void)state;
    int64_t orders[256] = {0}, present[24];
    int n = 0;
    for (uint32_t number = 0; number < 48000; number++) {
        Permutation p = permutation_make(4, 9, number);
        int64_t code = 0;
        for (int64_t i = 0; i < 4; i++) code = 4 * code + permutation_at(&p, i);
        orders[code]++;
    }
    for (int code = 0; code < 256; code++)
        if (orders[code]) present[n++] = orders[code];
    assert_int_equal(n, 24);
    assert_true(excess(present, 24) < 5);
    for (int64_t size = 2; size <= 23; size++) {
        int64_t counts[23 * 23] = {0};
        for (uint32_t number = 0; number < 6000; number++) {
            Permutation p = permutation_make(size, 9, number);
            for (int64_t i = 0; i < size; i++) counts[i * size + permutation_at(&p, i)]++;
        }
        for (int64_t i = 0; i < size; i++) assert_true(excess(counts + i * size, (int)size) < 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_once),
        cmocka_unit_test(vast_orders),
        cmocka_unit_test(seeds_and_epochs_have_orders_of_their_own),
        cmocka_unit_test(nothing_to_be_seen),
        cmocka_unit_test(small_orders_are_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
