/* Our vectorising float functions against the C library's in double. */
#include "backends/cpu/math.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* |got - expected| in units of the last place of a float of that size. */
static double ulps(double got, double expected)
{
    int exponent;
    (void)frexp(expected, &exponent);
    return fabs(got - expected) / ldexp(1, exponent - FLT_MANT_DIG);
}

typedef float (*Function)(float x);
typedef double (*Truth)(double x);

static void sweep(Function function, Truth truth, double from, double to, double most)
{
    double worst = 0;
    float where = 0;
    for (double at = from; at < to; at += (to - from) / 3000017) {
        float x = (float)at;
        double expected = truth((double)x);
        if (fabs(expected) < (double)FLT_MIN || fabs(expected) > (double)FLT_MAX) continue;
        double off = ulps((double)function(x), expected);
        if (off > worst) {
            worst = off;
            where = x;
        }
    }
    if (worst > most) fail_msg("%g ulp at %.9g", worst, (double)where);
    assert_true(worst > 0.4); /* nothing is exact: the sweep measures something */
}

static float cdf(float x)
{
    float gaussian;
    return normal_cdf(x, &gaussian);
}
static float gaussian(float x)
{
    float value;
    (void)normal_cdf(x, &value);
    return value;
}
static float rest(float x)
{
    float value;
    (void)sigmoid_and_rest(x, &value);
    return value;
}
static float share(float x)
{
    float value;
    return sigmoid_and_rest(x, &value);
}

static double true_cdf(double x)
{
    return 0.5 * erfc(-x / sqrt(2));
}
static double true_gaussian(double x)
{
    return exp(-0.5 * x * x);
}
static double true_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double true_rest(double x)
{
    return 1 / (1 + exp(x));
}

static void test_within_ulps(void **state)
{
    (void)state;
    sweep(real_exp, exp, -104, 89, 2);
    sweep(real_sigmoid, true_sigmoid, -87, 40, 3);
    sweep(share, true_sigmoid, -87, 40, 3);
    sweep(rest, true_rest, -40, 87, 3);
    sweep(cdf, true_cdf, -13.5, 13.5, 7);
    sweep(gaussian, true_gaussian, -13.2, 13.2, 3);
}

static void test_ends(void **state)
{
    (void)state;
    assert_true(isnan(real_exp(NAN)) && isnan(real_sigmoid(NAN)) && isnan(cdf(NAN)));
    assert_true(isnan(rest(NAN)) && isnan(share(NAN)) && isnan(gaussian(NAN)));
    assert_true(real_exp(INFINITY) == INFINITY && real_exp(1e30f) == INFINITY);
    assert_true(real_exp(-INFINITY) == 0 && real_exp(-1e30f) == 0);
    assert_true(real_exp(0) == 1 && real_sigmoid(0) == 0.5f && cdf(0) == 0.5f);
    assert_true(real_sigmoid(INFINITY) == 1 && real_sigmoid(-INFINITY) == 0);
    assert_true(rest(INFINITY) == 0 && rest(-INFINITY) == 1);
    assert_true(cdf(INFINITY) == 1 && cdf(-INFINITY) == 0);
    assert_true(real_exp(-100) > 0); /* subnormal */
    assert_true(softplus(-1000) == 0 && softplus(1000) == 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_within_ulps),
                                       cmocka_unit_test(test_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
