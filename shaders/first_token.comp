/* y[b] = x[b, 0]; n = batch·width. */
#include "dialect.h"

KERNEL(first_token, 256, READ(x) UPDATE(y), UINT(n) UINT(tokens) UINT(width) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        float value = LOAD(x, i / arg.width * arg.tokens * arg.width + i % arg.width);
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
