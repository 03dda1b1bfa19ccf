/* The first of two stages of y[b] = Σ_rows x[b, row]: partial [batch, slices, width]. */
#include "dialect.h"

KERNEL(column_slices, 64, READ(x) WRITE_FLOAT(partial), UINT(rows) UINT(width) UINT(slices))
BODY
{
    uint column = GROUP_X * LANES + LANE, slice = GROUP_Y, item = GROUP_Z;
    if (column < arg.width) {
        uint each = (arg.rows + arg.slices - 1u) / arg.slices;
        uint end = min(arg.rows, (slice + 1u) * each);
        float sum = 0.0f;
        for (uint row = slice * each; row < end; row++)
            sum += LOAD(x, (item * arg.rows + row) * arg.width + column);
        AT(partial, (item * arg.slices + slice) * arg.width + column) = sum;
    }
}
END
