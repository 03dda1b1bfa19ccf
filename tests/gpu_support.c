#include "tests/gpu_support.h"

Device *gpu;

int gpu_open(int argc, char **argv)
{
    if (argc == 2) return test_open(argv[1], &gpu);
    print_error("usage: %s vulkan|opencl\n", argv[0]);
    return 2;
}

int gpu_close(void **state)
{
    (void)state;
    test_close_devices();
    gpu->backend->close(gpu);
    return 0;
}

void expect_same(const char *what, const OneOp *op, int64_t reduction)
{
    OneOpResult got = test_run(gpu, op), expected = test_run(test_device(true), op);
    for (int k = 0; k < op->n_out; k++)
        test_close(what, got.out[k], expected.out[k], operand_elements(&op->out[k]), reduction,
                   false);
}
