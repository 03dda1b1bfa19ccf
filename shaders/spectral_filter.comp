/* The spectra of gated kernels, by the plain ones': row[p, f] = spectrum[h, f]·(1 + gate(f))·scale.
 * Group y is plane p = head·batch + sample, counted from first_plane; gate [B, H, 32]. */
#include "spectral_gate.h"

KERNEL(spectral_filter, 256, READ_FLOAT2(spectrum) READ(gate) WRITE_FLOAT2(row),
       UINT(batch) UINT(heads) UINT(points) UINT(first_plane) FLOAT(scale))
BODY
{
    uint f = GROUP_X * LANES + LANE, plane = arg.first_plane + GROUP_Y;
    uint h = plane / arg.batch, b = plane % arg.batch;
    if (f < arg.points) {
        uint bin = gate_bin(f, arg.points);
        uint at = (b * arg.heads + h) * 32u + gate_point(bin, arg.points);
        float share = gate_share(bin, arg.points);
        float gain = 1.0f + (1.0f - share) * LOAD(gate, at) + share * LOAD(gate, at + 1u);
        float2 value = AT(spectrum, h * arg.points + f);
        AT(row, GROUP_Y * arg.points + f) =
            FLOAT2(value.x * gain * arg.scale, value.y * gain * arg.scale);
    }
}
END
