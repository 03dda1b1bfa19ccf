/* Functions of one `real` that vectorise: no calls, no branches, no tables.
 *
 * In float they are our own, within 3 ulp of the true value (normal_cdf: 7) wherever that is a
 * normal number; in double they are the C library's. NaN in, NaN out. */
#ifndef BACKENDS_CPU_MATH_H
#define BACKENDS_CPU_MATH_H

#include "backends/cpu/cpu.h"

#include <math.h>
#include <string.h>

#ifdef REAL_IS_DOUBLE

static inline double real_exp(double x)
{
    return exp(x);
}
static inline double real_sqrt(double x)
{
    return sqrt(x);
}
static inline double real_abs(double x)
{
    return fabs(x);
}

/* Φ(x), and e^(-x²/2) on the way. */
static inline double normal_cdf(double x, double *gaussian)
{
    *gaussian = exp(-0.5 * x * x);
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

#else

static inline uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline float bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline float real_sqrt(float x)
{
    return sqrtf(x);
}
static inline float real_abs(float x)
{
    return fabsf(x);
}

/* e^x = 2^n·e^r, |r| <= ln(2)/2; e^r = 1 + r + r²·P(r). Adding 1.5·2^23 rounds to an integer and
 * leaves it in the low bits; 2^n is applied in halves so that subnormal results come out right. */
static inline float real_exp(float x)
{
    const float round = 12582912.0f;
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float shifted = x * 1.44269504f + round;
    float n = shifted - round;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f; /* ln 2 in two parts */
    float p = 1.39262508e-3f;
    p = p * r + 8.36323288e-3f;
    p = p * r + 4.16665542e-2f;
    p = p * r + 1.66665766e-1f;
    p = p * r + 0.5f;
    float y = r * r * p + r + 1.0f;
    uint32_t power = float_bits(shifted) - float_bits(round);
    uint32_t half = (uint32_t)((int32_t)power >> 1);
    return y * bits_float((half + 127u) << 23) * bits_float((power - half + 127u) << 23);
}

/* Φ(x), and e^(-x²/2) on the way. With a = |x|: Φ(-a) = e^(-a²/2)·q·P(s), q = 1/(a+4),
 * s = (a-4)·q. a² is split so that its rounding does not reach the exponential. */
static inline float normal_cdf(float x, float *gaussian)
{
    float a = fabsf(x);
    a = a > 16.0f ? 16.0f : a;
    float high = bits_float(float_bits(a) & 0xfffff000u), low = a - high;
    float d = -0.5f * low * (a + high);
    float e = real_exp(-0.5f * high * high);
    e *= 1.0f + d * (1.0f + d * (0.5f + d * (0.166666667f + d * 4.16666667e-2f)));
    float q = 1.0f / (a + 4.0f), s = (a - 4.0f) * q;
    float p = -1.30122310e-4f;
    p = p * s + 1.79049398e-4f;
    p = p * s + 1.56336997e-3f;
    p = p * s - 3.51591905e-3f;
    p = p * s - 7.52238638e-3f;
    p = p * s + 6.04054795e-2f;
    p = p * s - 1.86523846e-1f;
    p = p * s + 3.87136708e-1f;
    p = p * s - 6.07896572e-1f;
    p = p * s + 7.55285139e-1f;
    float tail = e * q * p;
    *gaussian = e;
    return x > 0.0f ? 1.0f - tail : tail;
}

#endif

static inline real real_sigmoid(real x)
{
    return 1 / (1 + real_exp(-x));
}

/* sigmoid(x), and 1 - sigmoid(x) without cancellation. */
static inline real sigmoid_and_rest(real x, real *rest)
{
    real e = real_exp(-real_abs(x)), larger = 1 / (1 + e), smaller = e * larger;
    *rest = x >= 0 ? smaller : larger;
    return x >= 0 ? larger : smaller;
}

/* Its derivative. */
static inline real sigmoid_slope(real x)
{
    real rest, share = sigmoid_and_rest(x, &rest);
    return share * rest;
}

/* log(1 + e^x); for scalars: it does not vectorise. */
static inline double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

#endif
