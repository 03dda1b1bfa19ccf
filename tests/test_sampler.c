/* The sampler against exact probabilities. */
#include "base/rng.h"
#include "wavefield/generate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DRAWS = 20000, SMALL = 9, LARGE = 5003, LARGE_DRAWS = 3000 };

static const float small_logits[SMALL] = {1.5f, -0.25f, 0.0f,  2.0f, -INFINITY,
                                          0.5f, -4.0f,  -1.0f, 1.0f};

typedef struct Ranked {
    double p;
    int token;
} Ranked;

static int by_probability(const void *a, const void *b)
{
    const Ranked *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? 1 : -1;
    return x->token - y->token;
}

/* The definition: penalty, temperature, the top_k likeliest, the smallest set of mass ≥ top_p. */
static void exact(const float *logits, int n, const wf_sampler_params *params, const bool *recent,
                  double *p)
{
    Ranked *ranked = malloc((size_t)n * sizeof *ranked);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double logit = (double)logits[i];
        if (recent && recent[i])
            logit =
                logit < 0 ? logit * params->repetition_penalty : logit / params->repetition_penalty;
        ranked[i] = (Ranked){exp(logit / params->temperature), i};
    }
    qsort(ranked, (size_t)n, sizeof *ranked, by_probability);
    int kept = params->top_k > 0 && params->top_k < n ? params->top_k : n;
    for (int i = 0; i < kept; i++) sum += ranked[i].p;
    double mass = 0;
    for (int i = 0; i < n; i++) {
        bool keep = i < kept && (params->top_p == 0 || mass < params->top_p * sum);
        if (keep) mass += ranked[i].p;
        p[ranked[i].token] = keep ? ranked[i].p : 0;
    }
    for (int i = 0; i < n; i++) p[i] /= mass;
    free(ranked);
}

/* χ² of `counts` against p; infinite when something impossible was drawn. */
static double chi_square(const int *counts, const double *p, int n, int draws)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double expected = p[i] * draws;
        if (expected > 0)
            sum += pow(counts[i] - expected, 2) / expected;
        else if (counts[i])
            return INFINITY;
    }
    return sum;
}

/* What χ² exceeds once in a million (Wilson and Hilferty, 1931). */
static double chi_square_limit(const double *p, int n)
{
    int possible = 0;
    for (int i = 0; i < n; i++) possible += p[i] > 0;
    if (possible == 1) return 1e-9;
    double freedom = possible - 1, spread = 2 / (9 * freedom);
    return freedom * pow(1 - spread + 4.7534 * sqrt(spread), 3);
}

static wf_sampler *sampler_of(int n, const wf_sampler_params *params)
{
    wf_sampler *sampler;
    assert_int_equal(wf_sampler_create(n, params, &sampler), WF_OK);
    return sampler;
}

static void count(const float *logits, int n, const wf_sampler_params *params, int draws,
                  int *counts)
{
    wf_sampler *sampler = sampler_of(n, params);
    memset(counts, 0, (size_t)n * sizeof *counts);
    for (int i = 0; i < draws; i++) {
        int32_t token;
        assert_int_equal(wf_sampler_draw(sampler, logits, &token), WF_OK);
        assert_in_range(token, 0, n - 1);
        counts[token]++;
    }
    wf_sampler_destroy(sampler);
}

static void count_draws(const float *logits, int n, const wf_sampler_params *params, int *counts)
{
    count(logits, n, params, DRAWS, counts);
}

static void test_frequencies(void **state)
{
    (void)state;
    const wf_sampler_params cases[] = {
        {.temperature = 1, .seed = 1},
        {.temperature = 0.5, .seed = 2},
        {.temperature = 3, .seed = 3},
        {.temperature = 1, .top_k = 1, .seed = 4},
        {.temperature = 1, .top_k = 4, .seed = 5},
        {.temperature = 1, .top_k = 100, .seed = 6},
        {.temperature = 1, .top_p = 0.1, .seed = 7},
        {.temperature = 1, .top_p = 0.8, .seed = 8},
        {.temperature = 1, .top_p = 0.999, .seed = 9},
        {.temperature = 1, .top_p = 1, .seed = 10},
        {.temperature = 0.7, .top_k = 5, .top_p = 0.85, .seed = 11},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int counts[SMALL];
        double p[SMALL];
        count_draws(small_logits, SMALL, &cases[c], counts);
        exact(small_logits, SMALL, &cases[c], NULL, p);
        double found = chi_square(counts, p, SMALL, DRAWS), limit = chi_square_limit(p, SMALL);
        if (found > limit) fail_msg("case %zu: chi-square %g exceeds %g", c, found, limit);
    }
}

