/* The CPU backend gives the same bits whatever the number of threads, and run after run. */
#include "graph/rules.h"
#include "tests/op_builders.h"

#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

static void set_threads(int n)
{
#ifdef _OPENMP
    omp_set_num_threads(n);
#else
    (void)n;
#endif
}

static void expect_same_bits(const OneOp *op)
{
    OneOpResult first = {{0}};
    for (int threads = 1; threads <= 4; threads++) {
        set_threads(threads == 4 ? 1 : threads);
        OneOpResult got = test_run(test_device(false), op);
        if (threads == 1) first = got;
        for (int k = 0; k < op->n_out; k++)
            if (memcmp(first.out[k], got.out[k],
                       (size_t)operand_elements(&op->out[k]) * sizeof(double)) != 0)
                fail_msg("%s: output %d differs with %d threads", op_rule(op->op)->name, k,
                         threads);
    }
}

static void test_ops(void **state)
{
    (void)state;
    static const OpCase of[] = {
        {OP_FILL, {70011}},
        {OP_COPY, {70011}},
        {OP_ADD, {70011}},
        {OP_GELU, {70011}},
        {OP_DROPOUT, {70011}},
        {OP_FEATURE, {70011}},
        {OP_GATE, {70011}},
        {OP_EMBED, {3, 370, 67, 31}},
        {OP_LAYERNORM, {531, 97}},
        {OP_COLUMN_SUM, {2, 3301, 17}},
        {OP_KEY_NORM, {5031, 11}},
        {OP_COUPLE, {2, 241, 6, 47}},
        {OP_ATTENTION, {3, 211, 3, 17}},
        {OP_FIRST_TOKEN, {3, 5000, 7}},
        {OP_CAUSAL_MEAN, {2, 401, 135}},
        {OP_COSINE, {1257, 57}},
        {OP_INTERFERE, {1257, 57}},
        {OP_HEAD_LOSS, {521, 13, 4099}},
        {OP_SQUARE_SUM, {300007, 0}},
        {OP_ADAMW, {300007, 5, 64, 0}},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        OneOp op = op_build(of[i]);
        expect_same_bits(&op);
        if (i >= 3 && op.op != OP_COLUMN_SUM && op.op != OP_HEAD_LOSS && op.op != OP_SQUARE_SUM &&
            op.op != OP_ADAMW) {
            int of_input[NODE_MAX_OUT];
            OneOpResult y = test_run(test_device(false), &op);
            OneOp backward = op_backward(&op, &y, of_input);
            expect_same_bits(&backward);
        }
        test_release(NULL);
    }
}

static void test_products(void **state)
{
    (void)state;
    static const ProductCase of[] = {
        {.batch = 1, .rows = 301, .cols = 517, .inner = 130, .trans_b = true, .bias = true},
        {.batch = 1, .rows = 48, .cols = 48, .inner = 9001, .trans_a = true},
        {.batch = 1, .rows = 700, .cols = 48, .inner = 48, .trans_b = true},
        {.batch = 1, .rows = 1, .cols = 1009, .inner = 384, .trans_b = true, .bias = true},
        {.batch = 1, .rows = 3, .cols = 384, .inner = 1009},
        {.batch = 4, .rows = 130, .cols = 384, .inner = 70, .sum_batch = true},
        {.batch = 9, .rows = 65, .cols = 33, .inner = 129, .shared_a = true},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        OneOp op = product_build(of[i]);
        for (int adds = 0; adds < 2; adds++) {
            expect_same_bits(&op);
            op_accumulate(&op, 0);
        }
        test_release(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_ops, test_release),
        cmocka_unit_test_teardown(test_products, test_release),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_close_devices();
    return failed;
}
