/* y = a + b, or y += a + b. */
#include "dialect.h"

KERNEL(add, 256, READ(a) READ(b) UPDATE(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float sum = LOAD(a, i) + LOAD(b, i);
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + sum : sum);
    }
}
END
