/* da = ds·(b/(‖a‖‖b‖) - s·a/‖a‖²), without the second term where ‖a‖ is at its floor, and db
 * likewise; `lanes` lanes a row of `width`. */
#include "cosine.h"

KERNEL(cosine_backward, 64, READ_FLOAT(ds) READ(a) READ(b) UPDATE(da) WRITE(db),
       UINT(rows) UINT(width) UINT(lanes) UINT(accumulate))
SHARED(float, product, 64)
SHARED(float, square_a, 64)
SHARED(float, square_b, 64)
BODY
{
    uint lane = LANE % arg.lanes, each = LANES / arg.lanes;
    for (uint first = GROUP_X * each; first < arg.rows; first += GROUPS_X * each) {
        uint row = first + LANE / arg.lanes, at = row * arg.width;
        uint end = row < arg.rows ? arg.width : 0u;
        COSINE_SUMS(at, lane, end, arg.lanes)
        float norm_a = norm_of(square_a[LANE - lane]), norm_b = norm_of(square_b[LANE - lane]);
        float slope = row < arg.rows ? AT(ds, row) : 0.0f;
        float turn = slope * (product[LANE - lane] / norm_a / norm_b);
        float across = slope / norm_a / norm_b;
        float along_a = norm_a > 1e-12f ? turn / norm_a / norm_a : 0.0f;
        float along_b = norm_b > 1e-12f ? turn / norm_b / norm_b : 0.0f;
        BARRIER();

        for (uint i = lane; i < end; i += arg.lanes) {
            float in_a = LOAD(a, at + i), in_b = LOAD(b, at + i);
            float value = across * in_b - along_a * in_a;
            STORE(da, at + i, arg.accumulate != 0u ? LOAD(da, at + i) + value : value);
            STORE(db, at + i, across * in_a - along_b * in_b);
        }
    }
}
END
