/* C = A·B + bias in tiles: 256 threads hold a square of 16·ROWS_EACH by 16·COLS_EACH results in
 * registers, ROWS_EACH × COLS_EACH a thread, 16 apart, and walk the inner axis in blocks of DEPTH
 * through group memory, whose columns stand PAD elements farther apart than they are long: 1 keeps
 * what is written along the inner axis on different banks, 0 fits 16 KiB.
 *
 * Element (i, k) of op(A) stands at i·ld_a + k with PRODUCT_ALONG_A, else at i + k·ld_a, (k, j) of
 * op(B) at k + j·ld_b with PRODUCT_ALONG_B, else at k·ld_b + j; lanes run along the axis where
 * elements are neighbours. Items beyond one are added into the same result. The
 * inner axis, all items' blocks in a row, may be cut in splits, each giving a result of its own
 * (product_sum adds them): group z is item·splits + split. With FOURS operands are read in fours
 * along the axis where elements are neighbours, and everything along it is a multiple of four. The
 * result goes to c, or to `real`: float whatever the storage type is, as gradients of parameters and
 * splits are. With THEN the product has a follower, whose result goes to y, at the same element, and
 * which sees c as it would be loaded. The flags and followers are product.h's. */
#include "elementwise.h"

/* In the end each row of results in turn becomes the first: a follower is too long to be spelled out
 * for all of them. */
#if THEN
#define EACH_ROW
#else
#define EACH_ROW UNROLL
#endif

KERNEL(product, 256,
       READ(a) READ4(a4) READ(b) READ4(b4) READ_FLOAT(bias) READ(x) UPDATE(c)
       UPDATE_FLOAT(real) UPDATE(y),
       UINT(rows) UINT(cols) UINT(inner) UINT(ld_a) UINT(ld_b) UINT(ld_c)
       UINT(stride_a) UINT(stride_b) UINT(stride_c) UINT(stride_bias)
       UINT(items) UINT(splits) UINT(flags))
SHARED(float, tile_a, DEPTH * (16 * ROWS_EACH + PAD))
SHARED(float, tile_b, DEPTH * (16 * COLS_EACH + PAD))
BODY
{
    const uint tile_rows = 16u * ROWS_EACH, tile_cols = 16u * COLS_EACH;
    const uint pitch_a = tile_rows + PAD, pitch_b = tile_cols + PAD;
    const uint at_once = FOURS != 0 ? 4u : 1u;
    uint lane_row = LANE / 16u, lane_col = LANE % 16u;
    uint first_row = GROUP_Y * tile_rows, first_col = GROUP_X * tile_cols;
    uint split = GROUP_Z % arg.splits, result = GROUP_Z / arg.splits;
    bool along_a = (arg.flags & PRODUCT_ALONG_A) != 0u;
    bool along_b = (arg.flags & PRODUCT_ALONG_B) != 0u;
    uint row_a = along_a ? arg.ld_a : 1u, inner_a = along_a ? 1u : arg.ld_a;
    uint col_b = along_b ? arg.ld_b : 1u, inner_b = along_b ? 1u : arg.ld_b;

    float sum[ROWS_EACH][COLS_EACH];
    UNROLL for (int m = 0; m < ROWS_EACH; m++)
        UNROLL for (int n = 0; n < COLS_EACH; n++) sum[m][n] = 0.0f;

    uint blocks = (arg.inner + DEPTH - 1u) / DEPTH;
    uint each = (blocks * arg.items + arg.splits - 1u) / arg.splits;
    uint end = min(blocks * arg.items, (split + 1u) * each);
    for (uint block = split * each; block < end; block++) {
        uint item = result + block / blocks, first_inner = block % blocks * DEPTH;
        for (uint t = LANE; t < tile_rows * DEPTH / at_once; t += LANES) {
            uint i = along_a ? t / (DEPTH / at_once) : t % (tile_rows / at_once) * at_once;
            uint k = along_a ? t % (DEPTH / at_once) * at_once : t / (tile_rows / at_once);
            bool inside = first_row + i < arg.rows && first_inner + k < arg.inner;
            uint from = item * arg.stride_a + (first_row + i) * row_a +
                        (first_inner + k) * inner_a;
            uint to = k * pitch_a + i;
#if FOURS
            uint apart = along_a ? pitch_a : 1u;
            float4 value = FLOAT4(0.0f, 0.0f, 0.0f, 0.0f);
            if (inside) value = LOAD4(a4, from / 4u);
            tile_a[to] = value.x;
            tile_a[to + apart] = value.y;
            tile_a[to + 2u * apart] = value.z;
            tile_a[to + 3u * apart] = value.w;
#else
            float value = 0.0f;
            if (inside) value = LOAD(a, from);
            tile_a[to] = value;
#endif
        }
        for (uint t = LANE; t < tile_cols * DEPTH / at_once; t += LANES) {
            uint j = along_b ? t / (DEPTH / at_once) : t % (tile_cols / at_once) * at_once;
            uint k = along_b ? t % (DEPTH / at_once) * at_once : t / (tile_cols / at_once);
            bool inside = first_col + j < arg.cols && first_inner + k < arg.inner;
            uint from = item * arg.stride_b + (first_inner + k) * inner_b +
                        (first_col + j) * col_b;
            uint to = k * pitch_b + j;
#if FOURS
            uint apart = along_b ? pitch_b : 1u;
            float4 value = FLOAT4(0.0f, 0.0f, 0.0f, 0.0f);
            if (inside) value = LOAD4(b4, from / 4u);
            tile_b[to] = value.x;
            tile_b[to + apart] = value.y;
            tile_b[to + 2u * apart] = value.z;
            tile_b[to + 3u * apart] = value.w;
#else
            float value = 0.0f;
            if (inside) value = LOAD(b, from);
            tile_b[to] = value;
#endif
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
    EACH_ROW for (int m = 0; m < ROWS_EACH; m++) {
        UNROLL for (int n = 0; n < COLS_EACH; n++) {
            uint i = first_row + lane_row + 16u * TO_UINT(m);
            uint j = first_col + lane_col + 16u * TO_UINT(n);
            if (i < arg.rows && j < arg.cols) {
                float value = sum[0][n];
                if ((arg.flags & PRODUCT_BIAS) != 0u)
                    value += AT(bias, result * arg.stride_bias + j);
                PRODUCT_FINISH(at + i * arg.ld_c + j, value)
            }
        }
        UNROLL for (int next = 1; next < ROWS_EACH; next++)
            UNROLL for (int n = 0; n < COLS_EACH; n++) sum[next - 1][n] = sum[next][n];
    }
}
END
#undef EACH_ROW
