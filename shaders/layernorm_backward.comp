/* dx = rstd·(g - mean(g) - x̂·mean(g·x̂)), g = dy·weight, x̂ = (x - mean)·rstd; a group a row. */
#include "dialect.h"

KERNEL(layernorm_backward, 64,
       READ(dy) READ(x) READ_FLOAT(weight) READ_FLOAT(mean) READ_FLOAT(rstd) UPDATE(dx),
       UINT(rows) UINT(width) UINT(accumulate))
SHARED(float, scratch, 64)
SHARED(float, scratch_hat, 64)
BODY
{
    for (uint row = GROUP_X; row < arg.rows; row += GROUPS_X) {
        uint at = row * arg.width;
        float center = AT(mean, row), scale = AT(rstd, row);
        float sum = 0.0f, sum_hat = 0.0f;
        for (uint i = LANE; i < arg.width; i += LANES) {
            float g = LOAD(dy, at + i) * AT(weight, i);
            sum += g;
            sum_hat += g * (LOAD(x, at + i) - center) * scale;
        }
        scratch[LANE] = sum;
        scratch_hat[LANE] = sum_hat;
        GROUP_SUM(scratch)
        GROUP_SUM(scratch_hat)
        float mean_g = scratch[0] / TO_FLOAT(arg.width);
        float mean_hat = scratch_hat[0] / TO_FLOAT(arg.width);
        BARRIER();

        for (uint i = LANE; i < arg.width; i += LANES) {
            float hat = (LOAD(x, at + i) - center) * scale;
            float value = scale * (LOAD(dy, at + i) * AT(weight, i) - mean_g - hat * mean_hat);
            STORE(dx, at + i, arg.accumulate != 0u ? LOAD(dx, at + i) + value : value);
        }
    }
}
END
