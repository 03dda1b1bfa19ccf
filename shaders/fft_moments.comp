/* From ∂L/∂k to the sums field_gradient takes: Q = Σ t·∂L/∂k[t]·z^t and W = Σ ∂L/∂k[t]·z^t; a group
 * a head. `row` holds ∂L/∂k divided by `scale`. */
#include "math.h"

KERNEL(fft_moments, 256,
       READ_FLOAT(frequency) READ_FLOAT4(head) READ_FLOAT2(row) WRITE_FLOAT4(moments),
       UINT(cells) UINT(points) FLOAT(scale))
SHARED(float, sum_qr, 256)
SHARED(float, sum_qi, 256)
SHARED(float, sum_wr, 256)
SHARED(float, sum_wi, 256)
BODY
{
    uint h = GROUP_X;
    float alpha = AT(head, 3u * h + 1u).w;
    uint2 turn = turns_of(AT(frequency, h));
    float2 qr = FLOAT2(0.0f, 0.0f), qi = qr, wr = qr, wi = qr;
    for (uint t = LANE; t < arg.cells; t += LANES) {
        float size = exp_of(-alpha * TO_FLOAT(t)) * AT(row, h * arg.points + t).x * arg.scale;
        float2 wave = cos_sin(turns_times(turn, t));
        wr = sum_add(wr, size * wave.x);
        wi = sum_add(wi, size * wave.y);
        qr = sum_add(qr, TO_FLOAT(t) * size * wave.x);
        qi = sum_add(qi, TO_FLOAT(t) * size * wave.y);
    }
    sum_qr[LANE] = qr.x + qr.y;
    sum_qi[LANE] = qi.x + qi.y;
    sum_wr[LANE] = wr.x + wr.y;
    sum_wi[LANE] = wi.x + wi.y;
    GROUP_SUM(sum_qr)
    GROUP_SUM(sum_qi)
    GROUP_SUM(sum_wr)
    GROUP_SUM(sum_wi)
    if (LANE == 0u) AT(moments, h) = FLOAT4(sum_qr[0], sum_qi[0], sum_wr[0], sum_wi[0]);
}
END
