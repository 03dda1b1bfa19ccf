/* Joins the chunks that field_local scanned on their own: each lane walks one channel's chunks.
 * Forward: carry[0] = 0, carry[c] += span[c-1]·carry[c-1]. Backward: carry[C-1] = 0,
 * carry[c] += span[c+1]·carry[c+1]. Four chunks are read before one is written, as in
 * field_scan; with eight SwiftShader takes 13 s to compile this. */
#include "math.h"

KERNEL(field_carry, 64, READ_FLOAT4(span) UPDATE_FLOAT(carry),
       UINT(heads) UINT(width) UINT(chunks) UINT(backward))
BODY
{
    uint channel = GROUP_X * LANES + LANE;
    if (channel < arg.heads * arg.width) {
        uint h = channel / arg.width;
        uint base = (GROUP_Z * arg.heads + h) * arg.chunks * 2u * arg.width + channel % arg.width;
        float2 state = FLOAT2(0.0f, 0.0f);
        for (uint block = 0u; block < arg.chunks; block += 4u) {
            float2 own[4]; /* what the chunk left, then what it begins with */
            UNROLL for (uint j = 0u; j < 4u; j++) {
                uint t = min(block + j, arg.chunks - 1u);
                uint c = arg.backward != 0u ? arg.chunks - 1u - t : t;
                uint at = base + c * 2u * arg.width;
                own[j] = FLOAT2(AT(carry, at), AT(carry, at + arg.width));
            }
            UNROLL for (uint j = 0u; j < 4u; j++) {
                uint t = min(block + j, arg.chunks - 1u);
                uint passed = arg.backward != 0u ? arg.chunks - t : t - 1u;
                if (t > 0u) {
                    state = twofold_turn(AT(span, h * arg.chunks + passed), state);
                    state = FLOAT2(state.x + own[j].x, state.y + own[j].y);
                }
                own[j] = state;
            }
            UNROLL for (uint j = 0u; j < 4u; j++) {
                uint t = block + j, c = arg.backward != 0u ? arg.chunks - 1u - t : t;
                uint at = base + c * 2u * arg.width;
                if (t < arg.chunks) {
                    AT(carry, at) = own[j].x;
                    AT(carry, at + arg.width) = own[j].y;
                }
            }
        }
    }
}
END
