/* Sums the chunks' {Q, W} of each head, a slice of the [B·C] rows a group: moments [H, slices]. */
#include "math.h"

KERNEL(field_moments, 256, READ_FLOAT4(partial) WRITE_FLOAT4(moments),
       UINT(rows) UINT(heads) UINT(width) UINT(slices))
SHARED(float4, scratch, 256)
BODY
{
    uint h = GROUP_X, slice = GROUP_Y;
    uint each = (arg.rows + arg.slices - 1u) / arg.slices;
    uint first = slice * each, end = min(arg.rows, first + each);
    uint items = end > first ? (end - first) * arg.width : 0u;
    float2 qr = FLOAT2(0.0f, 0.0f), qi = qr, wr = qr, wi = qr;
    for (uint t = LANE; t < items; t += LANES) {
        uint row = first + t / arg.width;
        float4 term = AT(partial, (row * arg.heads + h) * arg.width + t % arg.width);
        qr = sum_add(qr, term.x);
        qi = sum_add(qi, term.y);
        wr = sum_add(wr, term.z);
        wi = sum_add(wi, term.w);
    }
    scratch[LANE] = FLOAT4(qr.x + qr.y, qi.x + qi.y, wr.x + wr.y, wi.x + wi.y);
    BARRIER();
    for (uint stride = LANES / 2u; stride > 0u; stride /= 2u) {
        if (LANE < stride) {
            float4 a = scratch[LANE], b = scratch[LANE + stride];
            scratch[LANE] = FLOAT4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
        }
        BARRIER();
    }
    if (LANE == 0u) AT(moments, h * arg.slices + slice) = scratch[0];
}
END
