/* y[item, column] = Σ_slices partial[item, slice, column], in order; n = items·width. */
#include "dialect.h"

KERNEL(sum_slices, 64, READ_FLOAT(partial) UPDATE(y),
       UINT(n) UINT(width) UINT(slices) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        uint at = i / arg.width * arg.slices * arg.width + i % arg.width;
        float sum = 0.0f;
        for (uint s = 0u; s < arg.slices; s++) sum += AT(partial, at + s * arg.width);
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + sum : sum);
    }
}
END
