/* Running means over the tokens, y[n] = Σ_{j<=n} x[j]/(n+1), each chunk from its carry, or, of dy,
 * dx[t] = Σ_{n>=t} dy[n]/(n+1). Lanes are columns, group y a chunk, z a sample; a single chunk has
 * no carry. Where a sum of `position` earlier tokens is kept, the means go on from it and it is
 * brought up to date. Sums are two-floats, so that a long sequence loses nothing. */
#include "math.h"

KERNEL(causal_mean, 64,
       READ(x) READ_FLOAT2(carry) READ_INT(position) UPDATE_FLOAT(sum) UPDATE(y),
       UINT(tokens) UINT(width) UINT(chunks) UINT(backward) UINT(kept) UINT(accumulate))
BODY
{
    uint column = GROUP_X * LANES + LANE;
    if (column < arg.width) {
        uint each = (arg.tokens + arg.chunks - 1u) / arg.chunks;
        uint first = GROUP_Y * each, count = min(arg.tokens - first, each);
        uint base = GROUP_Z * arg.tokens * arg.width + column, row = GROUP_Z * arg.width + column;
        uint before = arg.kept != 0u ? TO_UINT(AT(position, 0u)) : 0u;
        float2 state = FLOAT2(0.0f, 0.0f);
        if (arg.chunks > 1u)
            state = AT(carry, (GROUP_Z * arg.chunks + GROUP_Y) * arg.width + column);
        else if (arg.kept != 0u)
            state.x = AT(sum, row);
        for (uint t = 0u; t < count; t += 4u) { /* four loads before the first store */
            float value[4];
            UNROLL for (uint k = 0u; k < 4u; k++) {
                uint i = min(t + k, count - 1u);
                if (arg.backward != 0u) i = count - 1u - i;
                value[k] = LOAD(x, base + (first + i) * arg.width);
            }
            for (uint k = 0u; k < 4u; k++) {
                if (t + k < count) {
                    uint i = first + (arg.backward != 0u ? count - 1u - (t + k) : t + k);
                    float share = 1.0f / TO_FLOAT(before + i + 1u);
                    state = sum_add(state, arg.backward != 0u ? value[k] * share : value[k]);
                    float mean = state.x + state.y;
                    if (arg.backward == 0u) mean *= share;
                    uint at = base + i * arg.width;
                    STORE(y, at, arg.accumulate != 0u ? LOAD(y, at) + mean : mean);
                }
            }
        }
        if (arg.kept != 0u && GROUP_Y + 1u == arg.chunks) AT(sum, row) = state.x + state.y;
    }
}
END
