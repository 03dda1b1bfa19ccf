/* y = (max(p, 0) + 1e-6)·v. */
#include "math.h"

KERNEL(feature, 256, READ(p) READ(v) UPDATE(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float at = LOAD(p, i), value = or_nan(at, max(at, 0.0f) + 1e-6f) * LOAD(v, i);
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
