/* y = (max(p, 0) + 1e-6)·v. */
#include "elementwise.h"

KERNEL(feature, 256, READ(p) READ(v) UPDATE(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float value = feature_of(LOAD(p, i), LOAD(v, i));
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
