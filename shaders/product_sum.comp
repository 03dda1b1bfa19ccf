/* Adds a product's splits in order: c[item, i, j] = Σ_s partial[item, s, i, j] + bias[item, j],
 * and on to where the flags say. */
#include "elementwise.h"

KERNEL(product_sum, 256, READ_FLOAT(partial) READ_FLOAT(bias) READ(x) UPDATE(c)
       UPDATE_FLOAT(real) UPDATE(y),
       UINT(items) UINT(rows) UINT(cols) UINT(splits) UINT(ld_c) UINT(stride_c) UINT(stride_bias)
       UINT(flags))
BODY
{
    uint size = arg.rows * arg.cols;
    FOR_ALL(t, arg.items * size)
    {
        uint item = t / size, i = t % size / arg.cols, j = t % size % arg.cols;
        float value = 0.0f;
        for (uint s = 0u; s < arg.splits; s++)
            value += AT(partial, (item * arg.splits + s) * size + t % size);
        if ((arg.flags & PRODUCT_BIAS) != 0u) value += AT(bias, item * arg.stride_bias + j);
        PRODUCT_FINISH(item * arg.stride_c + i * arg.ld_c + j, value)
    }
}
END
