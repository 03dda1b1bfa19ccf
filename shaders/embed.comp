/* x[row] = table[token[row]] + position[row mod tokens], rows of `width`; a thread an element. */
#include "dialect.h"

KERNEL(embed, 256, READ_INT(token) READ(table) READ_FLOAT(position) UPDATE(x),
       UINT(n) UINT(width) UINT(tokens) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        uint row = i / arg.width, column = i % arg.width;
        uint of_token = TO_UINT(AT(token, row)) * arg.width + column;
        float value = LOAD(table, of_token) + AT(position, row % arg.tokens * arg.width + column);
        STORE(x, i, arg.accumulate != 0u ? LOAD(x, i) + value : value);
    }
}
END
