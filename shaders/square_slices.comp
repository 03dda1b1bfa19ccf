/* The first of two stages of norm2 += Σ x², bad += elements that are not finite: a group's share of
 * each, into square [groups] and count [groups]. Each lane's sum is kept to twice a float's
 * precision. */
#include "math.h"

KERNEL(square_slices, 256, READ_FLOAT(x) WRITE_FLOAT(square) WRITE_INT(count), UINT(n))
SHARED(float, total, 256)
SHARED(int, bad, 256)
BODY
{
    float2 sum = FLOAT2(0.0f, 0.0f);
    int found = 0;
    FOR_ALL(i, arg.n)
    {
        float value = AT(x, i);
        sum = sum_add(sum, value * value);
        found += is_finite(value) != 0u ? 0 : 1;
    }
    total[LANE] = sum.x + sum.y;
    bad[LANE] = found;
    GROUP_SUM(total)
    GROUP_SUM(bad)
    if (LANE == 0u) {
        AT(square, GROUP_X) = total[0];
        AT(count, GROUP_X) = bad[0];
    }
}
END
