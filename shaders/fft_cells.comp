/* first[g], g = 0 … cells: how many tokens sit below cell g. Tokens first[g] … first[g+1]-1 have
 * lo = g, for cells never fall from one token to the next. */
#include "dialect.h"

KERNEL(fft_cells, 64, READ_INT(cell) WRITE_INT(first), UINT(tokens) UINT(cells))
BODY
{
    FOR_ALL(g, arg.cells + 1u)
    {
        uint low = 0u, high = arg.tokens;
        while (low < high) {
            uint middle = (low + high) / 2u;
            if (AT(cell, middle) < TO_INT(g)) low = middle + 1u;
            else high = middle;
        }
        AT(first, g) = TO_INT(low);
    }
}
END
