/* The scan of each chunk on its own, from rest; lanes are channels, group y a chunk, z a sample.
 *
 * Forward, chunk y < chunks-1 leaves its end state in carry[y+1]. Backward (the adjoint, tokens in
 * reverse, spec §2 with conj(c) left out), chunk y+1 leaves in carry[y] its state at the cell where
 * chunk y ended. carry [B, H, C, 2, d]. Eight tokens are read at a time, so that a lane waits for
 * memory once for all of them. */
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
        uint base = GROUP_Z * arg.tokens * channels + channel;
        float4 z = AT(head, 3u * h);
        float2 state = FLOAT2(0.0f, 0.0f);
        for (uint block = 0u; block < count; block += 8u) {
            float value[8];
            UNROLL for (uint j = 0u; j < 8u; j++) {
                uint t = min(block + j, count - 1u);
                uint i = first + (arg.backward != 0u ? count - 1u - t : t);
                value[j] = LOAD(u, base + i * channels);
            }
            UNROLL for (uint j = 0u; j < 8u; j++) {
                if (block + j < count) {
                    uint t = block + j, i = first + (arg.backward != 0u ? count - 1u - t : t);
                    float4 move = AT(jump, h * arg.tokens + i);
                    float f = AT(fraction, i);
                    if (arg.backward == 0u) {
                        state = twofold_turn(move, state);
                        state.x += (1.0f - f) * value[j];
                        if (f > 0.0f) {
                            state = twofold_turn(z, state);
                            state.x += f * value[j];
                        }
                    } else {
                        if (f > 0.0f) {
                            state.x += f * value[j];
                            state = twofold_turn(z, state);
                        }
                        state.x += (1.0f - f) * value[j];
                        state = twofold_turn(move, state);
                    }
                }
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
