/* along[b,h,n] = Σ_c dy[b,n,h,c]·y[b,n,h,c]: what backward subtracts from every dp of a query.
 * Sixteen lanes a row of `width`, four rows a group. */
#include "dialect.h"

KERNEL(attention_along, 64, READ(dy) READ(y) WRITE_FLOAT(along),
       UINT(rows) UINT(tokens) UINT(heads) UINT(width))
SHARED(float, scratch, 64)
BODY
{
    for (uint first = 4u * GROUP_X; first < arg.rows; first += 4u * GROUPS_X) {
        uint item = first + LANE / 16u;
        float sum = 0.0f;
        if (item < arg.rows)
            for (uint c = LANE % 16u; c < arg.width; c += 16u)
                sum = FMA(LOAD(dy, item * arg.width + c), LOAD(y, item * arg.width + c), sum);
        scratch[LANE] = sum;
        BARRIER();
        if (LANE % 16u == 0u && item < arg.rows) {
            uint token = item / arg.heads, b = token / arg.tokens;
            for (uint i = 1u; i < 16u; i++) sum += scratch[LANE + i];
            AT(along, (b * arg.heads + item % arg.heads) * arg.tokens + token % arg.tokens) = sum;
        }
        BARRIER();
    }
}
END
