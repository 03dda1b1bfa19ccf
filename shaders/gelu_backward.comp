/* dx = dy·(Φ(x) + x·e^(-x²/2)/√2π). */
#include "math.h"

KERNEL(gelu_backward, 256, READ(dy) READ(x) UPDATE(dx), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float at = LOAD(x, i);
        float2 normal = normal_cdf(at);
        float value = LOAD(dy, i) * (normal.x + at * normal.y * 0.398942280f);
        STORE(dx, i, arg.accumulate != 0u ? LOAD(dx, i) + value : value);
    }
}
END
