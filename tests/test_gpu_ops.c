/* Single ops on a GPU backend against the double reference: test_gpu_ops vulkan|opencl.
 *
 * The check's cases, then sizes and numbers that they do not show; the field's are in
 * test_gpu_field.c.
 *
 * Device 0 of the backend. Exit code 77, a skip, where this build or machine has none. */
#include "tests/gpu_support.h"
#include "tests/op_builders.h"

#include "check/check.h"

#include <float.h>
#include <math.h>

#include "tests/rounding.h"

/* ---- every op alone: the check's cases ---- */

static void expect_right(void *context, const CheckResult *result)
{
    (void)context;
    if (result->verdict == CHECK_FAILED)
        fail_msg("%s: %s, error %g, bound %g", result->name, result->detail, result->error,
                 result->bound);
    if (result->verdict == CHECK_MISSING)
        fail_msg("%s is missing: %s", result->name, result->detail);
}

static void every_op_is_right(void **state)
{
    (void)state;
    CheckTotals totals = {0};
    test_ok(check_device(gpu, &(CheckParams){.report = expect_right}, &totals));
    assert_true(totals.passed > 0);
}

/* ---- sizes that take other paths ---- */

/* Tiles of 128 x 128 with edges; and an inner axis long enough to be cut. */
static void large_products_are_right(void **state)
{
    (void)state;
    static const int64_t size[][3] = {{515, 640, 9}, {640, 515, 19}, {33, 40, 2051}};
    for (int i = 0; i < 3; i++) {
        int64_t rows = size[i][0], cols = size[i][1], inner = size[i][2];
        OneOp op = {.op = OP_PRODUCT, .n_in = 3, .n_out = 1};
        op.params.product = (ProductParams){.batch = 1,
                                            .rows = rows,
                                            .cols = cols,
                                            .inner = inner,
                                            .trans_a = i == 1,
                                            .trans_b = i != 1,
                                            .ld_a = i == 1 ? rows : inner,
                                            .ld_b = i == 1 ? cols : inner,
                                            .ld_c = cols};
        op.in[0] = operand_real(SHAPE(rows * inner), test_normal(1, rows * inner, 1));
        op.in[1] = operand_real(SHAPE(cols * inner), test_normal(2, cols * inner, 1));
        op.in[2] = operand_real(SHAPE(cols), test_normal(3, cols, 1));
        op.out[0] = operand_real(SHAPE(rows, cols), NULL);
        expect_same("large product", &op, inner + 1);
    }
}

/* ---- ops of rows and elements, beyond what the cases show ---- */

static const OpCase row_ops[] = {
    {OP_GELU, {301}},
    {OP_DROPOUT, {301}},
    {OP_FEATURE, {301}},
    {OP_GATE, {301}},
    {OP_KEY_NORM, {19, 21}},
    {OP_FIRST_TOKEN, {3, 5, 7}},
    {OP_CAUSAL_MEAN, {2, 67, 5}},
    {OP_CAUSAL_MEAN_STREAM, {2, 67, 5, 9}},
    {OP_COSINE, {19, 21}},
    {OP_INTERFERE, {19, 21}},
};
enum { ROW_OPS = sizeof row_ops / sizeof *row_ops };

/* The backward op; false: it has none. */
static bool backward_of(const OneOp *forward, OneOp *backward)
{
    int of_input[NODE_MAX_OUT];
    if (forward->op == OP_CAUSAL_MEAN_STREAM) return false;
    OneOpResult result = test_run(test_device(true), forward);
    *backward = op_backward(forward, &result, of_input);
    return true;
}

/* Each element to its own last places, however small. */
static void expect_digits(OneOp *op, int k)
{
    double *got = test_run(gpu, op).out[k], *expected = test_run(test_device(true), op).out[k];
    for (int64_t i = 0; i < operand_elements(&op->out[k]); i++)
        if (!(fabs(got[i] - expected[i]) <= 16 * (double)FLT_EPSILON * fabs(expected[i])))
            fail_msg("op %d at %g: %.9g, not %.9g", (int)op->op, op->in[op->n_in - 1].value[i],
                     got[i], expected[i]);
}

