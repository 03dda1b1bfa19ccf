/* Functions whose accuracy must not depend on a driver, and numbers kept as two floats.
 *
 * Drivers may give sin and cos errors of 2e-4 and more; these are ours on every GPU, to about one
 * unit in the last place. They are Taylor series after an exact reduction.
 *
 * A "two-float" is the unevaluated sum of a float and one below its last place: about 45 bits,
 * enough that a wave's pole keeps its phase over a million steps. */
#ifndef MATH_H
#define MATH_H

#include "dialect.h"

FUNCTION uint is_finite(float x)
{
    return (BITS(x) & 0x7f800000u) != 0x7f800000u ? 1u : 0u;
}

/* `value`, or x where that is no number: drivers' min, max and comparisons may lose a NaN, and then
 * so does a value that was chosen by them. */
FUNCTION float or_nan(float x, float value)
{
    return (BITS(x) & 0x7fffffffu) > 0x7f800000u ? x : value;
}

/* ---- exponentials ---- */

/* e^r - 1 for |r| ≤ 0.35. */
FUNCTION float expm1_reduced(float r)
{
    float p = 1.0f / 40320.0f;
    p = p * r + 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    return r + r * r * p;
}

/* x rounded to a multiple of ln 2, in units of it, and what is left. */
FUNCTION float ln2_units(float x)
{
    return floor(x * 1.44269504f + 0.5f);
}
FUNCTION float ln2_rest(float x, float units)
{
    return (x - units * 0.693359375f) + units * 2.12194442e-4f;
}

/* 2^n for -126 ≤ n ≤ 127, 0 below. */
FUNCTION float power_of_two(float n)
{
    return n < -126.0f ? 0.0f : FROM_BITS(TO_UINT(TO_INT(n) + 127) << 23);
}

/* e^x for x ≤ 88; 0 where the result is below the smallest normal float. */
FUNCTION float exp_of(float x)
{
    float n = ln2_units(max(x, -200.0f));
    return or_nan(x, (1.0f + expm1_reduced(ln2_rest(max(x, -200.0f), n))) * power_of_two(n));
}

/* log(1 + y) for 0 ≤ y ≤ 1: 2·artanh(y/(2+y)). */
FUNCTION float log1p_of(float y)
{
    float s = y / (2.0f + y), q = s * s;
    float p = 1.0f / 15.0f;
    p = p * q + 1.0f / 13.0f;
    p = p * q + 1.0f / 11.0f;
    p = p * q + 1.0f / 9.0f;
    p = p * q + 1.0f / 7.0f;
    p = p * q + 1.0f / 5.0f;
    p = p * q + 1.0f / 3.0f;
    return 2.0f * s + 2.0f * s * q * p;
}

/* log x of a positive normal x, to about one unit in the last place; of infinity and NaN, x itself.
 * x = 2^n·m with m in [√½, √2), and log m = 2·artanh((m-1)/(m+1)). */
FUNCTION float log_of(float x)
{
    int bits = TO_INT(BITS(x)) - 0x3f3504f3;
    float n = TO_FLOAT(bits >> 23), m = FROM_BITS(TO_UINT((bits & 0x7fffff) + 0x3f3504f3));
    float y = m - 1.0f, s = y / (2.0f + y), q = s * s;
    float p = 1.0f / 11.0f;
    p = p * q + 1.0f / 9.0f;
    p = p * q + 1.0f / 7.0f;
    p = p * q + 1.0f / 5.0f;
    p = p * q + 1.0f / 3.0f;
    float result = n * 0.693359375f + (2.0f * s + (2.0f * s * q * p - n * 2.12194440e-4f));
    return is_finite(x) != 0u ? result : x;
}

FUNCTION float softplus(float x)
{
    return max(x, 0.0f) + log1p_of(exp_of(-fabs(x)));
}

