/* The first of two stages of the embedding's gradient: dtable[t] += Σ dx[row] over the rows of t.
 *
 * `order` lists the rows sorted by token, so that a token's rows are one run of it. A group takes a
 * block of `each` places of the order (at most 256) and 64 columns, a lane a column. A run that lies
 * within the block goes to the table. Of one that does not, the block's part goes to partial
 * [blocks, 2, width], which embed_sum adds up: at 0 where the run began before the block, at 1 where
 * it begins in it. */
#include "dialect.h"

KERNEL(embed_slices, 64,
       READ(dx) READ_INT(token) READ_INT(order) UPDATE_FLOAT(dtable) WRITE_FLOAT(partial),
       UINT(rows) UINT(width) UINT(each))
SHARED(int, row_of, 256)
SHARED(int, tokens, 258)
BODY
{
    uint column = GROUP_X * LANES + LANE, block = GROUP_Y;
    uint begin = block * arg.each, end = min(arg.rows, begin + arg.each);
    /* tokens[1 + k] is of place begin + k; one more on either side, -1 beyond the ends. */
    for (uint k = LANE; k < end - begin + 2u; k += LANES) {
        uint place = begin + k;
        bool inside = place >= 1u && place <= arg.rows;
        int row = inside ? AT(order, place - 1u) : 0;
        tokens[k] = inside ? AT(token, TO_UINT(row)) : -1;
        if (k >= 1u && k <= end - begin) row_of[k - 1u] = row;
    }
    BARRIER();
    if (column < arg.width) {
        float sum = 0.0f;
        bool whole = tokens[0] != tokens[1]; /* the run began in this block */
        for (uint k = 0u; k < end - begin; k++) {
            sum += LOAD(dx, TO_UINT(row_of[k]) * arg.width + column);
            int which = tokens[k + 1u];
            bool ends = tokens[k + 2u] != which;
            if (!ends && k + 1u < end - begin) continue;
            if (whole && ends)
                AT(dtable, TO_UINT(which) * arg.width + column) += sum;
            else
                AT(partial, (2u * block + (whole ? 1u : 0u)) * arg.width + column) = sum;
            sum = 0.0f;
            whole = true;
        }
    }
}
END
