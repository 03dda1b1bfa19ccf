/* The token scan continued from a state (spec §2, "Token scan"): group x is 64 channels of head y
 * of sample z, which it walks through all tokens. Before each 64 tokens its lanes compute how far
 * the head's pole turns on the way to them, a token a lane. norm [H] is field_heads' Z. */
#include "math.h"

KERNEL(field_stream, 64,
       READ(u) READ_FLOAT(frequency) READ_FLOAT(damping) READ_FLOAT(phase) READ_INT(cell)
       READ_FLOAT(fraction) READ_INT(start) READ_FLOAT(norm) UPDATE(r) UPDATE_FLOAT(state),
       UINT(tokens) UINT(heads) UINT(width) UINT(accumulate) FLOAT(damping_limit))
SHARED(float4, jump, 64)
SHARED(float, part, 64)
BODY
{
    uint h = GROUP_Y, channel = GROUP_X * LANES + LANE;
    float omega = AT(frequency, h), raw = AT(damping, h), phi = AT(phase, h), total = AT(norm, h);
    uint2 turn = turns_of(omega);
    float alpha = min(min(softplus(raw), arg.damping_limit), 200.0f);
    if (is_finite(omega) * is_finite(raw) * is_finite(phi) == 0u) total = FROM_BITS(0x7fc00000u);
    float4 z = twofold_decay(FLOAT2(alpha, 0.0f), turn);
    float2 c = cos_sin(turns_of(phi));
    c = FLOAT2(c.x / total, c.y / total);
    uint slot = (GROUP_Z * arg.heads + h) * 2u * arg.width + channel;
    float2 now = FLOAT2(0.0f, 0.0f);
    if (channel < arg.width) now = FLOAT2(AT(state, slot), AT(state, slot + arg.width));
    for (uint first = 0u; first < arg.tokens; first += LANES) {
        uint own = first + LANE;
        if (own < arg.tokens) {
            int from = AT(start, 0);
            if (own > 0u) from = AT(cell, own - 1u) + (AT(fraction, own - 1u) > 0.0f ? 1 : 0);
            uint cells = TO_UINT(max(AT(cell, own) - from, 0));
            float2 x = two_product(alpha, TO_FLOAT(cells));
            jump[LANE] = twofold_decay(x, turns_times(turn, cells));
            part[LANE] = AT(fraction, own);
        }
        BARRIER();
        if (channel < arg.width) {
            uint count = min(LANES, arg.tokens - first);
            for (uint t = 0u; t < count; t++) {
                uint row = (GROUP_Z * arg.tokens + first + t) * arg.heads + h;
                uint at = row * arg.width + channel;
                float f = part[t], value = LOAD(u, at);
                now = twofold_turn(jump[t], now);
                now.x += (1.0f - f) * value;
                float2 seen = now;
                if (f > 0.0f) {
                    now = twofold_turn(z, now);
                    now.x += f * value;
                    seen = FLOAT2((1.0f - f) * seen.x + f * now.x, (1.0f - f) * seen.y + f * now.y);
                }
                float read = c.x * seen.x - c.y * seen.y;
                STORE(r, at, arg.accumulate != 0u ? LOAD(r, at) + read : read);
            }
        }
        BARRIER();
    }
    if (channel < arg.width) {
        AT(state, slot) = now.x;
        AT(state, slot + arg.width) = now.y;
    }
}
END
