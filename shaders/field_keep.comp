/* Keeps new deposits: history[b, position + n] = u[b, n]; group y is a sample, row = H·d. */
#include "dialect.h"

KERNEL(field_keep, 256, READ(u) READ_INT(position) WRITE(history),
       UINT(tokens) UINT(kept) UINT(row))
BODY
{
    uint from = GROUP_Y * arg.tokens * arg.row;
    uint to = (GROUP_Y * arg.kept + TO_UINT(AT(position, 0))) * arg.row;
    FOR_ALL(i, arg.tokens * arg.row) STORE(history, to + i, LOAD(u, from + i));
}
END
