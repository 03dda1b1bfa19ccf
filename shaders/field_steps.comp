/* How far the token scan moves, as powers of each head's pole z in two-floats.
 *
 * The state sits at cell at_i after token i: lo_i + 1 if f_i > 0, else lo_i; at 0 before the first.
 * jump [H, tokens]: z^(lo_i - at_(i-1)). span [H, chunks]: z to the cells between the ends of chunk
 * c-1 and chunk c. Chunks have 64 tokens. */
#include "math.h"

KERNEL(field_steps, 64,
       READ_FLOAT(frequency) READ_INT(cell) READ_FLOAT(fraction) READ_FLOAT4(head)
       WRITE_FLOAT4(jump) WRITE_FLOAT4(span),
       UINT(tokens) UINT(chunks))
BODY
{
    uint h = GROUP_Y;
    uint2 turn = turns_of(AT(frequency, h));
    float alpha = AT(head, 3u * h + 1u).w;
    FOR_ALL(i, arg.tokens + arg.chunks)
    {
        bool chunk = i >= arg.tokens;
        uint first = chunk ? (i - arg.tokens) * 64u : i; /* the move starts at token first-1 */
        int from = 0;
        if (first > 0u) from = AT(cell, first - 1u) + (AT(fraction, first - 1u) > 0.0f ? 1 : 0);
        uint last = chunk ? min(first + 64u, arg.tokens) - 1u : i;
        int to = AT(cell, last);
        if (chunk && AT(fraction, last) > 0.0f) to++;
        uint cells = TO_UINT(max(to - from, 0));
        float2 x = two_product(min(alpha, 200.0f), TO_FLOAT(cells));
        float4 power = twofold_decay(x, turns_times(turn, cells));
        if (chunk) AT(span, h * arg.chunks + (i - arg.tokens)) = power;
        else AT(jump, h * arg.tokens + i) = power;
    }
}
END
