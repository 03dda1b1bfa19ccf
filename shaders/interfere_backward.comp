/* With w = sigmoid(s/τ): dc = dy·sigmoid(g)·w, dg = dy·c·w·sigmoid'(g) and, of each row,
 * ds = w'·Σ dy·c·sigmoid(g)/τ. A group leaves in `partial` what its rows say to ∂L/∂τ,
 * -Σ ds·s/τ. `lanes` lanes a row of `width`. */
#include "math.h"

KERNEL(interfere_backward, 64,
       READ(dy) READ(c) READ(g) READ_FLOAT(s) READ_FLOAT(temperature)
       UPDATE(dc) WRITE(dg) WRITE_FLOAT(ds) WRITE_FLOAT(partial),
       UINT(rows) UINT(width) UINT(lanes) UINT(accumulate))
SHARED(float, scratch, 64)
BODY
{
    uint lane = LANE % arg.lanes, each = LANES / arg.lanes;
    float scale = 1.0f / (softplus(AT(temperature, 0u)) + 0.05f);
    float2 by_temperature = FLOAT2(0.0f, 0.0f);
    for (uint first = GROUP_X * each; first < arg.rows; first += GROUPS_X * each) {
        uint row = first + LANE / arg.lanes, at = row * arg.width;
        uint end = row < arg.rows ? arg.width : 0u;
        float agreement = row < arg.rows ? AT(s, row) * scale : 0.0f;
        float weight = sigmoid(agreement), dweight = 0.0f;
        for (uint i = lane; i < end; i += arg.lanes) {
            float slope = LOAD(dy, at + i), context = LOAD(c, at + i), raw = LOAD(g, at + i);
            float through = slope * sigmoid(raw);
            dweight += through * context;
            float value = through * weight;
            STORE(dc, at + i, arg.accumulate != 0u ? LOAD(dc, at + i) + value : value);
            STORE(dg, at + i, slope * context * weight * sigmoid_slope(raw));
        }
        scratch[LANE] = dweight;
        PART_SUM(scratch, arg.lanes)
        if (lane == 0u && row < arg.rows) {
            float value = scratch[LANE] * sigmoid_slope(agreement) * scale;
            AT(ds, row) = value;
            by_temperature = sum_add(by_temperature, -value * agreement);
        }
        BARRIER();
    }
    scratch[LANE] = by_temperature.x + by_temperature.y;
    GROUP_SUM(scratch)
    if (LANE == 0u) AT(partial, GROUP_X) = scratch[0];
}
END
