/* One AdamW step over a page (Loshchilov and Hutter, 2019), and the gradients cleared:
 *
 *   norm = √norm2/scale,  g = gradient·min(1, clip/norm)/scale
 *   first = β₁·first + (1 - β₁)·g,  second = β₂·second + (1 - β₂)·g²
 *   value = value·(1 - η·decay) - η/c₁·first / (√second/√c₂ + ε),  η = learning rate · rate[group]
 *
 * A group takes tiles of `tile` elements. A binary search finds the first of the segments, which
 * ascend, that reaches into a tile; the group then walks those that do, usually one. */
#include "math.h"

KERNEL(adamw, 256,
       READ_INT(segment) READ_FLOAT(rate) READ_FLOAT(record) READ_FLOAT(norm2) READ_INT(bad)
       UPDATE_FLOAT(value) UPDATE_FLOAT(gradient) UPDATE_FLOAT(first) UPDATE_FLOAT(second),
       UINT(n) UINT(segments) UINT(tile))
BODY
{
    /* The places of ops.h's record. */
    float clip = AT(record, 1u), beta1 = AT(record, 2u), beta2 = AT(record, 3u);
    float root = 1.0f / sqrt(AT(record, 5u)), epsilon = AT(record, 6u);
    float scale = AT(record, 8u), norm = sqrt(AT(norm2, 0u)) / scale;
    float clipped = (clip > 0.0f && norm > clip ? clip / norm : 1.0f) / scale;
    bool steps = AT(bad, 0u) == 0;

    for (uint begin = GROUP_X * arg.tile; begin < arg.n; begin += GROUPS_X * arg.tile) {
        uint end = min(arg.n, begin + arg.tile);
        uint s = 0u, after = arg.segments; /* the first that ends beyond `begin` is in [s, after] */
        while (s < after) {
            uint middle = (s + after) / 2u;
            if (TO_UINT(AT(segment, 4u * middle) + AT(segment, 4u * middle + 1u)) > begin)
                after = middle;
            else
                s = middle + 1u;
        }
        for (; s < arg.segments; s++) {
            uint start = TO_UINT(AT(segment, 4u * s));
            if (start >= end) break;
            uint stop = min(end, start + TO_UINT(AT(segment, 4u * s + 1u)));
            float learning_rate = AT(record, 0u) * AT(rate, AT(segment, 4u * s + 2u));
            float keep = AT(segment, 4u * s + 3u) != 0 ? 1.0f - learning_rate * AT(record, 7u) : 1.0f;
            float by = learning_rate / AT(record, 4u);
            for (uint i = max(begin, start) + LANE; i < stop; i += LANES) {
                if (steps) {
                    float g = AT(gradient, i) * clipped;
                    float m = beta1 * AT(first, i) + (1.0f - beta1) * g;
                    float v = beta2 * AT(second, i) + (1.0f - beta2) * g * g;
                    AT(first, i) = m;
                    AT(second, i) = v;
                    AT(value, i) = AT(value, i) * keep - by * m / (sqrt(v) * root + epsilon);
                }
                AT(gradient, i) = 0.0f;
            }
        }
    }
}
END
