/* Joins the chunks that field_local scanned on their own: each lane walks one channel's chunks.
 * Forward: carry[0] = 0, carry[c] += span[c-1]·carry[c-1]. Backward: carry[C-1] = 0,
 * carry[c] += span[c+1]·carry[c+1]. */
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
        for (uint t = 0u; t < arg.chunks; t++) {
            uint c = arg.backward != 0u ? arg.chunks - 1u - t : t;
            uint at = base + c * 2u * arg.width;
            if (t > 0u) {
                uint passed = arg.backward != 0u ? c + 1u : c - 1u;
                state = twofold_turn(AT(span, h * arg.chunks + passed), state);
                state.x += AT(carry, at);
                state.y += AT(carry, at + arg.width);
            }
            AT(carry, at) = state.x;
            AT(carry, at + arg.width) = state.y;
        }
    }
}
END
