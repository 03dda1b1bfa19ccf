/* The second stage (see square_slices): norm2 += Σ square, bad += Σ count up to the largest int; one
 * group. */
#include "math.h"

KERNEL(square_sum, 256,
       READ_FLOAT(square) READ_INT(count) UPDATE_FLOAT(norm2) UPDATE_INT(bad),
       UINT(slices))
SHARED(float, total, 256)
SHARED(uint, found, 256)
BODY
{
    float2 sum = FLOAT2(0.0f, 0.0f);
    uint elements = 0u;
    for (uint s = LANE; s < arg.slices; s += LANES) {
        sum = sum_add(sum, AT(square, s));
        elements += TO_UINT(AT(count, s));
    }
    total[LANE] = sum.x + sum.y;
    found[LANE] = elements;
    GROUP_SUM(total)
    GROUP_SUM(found)
    if (LANE == 0u) {
        AT(norm2, 0u) += total[0];
        AT(bad, 0u) = TO_INT(min(TO_UINT(AT(bad, 0u)) + found[0], 0x7fffffffu));
    }
}
END
