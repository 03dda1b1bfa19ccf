/* C = A·B + bias in tiles: 256 threads hold a square of 16·ROWS_EACH by 16·COLS_EACH results in
 * registers, ROWS_EACH × COLS_EACH a thread, 16 apart, and walk the inner axis in blocks of DEPTH
 * through group memory.
 *
 * Element (i, k) of op(A) stands at i·row_a + k·inner_a, (k, j) of op(B) at k·inner_b + j·col_b; of
 * each pair one is 1, and lanes run along it. Items beyond one are added into the same result. The
 * inner axis, all items' blocks in a row, may be cut in splits, each giving a result of its own
 * (product_sum adds them): group z is item·splits + split. The result goes to c, or, where `to_real`,
 * to `real`: float whatever the storage type is, as gradients of parameters and splits are. */
#include "dialect.h"

KERNEL(product, 256, READ(a) READ(b) READ_FLOAT(bias) UPDATE(c) UPDATE_FLOAT(real),
       UINT(rows) UINT(cols) UINT(inner) UINT(row_a) UINT(inner_a) UINT(inner_b) UINT(col_b)
       UINT(ld_c) UINT(stride_a) UINT(stride_b) UINT(stride_c) UINT(stride_bias)
       UINT(items) UINT(splits) UINT(has_bias) UINT(to_real) UINT(accumulate))
SHARED(float, tile_a, DEPTH * (16 * ROWS_EACH + 1))
SHARED(float, tile_b, DEPTH * (16 * COLS_EACH + 1))
BODY
{
    const uint tile_rows = 16u * ROWS_EACH, tile_cols = 16u * COLS_EACH;
    const uint pitch_a = tile_rows + 1u, pitch_b = tile_cols + 1u;
    uint lane_row = LANE / 16u, lane_col = LANE % 16u;
    uint first_row = GROUP_Y * tile_rows, first_col = GROUP_X * tile_cols;
    uint split = GROUP_Z % arg.splits, result = GROUP_Z / arg.splits;

    float sum[ROWS_EACH][COLS_EACH];
    UNROLL for (int m = 0; m < ROWS_EACH; m++)
        UNROLL for (int n = 0; n < COLS_EACH; n++) sum[m][n] = 0.0f;

    uint blocks = (arg.inner + DEPTH - 1u) / DEPTH;
    uint each = (blocks * arg.items + arg.splits - 1u) / arg.splits;
    uint end = min(blocks * arg.items, (split + 1u) * each);
    for (uint block = split * each; block < end; block++) {
        uint item = result + block / blocks, first_inner = block % blocks * DEPTH;
        for (uint t = LANE; t < tile_rows * DEPTH; t += LANES) {
            uint i = arg.inner_a == 1u ? t / DEPTH : t % tile_rows;
            uint k = arg.inner_a == 1u ? t % DEPTH : t / tile_rows;
            float value = 0.0f;
            if (first_row + i < arg.rows && first_inner + k < arg.inner)
                value = LOAD(a, item * arg.stride_a + (first_row + i) * arg.row_a +
                                    (first_inner + k) * arg.inner_a);
            tile_a[k * pitch_a + i] = value;
        }
        for (uint t = LANE; t < tile_cols * DEPTH; t += LANES) {
            uint j = arg.inner_b == 1u ? t / DEPTH : t % tile_cols;
            uint k = arg.inner_b == 1u ? t % DEPTH : t / tile_cols;
            float value = 0.0f;
            if (first_col + j < arg.cols && first_inner + k < arg.inner)
                value = LOAD(b, item * arg.stride_b + (first_inner + k) * arg.inner_b +
                                    (first_col + j) * arg.col_b);
            tile_b[k * pitch_b + j] = value;
        }
        BARRIER();
        UNROLL for (uint k = 0u; k < DEPTH; k++) {
            float row_value[ROWS_EACH];
            UNROLL for (int m = 0; m < ROWS_EACH; m++)
                row_value[m] = tile_a[k * pitch_a + lane_row + 16u * TO_UINT(m)];
            UNROLL for (int n = 0; n < COLS_EACH; n++) {
                float col_value = tile_b[k * pitch_b + lane_col + 16u * TO_UINT(n)];
                UNROLL for (int m = 0; m < ROWS_EACH; m++)
                    sum[m][n] = FMA(row_value[m], col_value, sum[m][n]);
            }
        }
        BARRIER();
    }

    uint at = GROUP_Z * arg.stride_c;
    UNROLL for (int m = 0; m < ROWS_EACH; m++) {
        UNROLL for (int n = 0; n < COLS_EACH; n++) {
            uint i = first_row + lane_row + 16u * TO_UINT(m);
            uint j = first_col + lane_col + 16u * TO_UINT(n);
            if (i < arg.rows && j < arg.cols) {
                float value = sum[m][n];
                if (arg.has_bias != 0u) value += AT(bias, result * arg.stride_bias + j);
                uint place = at + i * arg.ld_c + j;
                if (arg.to_real != 0u)
                    AT(real, place) = arg.accumulate != 0u ? AT(real, place) + value : value;
                else
                    STORE(c, place, arg.accumulate != 0u ? LOAD(c, place) + value : value);
            }
        }
    }
}
END
