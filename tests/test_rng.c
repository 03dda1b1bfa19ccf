/* Philox against the known answers published with its paper's code, and the stream on top of it. */
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        philox4x32(cases[i].counter, cases[i].key, out);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
}

static void a_saved_stream_continues(void **state)
{
    (void)state;
    Rng rng = {.seed = 7, .stream = 3}, saved;
    for (int i = 0; i < 10; i++) rng_normal(&rng);
    memcpy(&saved, &rng, sizeof saved);
    for (int i = 0; i < 10; i++) assert_int_equal(rng_u32(&rng), rng_u32(&saved));
}

static void seeds_and_streams_differ(void **state)
{
    (void)state;
    Rng a = {.seed = 1}, b = {.seed = (uint64_t)1 << 32}, c = {.seed = 1, .stream = 1},
        d = {.seed = 1, .stream = (uint64_t)1 << 32}, e = {.seed = 1, .counter = (uint64_t)1 << 32};
    uint32_t first[] = {rng_u32(&a), rng_u32(&b), rng_u32(&c), rng_u32(&d), rng_u32(&e)};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++) assert_int_not_equal(first[i], first[j]);
}

static void uniform_moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    Rng rng = {.seed = 42};
    double sum = 0, square = 0;
    for (int i = 0; i < N; i++) {
        double x = rng_uniform(&rng);
        assert_true(x >= 0 && x < 1);
        sum += x;
        square += x * x;
    }
    double mean = sum / N, variance = square / N - mean * mean;
    assert_true(fabs(mean - 0.5) < 5 * sqrt(1.0 / 12 / N));
    assert_true(fabs(variance - 1.0 / 12) < 5 * sqrt(1.0 / 180 / N));
}

static void normal_moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    Rng rng = {.seed = 42, .stream = 9};
    double moment[5] = {0}, product = 0;
    for (int i = 0; i < N / 2; i++) {
        double pair[2];
        rng_normal_pair(&rng, pair);
        product += pair[0] * pair[1];
        for (int j = 0; j < 2; j++)
            for (int k = 1; k <= 4; k++) moment[k] += pow(pair[j], k) / N;
    }
    /* standard errors of the moments of a standard normal: 1, 2, 15, 96 over N */
    assert_true(fabs(moment[1]) < 5 * sqrt(1.0 / N));
    assert_true(fabs(moment[2] - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(moment[3]) < 5 * sqrt(15.0 / N));
    assert_true(fabs(moment[4] - 3) < 5 * sqrt(96.0 / N));
    assert_true(fabs(product) / (N / 2) < 5 / sqrt(N / 2));
}

static void below_is_even(void **state)
{
    (void)state;
    enum { BOUND = 7, N = 70000 };
    Rng rng = {.seed = 5};
    int count[BOUND] = {0};
    for (int i = 0; i < N; i++) count[rng_below(&rng, BOUND)]++;
    for (int i = 0; i < BOUND; i++) assert_true(abs(count[i] - N / BOUND) < 5 * 100);
    assert_int_equal(rng_below(&rng, 1), 0);
    for (int i = 0; i < 100; i++) {
        uint64_t bound = UINT64_MAX / 3 * 2; /* a third of all draws is rejected */
        assert_true(rng_below(&rng, bound) < bound);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),     cmocka_unit_test(a_saved_stream_continues),
        cmocka_unit_test(seeds_and_streams_differ), cmocka_unit_test(uniform_moments),
        cmocka_unit_test(normal_moments),           cmocka_unit_test(below_is_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
