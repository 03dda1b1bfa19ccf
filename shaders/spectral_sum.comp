/* The filter of spectral_filter, which is its own adjoint, on the gradients' spectra, summed over
 * each head's samples: sum_row[h, f] = Σ_b row[p, f]·(1 + gate(f)). Group y is a head from
 * first_head on; `row` holds planes first_plane … first_plane+planes-1. A head's sum starts with
 * its first plane and goes on with every dispatch after it. */
#include "spectral_gate.h"

KERNEL(spectral_sum, 256, READ_FLOAT2(row) READ(gate) UPDATE_FLOAT2(sum_row),
       UINT(batch) UINT(heads) UINT(points) UINT(first_plane) UINT(planes) UINT(first_head))
BODY
{
    uint f = GROUP_X * LANES + LANE, h = arg.first_head + GROUP_Y;
    if (f < arg.points) {
        uint begin = max(h * arg.batch, arg.first_plane);
        uint end = min((h + 1u) * arg.batch, arg.first_plane + arg.planes);
        uint bin = gate_bin(f, arg.points), point = gate_point(bin, arg.points);
        float share = gate_share(bin, arg.points);
        float2 sum = FLOAT2(0.0f, 0.0f);
        if (begin > h * arg.batch) sum = AT(sum_row, h * arg.points + f);
        for (uint plane = begin; plane < end; plane++) {
            uint at = (plane % arg.batch * arg.heads + h) * 32u + point;
            float gain = 1.0f + (1.0f - share) * LOAD(gate, at) + share * LOAD(gate, at + 1u);
            float2 value = AT(row, (plane - arg.first_plane) * arg.points + f);
            sum = FLOAT2(sum.x + value.x * gain, sum.y + value.y * gain);
        }
        AT(sum_row, h * arg.points + f) = sum;
    }
}
END
