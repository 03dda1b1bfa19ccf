/* What the product's kernels are told in `flags`, and their last step. The host reads the numbers. */
#ifndef PRODUCT_H
#define PRODUCT_H

#define PRODUCT_ALONG_A 1u  /* the inner axis is the contiguous one of A */
#define PRODUCT_ALONG_B 2u  /* and of B */
#define PRODUCT_BIAS    4u
#define PRODUCT_TO_REAL 8u  /* the result goes to `real`, else to c */
#define PRODUCT_ADDS    16u /* x is added to it; where it is added to, x is its own place */
#define PRODUCT_KEEPS   32u /* of a product with a follower: c is written too */
#define PRODUCT_WIDE    64u /* product_few reads fours */

/* The follower of a product, an elementwise op that makes y of c and another input x: the flags'
 * upper bits. */
#define PRODUCT_FOLLOWER(flags) ((flags) >> 8)
#define FOLLOWER_FLAG(follower) ((follower) << 8)
#define FOLLOW_GELU             1u /* of c alone */
#define FOLLOW_GELU_BACKWARD    2u /* c is dy, x what GELU was taken of */
#define FOLLOW_FEATURE          3u /* (max(c, 0) + 1e-6)·x */
#define FOLLOW_GATE             4u /* c·sigmoid(x) */
#define FOLLOW_GATED            5u /* x·sigmoid(c) */
#define FOLLOW_ADD              6u /* x + c */

/* What a product's kernels do with a finished value of element `to`; THEN: there is a follower. */
#define PRODUCT_FINISH(to, value) JOIN(PRODUCT_FINISH_, THEN)(to, value)
#define PRODUCT_FINISH_0(to, value)                                                                \
    {                                                                                              \
        uint place = to;                                                                           \
        if ((arg.flags & PRODUCT_TO_REAL) != 0u)                                                   \
            AT(real, place) = (arg.flags & PRODUCT_ADDS) != 0u ? AT(real, place) + value : value;  \
        else                                                                                       \
            STORE(c, place, (arg.flags & PRODUCT_ADDS) != 0u ? LOAD(x, place) + value : value);    \
    }
#define PRODUCT_FINISH_1(to, value)                                                                \
    {                                                                                              \
        uint place = to, follower = PRODUCT_FOLLOWER(arg.flags);                                   \
        float other = 0.0f;                                                                        \
        if (follower != FOLLOW_GELU) other = LOAD(x, place);                                       \
        if ((arg.flags & PRODUCT_KEEPS) != 0u) STORE(c, place, value);                             \
        STORE(y, place, follower_of(follower, ROUNDED(value), other));                             \
    }

#endif
