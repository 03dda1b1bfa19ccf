/* y = x·scale where the element's random word is at least `least`, else 0. The word of element i is
 * the first of Philox4x32-10 (src/base/rng.h) of counter {i, 0, stream, step} and key {seed, 0}. */
#include "dialect.h"

FUNCTION uint philox_first_word(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
{
    UNROLL for (int round_ = 0; round_ < 10; round_++) {
        uint high0 = mul_high(0xd2511f53u, c0), low0 = 0xd2511f53u * c0;
        uint high1 = mul_high(0xcd9e8d57u, c2), low1 = 0xcd9e8d57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    return c0;
}

KERNEL(dropout, 256, READ(x) READ_INT(key) UPDATE(y),
       UINT(n) UINT(stream) UINT(least) FLOAT(scale) UINT(accumulate))
BODY
{
    uint seed = TO_UINT(AT(key, 0u)), step_ = TO_UINT(AT(key, 1u));
    FOR_ALL(i, arg.n)
    {
        uint word = philox_first_word(i, 0u, arg.stream, step_, seed, 0u);
        float value = word < arg.least ? 0.0f : LOAD(x, i) * arg.scale;
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
