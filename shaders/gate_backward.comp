/* dx = dy·sigmoid(g), dg = dy·x·sigmoid'(g). */
#include "math.h"

KERNEL(gate_backward, 256, READ(dy) READ(x) READ(g) UPDATE(dx) WRITE(dg), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float slope = LOAD(dy, i), at = LOAD(g, i), value = slope * sigmoid(at);
        STORE(dx, i, arg.accumulate != 0u ? LOAD(dx, i) + value : value);
        STORE(dg, i, slope * LOAD(x, i) * sigmoid_slope(at));
    }
}
END
