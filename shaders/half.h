/* 16 bits as storage of a float: IEEE binary16 and bfloat16, rounded to nearest, ties to even.
 *
 * By integers, because languages leave the rounding of their own conversions to the device: the
 * same bits everywhere, subnormal numbers kept. */
#ifndef HALF_H
#define HALF_H

FUNCTION uint f16_bits(float x)
{
    uint sign = BITS(x) >> 16 & 0x8000u, size = BITS(x) & 0x7fffffffu;
    if (size > 0x7f800000u) return sign | 0x7e00u;  /* NaN */
    if (size >= 0x477ff000u) return sign | 0x7c00u; /* 65520 and more round to infinity */
    if (size >= 0x38800000u)                        /* 2^-14 and more: a normal number */
        return sign | (size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13;
    uint drop = 126u - (size >> 23); /* bits below 2^-24 */
    if (drop > 24u) return sign;
    uint fraction = (size & 0x7fffffu) | 0x800000u, kept = fraction >> drop;
    uint rest = fraction & ((1u << drop) - 1u), half_way = 1u << (drop - 1u);
    if (rest > half_way || (rest == half_way && (kept & 1u) != 0u)) kept += 1u;
    return sign | kept;
}

FUNCTION float f16_value(uint bits)
{
    uint sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 0x3ffu;
    if (exponent == 0u) {
        float size = TO_FLOAT(fraction) * 5.9604644775390625e-8f; /* 2^-24 */
        return FROM_BITS(sign | BITS(size));
    }
    return FROM_BITS(sign | (exponent == 31u ? 255u : exponent + 112u) << 23 | fraction << 13);
}

FUNCTION uint bf16_bits(float x)
{
    uint bits = BITS(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u; /* NaN */
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

FUNCTION float bf16_value(uint bits)
{
    return FROM_BITS(bits << 16);
}

/* Four neighbours, the first in the lowest bits. */
FUNCTION float4 f16_value4(uint2 bits)
{
    return FLOAT4(f16_value(bits.x & 0xffffu), f16_value(bits.x >> 16),
                  f16_value(bits.y & 0xffffu), f16_value(bits.y >> 16));
}
FUNCTION float4 bf16_value4(uint2 bits)
{
    return FLOAT4(bf16_value(bits.x & 0xffffu), bf16_value(bits.x >> 16),
                  bf16_value(bits.y & 0xffffu), bf16_value(bits.y >> 16));
}

#endif
