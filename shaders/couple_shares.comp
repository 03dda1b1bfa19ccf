/* The shares of spec §2, "Couple": shares[a,b] = softmax of coupling[a,:] at b; a group a row. */
#include "math.h"

KERNEL(couple_shares, 64, READ_FLOAT(coupling) WRITE_FLOAT(shares), UINT(heads))
SHARED(float, scratch, 64)
BODY
{
    uint row = GROUP_X * arg.heads;
    float largest = AT(coupling, row);
    for (uint b = 1u; b < arg.heads; b++) {
        float value = AT(coupling, row + b);
        if (value > largest) largest = value;
    }
    float sum = 0.0f;
    for (uint b = LANE; b < arg.heads; b += LANES) {
        float x = AT(coupling, row + b) - largest;
        sum += x > -200.0f ? exp_of(x) : x < 0.0f ? 0.0f : x; /* x of infinities is NaN */
    }
    scratch[LANE] = sum;
    GROUP_SUM(scratch)
    for (uint b = LANE; b < arg.heads; b += LANES) {
        float x = AT(coupling, row + b) - largest;
        AT(shares, row + b) = (x > -200.0f ? exp_of(x) : 0.0f) / scratch[0];
    }
}
END
