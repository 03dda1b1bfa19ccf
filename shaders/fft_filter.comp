/* Multiplies each row's spectrum by its head's kernel spectrum, or by its conjugate (the adjoint),
 * and by `scale`. rows_a_head rows of all belong to a head. */
#include "dialect.h"

KERNEL(fft_filter, 256, READ_FLOAT2(kernel_row) UPDATE_FLOAT2(row),
       UINT(points) UINT(first_row) UINT(rows) UINT(rows_a_head) FLOAT(scale) UINT(conjugate))
BODY
{
    uint k = GROUP_X * LANES + LANE, h = (arg.first_row + GROUP_Y) / arg.rows_a_head;
    if (k < arg.points) {
        float2 a = AT(row, GROUP_Y * arg.points + k), b = AT(kernel_row, h * arg.points + k);
        float im = arg.conjugate != 0u ? -b.y : b.y;
        AT(row, GROUP_Y * arg.points + k) =
            FLOAT2((a.x * b.x - a.y * im) * arg.scale, (a.x * im + a.y * b.x) * arg.scale);
    }
}
END
