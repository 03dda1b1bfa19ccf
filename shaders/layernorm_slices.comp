/* The first of two stages of dweight = Σ dy·x̂ and dbias = Σ dy over rows: each slice of rows gives
 * its sums, dweight's [slices, width] and then dbias's. Lanes are columns. */
#include "dialect.h"

KERNEL(layernorm_slices, 64, READ(dy) READ(x) READ_FLOAT(mean) READ_FLOAT(rstd) WRITE_FLOAT(partial),
       UINT(rows) UINT(width) UINT(slices))
BODY
{
    uint column = GROUP_X * LANES + LANE, slice = GROUP_Y;
    if (column < arg.width) {
        uint each = (arg.rows + arg.slices - 1u) / arg.slices;
        uint end = min(arg.rows, (slice + 1u) * each);
        float dweight = 0.0f, dbias = 0.0f;
        for (uint row = slice * each; row < end; row++) {
            float g = LOAD(dy, row * arg.width + column);
            dweight += g * (LOAD(x, row * arg.width + column) - AT(mean, row)) * AT(rstd, row);
            dbias += g;
        }
        AT(partial, slice * arg.width + column) = dweight;
        AT(partial, (arg.slices + slice) * arg.width + column) = dbias;
    }
}
END