FUNCTION float sigmoid(float x)
{
    float e = exp_of(-fabs(x));
    return (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

/* Its derivative, without the cancellation of s·(1 - s). */
FUNCTION float sigmoid_slope(float x)
{
    float e = exp_of(-fabs(x)), larger = 1.0f / (1.0f + e);
    return e * larger * larger;
}

/* (Φ(x), e^(-x²/2)), each within some 8 units in the last place; 0 below the smallest normal float,
 * the caller keeps NaN. With a = |x|: Φ(-a) = e^(-a²/2)·q·P(s), q = 1/(a+4), s = (a-4)·q. a² is split,
 * so that its rounding does not reach the exponential. */
FUNCTION float2 normal_cdf(float x)
{
    float a = min(fabs(x), 16.0f);
    float high = FROM_BITS(BITS(a) & 0xfffff000u), low = a - high;
    float d = -0.5f * low * (a + high);
    float e = exp_of(-0.5f * high * high);
    e *= 1.0f + d * (1.0f + d * (0.5f + d * (1.0f / 6.0f + d * (1.0f / 24.0f))));
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
    return FLOAT2(x > 0.0f ? 1.0f - tail : tail, e);
}

/* ---- two-floats: x the value, y what is below its last place ---- */

FUNCTION float2 two_sum(float a, float b)
{
    PRECISE float s = a + b;
    PRECISE float t = s - a;
    PRECISE float u = s - t;
    PRECISE float v = b - t;
    PRECISE float w = a - u;
    PRECISE float e = w + v;
    return FLOAT2(s, e);
}

/* Where |a| ≥ |b| or a = 0. */
FUNCTION float2 two_sum_ordered(float a, float b)
{
    PRECISE float s = a + b;
    PRECISE float t = s - a;
    PRECISE float e = b - t;
    return FLOAT2(s, e);
}

/* The upper 12 bits of a (Dekker). */
FUNCTION float upper_half(float a)
{
    PRECISE float c = 4097.0f * a;
    PRECISE float d = c - a;
    PRECISE float h = c - d;
    return h;
}

FUNCTION float2 two_product(float a, float b)
{
    PRECISE float p = a * b;
    PRECISE float ah = upper_half(a);
    PRECISE float bh = upper_half(b);
    PRECISE float al = a - ah;
    PRECISE float bl = b - bh;
    PRECISE float e1 = ah * bh;
    PRECISE float e2 = e1 - p;
    PRECISE float e3 = ah * bl;
    PRECISE float e4 = e2 + e3;
    PRECISE float e5 = al * bh;
    PRECISE float e6 = e4 + e5;
    PRECISE float e7 = al * bl;
    PRECISE float e8 = e6 + e7;
    return FLOAT2(p, e8);
}

FUNCTION float2 twofold_add(float2 a, float2 b)
{
    float2 s = two_sum(a.x, b.x);
    return two_sum_ordered(s.x, s.y + (a.y + b.y));
}

FUNCTION float2 twofold_mul(float2 a, float2 b)
{
    float2 p = two_product(a.x, b.x);
    return two_sum_ordered(p.x, p.y + (a.x * b.y + a.y * b.x));
}

FUNCTION float2 twofold_negate(float2 a)
{
    return FLOAT2(-a.x, -a.y);
}

/* Adds a float, or a two-float, to a running sum that keeps what rounding loses. */
FUNCTION float2 sum_add(float2 sum, float term)
{
    float2 s = two_sum(sum.x, term);
    return FLOAT2(s.x, s.y + sum.y);
}
FUNCTION float2 sum_add_twofold(float2 sum, float2 term)
{
    float2 s = two_sum(sum.x, term.x);
    return FLOAT2(s.x, s.y + (sum.y + term.y));
}

/* ---- angles, as fractions of a turn in 64 bits: x low word, y high word ---- */

/* Bits of 1/2π, 32 a word; word 0 holds 2^-1 … 2^-32. */
FUNCTION uint inverse_turn_word(int i)
{
    uint w = 0u;
    if (i == 0) w = 0x28be60dbu;
    if (i == 1) w = 0x9391054au;
    if (i == 2) w = 0x7f09d5f4u;
    if (i == 3) w = 0x7d4d3770u;
    if (i == 4) w = 0x36d8a566u;
    if (i == 5) w = 0x4f10e410u;
    if (i == 6) w = 0x7f9458eau;
    return w;
}

/* 32 bits of 1/2π from bit `at` on. */
FUNCTION uint inverse_turn_bits(int at)
{
    int word = at >> 5, shift = at & 31;
    uint bits = inverse_turn_word(word) << TO_UINT(shift);
    if (shift != 0) bits |= inverse_turn_word(word + 1) >> TO_UINT(32 - shift);
    return bits;
}

FUNCTION uint2 turns_negate(uint2 a)
{
    return UINT2(~a.x + 1u, ~a.y + (a.x == 0u ? 1u : 0u));
}

FUNCTION uint2 turns_add(uint2 a, uint2 b)
{
    uint low = a.x + b.x;
    return UINT2(low, a.y + b.y + (low < a.x ? 1u : 0u));
}

/* n times an angle. */
FUNCTION uint2 turns_times(uint2 a, uint n)
{
    return UINT2(a.x * n, a.y * n + mul_high(a.x, n));
}

/* x radians, exactly reduced (Payne and Hanek): x is a 24-bit integer times 2^e, and 96 bits of
 * 2^e/2π modulo 1 suffice. Angles below 2^-60 become 0; x must be finite. */
FUNCTION uint2 turns_of(float x)
{
    uint bits = BITS(x) & 0x7fffffffu;
    int exponent = TO_INT(bits >> 23);
    uint m = (bits & 0x7fffffu) | (exponent > 0 ? 0x800000u : 0u);
    int e = max(exponent, 1) - 150;
    uint y0 = inverse_turn_bits(e), y1 = inverse_turn_bits(e + 32), y2 = inverse_turn_bits(e + 64);
    uint low = m * y1, carried = mul_high(m, y2);
    uint sum = low + carried;
    uint2 turns = UINT2(sum, m * y0 + mul_high(m, y1) + (sum < low ? 1u : 0u));
    if ((BITS(x) >> 31) != 0u) turns = turns_negate(turns);
    return turns;
}

/* The nearest quarter turn, 0 … 3. */
FUNCTION uint turns_quarter(uint2 a)
{
    return (a.y + 0x20000000u) >> 30;
}

/* What is left of the angle: its size (at most an eighth of a turn), and whether it is negative. */
FUNCTION uint turns_rest_sign(uint2 a)
{
    return (a.y - (turns_quarter(a) << 30)) >> 31;
}
FUNCTION uint2 turns_rest(uint2 a)
{
    uint2 rest = UINT2(a.x, a.y - (turns_quarter(a) << 30));
    return turns_rest_sign(a) != 0u ? turns_negate(rest) : rest;
}

/* (cos, sin) of an angle, correct to the sign near their zeros. */
FUNCTION float2 cos_sin(uint2 a)
{
    uint2 rest = turns_rest(a);
    float x = TO_FLOAT(rest.y) * 1.46291812e-9f + TO_FLOAT(rest.x) * 3.40612167e-19f;
    if (turns_rest_sign(a) != 0u) x = -x;
    float q = x * x;
    float s = 1.0f / 362880.0f;
    s = s * q - 1.0f / 5040.0f;
    s = s * q + 1.0f / 120.0f;
    s = s * q - 1.0f / 6.0f;
    s = x + x * q * s;
    float c = -1.0f / 3628800.0f;
    c = c * q + 1.0f / 40320.0f;
    c = c * q - 1.0f / 720.0f;
    c = c * q + 1.0f / 24.0f;
    c = (1.0f - 0.5f * q) + q * q * c;
    uint quarter = turns_quarter(a);
    float cosine = (quarter & 1u) != 0u ? s : c, sine = (quarter & 1u) != 0u ? c : s;
    if (quarter == 1u || quarter == 2u) cosine = -cosine;
    if (quarter >= 2u) sine = -sine;
    return FLOAT2(cosine, sine);
}

/* ---- complex numbers of two-floats: (re, im, re below, im below) ---- */

FUNCTION float4 twofold_complex(float2 re, float2 im)
{
    return FLOAT4(re.x, im.x, re.y, im.y);
}

/* cos + i·sin in two-floats. The series' first terms are summed in two-floats, those below 2^-20 of
 * the result in floats. */
FUNCTION float4 twofold_cos_sin(uint2 a)
{
    uint2 rest = turns_rest(a);
    float2 turn = two_sum_ordered(TO_FLOAT(rest.y >> 8) * 5.96046448e-8f,
                                  TO_FLOAT(((rest.y & 255u) << 16) | (rest.x >> 16)) *
                                      3.55271368e-15f);
    if (turns_rest_sign(a) != 0u) turn = twofold_negate(turn);
    float2 x = twofold_mul(turn, FLOAT2(6.28318548e+0f, -1.74845553e-7f));
    float2 q = twofold_mul(x, x);

    float high = 1.0f / 39916800.0f - q.x * (1.0f / 6227020800.0f);
    high = 1.0f / 362880.0f - q.x * high;
    high = high * q.x - 1.98412701e-4f;
    float2 s = twofold_add(FLOAT2(8.33333377e-3f, -4.34617203e-10f), two_product(high, q.x));
    s = twofold_add(FLOAT2(-1.66666672e-1f, 4.96705388e-9f), twofold_mul(s, q));
    s = twofold_add(x, twofold_mul(twofold_mul(x, q), s));

    high = 1.0f / 3628800.0f - q.x * (1.0f / 479001600.0f);
    high = 2.48015876e-5f - high * q.x;
    float2 c = twofold_add(FLOAT2(-1.38888892e-3f, 3.36310944e-11f), two_product(high, q.x));
    c = twofold_add(FLOAT2(4.16666679e-2f, -1.24176347e-9f), twofold_mul(c, q));
    c = twofold_add(FLOAT2(-0.5f, 0.0f), twofold_mul(c, q));
    c = twofold_add(FLOAT2(1.0f, 0.0f), twofold_mul(c, q));

    uint quarter = turns_quarter(a);
    float2 cosine = (quarter & 1u) != 0u ? s : c, sine = (quarter & 1u) != 0u ? c : s;
    if (quarter == 1u || quarter == 2u) cosine = twofold_negate(cosine);
    if (quarter >= 2u) sine = twofold_negate(sine);
    return twofold_complex(cosine, sine);
}

/* e^r - 1, |r| ≤ 0.35, small as r is: of r/16 by series, then doubled four times. */
FUNCTION float2 twofold_expm1(float2 r)
{
    float2 s = FLOAT2(r.x * 0.0625f, r.y * 0.0625f);
    float2 square = twofold_mul(s, s);
    float rest = s.x * square.x * (1.0f / 6.0f + s.x * (1.0f / 24.0f + s.x * (1.0f / 120.0f)));
    float2 m = twofold_add(s, FLOAT2(0.5f * square.x, 0.5f * square.y + rest));
    for (int i = 0; i < 4; i++)
        m = twofold_add(FLOAT2(2.0f * m.x, 2.0f * m.y), twofold_mul(m, m));
    return m;
}

/* e^(-x + 2πi·turns), x ≥ 0. A pole near the unit circle keeps its distance from it. */
FUNCTION float4 twofold_decay(float2 x, uint2 turns)
{
    float bounded = min(x.x, 200.0f);
    float n = ln2_units(-bounded);
    float2 rest = twofold_add(two_sum(-bounded, -n * 0.693359375f), two_product(n, 2.12194442e-4f));
    rest = twofold_add(rest, FLOAT2(-n * 1.64657177e-12f - x.y, 0.0f));
    float2 size = twofold_add(FLOAT2(1.0f, 0.0f), twofold_expm1(rest));
    float scale = power_of_two(n);
    float4 w = twofold_cos_sin(turns);
    float2 re = twofold_mul(size, FLOAT2(w.x, w.z)), im = twofold_mul(size, FLOAT2(w.y, w.w));
    return FLOAT4(re.x * scale, im.x * scale, re.y * scale, im.y * scale);
}

/* a·b, b a plain complex number. */
FUNCTION float2 twofold_turn(float4 a, float2 b)
{
    float re = FMA(a.x, b.x, FMA(-a.y, b.y, FMA(a.z, b.x, -a.w * b.y)));
    float im = FMA(a.x, b.y, FMA(a.y, b.x, FMA(a.z, b.y, a.w * b.x)));
    return FLOAT2(re, im);
}

FUNCTION float2 complex_mul(float2 a, float2 b)
{
    return FLOAT2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

#endif
