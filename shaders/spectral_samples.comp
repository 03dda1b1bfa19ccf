/* Gated kernels as the decoder keeps them: samples[b, h, t] = Re row[p, t] for t < cells; group y
 * is plane p = head·batch + sample, counted from first_plane. */
#include "dialect.h"

KERNEL(spectral_samples, 256, READ_FLOAT2(row) UPDATE_FLOAT(samples),
       UINT(batch) UINT(heads) UINT(points) UINT(cells) UINT(first_plane) UINT(accumulate))
BODY
{
    uint plane = arg.first_plane + GROUP_Y;
    uint to = (plane % arg.batch * arg.heads + plane / arg.batch) * arg.cells;
    FOR_ALL(t, arg.cells)
    {
        float value = AT(row, GROUP_Y * arg.points + t).x;
        AT(samples, to + t) = arg.accumulate != 0u ? AT(samples, to + t) + value : value;
    }
}
END
