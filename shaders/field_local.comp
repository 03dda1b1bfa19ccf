/* The scan of each chunk on its own, from rest; lanes are channels, group y a chunk, z a sample.
 *
 * Forward, chunk y < chunks-1 leaves its end state in carry[y+1]. Backward (the adjoint, tokens in
 * reverse, spec §2 with conj(c) left out), chunk y+1 leaves in carry[y] its state at the cell where
 * chunk y ended. carry [B, H, C, 2, d]. */
#include "math.h"

KERNEL(field_local, 64,
       READ(u) READ_FLOAT(fraction) READ_FLOAT4(head) READ_FLOAT4(jump) UPDATE_FLOAT(carry),
       UINT(tokens) UINT(heads) UINT(width) UINT(chunks) UINT(backward))
BODY
{
    uint channel = GROUP_X * LANES + LANE, channels = arg.heads * arg.width;
    if (channel < channels) {
        uint h = channel / arg.width;
        uint chunk = GROUP_Y + arg.backward;
        uint first = chunk * 64u, count = min(64u, arg.tokens - first);
        float4 z = AT(head, 3u * h);
        float2 state = FLOAT2(0.0f, 0.0f);
        for (uint t = 0u; t < count; t++) {
            uint i = first + (arg.backward != 0u ? count - 1u - t : t);
            float4 move = AT(jump, h * arg.tokens + i);
            float f = AT(fraction, i);
            float value = LOAD(u, (GROUP_Z * arg.tokens + i) * channels + channel);
            if (arg.backward == 0u) {
                state = twofold_turn(move, state);
                state.x += (1.0f - f) * value;
                if (f > 0.0f) {
                    state = twofold_turn(z, state);
                    state.x += f * value;
                }
            } else {
                if (f > 0.0f) {
                    state.x += f * value;
                    state = twofold_turn(z, state);
                }
                state.x += (1.0f - f) * value;
                state = twofold_turn(move, state);
            }
        }
        uint slot = GROUP_Y + 1u - arg.backward;
        uint at = ((GROUP_Z * arg.heads + h) * arg.chunks + slot) * 2u * arg.width +
                  channel % arg.width;
        AT(carry, at) = state.x;
        AT(carry, at + arg.width) = state.y;
    }
}
END
