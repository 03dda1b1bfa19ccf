/* Attention of one query to a slice of the keys before it, for decoding: reads keys and values once,
 * in blocks of 64, eight at a time by sixteen lanes each, with a running maximum and sum. Group x is
 * (b·tokens + query)·H + head, y the slice, z a tile of output channels. Gives partial and state as
 * attention.comp does. */
#include "attention.h"

KERNEL(attention_few, 128,
       READ(q) READ(k) READ(v) READ_INT(position) WRITE_FLOAT(partial) WRITE_FLOAT(state),
       UINT(tokens) UINT(kept) UINT(heads) UINT(width) UINT(slices) FLOAT(scale))
SHARED(float, across, 64 * 17)
SHARED(float, score, 64)
SHARED(float, weight, 64)
SHARED(float, sums, 128 * COLS_EACH)
BODY
{
    uint part = LANE % 16u, lane_key = LANE / 16u, row = arg.heads * arg.width;
    uint token = GROUP_X / arg.heads, first_col = GROUP_Z * 16u * COLS_EACH;
    uint query_at = GROUP_X * arg.width;
    uint kept_at = token / arg.tokens * arg.kept * row + GROUP_X % arg.heads * arg.width;
    uint seen = min(TO_UINT(AT(position, 0u)) + token % arg.tokens + 1u, arg.kept);
    uint each = (seen + arg.slices - 1u) / arg.slices, end = min(seen, (GROUP_Y + 1u) * each);

    float sum[COLS_EACH], total = 0.0f, largest = FROM_BITS(0xff800000u);
    UNROLL for (uint c = 0u; c < COLS_EACH; c++) sum[c] = 0.0f;
    for (uint key = GROUP_Y * each; key < end; key += 64u) {
        uint keys = min(end - key, 64u), key_at = kept_at + key * row;
        float dot[8];
        UNROLL for (uint r = 0u; r < 8u; r++) dot[r] = 0.0f;
        for (uint c = part; c < arg.width; c += 16u) {
            float of_query = LOAD(q, query_at + c);
            UNROLL for (uint r = 0u; r < 8u; r++) {
                uint j = lane_key + 8u * r;
                if (j < keys) dot[r] = FMA(of_query, LOAD(k, key_at + j * row + c), dot[r]);
            }
        }
        UNROLL for (uint r = 0u; r < 8u; r++) across[(lane_key + 8u * r) * 17u + part] = dot[r];
        BARRIER();
        if (LANE < 64u) {
            float whole = 0.0f;
            for (uint i = 0u; i < 16u; i++) whole += across[LANE * 17u + i];
            score[LANE] = arg.scale * whole;
        }
        BARRIER();
        float before = largest;
        for (uint j = 0u; j < keys; j++) largest = max(largest, score[j]);
        float factor = rescale(before, largest);
        total *= factor;
        if (LANE < keys) {
            float p = exp_of(score[LANE] - largest);
            weight[LANE] = p;
            total += p;
        }
        BARRIER();
        UNROLL for (uint c = 0u; c < COLS_EACH; c++) sum[c] *= factor;
        UNROLL for (uint r = 0u; r < 8u; r++) {
            uint j = lane_key + 8u * r;
            if (j < keys) {
                UNROLL for (uint c = 0u; c < COLS_EACH; c++) {
                    uint col = first_col + part + 16u * c;
                    if (col < arg.width)
                        sum[c] = FMA(weight[j], LOAD(v, key_at + j * row + col), sum[c]);
                }
            }
        }
    }

    UNROLL for (uint c = 0u; c < COLS_EACH; c++)
        sums[(lane_key * COLS_EACH + c) * 16u + part] = sum[c];
    if (LANE < 64u) score[LANE] = total;
    BARRIER();
    uint item = GROUP_X * arg.slices + GROUP_Y;
    for (uint t = LANE; t < 16u * COLS_EACH; t += LANES) {
        float whole = 0.0f;
        for (uint i = 0u; i < 8u; i++) whole += sums[i * 16u * COLS_EACH + t];
        if (first_col + t < arg.width) AT(partial, item * arg.width + first_col + t) = whole;
    }
    if (LANE == 0u && first_col == 0u) {
        float whole = 0.0f;
        for (uint i = 0u; i < 64u; i++) whole += score[i];
        AT(state, 2u * item) = largest;
        AT(state, 2u * item + 1u) = whole;
    }
}
END
