/* The gradient of the points: dgate[b, h, j] = Σ_f share(f, j)·Re(conj(D(f))·K(f))·scale over
 * the full spectrum, D the spectra of ∂L/∂k' (`row`), K the plain kernels' (`spectrum`). Group x is
 * a point j, y plane p = head·batch + sample, counted from first_plane; lanes run over the bins
 * that hear of j, each for itself and its mirror image. */
#include "spectral_gate.h"

KERNEL(spectral_gradient, 64, READ_FLOAT2(spectrum) READ_FLOAT2(row) WRITE(dgate),
       UINT(batch) UINT(heads) UINT(points) UINT(first_plane) FLOAT(scale))
SHARED(float, scratch, 64)
BODY
{
    uint j = GROUP_X, last = arg.points / 2u, plane = arg.first_plane + GROUP_Y;
    uint h = plane / arg.batch, b = plane % arg.batch;
    uint begin = j > 0u ? (j - 1u) * last / 31u : 0u, end = min((j + 1u) * last / 31u, last);
    float sum = 0.0f;
    for (uint f = begin + LANE; f <= end; f += LANES) {
        uint point = gate_point(f, arg.points);
        float share = gate_share(f, arg.points), own = 0.0f;
        if (point == j) own = 1.0f - share;
        if (point + 1u == j) own = share;
        if (f > 0u && 2u * f != arg.points) own = 2.0f * own;
        float2 k = AT(spectrum, h * arg.points + f), d = AT(row, GROUP_Y * arg.points + f);
        sum += own * (d.x * k.x + d.y * k.y);
    }
    scratch[LANE] = sum;
    GROUP_SUM(scratch)
    if (LANE == 0u) STORE(dgate, (b * arg.heads + h) * 32u + j, scratch[0] * arg.scale);
}
END