/* The test above would notice a temperature 10 % off. */
static void test_frequencies_have_power(void **state)
{
    (void)state;
    int counts[SMALL];
    double p[SMALL];
    count_draws(small_logits, SMALL, wf_sampler_params(.temperature = 1, .seed = 1), counts);
    exact(small_logits, SMALL, wf_sampler_params(.temperature = 1.1), NULL, p);
    assert_true(chi_square(counts, p, SMALL, DRAWS) > chi_square_limit(p, SMALL));
}

/* A vocabulary of 5003: exactly the tokens of the exact set are ever drawn. */
static void test_sets_of_a_large_vocabulary(void **state)
{
    (void)state;
    float *logits = malloc(LARGE * sizeof *logits);
    double *p = malloc(LARGE * sizeof *p);
    int *counts = malloc(LARGE * sizeof *counts);
    Rng rng = {.seed = 12};
    /* Quarters, so that many tokens tie. */
    for (int i = 0; i < LARGE; i++) logits[i] = (float)(rint(4 * rng_normal(&rng)) / 4);
    const wf_sampler_params cases[] = {
        {.temperature = 1, .top_k = 40, .seed = 13},
        {.temperature = 0.25, .top_p = 0.3, .seed = 14},
        {.temperature = 0.5, .top_k = 300, .top_p = 0.5, .seed = 15},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        count(logits, LARGE, &cases[c], LARGE_DRAWS, counts);
        exact(logits, LARGE, &cases[c], NULL, p);
        double found = chi_square(counts, p, LARGE, LARGE_DRAWS),
               limit = chi_square_limit(p, LARGE);
        if (found > limit) fail_msg("case %zu: chi-square %g exceeds %g", c, found, limit);
        for (int i = 0; i < LARGE; i++)
            if (p[i] * LARGE_DRAWS > 30 && !counts[i])
                fail_msg("case %zu: %d is never drawn", c, i);
    }
    free(logits);
    free(p);
    free(counts);
}

static void test_ties_are_taken_in_order(void **state)
{
    (void)state;
    const float logits[6] = {0, 1, 1, 1, 1, 0};
    int counts[6];
    count_draws(logits, 6, wf_sampler_params(.temperature = 1, .top_k = 2), counts);
    assert_int_equal(counts[1] + counts[2], DRAWS);
    count_draws(logits, 6, wf_sampler_params(.temperature = 1, .top_k = 5), counts);
    assert_int_equal(counts[5], 0);
    assert_true(counts[0] > 0);
    count_draws(logits, 6, wf_sampler_params(.top_k = 3), counts);
    assert_int_equal(counts[1], DRAWS);
}

static void test_extreme_temperatures(void **state)
{
    (void)state;
    int counts[SMALL];
    count_draws(small_logits, SMALL, wf_sampler_params(.temperature = 1e-308), counts);
    assert_int_equal(counts[3], DRAWS);
    count_draws(small_logits, SMALL, wf_sampler_params(.temperature = 0), counts);
    assert_int_equal(counts[3], DRAWS);
    count_draws(small_logits, SMALL, wf_sampler_params(.temperature = 1e308, .seed = 3), counts);
    double p[SMALL];
    for (int i = 0; i < SMALL; i++) p[i] = i == 4 ? 0 : 1.0 / (SMALL - 1);
    assert_true(chi_square(counts, p, SMALL, DRAWS) < chi_square_limit(p, SMALL));

    const float wide[3] = {-3.4e38f, 3.4e38f, -INFINITY};
    count_draws(wide, 3, wf_sampler_params(.temperature = 1e-300, .top_p = 0.5), counts);
    assert_int_equal(counts[1], DRAWS);
}

static int draw_greedy(wf_sampler *sampler, const float *logits)
{
    int32_t token;
    assert_int_equal(wf_sampler_draw(sampler, logits, &token), WF_OK);
    return token;
}

/* Greedy choices show the penalty's exact place: positive logits are divided, negative multiplied.
 */
static void test_penalty(void **state)
{
    (void)state;
    const float positive[2] = {3.0f, 2.0f}, negative[2] = {-2.0f, -3.0f};
    const struct {
        double penalty;
        int positive, negative;
    } cases[] = {{1.49, 0, 0}, {1.51, 1, 1}, {0, 0, 0}, {1, 0, 0}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (int sign = 0; sign < 2; sign++) {
            wf_sampler *sampler =
                sampler_of(2, wf_sampler_params(.repetition_penalty = cases[c].penalty));
            wf_sampler_accept(sampler, 0);
            wf_sampler_accept(sampler, 0); /* counts once */
            if (sign)
                assert_int_equal(draw_greedy(sampler, negative), cases[c].negative);
            else
                assert_int_equal(draw_greedy(sampler, positive), cases[c].positive);
            wf_sampler_destroy(sampler);
        }
    }
}

