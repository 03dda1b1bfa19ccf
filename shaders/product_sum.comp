/* Adds a product's splits in order: c[item, i, j] = Σ_s partial[item, s, i, j] + bias[item, j],
 * or the same into `real`. */
#include "dialect.h"

KERNEL(product_sum, 256, READ_FLOAT(partial) READ_FLOAT(bias) UPDATE(c)
       UPDATE_FLOAT(real),
       UINT(items) UINT(rows) UINT(cols) UINT(splits) UINT(ld_c) UINT(stride_c) UINT(stride_bias)
       UINT(has_bias) UINT(to_real) UINT(accumulate))
BODY
{
    uint size = arg.rows * arg.cols;
    FOR_ALL(t, arg.items * size)
    {
        uint item = t / size, i = t % size / arg.cols, j = t % size % arg.cols;
        float value = 0.0f;
        for (uint s = 0u; s < arg.splits; s++)
            value += AT(partial, (item * arg.splits + s) * size + t % size);
        if (arg.has_bias != 0u) value += AT(bias, item * arg.stride_bias + j);
        uint place = item * arg.stride_c + i * arg.ld_c + j;
        if (arg.to_real != 0u)
            AT(real, place) = arg.accumulate != 0u ? AT(real, place) + value : value;
        else
            STORE(c, place, arg.accumulate != 0u ? LOAD(c, place) + value : value);
    }
}
END
