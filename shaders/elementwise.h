/* The formulas of the elementwise ops that also follow products within their kernels. */
#ifndef ELEMENTWISE_H
#define ELEMENTWISE_H

#include "math.h"
#include "product.h"

/* What GELU multiplies x by, Φ(x), and where `gradient` is 1 its derivative at x,
 * Φ(x) + x·e^(-x²/2)/√2π. */
FUNCTION float gelu_factor(float x, uint gradient)
{
    float2 normal = normal_cdf(x);
    float slope = x * normal.y * 0.398942280f;
    return gradient != 0u ? normal.x + slope : normal.x;
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

/* Each of the two long functions stands here once: a driver may compute what it then leaves out. */
FUNCTION float follower_of(uint follower, float c, float x)
{
    if (follower == FOLLOW_ADD) return x + c;
    if (follower == FOLLOW_FEATURE) return feature_of(c, x);
    if (follower == FOLLOW_GATE || follower == FOLLOW_GATED) {
        bool opens = follower == FOLLOW_GATED;
        return gate_of(opens ? x : c, opens ? c : x);
    }
    bool gradient = follower == FOLLOW_GELU_BACKWARD;
    return c * gelu_factor(gradient ? x : c, gradient ? 1u : 0u);
}

#endif
