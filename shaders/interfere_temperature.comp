/* dtemperature += ∂τ/∂temperature·Σ partial, the derivative of softplus being sigmoid; one group. */
#include "math.h"

KERNEL(interfere_temperature, 256,
       READ_FLOAT(partial) READ_FLOAT(temperature) UPDATE_FLOAT(dtemperature), UINT(count))
SHARED(float, scratch, 256)
BODY
{
    float2 sum = FLOAT2(0.0f, 0.0f);
    for (uint i = LANE; i < arg.count; i += LANES) sum = sum_add(sum, AT(partial, i));
    scratch[LANE] = sum.x + sum.y;
    GROUP_SUM(scratch)
    if (LANE == 0u) AT(dtemperature, 0u) += scratch[0] * sigmoid(AT(temperature, 0u));
}
END
