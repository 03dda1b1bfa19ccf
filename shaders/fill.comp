/* y = value, an element's bits; or, for real y, y += value. */
#include "dialect.h"

KERNEL(fill, 256, UPDATE_INT(y), UINT(n) UINT(bits) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        uint word = arg.bits;
        if (arg.accumulate != 0u) word = BITS(FROM_BITS(TO_UINT(AT(y, i))) + FROM_BITS(word));
        AT(y, i) = TO_INT(word);
    }
}
END