/* from, …, to in equal steps. */
static void sweep(Operand *operand, double from, double to)
{
    int64_t n = operand_elements(operand);
    for (int64_t i = 0; i < n; i++)
        operand->value[i] = (double)(float)(from + (to - from) * (double)i / (double)(n - 1));
}

static void tails_keep_their_digits(void **state)
{
    (void)state;
    const int64_t n = 4001;
    OneOp gelu = op_build((OpCase){OP_GELU, {n}}), gate = op_build((OpCase){OP_GATE, {n}}), slope;
    sweep(&gelu.in[0], -12.5, 12.5);
    expect_digits(&gelu, 0);
    sweep(&gate.in[0], 1, 1);
    sweep(&gate.in[1], -85, 85);
    expect_digits(&gate, 0);
    assert_true(backward_of(&gate, &slope));
    sweep(&slope.in[0], 1, 1);
    expect_digits(&slope, 1);
}

/* A NaN in the middle of each input in turn reaches what it reaches in double, and nothing else. */
static void expect_same_nan(OneOp *op)
{
    for (int k = 0; k < op->n_in; k++) {
        if (op->in[k].dtype != DTYPE_REAL) continue;
        double *value = &op->in[k].value[operand_elements(&op->in[k]) / 2], before = *value;
        *value = (double)NAN;
        OneOpResult got = test_run(gpu, op), expected = test_run(test_device(true), op);
        for (int j = 0; j < op->n_out; j++)
            for (int64_t i = 0; i < operand_elements(&op->out[j]); i++)
                if (isnan(got.out[j][i]) != isnan(expected.out[j][i]))
                    fail_msg("op %d: input %d is NaN, output %d has %g at %lld, not %g",
                             (int)op->op, k, j, got.out[j][i], (long long)i, expected.out[j][i]);
        *value = before;
    }
}

static void a_nan_is_kept(void **state)
{
    (void)state;
    for (int i = 0; i < ROW_OPS; i++) {
        OneOp forward = op_build(row_ops[i]), backward;
        expect_same_nan(&forward);
        if (backward_of(&forward, &backward)) expect_same_nan(&backward);
    }
    for (int heads = 2; heads < 12; heads += 3) {
        OneOp forward = op_build((OpCase){OP_COUPLE, {2, 5, heads, 3}}), backward;
        expect_same_nan(&forward);
        if (backward_of(&forward, &backward)) expect_same_nan(&backward);
    }
}

static void outputs_may_stand_on_inputs(void **state)
{
    (void)state;
    static const Op ops[] = {OP_COPY, OP_ADD, OP_GELU, OP_DROPOUT, OP_FEATURE, OP_GATE};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        OneOp op = op_build((OpCase){ops[i], {3001}}), backward;
        op.in_place = true;
        expect_same("in place", &op, 4);
        if (ops[i] != OP_GELU) continue;
        assert_true(backward_of(&op, &backward));
        backward.in_place = true;
        expect_same("gelu backward in place", &backward, 4);
    }
}

static void gradients_may_be_unwanted(void **state)
{
    (void)state;
    OneOp forward = op_build((OpCase){OP_FEATURE, {301}}), backward;
    for (int k = 0; k < 2; k++) {
        assert_true(backward_of(&forward, &backward));
        backward.out[k].absent = true;
        OneOpResult got = test_run(gpu, &backward);
        OneOpResult expected = test_run(test_device(true), &backward);
        test_close("feature backward", got.out[1 - k], expected.out[1 - k], 301, 4, false);
    }
}

static void raise_by_4(Operand *operand)
{
    for (int64_t i = 0; i < operand_elements(operand); i++)
        operand->value[i] = (double)(float)(operand->value[i] + 4);
}

/* The means of numbers that are all near 4 stay within an element's bound, however many. */
static void long_means_do_not_drift(void **state)
{
    (void)state;
    enum { LONG = 20011 };
    const OpCase cases[] = {{OP_CAUSAL_MEAN, {1, LONG, 3}},
                            {OP_CAUSAL_MEAN_STREAM, {2, LONG, 3, 70001}}};
    for (int i = 0; i < 2; i++) {
        OneOp op = op_build(cases[i]), backward;
        raise_by_4(&op.in[0]);
        expect_same("long mean", &op, 1);
        if (!backward_of(&op, &backward)) continue;
        raise_by_4(&backward.in[0]);
        expect_same("long mean backward", &backward, 1);
    }
}

