/* The field read off the deposits kept: partial[b, n, slice] = Σ_j W(i,j)·history[b, j] over a
 * slice of the positions j before position + tokens, i = position + n. W(i,j) is the kernel summed
 * over the cells that token i reads and token j writes.
 *
 * Group x is 64 channels of a head, y 8 tokens and a slice, z a sample. For 64 positions at a time
 * a lane computes the 8 weights of one position, then each lane adds up its channel, so that a
 * deposit read serves 8 tokens. */
#include "math.h"

KERNEL(field_recall, 64,
       READ(history) READ_FLOAT(wave) READ_INT(cell) READ_FLOAT(fraction) READ_INT(position)
       WRITE_FLOAT(partial),
       UINT(tokens) UINT(heads) UINT(width) UINT(cells) UINT(kept) UINT(slices))
SHARED(float, weight, 512)
BODY
{
    uint tiles = (arg.width + 63u) / 64u, h = GROUP_X / tiles;
    uint channel = GROUP_X % tiles * 64u + LANE, first = GROUP_Y / arg.slices * 8u;
    uint place = TO_UINT(AT(position, 0)), seen = place + arg.tokens;
    uint slice = GROUP_Y % arg.slices, each = (seen + arg.slices - 1u) / arg.slices;
    uint end = min(seen, (slice + 1u) * each), pitch = arg.heads * arg.width;
    uint own_wave = (GROUP_Z * arg.heads + h) * arg.cells;

    float sum[8];
    UNROLL for (uint k = 0u; k < 8u; k++) sum[k] = 0.0f;
    for (uint j = slice * each; j < end; j += LANES) {
        if (j + LANE < end) {
            float fj = AT(fraction, j + LANE);
            int cj = AT(cell, j + LANE);
            for (uint k = 0u; k < min(8u, arg.tokens - first); k++) {
                float fi = AT(fraction, place + first + k);
                int t = AT(cell, place + first + k) - cj;
                uint at = own_wave + TO_UINT(max(t, 0));
                float w = 0.0f;
                if (t >= 0) w = ((1.0f - fi) * (1.0f - fj) + fi * fj) * AT(wave, at);
                if (t >= 1 && fj > 0.0f) w += (1.0f - fi) * fj * AT(wave, at - 1u);
                if (t >= 0 && fi > 0.0f) w += fi * (1.0f - fj) * AT(wave, at + 1u);
                if (t == -1 && fi > 0.0f) w = fi * (1.0f - fj) * AT(wave, own_wave);
                weight[64u * k + LANE] = w;
            }
        }
        BARRIER();
        if (channel < arg.width) {
            for (uint t = 0u; t < min(LANES, end - j); t++) {
                uint at = (GROUP_Z * arg.kept + j + t) * pitch + h * arg.width + channel;
                float value = LOAD(history, at);
                UNROLL for (uint k = 0u; k < 8u; k++) {
                    if (first + k < arg.tokens) {
                        float w = weight[64u * k + t]; /* 0: not yet heard, whatever it holds */
                        sum[k] += w != 0.0f ? w * value : 0.0f;
                    }
                }
            }
        }
        BARRIER();
    }
    if (channel < arg.width) {
        UNROLL for (uint k = 0u; k < 8u; k++) {
            uint n = GROUP_Z * arg.tokens + first + k;
            if (first + k < arg.tokens)
                AT(partial, (n * arg.slices + slice) * pitch + h * arg.width + channel) = sum[k];
        }
    }
}
END
