/* From each head's sums Q and W (without the factor c) to its parameters' gradients (spec §2):
 * ∂L/∂α = -Re(c·Q) + ∂L/∂Z·∂Z/∂α, ∂L/∂ω = -Im(c·Q) + …, ∂L/∂φ = -Im(c·W) + …, and
 * ∂L/∂Z = -Re(c·W)/Z. */
#include "math.h"

KERNEL(field_gradient, 64,
       READ_FLOAT4(moments) READ_FLOAT4(head)
       UPDATE_FLOAT(dfrequency) UPDATE_FLOAT(ddamping) UPDATE_FLOAT(dphase),
       UINT(heads) UINT(slices))
BODY
{
    FOR_ALL(h, arg.heads)
    {
        float2 q = FLOAT2(0.0f, 0.0f), w = q;
        for (uint s = 0u; s < arg.slices; s++) {
            float4 m = AT(moments, h * arg.slices + s);
            q = FLOAT2(q.x + m.x, q.y + m.y);
            w = FLOAT2(w.x + m.z, w.y + m.w);
        }
        float4 wave = AT(head, 3u * h + 1u), by = AT(head, 3u * h + 2u);
        q = complex_mul(FLOAT2(wave.x, wave.y), q);
        w = complex_mul(FLOAT2(wave.x, wave.y), w);
        float by_norm = -w.x / wave.z;
        AT(dfrequency, h) += by_norm * by.y - q.y;
        AT(ddamping, h) += (by_norm * by.x - q.x) * by.w;
        AT(dphase, h) += by_norm * by.z - w.y;
    }
}
END
