/* y = (x - mean)·rstd·weight + bias over rows of `width`; a group a row. */
#include "dialect.h"

KERNEL(layernorm, 64, READ(x) READ_FLOAT(weight) READ_FLOAT(bias) UPDATE(y) WRITE_FLOAT(mean) WRITE_FLOAT(rstd),
       UINT(rows) UINT(width) UINT(accumulate))
SHARED(float, scratch, 64)
BODY
{
    for (uint row = GROUP_X; row < arg.rows; row += GROUPS_X) {
        uint at = row * arg.width;
        float sum = 0.0f;
        for (uint i = LANE; i < arg.width; i += LANES) sum += LOAD(x, at + i);
        scratch[LANE] = sum;
        GROUP_SUM(scratch)
        float center = scratch[0] / TO_FLOAT(arg.width);
        BARRIER();

        float square = 0.0f;
        for (uint i = LANE; i < arg.width; i += LANES) {
            float off = LOAD(x, at + i) - center;
            square += off * off;
        }
        scratch[LANE] = square;
        GROUP_SUM(scratch)
        float scale = 1.0f / sqrt(scratch[0] / TO_FLOAT(arg.width) + 1e-5f);
        BARRIER();

        for (uint i = LANE; i < arg.width; i += LANES) {
            float value = (LOAD(x, at + i) - center) * scale * AT(weight, i) + AT(bias, i);
            STORE(y, at + i, arg.accumulate != 0u ? LOAD(y, at + i) + value : value);
        }
        if (LANE == 0u) {
            AT(mean, row) = center;
            AT(rstd, row) = scale;
        }
    }
}
END
