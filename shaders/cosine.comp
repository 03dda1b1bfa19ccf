/* s = <a,b>/(max(‖a‖,1e-12)·max(‖b‖,1e-12)) of each row of `width`; `lanes` lanes a row. */
#include "cosine.h"

KERNEL(cosine, 64, READ(a) READ(b) UPDATE_FLOAT(s),
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
        if (lane == 0u && row < arg.rows) {
            float value = product[LANE] / norm_of(square_a[LANE]) / norm_of(square_b[LANE]);
            AT(s, row) = arg.accumulate != 0u ? AT(s, row) + value : value;
        }
        BARRIER();
    }
}
END
