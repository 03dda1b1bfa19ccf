/* y = value, or y += value, in the storage type. */
#include "dialect.h"

KERNEL(fill_stored, 256, UPDATE(y), UINT(n) FLOAT(value) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + arg.value : arg.value);
}
END
