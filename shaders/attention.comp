/* Softmax attention of a block of 64 queries of one head, by blocks of 64 keys with a running
 * maximum and sum:
 *     y = Σ_j e^(s_j - lse)·v_j,  lse = log Σ_j e^(s_j),  s_j = scale·q·k_j,  j <= position + query.
 * Group x is a sample's head, y a block of queries (the last, with most keys, first), z is
 * slice·tiles + tile: a tile of output channels and a slice of the block's keys. With several slices
 * each writes what it summed, partial [B,N,H, slices, d], beside its maximum and total, state
 * [B,N,H, slices, 2], for attention_join.
 *
 * `continued`: queries begin at position[0] among `kept` keys; else at 0 among as many. */
#include "attention.h"

KERNEL(attention, 256,
       READ(q) READ(k) READ(v) READ_INT(position) UPDATE(y) WRITE_FLOAT(lse)
       WRITE_FLOAT(partial) WRITE_FLOAT(state),
       UINT(tokens) UINT(kept) UINT(heads) UINT(width) UINT(slices) UINT(tiles)
       UINT(continued) UINT(accumulate) FLOAT(scale))
SHARED(float, tile_a, 16 * 65)
SHARED(float, tile_b, 16 * 65)
SHARED(float, across, 64 * 17)
SHARED(float, row_largest, 64)
SHARED(float, row_other, 64)
BODY
{
    uint lane_row = LANE / 16u, lane_col = LANE % 16u;
    uint b = GROUP_X / arg.heads, h = GROUP_X % arg.heads, row = arg.heads * arg.width;
    uint first = ((arg.tokens + 63u) / 64u - 1u - GROUP_Y) * 64u;
    uint slice = GROUP_Z / arg.tiles, first_col = GROUP_Z % arg.tiles * 16u * COLS_EACH;
    uint start = arg.continued != 0u ? TO_UINT(AT(position, 0u)) : 0u;
    uint rows = min(arg.tokens - first, 64u), seen = min(start + first + rows, arg.kept);
    uint query_at = (b * arg.tokens + first) * row + h * arg.width;

    float sum[4][COLS_EACH], total[4], largest = FROM_BITS(0xff800000u);
    UNROLL for (int m = 0; m < 4; m++) {
        total[m] = 0.0f;
        UNROLL for (int c = 0; c < COLS_EACH; c++) sum[m][c] = 0.0f;
    }
    if (LANE < 64u) row_largest[LANE] = largest;

    uint blocks = (seen + 63u) / 64u, each = (blocks + arg.slices - 1u) / arg.slices;
    uint end = min(blocks, (slice + 1u) * each);
    for (uint block = slice * each; block < end; block++) {
        uint key = block * 64u, keys = min(seen - key, 64u);
        uint key_at = (b * arg.kept + key) * row + h * arg.width;
        float p[4][4];
        ROWS_BY_ROWS(p, q, query_at, rows, k, key_at, keys, row, arg.width)

        int from[4], to[4]; /* the keys of this block that a row sees */
        UNROLL for (int m = 0; m < 4; m++) {
            from[m] = 0;
            to[m] = TO_INT(start + first + lane_row) + 16 * m - TO_INT(key);
            float most = FROM_BITS(0xff800000u);
            UNROLL for (int n = 0; n < 4; n++) {
                p[m][n] *= arg.scale;
                if (TO_INT(lane_col) + 16 * n <= to[m]) most = max(most, p[m][n]);
            }
            across[(lane_row + 16u * TO_UINT(m)) * 17u + lane_col] = most;
        }
        BARRIER();
        if (LANE < 64u) {
            float before = largest;
            for (uint i = 0u; i < 16u; i++) largest = max(largest, across[LANE * 17u + i]);
            row_largest[LANE] = largest;
            row_other[LANE] = rescale(before, largest);
        }
        BARRIER();
        UNROLL for (int m = 0; m < 4; m++) {
            float most = row_largest[lane_row + 16u * TO_UINT(m)];
            float factor = row_other[lane_row + 16u * TO_UINT(m)];
            total[m] *= factor;
            UNROLL for (int c = 0; c < COLS_EACH; c++) sum[m][c] *= factor;
            UNROLL for (int n = 0; n < 4; n++) {
                p[m][n] = TO_INT(lane_col) + 16 * n <= to[m] ? exp_of(p[m][n] - most) : 0.0f;
                total[m] += p[m][n];
            }
        }
        ADD_WEIGHTED(sum, p, from, to, v, key_at, keys, row, arg.width)
    }

    UNROLL for (int m = 0; m < 4; m++)
        across[(lane_row + 16u * TO_UINT(m)) * 17u + lane_col] = total[m];
    BARRIER();
    if (LANE < 64u) {
        float whole = 0.0f;
        for (uint i = 0u; i < 16u; i++) whole += across[LANE * 17u + i];
        row_other[LANE] = whole;
    }
    BARRIER();
    UNROLL for (int m = 0; m < 4; m++) {
        uint i = lane_row + 16u * TO_UINT(m);
        if (i < rows) {
            uint item = (b * arg.tokens + first + i) * arg.heads + h;
            float whole = row_other[i];
            UNROLL for (int c = 0; c < COLS_EACH; c++) {
                uint col = first_col + lane_col + 16u * TO_UINT(c);
                if (col < arg.width && arg.slices > 1u)
                    AT(partial, (item * arg.slices + slice) * arg.width + col) = sum[m][c];
                if (col < arg.width && arg.slices == 1u) {
                    float value = sum[m][c] / whole;
                    uint at = item * arg.width + col;
                    STORE(y, at, arg.accumulate != 0u ? LOAD(y, at) + value : value);
                }
            }
            if (lane_col == 0u && first_col == 0u) {
                if (arg.slices > 1u) {
                    AT(state, 2u * (item * arg.slices + slice)) = row_largest[i];
                    AT(state, 2u * (item * arg.slices + slice) + 1u) = whole;
                } else if (arg.continued == 0u) {
                    AT(lse, GROUP_X * arg.tokens + first + i) = row_largest[i] + log_of(whole);
                }
            }
        }
    }
}
END
