#include "base/rng.h"

#include <math.h>

static void rng_block(Rng *rng, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)rng->counter, (uint32_t)(rng->counter >> 32),
                                 (uint32_t)rng->stream, (uint32_t)(rng->stream >> 32)};
    const uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)};
    philox4x32(counter, key, out);
    rng->counter++;
}

static uint64_t word64(uint32_t low, uint32_t high)
{
    return (uint64_t)high << 32 | low;
}

static double unit(uint32_t low, uint32_t high)
{
    return (double)(word64(low, high) >> 11) * 0x1p-53;
}

uint32_t rng_u32(Rng *rng)
{
    uint32_t word[4];
    rng_block(rng, word);
    return word[0];
}

uint64_t rng_below(Rng *rng, uint64_t bound)
{
    /* The lowest 2^64 mod bound values would come once too often. */
    uint64_t excess = (UINT64_MAX - bound + 1) % bound, value;
    do {
        uint32_t word[4];
        rng_block(rng, word);
        value = word64(word[0], word[1]);
    } while (value < excess);
    return value % bound;
}

double rng_uniform(Rng *rng)
{
    uint32_t word[4];
    rng_block(rng, word);
    return unit(word[0], word[1]);
}

void rng_normal_pair(Rng *rng, double out[2])
{
    uint32_t word[4];
    rng_block(rng, word);
    double radius =
        sqrt(-2 * log(1 - unit(word[0], word[1]))); /* the logarithm's argument is > 0 */
    double angle = 6.283185307179586476925 * unit(word[2], word[3]);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

double rng_normal(Rng *rng)
{
    double pair[2];
    rng_normal_pair(rng, pair);
    return pair[0];
}
