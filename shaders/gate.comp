/* y = x·sigmoid(g). */
#include "math.h"

KERNEL(gate, 256, READ(x) READ(g) UPDATE(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float value = LOAD(x, i) * sigmoid(LOAD(g, i));
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
