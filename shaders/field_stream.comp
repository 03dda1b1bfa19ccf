/* The token scan continued from a state (spec §2, "Token scan"): group x is 64 channels of head y
 * of sample z, which it walks through all tokens. Before each 64 tokens its lanes compute how far
 * the head's pole turns on the way to them, a token a lane. */
#include "math.h"

KERNEL(field_stream, 64,
       READ(u) READ_FLOAT(frequency) READ_INT(cell) READ_FLOAT(fraction) READ_INT(start)
       READ_FLOAT4(head) UPDATE(r) UPDATE_FLOAT(state),
       UINT(tokens) UINT(heads) UINT(width) UINT(accumulate))
SHARED(float4, jump, 64)
SHARED(float, part, 64)
BODY
{
    uint h = GROUP_Y, channel = GROUP_X * LANES + LANE;
    float4 z = AT(head, 3u * h), c = AT(head, 3u * h + 1u);
    uint2 turn = turns_of(AT(frequency, h));
    float alpha = min(c.w, 200.0f);
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
