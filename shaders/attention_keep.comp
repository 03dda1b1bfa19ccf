/* Keys and values of n new tokens to their rows position … position+n-1 of those kept. */
#include "dialect.h"

KERNEL(attention_keep, 64, READ(k) READ(v) READ_INT(position) WRITE(keys) WRITE(values),
       UINT(n) UINT(tokens) UINT(kept) UINT(row))
BODY
{
    uint start = TO_UINT(AT(position, 0u));
    FOR_ALL(i, arg.n)
    {
        uint token = i / arg.row, at = start + token % arg.tokens;
        if (at < arg.kept) {
            uint to = (token / arg.tokens * arg.kept + at) * arg.row + i % arg.row;
            STORE(keys, to, LOAD(k, i));
            STORE(values, to, LOAD(v, i));
        }
    }
}
END
