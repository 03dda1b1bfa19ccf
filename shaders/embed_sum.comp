/* The second stage (see embed_slices): a group takes a block and 64 columns, and where a token's run
 * begins in that block and goes on beyond it, adds the run's parts, in order, to the table. The run
 * ends where a binary search in the sorted order says. */
#include "dialect.h"

KERNEL(embed_sum, 64,
       READ_INT(token) READ_INT(order) READ_FLOAT(partial) UPDATE_FLOAT(dtable),
       UINT(rows) UINT(width) UINT(each))
BODY
{
    uint column = GROUP_X * LANES + LANE, block = GROUP_Y;
    uint begin = block * arg.each, next = begin + arg.each;
    if (column < arg.width && next < arg.rows) {
        int which = AT(token, TO_UINT(AT(order, next - 1u)));
        bool begins = begin == 0u || AT(token, TO_UINT(AT(order, begin - 1u))) != which;
        if (begins && AT(token, TO_UINT(AT(order, next))) == which) {
            uint last = next, after = arg.rows; /* the run's last place is in [last, after) */
            while (after - last > 1u) {
                uint middle = last + (after - last) / 2u;
                if (AT(token, TO_UINT(AT(order, middle))) == which)
                    last = middle;
                else
                    after = middle;
            }
            float sum = AT(partial, (2u * block + 1u) * arg.width + column);
            for (uint b = block + 1u; b <= last / arg.each; b++)
                sum += AT(partial, 2u * b * arg.width + column);
            AT(dtable, TO_UINT(which) * arg.width + column) += sum;
        }
    }
}
END
