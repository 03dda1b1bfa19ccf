/* From the chunks' sums to what each chunk starts from: the sum of all chunks before it, on top of
 * `sum` where that is kept; backward, of all after it. A lane walks one column's chunks, eight
 * loads at a time. n = batch·width. */
#include "math.h"

KERNEL(causal_mean_carry, 64, READ_FLOAT(sum) UPDATE_FLOAT2(carry),
       UINT(n) UINT(width) UINT(chunks) UINT(backward) UINT(kept))
BODY
{
    FOR_ALL(column, arg.n)
    {
        uint base = column / arg.width * arg.chunks * arg.width + column % arg.width;
        float2 state = FLOAT2(arg.kept != 0u ? AT(sum, column) : 0.0f, 0.0f);
        for (uint t = 0u; t < arg.chunks; t += 8u) {
            float2 next[8];
            UNROLL for (uint k = 0u; k < 8u; k++) {
                uint c = min(t + k, arg.chunks - 1u);
                if (arg.backward != 0u) c = arg.chunks - 1u - c;
                next[k] = AT(carry, base + c * arg.width);
            }
            for (uint k = 0u; k < 8u; k++) {
                uint c = arg.backward != 0u ? arg.chunks - 1u - t - k : t + k;
                if (t + k < arg.chunks) {
                    AT(carry, base + c * arg.width) = state;
                    state = sum_add_twofold(state, next[k]);
                }
            }
        }
    }
}
END
