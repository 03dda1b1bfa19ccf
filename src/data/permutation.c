#include "data/permutation.h"

#include "base/rng.h"

#include <math.h>

enum { ROUNDS = 8 };

/* The smallest a with a·a ≥ n. */
static uint64_t root_above(uint64_t n)
{
    uint64_t a = (uint64_t)sqrt((double)n);
    while (a * a < n) a++;
    while (a > 1 && (a - 1) * (a - 1) >= n) a--;
    return a;
}

Permutation permutation_make(int64_t n, uint64_t seed, uint32_t number)
{
    uint64_t count = (uint64_t)n, high = root_above(count);
    return (Permutation){
        .count = count,
        .high = high,
        .low = (count + high - 1) / high,
        .seed = seed,
        .number = number,
    };
}

/* One draw of a stream of its own. A half is below 2^32, as n is at most 2^62. */
static uint64_t round_value(const Permutation *permutation, uint32_t round, uint64_t half)
{
    uint64_t stream = rng_stream(RNG_ORDER, permutation->number);
    const uint32_t counter[4] = {(uint32_t)half, round, (uint32_t)stream, (uint32_t)(stream >> 32)};
    const uint32_t key[2] = {(uint32_t)permutation->seed, (uint32_t)(permutation->seed >> 32)};
    uint32_t out[4];
    philox4x32(counter, key, out);
    return (uint64_t)out[1] << 32 | out[0];
}

static uint64_t pass(const Permutation *permutation, uint64_t value)
{
    uint64_t high = value / permutation->low, low = value % permutation->low;
    for (uint32_t round = 0; round < ROUNDS; round += 2) {
        high =
            (high + round_value(permutation, round, low) % permutation->high) % permutation->high;
        low =
            (low + round_value(permutation, round + 1, high) % permutation->low) % permutation->low;
    }
    return high * permutation->low + low;
}

int64_t permutation_at(const Permutation *permutation, int64_t i)
{
    uint64_t value = (uint64_t)i;
    do value = pass(permutation, value);
    while (value >= permutation->count);
    return (int64_t)value;
}