static void test_penalised_frequencies(void **state)
{
    (void)state;
    const wf_sampler_params params = {.temperature = 0.9, .repetition_penalty = 1.7};
    const bool recent[SMALL] = {true, false, false, true, true, false, true, false, false};
    double p[SMALL];
    exact(small_logits, SMALL, &params, recent, p);
    int counts[SMALL] = {0};
    for (int i = 0; i < DRAWS; i++) { /* a sampler a draw: a draw changes the recent past */
        wf_sampler_params seeded = params;
        seeded.seed = (uint64_t)i;
        wf_sampler *sampler = sampler_of(SMALL, &seeded);
        for (int t = 0; t < SMALL; t++)
            if (recent[t]) wf_sampler_accept(sampler, t);
        counts[draw_greedy(sampler, small_logits)]++;
        wf_sampler_destroy(sampler);
    }
    assert_true(chi_square(counts, p, SMALL, DRAWS) < chi_square_limit(p, SMALL));
}

/* Token 0 is penalised while it is among the last two tokens, drawn ones included. */
static void test_window(void **state)
{
    (void)state;
    const float logits[3] = {3.0f, 2.0f, 1.9f};
    wf_sampler *sampler =
        sampler_of(3, wf_sampler_params(.repetition_penalty = 2, .repetition_window = 2));
    const int expected[] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(draw_greedy(sampler, logits), expected[i]);
    wf_sampler_accept(sampler, -1); /* outside the vocabulary: ignored */
    wf_sampler_accept(sampler, 3);
    assert_int_equal(draw_greedy(sampler, logits), 1);
    wf_sampler_destroy(sampler);
}

static void test_determinism(void **state)
{
    (void)state;
    const wf_sampler_params params = {
        .temperature = 1.2, .top_k = 6, .top_p = 0.95, .repetition_penalty = 1.3, .seed = 99};
    wf_sampler_params other = params;
    other.seed = 100;
    wf_sampler *a = sampler_of(SMALL, &params), *b = sampler_of(SMALL, &params);
    wf_sampler *c = sampler_of(SMALL, &other);
    int different = 0;
    for (int i = 0; i < 500; i++) {
        int token = draw_greedy(a, small_logits);
        assert_int_equal(draw_greedy(b, small_logits), token);
        different += draw_greedy(c, small_logits) != token;
    }
    assert_true(different > 100);
    wf_sampler_destroy(a);
    wf_sampler_destroy(b);
    wf_sampler_destroy(c);
}

static void test_bad_logits(void **state)
{
    (void)state;
    const float bad[][3] = {
        {0, NAN, 1}, {INFINITY, 0, 0}, {-INFINITY, -INFINITY, -INFINITY}, {-INFINITY, NAN, 0}};
    const double temperatures[] = {0, 1};
    for (size_t t = 0; t < 2; t++) {
        wf_sampler *sampler = sampler_of(3, wf_sampler_params(.temperature = temperatures[t]));
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            int32_t token = -7;
            assert_int_equal(wf_sampler_draw(sampler, bad[i], &token), WF_ERROR_NUMERIC);
            assert_int_equal(token, -7);
        }
        const float one[3] = {-INFINITY, -1e30f, -INFINITY};
        assert_int_equal(draw_greedy(sampler, one), 1);
        wf_sampler_destroy(sampler);
    }
    wf_sampler *sampler = sampler_of(3, wf_sampler_params(.temperature = 1));
    int32_t token;
    wf_sampler_draw(sampler, bad[0], &token);
    assert_non_null(strstr(wf_error_message(), "token 1"));
    wf_sampler_destroy(sampler);
}

static void test_bad_parameters(void **state)
{
    (void)state;
    const struct {
        wf_sampler_params params;
        const char *word;
    } cases[] = {
        {{.temperature = -1}, "temperature"},
        {{.temperature = NAN}, "temperature"},
        {{.temperature = INFINITY}, "temperature"},
        {{.top_k = -1}, "top_k"},
        {{.top_p = 1.01}, "top_p"},
        {{.top_p = NAN}, "top_p"},
        {{.repetition_penalty = -2}, "repetition_penalty"},
        {{.repetition_penalty = INFINITY}, "repetition_penalty"},
        {{.repetition_window = -5}, "repetition_window"},
    };
    wf_sampler *sampler = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(wf_sampler_create(3, &cases[i].params, &sampler), WF_ERROR_ARGUMENT);
        assert_non_null(strstr(wf_error_message(), cases[i].word));
    }
    assert_int_equal(wf_sampler_create(0, wf_sampler_params(.seed = 1), &sampler),
                     WF_ERROR_ARGUMENT);
    assert_null(sampler);
    wf_sampler_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_frequencies_have_power),
        cmocka_unit_test(test_sets_of_a_large_vocabulary),
        cmocka_unit_test(test_ties_are_taken_in_order),
        cmocka_unit_test(test_extreme_temperatures),
        cmocka_unit_test(test_penalty),
        cmocka_unit_test(test_penalised_frequencies),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_determinism),
        cmocka_unit_test(test_bad_logits),
        cmocka_unit_test(test_bad_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
