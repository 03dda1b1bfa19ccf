/* y[t,a,:] = Σ_b m(a,b)·x[t,b,:] with m(a,b) = shares[a·row + b·column]: coupling with row H and
 * column 1, its adjoint with 1 and H.
 *
 * A thread has one channel of 4 tokens and of 8 heads a (group y): each share it reads serves 4
 * tokens, each x 8 heads. Lanes are channels, then tokens. */
#include "dialect.h"

KERNEL(couple, 64, READ(x) READ_FLOAT(shares) UPDATE(y),
       UINT(tokens) UINT(heads) UINT(width) UINT(row) UINT(column) UINT(accumulate))
BODY
{
    uint first_head = 8u * GROUP_Y;
    FOR_ALL(i, (arg.tokens + 3u) / 4u * arg.width)
    {
        uint first = 4u * (i / arg.width), pitch = arg.heads * arg.width;
        uint at = first * pitch + i % arg.width;
        float sum[32];
        UNROLL for (uint k = 0u; k < 32u; k++) sum[k] = 0.0f;
        for (uint b = 0u; b < arg.heads; b++) {
            float value[4];
            UNROLL for (uint t = 0u; t < 4u; t++) {
                value[t] = 0.0f;
                if (first + t < arg.tokens) value[t] = LOAD(x, at + t * pitch + b * arg.width);
            }
            UNROLL for (uint k = 0u; k < 8u; k++) {
                uint a = min(first_head + k, arg.heads - 1u);
                float share = AT(shares, a * arg.row + b * arg.column);
                UNROLL for (uint t = 0u; t < 4u; t++) sum[4u * k + t] += share * value[t];
            }
        }
        UNROLL for (uint k = 0u; k < 8u; k++) {
            UNROLL for (uint t = 0u; t < 4u; t++) {
                if (first_head + k < arg.heads && first + t < arg.tokens) {
                    uint to = at + t * pitch + (first_head + k) * arg.width;
                    float mixed = sum[4u * k + t];
                    STORE(y, to, arg.accumulate != 0u ? LOAD(y, to) + mixed : mixed);
                }
            }
        }
    }
}
END
