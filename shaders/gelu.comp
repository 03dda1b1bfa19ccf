/* y = x·Φ(x), the exact erf form. */
#include "elementwise.h"

KERNEL(gelu, 256, READ(x) UPDATE(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float at = LOAD(x, i), value = at * gelu_factor(at, 0u);
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