/* ---- the head and the optimizer ---- */

/* Of equal largest logits, lanes apart or near, the lowest index is the one that was predicted. */
static void ties_go_to_the_lowest_index(void **state)
{
    (void)state;
    enum { RIVALS = 5, WORDS = 2111, INNER = 3 };
    static const int rival[RIVALS] = {517, 518, 773, 1541, 2110};
    OneOp op = op_build((OpCase){OP_HEAD_LOSS, {RIVALS + 2, INNER, WORDS}});
    for (int64_t i = 0; i < operand_elements(&op.in[0]); i++) op.in[0].value[i] = 1;
    for (int first = 0; first < RIVALS; first++) {
        for (int64_t i = 0; i < WORDS * INNER; i++) op.in[1].value[i] = 0;
        for (int k = first; k < RIVALS; k++)
            for (int i = 0; i < INNER; i++) op.in[1].value[rival[k] * INNER + i] = 1;
        for (int r = 0; r < RIVALS; r++) op.in[2].value[r] = rival[r];
        op.in[2].value[RIVALS] = 0;
        op.in[2].value[RIVALS + 1] = -100;
        OneOpResult got = test_run(gpu, &op);
        assert_true(got.out[1][0] == op.out[1].value[0] + RIVALS + 1);
        assert_true(got.out[1][1] == op.out[1].value[1] + 1);
    }
}

/* A row that is no number makes the loss none, and the gradients of the other rows stay theirs. */
static void bad_rows_of_the_head_show(void **state)
{
    (void)state;
    enum { ROWS_HERE = 6, INNER = 7, BAD = 4 };
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    OneOp op = op_build((OpCase){OP_HEAD_LOSS, {ROWS_HERE, INNER, 301}});
    OneOpResult right = test_run(gpu, &op);
    for (int i = 0; i < 3; i++) {
        op.in[0].value[BAD * INNER + i] = bad[i];
        OneOpResult got = test_run(gpu, &op);
        assert_true(isnan(got.out[0][0]));
        for (int64_t k = 0; k < ROWS_HERE * INNER; k++)
            assert_true(k / INNER == BAD ? isnan(got.out[2][k]) : got.out[2][k] == right.out[2][k]);
    }
}

/* Numbers that are not finite are counted, and show in the sum; the count ends at the largest int.
 */
static void bad_numbers_are_counted(void **state)
{
    (void)state;
    OneOp op = op_build((OpCase){OP_SQUARE_SUM, {50021, 7}});
    OneOpResult got = test_run(gpu, &op);
    assert_true(isnan(got.out[0][0]) && got.out[1][0] == op.out[1].value[0] + 7);
    op.out[1].value[0] = INT32_MAX - 3;
    got = test_run(gpu, &op);
    assert_true(got.out[1][0] == INT32_MAX);
}

/* Segments of all lengths, gaps between them, empty ones, several in a group's share and several
 * shares in one; with and without clipping, and after bad numbers, when only gradients change. */
static void segments_step_by_their_own_rules(void **state)
{
    (void)state;
    static const OpCase of[] = {
        {OP_ADAMW, {40009, 5, 64, 0}}, {OP_ADAMW, {5003, 4003, 64, 0}}, {OP_ADAMW, {1, 1, 0, 0}},
        {OP_ADAMW, {9001, 3, 640, 0}}, {OP_ADAMW, {9001, 31, 64, 1}},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        OneOp op = op_build(of[i]);
        expect_same("adamw", &op, 1);
        int64_t n = of[i].size[0];
        OneOpResult got = test_run(gpu, &op);
        for (int k = 0; k < 4 && of[i].size[3]; k++)
            for (int64_t e = 0; e < n; e++)
                assert_true(got.out[k][e] == op.out[k].value[e] || (k == 1 && got.out[k][e] == 0));
    }
}

/* ---- attention ---- */

enum { ATTENDED = 300, ATTENTION_ROW = 10, ATTENDED_ELEMENTS = ATTENDED * ATTENTION_ROW };

/* What attention of [1, ATTENDED, 2, 5] gives: y, streamed y, dq. */
typedef struct Attended {
    double *y, *streamed, *dq;
} Attended;

