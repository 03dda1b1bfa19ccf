/* Attention's slices of keys, joined in order: with M = max_s m_s of the slices' maxima,
 *     y = Σ_s e^(m_s - M)·partial_s / Σ_s e^(m_s - M)·total_s,
 * partial [B,N,H, slices, d], state [B,N,H, slices, 2] {m, total}; lse [B,H,N] where it is wanted. A
 * thread an element of y. A slice without keys has m = -∞ and total 0. */
#include "attention.h"

KERNEL(attention_join, 64, READ_FLOAT(partial) READ_FLOAT(state) UPDATE(y) WRITE_FLOAT(lse),
       UINT(n) UINT(tokens) UINT(heads) UINT(width) UINT(slices) UINT(has_lse) UINT(accumulate))
BODY
{
    FOR_ALL(i, arg.n)
    {
        uint item = i / arg.width, c = i % arg.width, at = item * arg.slices;
        float largest = AT(state, 2u * at);
        for (uint s = 1u; s < arg.slices; s++) largest = max(largest, AT(state, 2u * (at + s)));
        float sum = 0.0f, total = 0.0f;
        for (uint s = 0u; s < arg.slices; s++) {
            float factor = rescale(AT(state, 2u * (at + s)), largest);
            sum = FMA(factor, AT(partial, (at + s) * arg.width + c), sum);
            total = FMA(factor, AT(state, 2u * (at + s) + 1u), total);
        }
        float value = sum / total;
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
        if (arg.has_lse != 0u && c == 0u) {
            uint token = item / arg.heads, b = token / arg.tokens;
            AT(lse, (b * arg.heads + item % arg.heads) * arg.tokens + token % arg.tokens) =
                largest + log_of(total);
        }
    }
}
END
