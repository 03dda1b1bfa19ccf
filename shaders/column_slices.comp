/* The first of two stages of y[b] = Σ_rows x[b, row]: partial [batch, slices, width]. Group x is 64
 * columns, y a slice, z an item; every fourth row of the slice is a quarter of the lanes', so that
 * few columns too keep enough loads under way. */
#include "dialect.h"

KERNEL(column_slices, 256, READ(x) WRITE_FLOAT(partial), UINT(rows) UINT(width) UINT(slices))
SHARED(float, scratch, 256)
BODY
{
    uint column = GROUP_X * 64u + LANE % 64u, slice = GROUP_Y, item = GROUP_Z;
    uint each = (arg.rows + arg.slices - 1u) / arg.slices;
    uint end = min(arg.rows, (slice + 1u) * each);
    float sum = 0.0f;
    if (column < arg.width)
        for (uint row = slice * each + LANE / 64u; row < end; row += 4u)
            sum += LOAD(x, (item * arg.rows + row) * arg.width + column);
    scratch[LANE] = sum;
    BARRIER();
    if (LANE < 64u && column < arg.width)
        AT(partial, (item * arg.slices + slice) * arg.width + column) =
            (scratch[LANE] + scratch[LANE + 64u]) + (scratch[LANE + 128u] + scratch[LANE + 192u]);
}
END
