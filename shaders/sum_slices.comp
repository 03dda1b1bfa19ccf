/* y[item, column] = Σ_slices partial[item, slice, column], in order; n = items·width. Into y in the
 * storage type, or, where `to_real`, into `real`. */
#include "dialect.h"

KERNEL(sum_slices, 64, READ_FLOAT(partial) UPDATE(y) UPDATE_FLOAT(real),
       UINT(n) UINT(width) UINT(slices) UINT(to_real) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        uint at = i / arg.width * arg.slices * arg.width + i % arg.width;
        float sum = 0.0f;
        for (uint s = 0u; s < arg.slices; s++) sum += AT(partial, at + s * arg.width);
        if (arg.to_real != 0u)
            AT(real, i) = arg.accumulate != 0u ? AT(real, i) + sum : sum;
        else
            STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + sum : sum);
    }
}
END
