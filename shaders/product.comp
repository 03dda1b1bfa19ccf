/* C = A·B + bias in tiles of DOWN·ROWS_EACH by ACROSS·COLS_EACH results. DOWN × ACROSS threads hold
 * one in registers, each of them squares of four by four results that stand 4·DOWN and 4·ACROSS apart.
 * They walk the inner axis in blocks of DEPTH through group memory, whose row k has the block's k-th
 * column of A's rows and then its k-th row of B. While one block is multiplied the next is on its way
 * from memory: a thread takes a square of four by four of A or of B, transposed where it must be, so
 * that all of group memory is written and read in fours, by neighbours side by side.
 *
 * Element (i, k) of op(A) stands at i·ld_a + k with PRODUCT_ALONG_A, else at i + k·ld_a, (k, j) of
 * op(B) at k + j·ld_b with PRODUCT_ALONG_B, else at k·ld_b + j. Items beyond one are added into the
 * same result. The inner axis, all items' blocks in a row, may be cut in splits, each giving a
 * result of its own (product_sum adds them): group z is item·splits + split. With FOURS everything
 * along the axis where an operand's elements are neighbours is a multiple of four. The result goes
 * to c, or to `real`: float whatever the storage type is, as gradients of parameters and splits are.
 * With THEN the product has a follower, whose result goes to y, at the same element, and which sees c
 * as it would be loaded. The flags and followers are product.h's. */
#include "elementwise.h"

#define TILE_ROWS  (DOWN * ROWS_EACH)
#define TILE_COLS  (ACROSS * COLS_EACH)
#define SQUARES_A  (TILE_ROWS * DEPTH / 16) /* of four by four, in a block */
#define SQUARES_B  (TILE_COLS * DEPTH / 16)
#define TILE_PITCH ((TILE_ROWS + TILE_COLS) / 4) /* of group memory's rows, in fours */

/* Four neighbours of an operand; of the last ones only some are there. */
#if FOURS
#define FOUR_OF(operand, at, there) LOAD4(operand##4, (at) / 4u)
#else
#define ONE_OF(operand, at, n, there)                                                              \
    ((n) < (there) ? LOAD(operand, (at) + min(n, (there) - 1u)) : 0.0f)
#define FOUR_OF(operand, at, there)                                                                \
    FLOAT4(LOAD(operand, at), ONE_OF(operand, at, 1u, there), ONE_OF(operand, at, 2u, there),      \
           ONE_OF(operand, at, 3u, there))
#endif

KERNEL(product, DOWN * ACROSS,
       READ(a) READ4(a4) READ(b) READ4(b4) READ_FLOAT(bias) READ(x) UPDATE(c)
       UPDATE_FLOAT(real) UPDATE(y),
       UINT(rows) UINT(cols) UINT(inner) UINT(ld_a) UINT(ld_b) UINT(ld_c)
       UINT(stride_a) UINT(stride_b) UINT(stride_c) UINT(stride_bias)
       UINT(items) UINT(splits) UINT(flags))
