/* y = x·sigmoid(g). */
#include "elementwise.h"

KERNEL(gate, 256, READ(x) READ(g) UPDATE(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float value = gate_of(LOAD(x, i), LOAD(g, i));
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
