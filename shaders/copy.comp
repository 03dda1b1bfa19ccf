/* y = x, bit for bit; or, for real x, y += x. */
#include "dialect.h"

KERNEL(copy, 256, READ_INT(x) UPDATE_INT(y), UINT(n) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        uint word = TO_UINT(AT(x, i));
        if (arg.accumulate != 0u) word = BITS(FROM_BITS(TO_UINT(AT(y, i))) + FROM_BITS(word));
        AT(y, i) = TO_INT(word);
    }
}
END
