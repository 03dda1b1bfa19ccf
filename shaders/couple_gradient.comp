/* The second stage, and through the softmax: with dC = Σ_slices partial, in order,
 * dcoupling[a,b] += C[a,b]·(dC[a,b] - Σ_j C[a,j]·dC[a,j]), C the shares. A group a row; dC takes
 * the place of the first slice. */
#include "dialect.h"

KERNEL(couple_gradient, 64,
       READ_FLOAT(shares) UPDATE_FLOAT(partial) UPDATE_FLOAT(dcoupling),
       UINT(heads) UINT(slices))
SHARED(float, scratch, 64)
BODY
{
    uint row = GROUP_X * arg.heads, square = arg.heads * arg.heads;
    float along = 0.0f;
    for (uint b = LANE; b < arg.heads; b += LANES) {
        float sum = 0.0f;
        for (uint s = 0u; s < arg.slices; s++) sum += AT(partial, s * square + row + b);
        AT(partial, row + b) = sum;
        along += AT(shares, row + b) * sum;
    }
    scratch[LANE] = along;
    GROUP_SUM(scratch)
    for (uint b = LANE; b < arg.heads; b += LANES)
        AT(dcoupling, row + b) += AT(shares, row + b) * (AT(partial, row + b) - scratch[0]);
}
END
