#include "tests/gpu_support.h"

Device *gpu;

void expect_same(const char *what, const OneOp *op, int64_t reduction)
{
    OneOpResult got = test_run(gpu, op), expected = test_run(test_device(true), op);
    for (int k = 0; k < op->n_out; k++)
        test_close(what, got.out[k], expected.out[k], operand_elements(&op->out[k]), reduction,
                   false);
}
