/* A random order of 0 … n-1 that takes no memory: place i of the order is computed when it is asked
 * for, whatever n is.
 *
 * A Feistel network over the numbers L·b + R, L < a, R < b, with a and b near √n, whose halves are
 * added modulo a and b; what falls on n or above is sent through again ("cycle walking"): Black and
 * Rogaway, "Ciphers with arbitrary finite domains", 2002. The round function is Philox, keyed by
 * the seed. a·b - n < a, so that hardly any number is sent twice. */
#ifndef DATA_PERMUTATION_H
#define DATA_PERMUTATION_H

#include <stdint.h>

typedef struct Permutation {
    uint64_t count, high, low; /* n, a, b */
    uint64_t seed;
    uint32_t number; /* which of the seed's orders, such as the epoch */
} Permutation;

/* n in 1 … 2^62. */
Permutation permutation_make(int64_t n, uint64_t seed, uint32_t number);

/* Which of 0 … n-1 stands at place i; i in 0 … n-1. */
int64_t permutation_at(const Permutation *permutation, int64_t i);

#endif
