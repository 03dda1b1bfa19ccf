/* The spectrum of ∂L/∂k: for each head Σ over its rows of V·conj(W), V and W the spectra of the
 * gradient's and the deposit's rows. Its inverse transform's real part is both packed channels'
 * correlations together. Group y is a head from first_head on; `row` holds W's rows, then V's, of
 * rows first_row … first_row+rows-1. A head's sum starts with its first row and goes on with every
 * dispatch after it. */
#include "dialect.h"

KERNEL(fft_correlate, 64, READ_FLOAT2(row) UPDATE_FLOAT2(sum_row),
       UINT(points) UINT(first_head) UINT(first_row) UINT(rows) UINT(pitch) UINT(rows_a_head))
BODY
{
    uint k = GROUP_X * LANES + LANE, h = arg.first_head + GROUP_Y;
    if (k < arg.points) {
        uint begin = max(h * arg.rows_a_head, arg.first_row);
        uint end = min((h + 1u) * arg.rows_a_head, arg.first_row + arg.rows);
        float2 sum = FLOAT2(0.0f, 0.0f);
        if (begin > h * arg.rows_a_head) sum = AT(sum_row, h * arg.points + k);
        for (uint r = begin; r < end; r++) {
            uint at = (r - arg.first_row) * arg.points + k;
            float2 w = AT(row, at), v = AT(row, arg.pitch * arg.points + at);
            sum = FLOAT2(sum.x + v.x * w.x + v.y * w.y, sum.y + v.y * w.x - v.x * w.y);
        }
        AT(sum_row, h * arg.points + k) = sum;
    }
}
END
