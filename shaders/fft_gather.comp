/* Reads tokens off the cells (spec §2): r_i = (1-f)·Y[lo] + f·Y[lo+1]; rows as in fft_scatter.
 * A group reads 32 tokens of 8 rows: lanes run along tokens to read and along channels to write. */
#include "dialect.h"

KERNEL(fft_gather, 256, READ_FLOAT2(row) READ_INT(cell) READ_FLOAT(fraction) UPDATE(r),
       UINT(batch) UINT(tokens) UINT(heads) UINT(width) UINT(points)
       UINT(first_row) UINT(rows) UINT(all_rows) UINT(accumulate))
SHARED(float2, tile, 8 * 33)
BODY
{
    uint pairs = (arg.width + 1u) / 2u;
    uint i = GROUP_X * 32u + LANE % 32u, k = GROUP_Y * 8u + LANE / 32u;
    if (i < arg.tokens && k < arg.rows) {
        uint at = k * arg.points + TO_UINT(AT(cell, i));
        float f = AT(fraction, i);
        float2 value = AT(row, at);
        if (f > 0.0f) {
            float2 next = AT(row, at + 1u);
            value = FLOAT2((1.0f - f) * value.x + f * next.x, (1.0f - f) * value.y + f * next.y);
        }
        tile[LANE / 32u * 33u + LANE % 32u] = value;
    }
    BARRIER();
    i = GROUP_X * 32u + LANE / 8u;
    k = GROUP_Y * 8u + LANE % 8u;
    uint place = arg.first_row + k;
    if (i < arg.tokens && k < arg.rows && place < arg.all_rows) {
        uint plane = place / pairs, channel = 2u * (place % pairs);
        uint token = plane % arg.batch * arg.tokens + i;
        uint at = (token * arg.heads + plane / arg.batch) * arg.width + channel;
        float2 value = tile[LANE % 8u * 33u + LANE / 8u];
        STORE(r, at, arg.accumulate != 0u ? LOAD(r, at) + value.x : value.x);
        if (channel + 1u < arg.width)
            STORE(r, at + 1u, arg.accumulate != 0u ? LOAD(r, at + 1u) + value.y : value.y);
    }
}
END
