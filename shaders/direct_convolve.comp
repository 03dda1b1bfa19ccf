/* Rows of cells propagated by plain summation (spec §2): to[g] = Σ_t k[t]·from[g-t], or its adjoint
 * Σ_t k[t]·from[g+t]. Lanes are cells, group y a row; rows_a_head rows, counted from first_row,
 * share a kernel. */
#include "math.h"

KERNEL(direct_convolve, 64, READ_FLOAT2(kernel_row) READ_FLOAT2(from) WRITE_FLOAT2(to),
       UINT(points) UINT(first_row) UINT(rows_a_head) UINT(adjoint))
BODY
{
    uint g = GROUP_X * LANES + LANE, base = GROUP_Y * arg.points;
    uint wave = (arg.first_row + GROUP_Y) / arg.rows_a_head * arg.points;
    if (g < arg.points) {
        uint count = arg.adjoint != 0u ? arg.points - g : g + 1u;
        float2 re = FLOAT2(0.0f, 0.0f), im = re;
        for (uint t = 0u; t < count; t++) {
            float k = AT(kernel_row, wave + t).x;
            float2 x = AT(from, base + (arg.adjoint != 0u ? g + t : g - t));
            re = sum_add(re, k * x.x);
            im = sum_add(im, k * x.y);
        }
        AT(to, base + g) = FLOAT2(re.x + re.y, im.x + im.y);
    }
}
END
