/* The check itself: it must be able to fail. */
#include "check/case.h"
#include "check/outputs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 101, REDUCTION = 37 };

/* Values around 1, and the same with one element moved. */
static CheckVerdict verdict_of(DType dtype, double change)
{
    Outputs reference = {0}, outputs = {0};
    double *a, *b;
    assert_int_equal(outputs_add(&reference, "y", dtype, ELEMENTS, REDUCTION, &a), WF_OK);
    assert_int_equal(outputs_add(&outputs, "y", dtype, ELEMENTS, REDUCTION, &b), WF_OK);
    for (int i = 0; i < ELEMENTS; i++) a[i] = b[i] = i % 2 ? 1 : -1;
    b[ELEMENTS / 2] += change;
    CheckResult result = {0};
    outputs_compare(&outputs, &reference, DTYPE_REAL, &result);
    outputs_destroy(&reference);
    outputs_destroy(&outputs);
    return result.verdict;
}

static void one_element_past_the_bound_fails(void **state)
{
    (void)state;
    double bound = check_bound(REDUCTION);
    assert_int_equal(verdict_of(DTYPE_REAL, 0), CHECK_OK);
    assert_int_equal(verdict_of(DTYPE_REAL, bound / 2), CHECK_OK);
    assert_int_equal(verdict_of(DTYPE_REAL, 10 * bound), CHECK_FAILED);
    assert_int_equal(verdict_of(DTYPE_REAL, -10 * bound), CHECK_FAILED);
}

static void what_is_not_finite_fails(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(DTYPE_REAL, (double)NAN), CHECK_FAILED);
    assert_int_equal(verdict_of(DTYPE_REAL, HUGE_VAL), CHECK_FAILED);
    assert_int_equal(verdict_of(DTYPE_REAL, -HUGE_VAL), CHECK_FAILED);
}

static void whole_numbers_are_equal_or_fail(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(DTYPE_I32, 0), CHECK_OK);
    assert_int_equal(verdict_of(DTYPE_I32, 1), CHECK_FAILED);
}

static void zero_is_matched_exactly(void **state)
{
    (void)state;
    double zero[3] = {0}, small[3] = {0, 1e-30, 0};
    assert_true(relative_error(zero, zero, 3) == 0);
    assert_true(relative_error(small, zero, 3) == HUGE_VAL);
}

static void every_op_has_a_case_and_names_are_unique(void **state)
{
    (void)state;
    bool covered[OP_COUNT] = {false};
    char a[128], b[128];
    for (int i = 0; i < n_check_cases; i++) {
        if (!check_cases[i].model) covered[check_cases[i].op] = true;
        case_name(&check_cases[i], a, sizeof a);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(a, case_name(&check_cases[j], b, sizeof b));
    }
    for (int op = 0; op < OP_COUNT; op++) assert_true(covered[op]);
}

/* ---- devices that are wrong ---- */

static const Backend *honest;
static int reads;

/* Moves the last float of what is read by a thousandth: many times any bound. */
static wf_status read_moved(Buffer *buffer, int64_t offset, void *data, int64_t size)
{
    TRY(honest->buffer_read(buffer, offset, data, size));
    float *last = (float *)data + size / 4 - 1;
    *last += 1e-3f + fabsf(*last) * 1e-3f;
    return WF_OK;
}

static wf_status read_nan(Buffer *buffer, int64_t offset, void *data, int64_t size)
{
    TRY(honest->buffer_read(buffer, offset, data, size));
    ((float *)data)[0] = NAN;
    return WF_OK;
}

/* Right the first time an output is read, wrong in its last bit the second time. */
static wf_status read_fickle(Buffer *buffer, int64_t offset, void *data, int64_t size)
{
    TRY(honest->buffer_read(buffer, offset, data, size));
    if (++reads % 2 == 0) ((unsigned char *)data)[0] ^= 1;
    return WF_OK;
}

static bool supports_nothing(const Device *device, const Graph *graph, const Node *node,
                             const char **why)
{
    (void)device;
    (void)graph;
    (void)node;
    if (why) *why = "a device for tests";
    return false;
}

static void ignore(void *context, const CheckResult *result)
{
    (void)context;
    (void)result;
}

static CheckTotals check_with(const Backend *backend, const char *op)
{
    Device *device;
    CheckTotals totals;
    assert_int_equal(honest->open(0, &device), WF_OK);
    device->backend = backend;
    CheckParams params = {.op = op, .report = ignore};
    assert_int_equal(check_device(device, &params, &totals), WF_OK);
    honest->close(device);
    return totals;
}

static void a_wrong_device_fails(void **state)
{
    (void)state;
    honest = backend_find("cpu");
    assert_non_null(honest);
    CheckTotals totals = check_with(honest, "gelu");
    assert_int_equal(totals.failed + totals.missing, 0);
    assert_true(totals.passed > 0);

    Backend wrong = *honest;
    wrong.buffer_read = read_moved;
    totals = check_with(&wrong, "key_norm");
    assert_int_equal(totals.passed + totals.missing, 0);
    wrong.buffer_read = read_nan;
    totals = check_with(&wrong, "layernorm");
    assert_int_equal(totals.passed + totals.missing, 0);
    wrong.buffer_read = read_fickle;
    totals = check_with(&wrong, "key_norm ");
    assert_int_equal(totals.passed + totals.missing, 0);
}

static void a_device_without_ops_misses_all_and_passes_none(void **state)
{
    (void)state;
    honest = backend_find("cpu");
    Backend empty = *honest;
    empty.supports = supports_nothing;
    CheckTotals totals = check_with(&empty, NULL);
    assert_int_equal(totals.passed + totals.failed, 0);
    assert_int_equal(totals.missing, n_check_cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_element_past_the_bound_fails),
        cmocka_unit_test(what_is_not_finite_fails),
        cmocka_unit_test(whole_numbers_are_equal_or_fail),
        cmocka_unit_test(zero_is_matched_exactly),
        cmocka_unit_test(every_op_has_a_case_and_names_are_unique),
        cmocka_unit_test(a_wrong_device_fails),
        cmocka_unit_test(a_device_without_ops_misses_all_and_passes_none),
    };
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
