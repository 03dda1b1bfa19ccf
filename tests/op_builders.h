/* Every op of the CPU backend but the field, with random operands of a given size. */
#ifndef TESTS_OP_BUILDERS_H
#define TESTS_OP_BUILDERS_H

#include "tests/support.h"

/* An op, and its sizes as its builder reads them. */
typedef struct OpCase {
    Op op;
    int64_t size[4];
} OpCase;

/* Forward and optimizer ops; outputs that are added to start from random values. */
OneOp op_build(OpCase of);

/* A product with leading dimensions `gap` larger than needed, items apart by `gap` too. */
typedef struct ProductCase {
    int64_t batch, rows, cols, inner, gap;
    bool trans_a, trans_b, sum_batch, bias, shared_a, shared_b;
} ProductCase;
OneOp product_build(ProductCase of);

/* The op whose outputs are the gradients of `forward`'s inputs, from the forward outputs and dy, a
 * random gradient of the first one. of_input[k] is the input that output k is the gradient of. */
OneOp op_backward(const OneOp *forward, const OneOpResult *result, int of_input[NODE_MAX_OUT]);

/* Makes output k start from random values and be added to. */
void op_accumulate(OneOp *op, int k);

#endif