SHARED(float4, tile, DEPTH * TILE_PITCH)
BODY
{
    const uint depth = TO_UINT(DEPTH), pitch = TO_UINT(TILE_PITCH), tile_cols = TO_UINT(TILE_COLS);
    uint first_row = GROUP_Y * TO_UINT(TILE_ROWS), first_col = GROUP_X * tile_cols;
    uint split = GROUP_Z % arg.splits, result = GROUP_Z / arg.splits;

    /* Lanes stand in patches of two by eight where the tile is so wide, one patch below another: two
     * neighbours share what they read of B, and two next but one what they read of A, which lets
     * cards serve half of a subgroup's sixteen bytes each at once. */
    const uint patch_cols = TO_UINT(min(ACROSS, 8)), patch_rows = 16u / patch_cols;
    const uint patches_down = TO_UINT(DOWN) / patch_rows;
    uint lane_row = LANE / 16u % patches_down * patch_rows + LANE % patch_rows;
    uint lane_col = LANE / 16u / patches_down * patch_cols + LANE / patch_rows % patch_cols;

    /* The square that this lane takes of every block: how deep, and which four of the tile's rows
     * or columns, up to eight squares side by side before the next ones deep; a line is four
     * neighbours in memory. */
    bool of_a = LANE < TO_UINT(SQUARES_A), takes = LANE < TO_UINT(SQUARES_A + SQUARES_B);
    uint square = of_a ? LANE : LANE - TO_UINT(SQUARES_A);
    uint side = of_a ? TO_UINT(min(TILE_ROWS / 4, 8)) : TO_UINT(min(TILE_COLS / 4, 8));
    uint deep = square / side % (depth / 4u) * 4u;
    uint nth = square / (side * (depth / 4u)) * side + square % side;
    uint place = deep * pitch + (of_a ? 0u : TO_UINT(TILE_ROWS / 4)) + nth;
    uint outer = (of_a ? first_row : first_col) + 4u * nth;
    uint outer_end = of_a ? arg.rows : arg.cols;
    bool along = (arg.flags & (of_a ? PRODUCT_ALONG_A : PRODUCT_ALONG_B)) != 0u;
    uint apart = of_a ? arg.ld_a : arg.ld_b, stride = of_a ? arg.stride_a : arg.stride_b;
    float4 line[4];

    float sum[ROWS_EACH][COLS_EACH];
    UNROLL for (int m = 0; m < ROWS_EACH; m++)
        UNROLL for (int n = 0; n < COLS_EACH; n++) sum[m][n] = 0.0f;

    uint blocks = (arg.inner + depth - 1u) / depth;
    uint each = (blocks * arg.items + arg.splits - 1u) / arg.splits;
    uint begin = split * each, end = min(blocks * arg.items, begin + each);
    uint item = result + begin / blocks, first_inner = begin % blocks * depth;
    for (uint block = begin; block <= end; block++) {
        if (block < end && takes) {
            uint inner = first_inner + deep;
            uint nth_line = along ? outer : inner, lines_end = along ? outer_end : arg.inner;
            uint start = along ? inner : outer, start_end = along ? arg.inner : outer_end;
            uint from = item * stride + nth_line * apart + start;
            UNROLL for (int i = 0; i < 4; i++) {
                uint at = from + TO_UINT(i) * apart;
                line[i] = FLOAT4(0.0f, 0.0f, 0.0f, 0.0f);
                if (nth_line + TO_UINT(i) < lines_end && start < start_end) {
                    if (of_a) line[i] = FOUR_OF(a, at, start_end - start);
                    else line[i] = FOUR_OF(b, at, start_end - start);
                }
            }
        }
        first_inner += depth;
        if (first_inner >= arg.inner) {
            first_inner = 0u;
            item++;
        }
        if (block > begin) {
            UNROLL for (uint k = 0u; k < depth; k++) {
                float row_value[ROWS_EACH];
                UNROLL for (int m = 0; m < ROWS_EACH; m += 4) {
                    float4 four = tile[k * pitch + lane_row + TO_UINT(DOWN * m / 4)];
                    row_value[m] = four.x;
                    row_value[m + 1] = four.y;
                    row_value[m + 2] = four.z;
                    row_value[m + 3] = four.w;
                }
                UNROLL for (int n = 0; n < COLS_EACH; n += 4) {
                    float4 four = tile[k * pitch + TO_UINT(TILE_ROWS / 4) + lane_col +
                                       TO_UINT(ACROSS * n / 4)];
                    UNROLL for (int m = 0; m < ROWS_EACH; m++) {
                        sum[m][n] = FMA(row_value[m], four.x, sum[m][n]);
                        sum[m][n + 1] = FMA(row_value[m], four.y, sum[m][n + 1]);
                        sum[m][n + 2] = FMA(row_value[m], four.z, sum[m][n + 2]);
                        sum[m][n + 3] = FMA(row_value[m], four.w, sum[m][n + 3]);
                    }
                }
            }
        }
        BARRIER();
        if (block < end && takes) {
            if (along) {
                tile[place] = FLOAT4(line[0].x, line[1].x, line[2].x, line[3].x);
                tile[place + pitch] = FLOAT4(line[0].y, line[1].y, line[2].y, line[3].y);
                tile[place + 2u * pitch] = FLOAT4(line[0].z, line[1].z, line[2].z, line[3].z);
                tile[place + 3u * pitch] = FLOAT4(line[0].w, line[1].w, line[2].w, line[3].w);
            } else {
                UNROLL for (int i = 0; i < 4; i++) tile[place + TO_UINT(i) * pitch] = line[i];
            }
        }
        BARRIER();
    }

    /* The results leave through group memory too, a row of every lane's in turn (the first: what
     * follows them moves up), so that neighbours write what is side by side. */
    uint at_c = GROUP_Z * arg.stride_c;
    for (uint m = 0u; m < TO_UINT(ROWS_EACH); m++) {
        UNROLL for (int n = 0; n < COLS_EACH; n += 4)
            tile[lane_row * (tile_cols / 4u) + lane_col + TO_UINT(ACROSS * n / 4)] =
                FLOAT4(sum[0][n], sum[0][n + 1], sum[0][n + 2], sum[0][n + 3]);
        UNROLL for (int next = 1; next < ROWS_EACH; next++)
            UNROLL for (int n = 0; n < COLS_EACH; n++) sum[next - 1][n] = sum[next][n];
        BARRIER();
        for (uint t = LANE; t < TO_UINT(DOWN) * tile_cols; t += LANES) {
            uint i = first_row + m / 4u * TO_UINT(4 * DOWN) + t / tile_cols * 4u + m % 4u;
            uint j = first_col + t % tile_cols;
            if (i < arg.rows && j < arg.cols) {
                float4 four = tile[t / 4u];
                float value = t % 4u < 2u ? (t % 4u == 0u ? four.x : four.y)
                                          : (t % 4u == 2u ? four.z : four.w);
                if ((arg.flags & PRODUCT_BIAS) != 0u)
                    value += AT(bias, result * arg.stride_bias + j);
                PRODUCT_FINISH(at_c + i * arg.ld_c + j, value)
            }
        }
        BARRIER();
    }
}
END
#undef TILE_ROWS
#undef TILE_COLS
#undef SQUARES_A
#undef SQUARES_B
#undef TILE_PITCH
#undef FOUR_OF
#undef ONE_OF
