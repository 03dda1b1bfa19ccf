/* y = x·Φ(x), the exact erf form. */
#include "math.h"

KERNEL(gelu, 256, READ(x) UPDATE(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float at = LOAD(x, i), value = at * normal_cdf(at).x;
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
