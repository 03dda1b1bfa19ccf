/* What each head's kernel k[t] = e^(-αt)·cos(ωt + φ)/Z, t = 0 … cells-1 (spec §2) is made of: a
 * group a head sums the normaliser Z and its derivatives.
 *
 * head [H, 3]: {z, below z}, z = e^(-α+iω) in two-floats; {cos φ/Z, sin φ/Z, Z, α};
 * {∂Z/∂α, ∂Z/∂ω, ∂Z/∂φ, dα/d damping}. The derivatives are 0 where Z stands at its floor. Terms
 * below e^-40 are left out. Parameters that are not finite give a Z that is not. */
#include "math.h"

KERNEL(field_heads, 256, READ(frequency) READ(damping) READ(phase) WRITE_FLOAT4(head),
       UINT(cells) UINT(dc) FLOAT(damping_limit))
SHARED(float, sum_value, 256)
SHARED(float, sum_alpha, 256)
SHARED(float, sum_omega, 256)
SHARED(float, sum_phi, 256)
BODY
{
    uint h = GROUP_X;
    float omega = LOAD(frequency, h), raw = LOAD(damping, h), phi = LOAD(phase, h);
    float smooth_alpha = softplus(raw), alpha = min(smooth_alpha, arg.damping_limit);
    float slope = smooth_alpha <= arg.damping_limit ? sigmoid(raw) : 0.0f;
    uint2 turn = turns_of(omega), start = turns_of(phi);

    uint end = arg.cells;
    if (alpha * TO_FLOAT(arg.cells) > 40.0f) end = min(end, TO_UINT(40.0f / alpha) + 1u);
    float2 value = FLOAT2(0.0f, 0.0f), by_alpha = value, by_omega = value, by_phi = value;
    for (uint t = LANE; t < end; t += LANES) {
        float size = exp_of(-alpha * TO_FLOAT(t));
        float2 wave = cos_sin(turns_add(start, turns_times(turn, t)));
        float sign = 1.0f;
        if (arg.dc == 0u) sign = wave.x > 0.0f ? 1.0f : (wave.x < 0.0f ? -1.0f : 0.0f);
        float term = sign * size * wave.x, quadrature = sign * size * wave.y;
        value = sum_add(value, term);
        by_alpha = sum_add(by_alpha, -TO_FLOAT(t) * term);
        by_omega = sum_add(by_omega, -TO_FLOAT(t) * quadrature);
        by_phi = sum_add(by_phi, -quadrature);
    }
    sum_value[LANE] = value.x + value.y;
    sum_alpha[LANE] = by_alpha.x + by_alpha.y;
    sum_omega[LANE] = by_omega.x + by_omega.y;
    sum_phi[LANE] = by_phi.x + by_phi.y;
    GROUP_SUM(sum_value)
    GROUP_SUM(sum_alpha)
    GROUP_SUM(sum_omega)
    GROUP_SUM(sum_phi)

    if (LANE == 0u) {
        float least = arg.dc != 0u ? 0.5e-8f : 1e-8f;
        float total = sum_value[0], norm = max(fabs(total), least);
        float sign = fabs(total) > least ? (total < 0.0f ? -1.0f : 1.0f) : 0.0f;
        if (is_finite(omega) * is_finite(raw) * is_finite(phi) == 0u) norm = FROM_BITS(0x7fc00000u);
        float2 wave = cos_sin(start);
        AT(head, 3u * h) = twofold_decay(alpha, turn);
        AT(head, 3u * h + 1u) = FLOAT4(wave.x / norm, wave.y / norm, norm, alpha);
        AT(head, 3u * h + 2u) =
            FLOAT4(sign * sum_alpha[0], sign * sum_omega[0], sign * sum_phi[0], slope);
    }
}
END
