/* y = x, or y += x: from the storage type into floats. */
#include "dialect.h"

KERNEL(widen, 256, READ(x) UPDATE_FLOAT(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float value = LOAD(x, i);
        AT(y, i) = arg.accumulate != 0u ? AT(y, i) + value : value;
    }
}
END
