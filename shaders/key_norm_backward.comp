/* dk = k·<du,v>/‖k‖ (0 where k is 0), dv = du·‖k‖ over rows of `width`; `lanes` lanes a row. */
#include "dialect.h"

KERNEL(key_norm_backward, 64, READ(du) READ(k) READ(v) UPDATE(dk) WRITE(dv),
       UINT(rows) UINT(width) UINT(lanes) UINT(accumulate))
SHARED(float, scratch, 64)
SHARED(float, scratch_product, 64)
BODY
{
    uint lane = LANE % arg.lanes, each = LANES / arg.lanes;
    for (uint first = GROUP_X * each; first < arg.rows; first += GROUPS_X * each) {
        uint row = first + LANE / arg.lanes, at = row * arg.width;
        uint end = row < arg.rows ? arg.width : 0u;
        float square = 0.0f, product = 0.0f;
        for (uint i = lane; i < end; i += arg.lanes) {
            float value = LOAD(k, at + i);
            square += value * value;
            product += LOAD(du, at + i) * LOAD(v, at + i);
        }
        scratch[LANE] = square;
        scratch_product[LANE] = product;
        PART_SUM(scratch, arg.lanes)
        PART_SUM(scratch_product, arg.lanes)
        float norm = sqrt(scratch[LANE - lane]);
        float scale = norm == 0.0f ? 0.0f : scratch_product[LANE - lane] / norm;
        BARRIER();

        for (uint i = lane; i < end; i += arg.lanes) {
            float value = scale * LOAD(k, at + i);
            STORE(dk, at + i, arg.accumulate != 0u ? LOAD(dk, at + i) + value : value);
            STORE(dv, at + i, LOAD(du, at + i) * norm);
        }
    }
}
END
