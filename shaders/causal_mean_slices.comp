/* The sums of each chunk of tokens, where the running means (causal_mean) will start from: of x or,
 * backward, of dy[n]/(n+1). Lanes are columns, group y a chunk, z a sample. carry [B, chunks, W] in
 * two-floats. */
#include "math.h"

KERNEL(causal_mean_slices, 64, READ(x) WRITE_FLOAT2(carry),
       UINT(tokens) UINT(width) UINT(chunks) UINT(backward))
BODY
{
    uint column = GROUP_X * LANES + LANE;
    if (column < arg.width) {
        uint each = (arg.tokens + arg.chunks - 1u) / arg.chunks;
        uint first = GROUP_Y * each, end = min(arg.tokens, first + each);
        float2 sum = FLOAT2(0.0f, 0.0f);
        for (uint i = first; i < end; i++) {
            float value = LOAD(x, (GROUP_Z * arg.tokens + i) * arg.width + column);
            sum = sum_add(sum, arg.backward != 0u ? value / TO_FLOAT(i + 1u) : value);
        }
        AT(carry, (GROUP_Z * arg.chunks + GROUP_Y) * arg.width + column) = sum;
    }
}
END
