/* u = v·‖k‖ over rows of `width`; `lanes` lanes a row. */
#include "dialect.h"

KERNEL(key_norm, 64, READ(k) READ(v) UPDATE(u),
       UINT(rows) UINT(width) UINT(lanes) UINT(accumulate))
SHARED(float, scratch, 64)
BODY
{
    uint lane = LANE % arg.lanes, each = LANES / arg.lanes;
    for (uint first = GROUP_X * each; first < arg.rows; first += GROUPS_X * each) {
        uint row = first + LANE / arg.lanes, at = row * arg.width;
        uint end = row < arg.rows ? arg.width : 0u;
        float square = 0.0f;
        for (uint i = lane; i < end; i += arg.lanes) {
            float value = LOAD(k, at + i);
            square += value * value;
        }
        scratch[LANE] = square;
        PART_SUM(scratch, arg.lanes)
        float norm = sqrt(scratch[LANE - lane]);
        BARRIER();

        for (uint i = lane; i < end; i += arg.lanes) {
            float value = LOAD(v, at + i) * norm;
            STORE(u, at + i, arg.accumulate != 0u ? LOAD(u, at + i) + value : value);
        }
    }
}
END
