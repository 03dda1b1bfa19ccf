/* What the attention kernels share: products of a block of 64 by 64 tokens of one head, by 256
 * threads of which each holds rows lane_row + 16m and columns lane_col + 16n (m, n < 4). tile_a and
 * tile_b [16 * 65] are group memory, free again when each macro ends. Of a tensor [B, N, H, d] a
 * block's first row is at element `at`, the next one `row` further; rows past `rows` count as 0 and
 * are not read. */
#ifndef ATTENTION_H
#define ATTENTION_H

#include "math.h"

#define PITCH 65u

/* Loops that hold a barrier, or index no registers, are left rolled: a kernel is made once for each
 * width, and drivers that compute on the CPU take seconds for each when all is spelled out. */

/* result = a · bᵀ over channels 0 … width-1. */
#define ROWS_BY_ROWS(result, a, a_at, a_rows, b, b_at, b_rows, row, width)                         \
    UNROLL for (int m = 0; m < 4; m++)                                                             \
        UNROLL for (int n = 0; n < 4; n++) result[m][n] = 0.0f;                                    \
    for (uint deep = 0u; deep < (width); deep += 16u) {                                            \
        uint channel = deep + LANE % 16u;                                                          \
        for (uint i = LANE / 16u; i < 64u; i += LANES / 16u) {                                     \
            float from_a = 0.0f, from_b = 0.0f;                                                    \
            if (channel < (width) && i < (a_rows)) from_a = LOAD(a, (a_at) + i * (row) + channel); \
            if (channel < (width) && i < (b_rows)) from_b = LOAD(b, (b_at) + i * (row) + channel); \
            tile_a[LANE % 16u * PITCH + i] = from_a;                                               \
            tile_b[LANE % 16u * PITCH + i] = from_b;                                               \
        }                                                                                          \
        BARRIER();                                                                                 \
        for (uint deeper = 0u; deeper < 16u; deeper += 4u) {                                       \
            UNROLL for (uint k = 0u; k < 4u; k++) {                                                \
                float of_row[4];                                                                   \
                UNROLL for (int m = 0; m < 4; m++)                                                 \
                    of_row[m] = tile_a[(deeper + k) * PITCH + lane_row + 16u * TO_UINT(m)];        \
                UNROLL for (int n = 0; n < 4; n++) {                                               \
                    float of_col = tile_b[(deeper + k) * PITCH + lane_col + 16u * TO_UINT(n)];     \
                    UNROLL for (int m = 0; m < 4; m++)                                             \
                        result[m][n] = FMA(of_row[m], of_col, result[m][n]);                       \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        BARRIER();                                                                                 \
    }

/* sum [64, 16·COLS_EACH] += weight [64, 64] · x, channels first_col … of x; a thread's columns are
 * lane_col + 16c. Column j of row i takes part only where from[m] <= j <= to[m] for i's m: what else
 * stands in x, even NaN, does not reach the row. */
#define ADD_WEIGHTED(sum, weight, from, to, x, x_at, x_rows, row, width)                           \
    for (int n = 0; n < 4; n++) {                                                                  \
        if (16u * TO_UINT(n) < (x_rows)) {                                                         \
            UNROLL for (int m = 0; m < 4; m++)                                                     \
                tile_a[lane_col * PITCH + lane_row + 16u * TO_UINT(m)] =                           \
                    n == 0   ? weight[m][0]                                                        \
                    : n == 1 ? weight[m][1]                                                        \
                    : n == 2 ? weight[m][2]                                                        \
                             : weight[m][3];                                                       \
            for (uint deep = 0u; deep < 16u; deep += KEYS_DEEP) {                                  \
                uint begin = 16u * TO_UINT(n) + deep;                                              \
                for (uint t = LANE; t < KEYS_DEEP * 16u * COLS_EACH; t += LANES) {                 \
                    uint j = begin + t / (16u * COLS_EACH);                                        \
                    uint channel = first_col + t % (16u * COLS_EACH);                              \
                    float value = 0.0f;                                                            \
                    if (channel < (width) && j < (x_rows))                                         \
                        value = LOAD(x, (x_at) + j * (row) + channel);                             \
                    tile_b[t] = value;                                                             \
                }                                                                                  \
                BARRIER();                                                                         \
                for (uint k = 0u; k < KEYS_DEEP; k++) {                                            \
                    float value[COLS_EACH];                                                        \
                    UNROLL for (int c = 0; c < COLS_EACH; c++)                                     \
                        value[c] = tile_b[16u * (COLS_EACH * k + TO_UINT(c)) + lane_col];          \
                    int j = TO_INT(begin + k);                                                     \
                    UNROLL for (int m = 0; m < 4; m++) {                                           \
                        float share = tile_a[(deep + k) * PITCH + lane_row + 16u * TO_UINT(m)];    \
                        if (j >= from[m] && j <= to[m]) {                                          \
                            UNROLL for (int c = 0; c < COLS_EACH; c++)                             \
                                sum[m][c] = FMA(share, value[c], sum[m][c]);                       \
                        }                                                                          \
                    }                                                                              \
                }                                                                                  \
                BARRIER();                                                                         \
            }                                                                                      \
        }                                                                                          \
    }

/* The softmax's running sum: what was summed beside `before` counts so much beside `largest`. Where
 * both are -∞ nothing was. */
FUNCTION float rescale(float before, float largest)
{
    return before == largest ? 1.0f : exp_of(before - largest);
}

#endif
