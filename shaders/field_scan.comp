/* The token scan of each chunk from its carry (spec §2): r_i = (1-f)·Re(c·S_lo) + f·Re(c·S_hi).
 *
 * Eight tokens are read before the first of them is written: what is stored might be what is loaded
 * next, for all a compiler knows, so a lane would wait for memory at every token. */
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
        uint base = GROUP_Z * arg.tokens * channels + channel;
        float4 z = AT(head, 3u * h), c = AT(head, 3u * h + 1u);
        uint start = ((GROUP_Z * arg.heads + h) * arg.chunks + GROUP_Y) * 2u * arg.width +
                     channel % arg.width;
        float2 state = FLOAT2(AT(carry, start), AT(carry, start + arg.width));
        for (uint block = first; block < end; block += 8u) {
            float value[8]; /* deposits, then what is read at the same tokens */
            UNROLL for (uint j = 0u; j < 8u; j++)
                value[j] = LOAD(u, base + min(block + j, end - 1u) * channels);
            UNROLL for (uint j = 0u; j < 8u; j++) {
                uint i = min(block + j, end - 1u);
                float f = AT(fraction, i);
                state = twofold_turn(AT(jump, h * arg.tokens + i), state);
                state.x += (1.0f - f) * value[j];
                float2 seen = state;
                if (f > 0.0f) {
                    state = twofold_turn(z, state);
                    state.x += f * value[j];
                    seen = FLOAT2((1.0f - f) * seen.x + f * state.x,
                                  (1.0f - f) * seen.y + f * state.y);
                }
                value[j] = c.x * seen.x - c.y * seen.y;
            }
            if (arg.accumulate != 0u) {
                UNROLL for (uint j = 0u; j < 8u; j++)
                    value[j] += LOAD(r, base + min(block + j, end - 1u) * channels);
            }
            UNROLL for (uint j = 0u; j < 8u; j++)
                if (block + j < end) STORE(r, base + (block + j) * channels, value[j]);
        }
    }
}
END
