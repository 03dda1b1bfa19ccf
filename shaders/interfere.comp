/* y = x + sigmoid(g)·c·sigmoid(s/τ), τ = softplus(temperature) + 0.05; s is one a row of `width`. */
#include "math.h"

KERNEL(interfere, 256,
       READ(x) READ(c) READ(g) READ_FLOAT(s) READ_FLOAT(temperature) UPDATE(y),
       UINT(n) UINT(width) UINT(accumulate))
BODY
{
    float scale = 1.0f / (softplus(AT(temperature, 0u)) + 0.05f);
    FOR_ALL(i, arg.n)
    {
        float weight = sigmoid(AT(s, i / arg.width) * scale);
        float value = LOAD(x, i) + sigmoid(LOAD(g, i)) * LOAD(c, i) * weight;
        STORE(y, i, arg.accumulate != 0u ? LOAD(y, i) + value : value);
    }
}
END
