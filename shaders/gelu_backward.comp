/* dx = dy·(Φ(x) + x·e^(-x²/2)/√2π). */
#include "elementwise.h"

KERNEL(gelu_backward, 256, READ(dy) READ(x) UPDATE(dx), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float value = LOAD(dy, i) * gelu_factor(LOAD(x, i), 1u);
        STORE(dx, i, arg.accumulate != 0u ? LOAD(dx, i) + value : value);
    }
}
END
