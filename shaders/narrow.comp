/* y = x, or y += x: floats into the storage type. */
#include "dialect.h"

KERNEL(narrow, 256, READ_FLOAT(x) UPDATE(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float value = AT(x, i);
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
