/* The token scan of each chunk from its carry (spec §2): r_i = (1-f)·Re(c·S_lo) + f·Re(c·S_hi). */
#include "math.h"

KERNEL(field_scan, 64,
       READ(u) READ_FLOAT(fraction) READ_FLOAT4(head) READ_FLOAT4(jump) READ_FLOAT(carry) UPDATE(r),
       UINT(tokens) UINT(heads) UINT(width) UINT(chunks) UINT(accumulate))
BODY
{
    uint channel = GROUP_X * LANES + LANE, channels = arg.heads * arg.width;
    if (channel < channels) {
        uint h = channel / arg.width;
        uint first = GROUP_Y * 64u, end = min(arg.tokens, first + 64u);
        float4 z = AT(head, 3u * h), c = AT(head, 3u * h + 1u);
        uint start = ((GROUP_Z * arg.heads + h) * arg.chunks + GROUP_Y) * 2u * arg.width +
                     channel % arg.width;
        float2 state = FLOAT2(AT(carry, start), AT(carry, start + arg.width));
        for (uint i = first; i < end; i++) {
            uint at = (GROUP_Z * arg.tokens + i) * channels + channel;
            float f = AT(fraction, i), value = LOAD(u, at);
            state = twofold_turn(AT(jump, h * arg.tokens + i), state);
            state.x += (1.0f - f) * value;
            float2 seen = state;
            if (f > 0.0f) {
                state = twofold_turn(z, state);
                state.x += f * value;
                seen = FLOAT2((1.0f - f) * seen.x + f * state.x, (1.0f - f) * seen.y + f * state.y);
            }
            float read = c.x * seen.x - c.y * seen.y;
            STORE(r, at, arg.accumulate != 0u ? LOAD(r, at) + read : read);
        }
    }
}
END
