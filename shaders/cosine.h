/* What the cosine of two rows and its gradient begin with. */
#ifndef COSINE_H
#define COSINE_H

#include "math.h"

/* Leaves the sums of a·b, a² and b² over this lane's row in product[LANE - lane], square_a[…] and
 * square_b[…]. Every lane must get here. */
#define COSINE_SUMS(at, lane, end, lanes)                                                          \
    {                                                                                              \
        float ab = 0.0f, aa = 0.0f, bb = 0.0f;                                                     \
        for (uint i = lane; i < (end); i += (lanes)) {                                             \
            float in_a = LOAD(a, (at) + i), in_b = LOAD(b, (at) + i);                              \
            ab += in_a * in_b;                                                                     \
            aa += in_a * in_a;                                                                     \
            bb += in_b * in_b;                                                                     \
        }                                                                                          \
        product[LANE] = ab;                                                                        \
        square_a[LANE] = aa;                                                                       \
        square_b[LANE] = bb;                                                                       \
        PART_SUM(product, lanes)                                                                   \
        PART_SUM(square_a, lanes)                                                                  \
        PART_SUM(square_b, lanes)                                                                  \
    }

/* A norm, not below its floor. */
FUNCTION float norm_of(float square)
{
    return or_nan(square, max(sqrt(square), 1e-12f));
}

#endif
