/* The gradients of field_scan, chunk by chunk, from the state that enters the chunk (carry) and the
 * adjoint state that enters it from behind (ahead). With A the adjoint without its factor c:
 *     A_hi = A + f·g,  A_lo = z·A_hi + (1-f)·g,  A ← z^n·A_lo,  du = Re(c·((1-f)·A_lo + f·A_hi)),
 * and, where a token moved n cells, its share of the sums of spec §2:
 *     Q += n·(z^n·S)·A_lo + (z·S_lo)·A_hi,  W += g·((1-f)·S_lo + f·S_hi).
 * partial [B, C, D] gets {Q, W} of each channel's chunk.
 *
 * States are kept at every eighth token and computed again between, so that a lane needs few
 * registers. Eight tokens are read at a time, before any of them is written: a lane waits for memory
 * once for all of them. */
#include "math.h"

KERNEL(field_scan_backward, 64,
       READ(dr) READ(u) READ_INT(cell) READ_FLOAT(fraction) READ_FLOAT4(head) READ_FLOAT4(jump)
       READ_FLOAT(carry) READ_FLOAT(ahead) UPDATE(du) WRITE_FLOAT4(partial),
       UINT(tokens) UINT(heads) UINT(width) UINT(chunks) UINT(accumulate))
BODY
{
    uint channel = GROUP_X * LANES + LANE, channels = arg.heads * arg.width;
    if (channel < channels) {
        uint h = channel / arg.width;
        uint first = GROUP_Y * 64u, end = min(arg.tokens, first + 64u);
        uint base = GROUP_Z * arg.tokens * channels + channel, steps = h * arg.tokens;
        float4 z = AT(head, 3u * h), c = AT(head, 3u * h + 1u);
        uint start = ((GROUP_Z * arg.heads + h) * arg.chunks + GROUP_Y) * 2u * arg.width +
                     channel % arg.width;
        float2 state = FLOAT2(AT(carry, start), AT(carry, start + arg.width));
        float2 adjoint = FLOAT2(AT(ahead, start), AT(ahead, start + arg.width));
        float2 q = FLOAT2(0.0f, 0.0f), w = q;

        float value[8]; /* deposits */
        float2 kept[8];
        for (uint k = 0u; k < 8u; k++) {
            uint block = first + 8u * k;
            kept[k] = state;
            if (block + 8u < end) {
                UNROLL for (uint j = 0u; j < 8u; j++)
                    value[j] = LOAD(u, base + (block + j) * channels);
                UNROLL for (uint j = 0u; j < 8u; j++) {
                    float f = AT(fraction, block + j);
                    state = twofold_turn(AT(jump, steps + block + j), state);
                    state.x += (1.0f - f) * value[j];
                    if (f > 0.0f) {
                        state = twofold_turn(z, state);
                        state.x += f * value[j];
                    }
                }
            }
        }

        for (uint k = (end - first + 7u) / 8u; k > 0u; k--) {
            uint block = first + 8u * (k - 1u);
            float g[8];      /* gradients of what was read, then of the deposits */
            float2 moved[8]; /* z^n·S of each token */
            UNROLL for (uint j = 0u; j < 8u; j++) {
                uint at = base + min(block + j, end - 1u) * channels;
                value[j] = LOAD(u, at);
                g[j] = LOAD(dr, at);
            }
            state = kept[k - 1u];
            UNROLL for (uint j = 0u; j < 8u; j++) {
                uint i = min(block + j, end - 1u);
                float f = AT(fraction, i);
                state = twofold_turn(AT(jump, steps + i), state);
                moved[j] = state;
                state.x += (1.0f - f) * value[j];
                if (f > 0.0f) {
                    state = twofold_turn(z, state);
                    state.x += f * value[j];
                }
            }
            UNROLL for (uint j = 8u; j > 0u; j--) {
                uint i = block + j - 1u;
                if (i < end) {
                    float f = AT(fraction, i);
                    float2 before = moved[j - 1u];
                    float2 low = FLOAT2(before.x + (1.0f - f) * value[j - 1u], before.y), seen = low;
                    float2 felt = FLOAT2(adjoint.x + g[j - 1u], adjoint.y);
                    if (f > 0.0f) {
                        float2 passed = twofold_turn(z, low);
                        float2 high = FLOAT2(adjoint.x + f * g[j - 1u], adjoint.y);
                        float2 through = complex_mul(passed, high);
                        q = FLOAT2(q.x + through.x, q.y + through.y);
                        seen = FLOAT2((1.0f - f) * low.x + f * (passed.x + f * value[j - 1u]),
                                      (1.0f - f) * low.y + f * passed.y);
                        adjoint = twofold_turn(z, high);
                        adjoint.x += (1.0f - f) * g[j - 1u];
                        felt = FLOAT2((1.0f - f) * adjoint.x + f * high.x,
                                      (1.0f - f) * adjoint.y + f * high.y);
                    } else {
                        adjoint = felt;
                    }
                    int from = 0;
                    if (i > 0u) from = AT(cell, i - 1u) + (AT(fraction, i - 1u) > 0.0f ? 1 : 0);
                    float cells = TO_FLOAT(AT(cell, i) - from);
                    float2 through = complex_mul(before, adjoint);
                    q = FLOAT2(q.x + cells * through.x, q.y + cells * through.y);
                    w = FLOAT2(w.x + g[j - 1u] * seen.x, w.y + g[j - 1u] * seen.y);
                    adjoint = twofold_turn(AT(jump, steps + i), adjoint);
                    g[j - 1u] = c.x * felt.x - c.y * felt.y;
                }
            }
            if (arg.accumulate != 0u) {
                UNROLL for (uint j = 0u; j < 8u; j++)
                    g[j] += LOAD(du, base + min(block + j, end - 1u) * channels);
            }
            UNROLL for (uint j = 0u; j < 8u; j++)
                if (block + j < end) STORE(du, base + (block + j) * channels, g[j]);
        }
        AT(partial, (GROUP_Z * arg.chunks + GROUP_Y) * channels + channel) =
            FLOAT4(q.x, q.y, w.x, w.y);
    }
}
END
