/* Counter-based random numbers: a value is a pure function of (seed, stream, counter), so it does
 * not depend on the order or the number of threads that draw it.
 *
 * Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

static inline void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Streams of one seed by use, so that no two uses draw the same numbers. Dropout counts steps where
 * these have their upper bit, and never gets there. */
typedef enum RngUse { RNG_INITIAL_VALUES, RNG_DATA, RNG_ORDER } RngUse;

static inline uint64_t rng_stream(RngUse use, uint32_t number)
{
    return (uint64_t)(0x80000000u | (uint32_t)use) << 32 | number;
}

/* A stream of numbers. Plain data: saving the three fields and restoring them continues it. Every
 * draw takes one Philox block: counter {counter lo, hi, stream lo, hi}, key {seed lo, hi}. */
typedef struct Rng {
    uint64_t seed, stream;
    uint64_t counter; /* blocks drawn so far */
} Rng;

uint32_t rng_u32(Rng *rng);

/* In [0, bound), every value equally likely; bound ≥ 1. May take more than one block. */
uint64_t rng_below(Rng *rng, uint64_t bound);

/* In [0, 1), a multiple of 2^-53. */
double rng_uniform(Rng *rng);

/* Standard normal, by Box and Muller in double: one, or both of a pair that one block gives. */
double rng_normal(Rng *rng);
void rng_normal_pair(Rng *rng, double out[2]);

#endif
