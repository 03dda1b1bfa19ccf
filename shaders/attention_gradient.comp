/* One gradient of attention, for a block of 64 tokens of one head that the group owns, summed over
 * blocks of 64 tokens it meets. From scores s = scale·q·k, p = e^(s - lse), dp = dy·v and
 * ds = scale·p·(dp - along):
 *     dq = Σ_keys ds·k      a = q, b = k, c = dy, d = v, x = k;  meets keys up to its own
 *     dk = Σ_queries ds·q   a = k, b = q, c = v, d = dy, x = q;  meets queries from its own on
 *     dv = Σ_queries p·dy   a = k, b = q, x = dy
 * so that a·b gives s and c·d gives dp, the rows being the group's own tokens. `owns_keys` marks the
 * last two, `of_values` the last. Group x is a sample's head, y a block (those that meet most come
 * first), z is slice·tiles + tile: a tile of channels and a slice of the blocks that it meets. With
 * several slices each writes what it summed, partial [B,N,H, slices, d], for sum_slices. */
#include "attention.h"

KERNEL(attention_gradient, 256,
       READ(a) READ(b) READ(c) READ(d) READ(x) READ_FLOAT(lse) READ_FLOAT(along) UPDATE(gradient)
       WRITE_FLOAT(partial),
       UINT(tokens) UINT(heads) UINT(width) UINT(slices) UINT(tiles) UINT(owns_keys)
       UINT(of_values) UINT(accumulate) FLOAT(scale))
SHARED(float, tile_a, 16 * 65)
SHARED(float, tile_b, 16 * 65)
BODY
{
    uint lane_row = LANE / 16u, lane_col = LANE % 16u, slice = GROUP_Z / arg.tiles;
    uint row = arg.heads * arg.width, first_col = GROUP_Z % arg.tiles * 16u * COLS_EACH;
    uint head_at = GROUP_X / arg.heads * arg.tokens * row + GROUP_X % arg.heads * arg.width;
    uint blocks = (arg.tokens + 63u) / 64u;
    uint mine = arg.owns_keys != 0u ? GROUP_Y : blocks - 1u - GROUP_Y;
    uint begin = arg.owns_keys != 0u ? mine : 0u, end = arg.owns_keys != 0u ? blocks : mine + 1u;
    uint each = (end - begin + arg.slices - 1u) / arg.slices;
    begin += slice * each;
    end = min(end, begin + each);
    uint own = mine * 64u, own_at = head_at + own * row, rows = min(arg.tokens - own, 64u);

    float sum[4][COLS_EACH];
    UNROLL for (int m = 0; m < 4; m++)
        UNROLL for (int i = 0; i < COLS_EACH; i++) sum[m][i] = 0.0f;

    for (uint block = begin; block < end; block++) {
        uint met = block * 64u, met_at = head_at + met * row, cols = min(arg.tokens - met, 64u);
        float weight[4][4], dp[4][4];
        ROWS_BY_ROWS(weight, a, own_at, rows, b, met_at, cols, row, arg.width)
        if (arg.of_values == 0u) {
            ROWS_BY_ROWS(dp, c, own_at, rows, d, met_at, cols, row, arg.width)
        }

        int from[4], to[4]; /* the columns that a row meets */
        UNROLL for (int m = 0; m < 4; m++) {
            int same = TO_INT(own + lane_row) + 16 * m - TO_INT(met);
            from[m] = arg.owns_keys != 0u ? same : 0;
            to[m] = arg.owns_keys != 0u ? TO_INT(cols) - 1 : same;
            if (lane_row + 16u * TO_UINT(m) >= rows) to[m] = -1;
            UNROLL for (int n = 0; n < 4; n++) {
                int j = TO_INT(lane_col) + 16 * n;
                float value = 0.0f;
                if (j >= from[m] && j <= to[m]) {
                    uint query = arg.owns_keys != 0u ? met + TO_UINT(j) : met + TO_UINT(same);
                    query += GROUP_X * arg.tokens;
                    value = exp_of(arg.scale * weight[m][n] - AT(lse, query));
                    if (arg.of_values == 0u) value *= arg.scale * (dp[m][n] - AT(along, query));
                }
                weight[m][n] = value;
            }
        }
        ADD_WEIGHTED(sum, weight, from, to, x, met_at, cols, row, arg.width)
    }

    UNROLL for (int m = 0; m < 4; m++) {
        uint i = lane_row + 16u * TO_UINT(m);
        UNROLL for (int n = 0; n < COLS_EACH; n++) {
            uint col = first_col + lane_col + 16u * TO_UINT(n);
            if (i < rows && col < arg.width) {
                uint at = own_at + i * row + col;
                float value = sum[m][n];
                if (arg.slices > 1u)
                    AT(partial, (at / arg.width * arg.slices + slice) * arg.width + col) = value;
                else
                    STORE(gradient, at, arg.accumulate != 0u ? LOAD(gradient, at) + value : value);
            }
        }
    }
}
END
