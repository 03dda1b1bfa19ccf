/* Scatters tokens onto cells (spec §2), two channels of a head to a complex row, and pads with
 * zeros. Row r of all B·H·pairs: plane r / pairs = head·batch + sample, channels 2·(r % pairs) and
 * the next. This dispatch makes rows first_row … first_row+rows-1; those past all_rows are zero.
 *
 * A group makes 32 cells of 8 rows: lanes run along channels to read and along cells to write. */
#include "dialect.h"

KERNEL(fft_scatter, 256, READ(u) READ_FLOAT(fraction) READ_INT(first) WRITE_FLOAT2(row),
       UINT(batch) UINT(tokens) UINT(heads) UINT(width) UINT(cells) UINT(points)
       UINT(first_row) UINT(rows) UINT(all_rows))
SHARED(float2, tile, 8 * 33)
BODY
{
    uint pairs = (arg.width + 1u) / 2u;
    uint r = LANE % 8u, g = GROUP_X * 32u + LANE / 8u;
    uint place = arg.first_row + GROUP_Y * 8u + r;
    float2 sum = FLOAT2(0.0f, 0.0f);
    if (place < arg.all_rows && g < arg.cells) {
        uint plane = place / pairs, channel = 2u * (place % pairs);
        uint pitch = arg.heads * arg.width;
        uint at = plane % arg.batch * arg.tokens * pitch + plane / arg.batch * arg.width + channel;
        bool both = channel + 1u < arg.width;
        uint own = TO_UINT(AT(first, g)), end = TO_UINT(AT(first, g + 1u));
        uint begin = g > 0u ? TO_UINT(AT(first, g - 1u)) : own;
        for (uint i = begin; i < end; i++) {
            float f = AT(fraction, i), share = i < own ? f : 1.0f - f;
            sum.x += share * LOAD(u, at + i * pitch);
            if (both) sum.y += share * LOAD(u, at + i * pitch + 1u);
        }
    }
    tile[r * 33u + LANE / 8u] = sum;
    BARRIER();
    r = LANE / 32u;
    g = GROUP_X * 32u + LANE % 32u;
    if (GROUP_Y * 8u + r < arg.rows && g < arg.points)
        AT(row, (GROUP_Y * 8u + r) * arg.points + g) = tile[r * 33u + LANE % 32u];
}
END
