/* What each head's kernel k[t] = e^(-αt)·cos(ωt + φ)/Z, t = 0 … cells-1 (spec §2) is made of: a
 * group a head sums the normaliser Z and its derivatives, in two-floats, since Z of "dc" may be far
 * smaller than its terms.
 *
 * head [H, 3]: {z, below z}, z = e^(-α+iω) in two-floats; {cos φ/Z, sin φ/Z, Z, α};
 * {∂Z/∂α, ∂Z/∂ω, ∂Z/∂φ, dα/d damping}. The derivatives are 0 where Z stands at its floor. Terms
 * below e^-40 are left out. Parameters that are not finite give a Z that is not. With norm_only the
 * Z of each head is all that is written, to norm [H]. */
#include "math.h"

KERNEL(field_heads, 256,
       READ_FLOAT(frequency) READ_FLOAT(damping) READ_FLOAT(phase) WRITE_FLOAT4(head)
       WRITE_FLOAT(norm),
       UINT(cells) UINT(dc) UINT(norm_only) FLOAT(damping_limit))
SHARED(float4, value_and_phi, 256)
SHARED(float4, alpha_and_omega, 256)
BODY
{
    uint h = GROUP_X;
    float omega = AT(frequency, h), raw = AT(damping, h), phi = AT(phase, h);
    float smooth_alpha = softplus(raw), alpha = min(smooth_alpha, arg.damping_limit);
    float slope = smooth_alpha <= arg.damping_limit ? sigmoid(raw) : 0.0f;
    uint2 turn = turns_of(omega), start = turns_of(phi);
    float2 c = cos_sin(start);

    float bounded = min(alpha, 200.0f);
    uint end = arg.cells;
    if (alpha * TO_FLOAT(arg.cells) > 40.0f) end = min(end, TO_UINT(40.0f / alpha) + 1u);
    float2 value = FLOAT2(0.0f, 0.0f), by_alpha = value, by_omega = value, by_phi = value;
    for (uint t = LANE; t < end; t += LANES) {
        float2 x = two_product(bounded, TO_FLOAT(t));
        float4 wave = twofold_decay(x, turns_add(start, turns_times(turn, t)));
        float flip = 1.0f;
        if (arg.dc == 0u) flip = wave.x > 0.0f ? 1.0f : (wave.x < 0.0f ? -1.0f : 0.0f);
        float2 term = FLOAT2(flip * wave.x, flip * wave.z);
        float2 back = FLOAT2(-flip * wave.y, -flip * wave.w);
        float2 time = FLOAT2(TO_FLOAT(t), 0.0f);
        value = sum_add_twofold(value, term);
        by_phi = sum_add_twofold(by_phi, back);
        by_alpha = sum_add_twofold(by_alpha, twofold_mul(time, twofold_negate(term)));
        by_omega = sum_add_twofold(by_omega, twofold_mul(time, back));
    }
    value_and_phi[LANE] = FLOAT4(value.x, value.y, by_phi.x, by_phi.y);
    alpha_and_omega[LANE] = FLOAT4(by_alpha.x, by_alpha.y, by_omega.x, by_omega.y);
    BARRIER();
    for (uint stride = LANES / 2u; stride > 0u; stride /= 2u) {
        if (LANE < stride) {
            float4 a = value_and_phi[LANE], b = value_and_phi[LANE + stride];
            value = twofold_add(FLOAT2(a.x, a.y), FLOAT2(b.x, b.y));
            by_phi = twofold_add(FLOAT2(a.z, a.w), FLOAT2(b.z, b.w));
            value_and_phi[LANE] = FLOAT4(value.x, value.y, by_phi.x, by_phi.y);
            a = alpha_and_omega[LANE];
            b = alpha_and_omega[LANE + stride];
            by_alpha = twofold_add(FLOAT2(a.x, a.y), FLOAT2(b.x, b.y));
            by_omega = twofold_add(FLOAT2(a.z, a.w), FLOAT2(b.z, b.w));
            alpha_and_omega[LANE] = FLOAT4(by_alpha.x, by_alpha.y, by_omega.x, by_omega.y);
        }
        BARRIER();
    }

    if (LANE == 0u) {
        float least = arg.dc != 0u ? 0.5e-8f : 1e-8f;
        float total = value.x + value.y, z = max(fabs(total), least);
        float flip = fabs(total) > least ? (total < 0.0f ? -1.0f : 1.0f) : 0.0f;
        if (is_finite(omega) * is_finite(raw) * is_finite(phi) == 0u) z = FROM_BITS(0x7fc00000u);
        if (arg.norm_only != 0u) {
            AT(norm, h) = z;
        } else {
            AT(head, 3u * h) = twofold_decay(FLOAT2(bounded, 0.0f), turn);
            AT(head, 3u * h + 1u) = FLOAT4(c.x / z, c.y / z, z, alpha);
            AT(head, 3u * h + 2u) = FLOAT4(flip * (by_alpha.x + by_alpha.y),
                                           flip * (by_omega.x + by_omega.y),
                                           flip * (by_phi.x + by_phi.y), slope);
        }
    }
}
END