static Attended attend(double *q, double *k, double *v, double *dy)
{
    Shape shape = SHAPE(1, ATTENDED, 2, ATTENTION_ROW / 2), lse = SHAPE(1, 2, ATTENDED);
    double position = 0;
    OneOp whole = {.op = OP_ATTENTION,
                   .n_in = 3,
                   .in = {{.shape = shape, .value = q},
                          {.shape = shape, .value = k},
                          {.shape = shape, .value = v}},
                   .n_out = 2,
                   .out = {{.shape = shape}, {.shape = lse}}};
    OneOpResult forward = test_run(gpu, &whole);
    OneOp stream = whole;
    stream.op = OP_ATTENTION_STREAM;
    stream.n_in = 4;
    stream.in[3] = (Operand){.dtype = DTYPE_I32, .shape = SHAPE(1), .value = &position};
    stream.n_out = 3;
    stream.out[1] = stream.out[2] = (Operand){.shape = shape};
    OneOp backward = {.op = OP_ATTENTION_BACKWARD,
                      .n_in = 6,
                      .in = {{.shape = shape, .value = dy},
                             whole.in[0],
                             whole.in[1],
                             whole.in[2],
                             {.shape = shape, .value = forward.out[0]},
                             {.shape = lse, .value = forward.out[1]}},
                      .n_out = 3,
                      .out = {{.shape = shape}, {.shape = shape}, {.shape = shape}}};
    return (Attended){forward.out[0], test_run(gpu, &stream).out[0],
                      test_run(gpu, &backward).out[0]};
}

/* Nothing a token holds, not even NaN, moves a bit of the tokens before it, nor another head's. */
static void later_tokens_do_not_show(void **state)
{
    (void)state;
    static const int at[] = {1, 63, 64, 149, 256, 299};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        double *in[4];
        for (int k = 0; k < 4; k++) in[k] = test_normal((uint64_t)k, ATTENDED_ELEMENTS, 1);
        Attended before = attend(in[0], in[1], in[2], in[3]);
        for (int k = 0; k < 4; k++) in[k][at[i] * ATTENTION_ROW + 5 + k] = NAN; /* of head 1 */
        Attended after = attend(in[0], in[1], in[2], in[3]);
        const double *old[] = {before.y, before.streamed, before.dq};
        const double *new[] = {after.y, after.streamed, after.dq};
        for (int e = 0; e < 3 * ATTENDED_ELEMENTS; e++) {
            int which = e / ATTENDED_ELEMENTS, element = e % ATTENDED_ELEMENTS;
            bool reached = element / ATTENTION_ROW >= at[i] && element % ATTENTION_ROW >= 5;
            assert_true(isnan(new[which][element]) == reached);
            if (!reached)
                assert_memory_equal(&new[which][element], &old[which][element], sizeof(double));
        }
        test_release(NULL);
    }
}

static void sixteen_bits_round_as_everywhere(void **state)
{
    (void)state;
    for (DType dtype = DTYPE_F16; dtype <= DTYPE_BF16; dtype++)
        if (gpu->limits.dtype_size[dtype]) assert_device_rounds(gpu, dtype);
}

int main(int argc, char **argv)
{
    int closed = gpu_open(argc, argv);
    if (closed) return closed;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_op_is_right, test_release),
        cmocka_unit_test_teardown(large_products_are_right, test_release),
        cmocka_unit_test_teardown(tails_keep_their_digits, test_release),
        cmocka_unit_test_teardown(a_nan_is_kept, test_release),
        cmocka_unit_test_teardown(outputs_may_stand_on_inputs, test_release),
        cmocka_unit_test_teardown(gradients_may_be_unwanted, test_release),
        cmocka_unit_test_teardown(long_means_do_not_drift, test_release),
        cmocka_unit_test_teardown(ties_go_to_the_lowest_index, test_release),
        cmocka_unit_test_teardown(bad_rows_of_the_head_show, test_release),
        cmocka_unit_test_teardown(bad_numbers_are_counted, test_release),
        cmocka_unit_test_teardown(segments_step_by_their_own_rules, test_release),
        cmocka_unit_test_teardown(later_tokens_do_not_show, test_release),
        cmocka_unit_test_teardown(sixteen_bits_round_as_everywhere, test_release),
    };
    return cmocka_run_group_tests(tests, NULL, gpu_close);
}
