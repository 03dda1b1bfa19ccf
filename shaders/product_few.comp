/* C = A·B + bias for one to four rows, as in decoding a token: B is read once, and reading it is all
 * the time this takes. Where B's inner axis is contiguous 32 lanes share a column and a group has
 * four, in fours of elements with PRODUCT_WIDE; else 4 lanes share a column and a group has 32 in a row.
 * What the lanes of a column summed is added in a tree.
 *
 * Elements and splits are as in product.comp, with `each` elements of the inner axis to a split (a
 * multiple of four); group z is item·splits + split. Several splits go to real [items, splits,
 * rows, cols], for product_sum; one to where the flags say. */
#include "elementwise.h"

KERNEL(product_few, 128,
       READ(a) READ4(a4) READ(b) READ4(b4) READ_FLOAT(bias) READ(x) UPDATE(c)
       UPDATE_FLOAT(real) UPDATE(y),
       UINT(rows) UINT(cols) UINT(inner) UINT(ld_a) UINT(ld_b) UINT(ld_c)
       UINT(stride_a) UINT(stride_b) UINT(stride_c) UINT(stride_bias)
       UINT(splits) UINT(each) UINT(flags))
SHARED(float, scratch, 4 * 128)
BODY
{
    bool along_a = (arg.flags & PRODUCT_ALONG_A) != 0u;
    bool along_b = (arg.flags & PRODUCT_ALONG_B) != 0u;
    bool wide = (arg.flags & PRODUCT_WIDE) != 0u;
    uint row_a = along_a ? arg.ld_a : 1u, inner_a = along_a ? 1u : arg.ld_a;
    uint col_b = along_b ? arg.ld_b : 1u, inner_b = along_b ? 1u : arg.ld_b;
    uint parts = along_b ? 32u : 4u, apart = along_b ? 1u : 32u;
    uint part = LANE / apart % parts, cols_each = 128u / parts;
    uint col = GROUP_X * cols_each + (along_b ? LANE / 32u : LANE % 32u);
    uint split = GROUP_Z % arg.splits, item = GROUP_Z / arg.splits;
    uint begin = split * arg.each, end = min(arg.inner, begin + arg.each);
    uint at_a = item * arg.stride_a, at_b = item * arg.stride_b + col * col_b;

    float sum[4];
    UNROLL for (uint r = 0u; r < 4u; r++) sum[r] = 0.0f;
    if (col < arg.cols && wide) {
        for (uint k = begin / 4u + part; k < end / 4u; k += parts) {
            float4 w = LOAD4(b4, at_b / 4u + k);
            UNROLL for (uint r = 0u; r < 4u; r++) {
                if (r < arg.rows) {
                    float4 x = LOAD4(a4, (at_a + r * row_a) / 4u + k);
                    sum[r] = FMA(x.x, w.x, FMA(x.y, w.y, FMA(x.z, w.z, FMA(x.w, w.w, sum[r]))));
                }
            }
        }
    }
    if (col < arg.cols && !wide) {
        for (uint k = begin + part; k < end; k += parts) {
            float w = LOAD(b, at_b + k * inner_b);
            UNROLL for (uint r = 0u; r < 4u; r++)
                if (r < arg.rows)
                    sum[r] = FMA(LOAD(a, at_a + r * row_a + k * inner_a), w, sum[r]);
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
            if (arg.splits > 1u) {
                AT(real, (GROUP_Z * arg.rows + r) * arg.cols + col) = value;
            } else {
                if ((arg.flags & PRODUCT_BIAS) != 0u)
                    value += AT(bias, item * arg.stride_bias + col);
                PRODUCT_FINISH(item * arg.stride_c + r * arg.ld_c + col, value)
            }
        }
    }
}
END
