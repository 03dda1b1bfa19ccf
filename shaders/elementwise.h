/* The formulas of the elementwise ops that also follow products within their kernels. */
#ifndef ELEMENTWISE_H
#define ELEMENTWISE_H

#include "math.h"
#include "product.h"

/* x·Φ(x), the exact erf form. */
FUNCTION float gelu_of(float x)
{
    return x * normal_cdf(x).x;
}

/* dy·(Φ(x) + x·e^(-x²/2)/√2π). */
FUNCTION float gelu_gradient(float dy, float x)
{
    float2 normal = normal_cdf(x);
    return dy * (normal.x + x * normal.y * 0.398942280f);
}

/* (max(p, 0) + 1e-6)·v. */
FUNCTION float feature_of(float p, float v)
{
    return or_nan(p, max(p, 0.0f) + 1e-6f) * v;
}

/* x·sigmoid(g). */
FUNCTION float gate_of(float x, float g)
{
    return x * sigmoid(g);
}

FUNCTION float follower_of(uint follower, float c, float x)
{
    if (follower == FOLLOW_GELU) return gelu_of(c);
    if (follower == FOLLOW_GELU_BACKWARD) return gelu_gradient(c, x);
    if (follower == FOLLOW_FEATURE) return feature_of(c, x);
    if (follower == FOLLOW_ADD) return x + c;
    return follower == FOLLOW_GATE ? gate_of(c, x) : gate_of(x, c);
}

#endif
