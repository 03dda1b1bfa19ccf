/* dp = dy·v, 0 where p ≤ 0; dv = dy·(max(p, 0) + 1e-6). Either may be absent. */
#include "math.h"

KERNEL(feature_backward, 256, READ(dy) READ(p) READ(v) UPDATE(dp) WRITE(dv),
       UINT(n) UINT(has_dp) UINT(has_dv) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float slope = LOAD(dy, i), at = LOAD(p, i);
        if (arg.has_dp != 0u) {
            float value = at <= 0.0f ? 0.0f : slope * LOAD(v, i);
            STORE(dp, i, arg.accumulate != 0u ? LOAD(dp, i) + value : value);
        }
        if (arg.has_dv != 0u) STORE(dv, i, slope * or_nan(at, max(at, 0.0f) + 1e-6f));
    }
}
END
