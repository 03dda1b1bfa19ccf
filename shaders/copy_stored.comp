/* y = x, or y += x, both in the storage type. */
#include "dialect.h"

KERNEL(copy_stored, 256, READ(x) UPDATE(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float value = LOAD(x, i);
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
