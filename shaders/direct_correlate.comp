/* ∂L/∂k by plain summation: for each head Σ_rows Σ_g V[g]·W[g-t], both packed channels together.
 * Lanes are t; everything else as in fft_correlate, with cells for spectra. */
#include "math.h"

KERNEL(direct_correlate, 64, READ_FLOAT2(row) UPDATE_FLOAT2(sum_row),
       UINT(points) UINT(first_head) UINT(first_row) UINT(rows) UINT(pitch) UINT(rows_a_head))
BODY
{
    uint t = GROUP_X * LANES + LANE, h = arg.first_head + GROUP_Y;
    if (t < arg.points) {
        uint begin = max(h * arg.rows_a_head, arg.first_row);
        uint end = min((h + 1u) * arg.rows_a_head, arg.first_row + arg.rows);
        float2 sum = FLOAT2(0.0f, 0.0f);
        if (begin > h * arg.rows_a_head) sum = AT(sum_row, h * arg.points + t);
        for (uint r = begin; r < end; r++) {
            uint at = (r - arg.first_row) * arg.points;
            for (uint g = t; g < arg.points; g++) {
                float2 w = AT(row, at + g - t), v = AT(row, arg.pitch * arg.points + at + g);
                sum = sum_add(sum, v.x * w.x + v.y * w.y);
            }
        }
        AT(sum_row, h * arg.points + t) = FLOAT2(sum.x + sum.y, 0.0f);
    }
}
END
