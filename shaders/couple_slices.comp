/* The first of two stages of ∂L/∂shares[a,b] = Σ_tokens <dy[a,:], r[b,:]>: partial [slices, H, H].
 *
 * A group has a tile of 8 x 8 heads (x) and a slice of the tokens (y); its lanes share out the
 * slice's (token, channel) pairs, each with all 64 sums, and add them up in the end. */
#include "dialect.h"

KERNEL(couple_slices, 64, READ(dy) READ(r) WRITE_FLOAT(partial),
       UINT(tokens) UINT(heads) UINT(width) UINT(slices))
SHARED(float, scratch, 64 * 17)
SHARED(float, quarter, 64)
BODY
{
    uint tiles = (arg.heads + 7u) / 8u;
    uint first_a = GROUP_X / tiles * 8u, first_b = GROUP_X % tiles * 8u;
    uint each = (arg.tokens + arg.slices - 1u) / arg.slices;
    uint first = GROUP_Y * each, end = min(arg.tokens, first + each);
    uint items = end > first ? (end - first) * arg.width : 0u;

    float sum[64];
    UNROLL for (uint k = 0u; k < 64u; k++) sum[k] = 0.0f;
    for (uint i = LANE; i < items; i += LANES) {
        uint at = (first + i / arg.width) * arg.heads * arg.width + i % arg.width;
        float left[8], right[8];
        UNROLL for (uint k = 0u; k < 8u; k++) {
            left[k] = LOAD(dy, at + min(first_a + k, arg.heads - 1u) * arg.width);
            right[k] = LOAD(r, at + min(first_b + k, arg.heads - 1u) * arg.width);
        }
        UNROLL for (uint a = 0u; a < 8u; a++) {
            UNROLL for (uint b = 0u; b < 8u; b++) sum[8u * a + b] += left[a] * right[b];
        }
    }

    /* 16 sums at a time: a lane adds a quarter of the lanes' parts of one sum. */
    UNROLL for (uint round = 0u; round < 4u; round++) {
        UNROLL for (uint k = 0u; k < 16u; k++) scratch[LANE * 17u + k] = sum[16u * round + k];
        BARRIER();
        float part = 0.0f;
        for (uint k = 0u; k < 16u; k++)
            part += scratch[(LANE / 16u * 16u + k) * 17u + LANE % 16u];
        quarter[LANE] = part;
        BARRIER();
        uint a = first_a + 2u * round + LANE / 8u, b = first_b + LANE % 8u;
        if (LANE < 16u && a < arg.heads && b < arg.heads)
            AT(partial, (GROUP_Y * arg.heads + a) * arg.heads + b) =
                (quarter[LANE] + quarter[LANE + 16u]) +
                (quarter[LANE + 32u] + quarter[LANE + 48u]);
    }
}
END
