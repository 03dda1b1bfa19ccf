/* C = A·B + bias for one to four rows, as in decoding a token: B is read once, and reading it is all
 * the time this takes. Where B's inner axis is contiguous 32 lanes share a column and a group has
 * four, in fours of elements where `wide`; else 4 lanes share a column and a group has 32 in a row.
 * What the lanes of a column summed is added in a tree.
 *
 * Elements and splits are as in product.comp, with `each` elements of the inner axis to a split (a
 * multiple of four); group z is item·splits + split. Several splits go to real [items, splits,
 * rows, cols], for product_sum; one to c, or, where `to_real`, to real. */
#include "dialect.h"

KERNEL(product_few, 128,
       READ(a) READ4(a4) READ(b) READ4(b4) READ_FLOAT(bias) UPDATE(c) UPDATE_FLOAT(real),
       UINT(rows) UINT(cols) UINT(inner) UINT(row_a) UINT(inner_a) UINT(inner_b) UINT(col_b)
       UINT(ld_c) UINT(stride_a) UINT(stride_b) UINT(stride_c) UINT(stride_bias)
       UINT(splits) UINT(each) UINT(wide) UINT(has_bias) UINT(to_real) UINT(accumulate))
SHARED(float, scratch, 4 * 128)
BODY
{
    uint parts = arg.inner_b == 1u ? 32u : 4u, apart = arg.inner_b == 1u ? 1u : 32u;
    uint part = LANE / apart % parts, cols_each = 128u / parts;
    uint col = GROUP_X * cols_each + (arg.inner_b == 1u ? LANE / 32u : LANE % 32u);
    uint split = GROUP_Z % arg.splits, item = GROUP_Z / arg.splits;
    uint begin = split * arg.each, end = min(arg.inner, begin + arg.each);
    uint at_a = item * arg.stride_a, at_b = item * arg.stride_b + col * arg.col_b;

    float sum[4];
    UNROLL for (uint r = 0u; r < 4u; r++) sum[r] = 0.0f;
    if (col < arg.cols && arg.wide != 0u) {
        for (uint k = begin / 4u + part; k < end / 4u; k += parts) {
            float4 w = LOAD4(b4, at_b / 4u + k);
            UNROLL for (uint r = 0u; r < 4u; r++) {
                if (r < arg.rows) {
                    float4 x = LOAD4(a4, (at_a + r * arg.row_a) / 4u + k);
                    sum[r] = FMA(x.x, w.x, FMA(x.y, w.y, FMA(x.z, w.z, FMA(x.w, w.w, sum[r]))));
                }
            }
        }
    }
    if (col < arg.cols && arg.wide == 0u) {
        for (uint k = begin + part; k < end; k += parts) {
            float w = LOAD(b, at_b + k * arg.inner_b);
            UNROLL for (uint r = 0u; r < 4u; r++)
                if (r < arg.rows)
                    sum[r] = FMA(LOAD(a, at_a + r * arg.row_a + k * arg.inner_a), w, sum[r]);
        }
    }

    UNROLL for (uint r = 0u; r < 4u; r++) scratch[r * 128u + LANE] = sum[r];
    BARRIER();
    for (uint half_ = parts / 2u; half_ > 0u; half_ /= 2u) {
        if (part < half_)
            for (uint r = 0u; r < arg.rows; r++)
                scratch[r * 128u + LANE] += scratch[r * 128u + LANE + half_ * apart];
        BARRIER();
    }
    if (part == 0u && col < arg.cols) {
        for (uint r = 0u; r < arg.rows; r++) {
            float value = scratch[r * 128u + LANE];
            uint place = item * arg.stride_c + r * arg.ld_c + col;
            if (arg.splits > 1u) {
                AT(real, (GROUP_Z * arg.rows + r) * arg.cols + col) = value;
            } else {
                if (arg.has_bias != 0u) value += AT(bias, item * arg.stride_bias + col);
                if (arg.to_real != 0u)
                    AT(real, place) = arg.accumulate != 0u ? AT(real, place) + value : value;
                else
                    STORE(c, place, arg.accumulate != 0u ? LOAD(c, place) + value : value);
            }
        }
    }
}
END
