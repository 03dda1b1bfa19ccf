/* 16-bit floating point numbers by their bits. */
#ifndef TENSOR_HALF_H
#define TENSOR_HALF_H

#include <stdint.h>
#include <string.h>

static inline float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* bfloat16: the upper half of a float. */
static inline float float_from_bf16(uint16_t bits)
{
    return float_from_bits((uint32_t)bits << 16);
}

/* IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
static inline float float_from_f16(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1F;
    uint32_t fraction = bits & 0x3FF;
    if (exponent == 0) { /* zero or subnormal: fraction · 2^-24 */
        float magnitude = (float)fraction * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    uint32_t widened = exponent == 0x1F ? 0xFF : exponent + 127 - 15;
    return float_from_bits(sign | widened << 23 | fraction << 13);
}

/* A binary floating-point format of 16 bits whose exponent is biased by half its range. */
typedef struct HalfFormat {
    int fraction, bias;
} HalfFormat;

/* To nearest, ties to even, in one rounding; beyond the range infinite; NaN stays NaN. */
static inline uint16_t half_from_double(double value, HalfFormat format)
{
    uint64_t bits, infinity = (uint64_t)(2 * format.bias + 1) << format.fraction;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 63 << 15);
    uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
    int exponent = (int)(bits >> 52 & 0x7FF);
    if (exponent == 0x7FF && fraction) return (uint16_t)(sign | infinity | 1);

    /* Below the smallest normal number the exponent stays and the fraction loses bits. */
    int biased = exponent - 1023 + format.bias, dropped = 52 - format.fraction;
    if (exponent) fraction |= (uint64_t)1 << 52;
    if (biased < 1) {
        dropped += 1 - biased;
        biased = 1;
    }
    if (dropped > 62) return sign;
    uint64_t half = (uint64_t)1 << (dropped - 1), rest = fraction & (2 * half - 1);
    uint64_t kept = fraction >> dropped;
    kept += rest > half || (rest == half && (kept & 1));
    /* The leading one adds 1 to the exponent, and so does a fraction that is rounded past it. */
    uint64_t result = ((uint64_t)(biased - 1) << format.fraction) + kept;
    return (uint16_t)(sign | (result < infinity ? result : infinity));
}

static inline uint16_t f16_from_double(double value)
{
    return half_from_double(value, (HalfFormat){.fraction = 10, .bias = 15});
}

static inline uint16_t bf16_from_double(double value)
{
    return half_from_double(value, (HalfFormat){.fraction = 7, .bias = 127});
}

#endif
