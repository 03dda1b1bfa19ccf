/* Products by CLBlast on the first OpenCL device: every form gives the right numbers, and a CLBlast
 * that computes wrongly or fails is found out and not used. Exit code 77, a skip, where either is
 * missing. */
#include "backends/opencl/clblast.h"
#include "backends/opencl/opencl.h"
#include "check/check.h"
#include "tests/product_forms.h"
#include "tests/scratch.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77 };

/* ---- a CLBlast that can be wrong ---- */

typedef enum Fault { NO_FAULT, SLIGHTLY_OFF, NEVER_ADDS, FAILS } Fault;

static ClblastTable true_table;
static Fault fault;
static int calls;

static CLBlastStatusCode multiply(CLBlastLayout layout, CLBlastTranspose trans_a,
                                  CLBlastTranspose trans_b, size_t m, size_t n, size_t k,
                                  float alpha, cl_mem a, size_t offset_a, size_t ld_a, cl_mem b,
                                  size_t offset_b, size_t ld_b, float beta, cl_mem c,
                                  size_t offset_c, size_t ld_c, cl_command_queue *queue,
                                  cl_event *event, cl_mem temporary)
{
    calls++;
    if (fault == FAILS) return CLBlastInvalidValue;
    return true_table.p_CLBlastSgemmWithTempBuffer(
        layout, trans_a, trans_b, m, n, k, fault == SLIGHTLY_OFF ? alpha * 1.0001f : alpha, a,
        offset_a, ld_a, b, offset_b, ld_b, fault == NEVER_ADDS ? 0 : beta, c, offset_c, ld_c, queue,
        event, temporary);
}

static Device *open_with(Fault chosen)
{
    Device *device;
    fault = chosen;
    calls = 0;
    test_ok(backend_opencl.open(0, &device));
    return device;
}

/* ---- right ---- */

static void expect_right(void *context, const CheckResult *result)
{
    (void)context;
    if (result->verdict != CHECK_OK)
        fail_msg("%s: %s, error %g, bound %g", result->name, result->detail, result->error,
                 result->bound);
}

static void check_products(Device *device)
{
    CheckTotals totals;
    test_ok(check_device(device, &(CheckParams){.op = "product", .report = expect_right}, &totals));
    assert_true(totals.passed > 20);
}

static void force(Device *device)
{
    gpu_limits_tuning(backend_opencl.gpu_limits(device))->forced = (ProductChoice){TILE_LIBRARY, 1};
}

static void every_case_is_right(void **state)
{
    (void)state;
    Device *device = open_with(NO_FAULT);
    assert_int_equal(strncmp(device->info.products, "CLBlast", 7), 0);
    assert_false(device->info.library_wrong);
    assert_true(calls > 0); /* the check of itself */
    force(device);
    calls = 0;
    check_products(device);
    assert_true(calls > 40);
    backend_opencl.close(device);
}

static void some_forms_are_right(void **state)
{
    (void)state;
    Rng rng = {.seed = 6};
    Device *device = open_with(NO_FAULT);
    force(device);
    for (uint64_t i = 0; i < 60; i++) {
        OneOp op = product_form(&rng, 10 * i);
        int before = calls;
        const double *got = test_run(device, &op).out[0];
        assert_true(calls > before);
        product_close(&op, got, test_run(test_device(true), &op).out[0]);
        test_release(NULL);
    }
    backend_opencl.close(device);
}

/* Sizes that its kernel for large products takes, with and without copies of the operands. */
static void large_products_are_right(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{256, 256, 256}, {250, 130, 300}};
    Device *device = open_with(NO_FAULT);
    force(device);
    for (int turn = 0; turn < 8; turn++) {
        const int64_t *size = sizes[turn % 2];
        bool trans_a = turn & 2, trans_b = turn & 4;
        ProductParams p = product_packed(size[0], size[1], size[2], trans_a, trans_b);
        OneOp op = {.op = OP_PRODUCT, .n_in = 3, .n_out = 1, .params = {.product = p}};
        int64_t n[] = {p.rows * p.inner, p.inner * p.cols, p.cols, p.rows * p.cols};
        for (int i = 0; i < 3; i++)
            op.in[i] = (Operand){.dtype = DTYPE_REAL,
                                 .shape = SHAPE(n[i]),
                                 .value = test_normal((uint64_t)i, n[i], 1)};
        op.out[0] =
            (Operand){.dtype = DTYPE_REAL, .shape = SHAPE(n[3]), .value = test_normal(3, n[3], 1)};
        op.accumulate = turn & 1;
        const double *got = test_run(device, &op).out[0];
        product_close(&op, got, test_run(test_device(true), &op).out[0]);
        test_release(NULL);
    }
    backend_opencl.close(device);
}

/* ---- wrong ---- */

static void a_wrong_library_is_not_used(void **state)
{
    (void)state;
    for (int chosen = SLIGHTLY_OFF; chosen <= FAILS; chosen++) {
        Device *device = open_with((Fault)chosen);
        assert_true(calls > 0);
        assert_true(device->info.library_wrong);
        assert_int_equal(strncmp(device->info.products, "own kernels: CLBlast", 20), 0);
        assert_non_null(strstr(device->info.products,
                               chosen == FAILS ? "does not run a product" : ": off by "));
        force(device);
        calls = 0;
        check_products(device);
        assert_int_equal(calls, 0);
        backend_opencl.close(device);
    }
}

/* What was found out is kept, but for a check that did not come to its end. */
static void the_outcome_is_kept(void **state)
{
    (void)state;
    setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
    for (int chosen = NO_FAULT; chosen <= FAILS; chosen++) {
        folder_run("rm -rf kept");
        backend_opencl.close(open_with((Fault)chosen));
        Device *device = open_with(NO_FAULT);
        assert_int_equal(calls > 0, chosen == FAILS);
        assert_int_equal(device->info.library_wrong, chosen != NO_FAULT && chosen != FAILS);
        backend_opencl.close(device);
    }
    setenv("WAVEFIELD_CACHE", "off", 1);
}

/* Where the rules say our kernels, a tuning may say the library: if it is right. */
static void a_tuning_asks_for_it(void **state)
{
    (void)state;
    GpuTuning tuning = {0};
    ProductParams p = product_packed(64, 48, 80, false, true);
    assert_true(gpu_tuning_set(&tuning, &p, DTYPE_REAL, (ProductChoice){TILE_LIBRARY, 1}));
    setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
    for (int chosen = NO_FAULT; chosen <= SLIGHTLY_OFF; chosen++) {
        folder_run("rm -rf kept");
        Device *device = open_with((Fault)chosen);
        test_ok(gpu_tuning_store(&tuning, "opencl", &device->info));
        backend_opencl.close(device);
        device = open_with(NO_FAULT);
        assert_int_equal(device->info.tuned, 1);
        GpuLimits *limits = backend_opencl.gpu_limits(device);
        limits->library->preferred = false;
        ProductChoice choice = gpu_product_choice(
            limits, &p, DTYPE_REAL, gpu_tuning_choice(&limits->tuning, &p, DTYPE_REAL));
        assert_int_equal(choice.tile == TILE_LIBRARY, chosen == NO_FAULT);
        backend_opencl.close(device);
    }
    setenv("WAVEFIELD_CACHE", "off", 1);
}

static void own_products_where_asked_for(void **state)
{
    (void)state;
    setenv("WAVEFIELD_PRODUCTS", "own", 1);
    Device *device = open_with(NO_FAULT);
    setenv("WAVEFIELD_PRODUCTS", "library", 1);
    assert_int_equal(strncmp(device->info.products, "own kernels: WAVEFIELD_PRODUCTS", 31), 0);
    force(device);
    check_products(device);
    assert_int_equal(calls, 0);
    backend_opencl.close(device);
}

static const char *missing(void)
{
    int count = 0;
    if (backend_opencl.list(NULL, 0, &count) || count == 0) return wf_error_message();
    return clblast_load();
}

int main(void)
{
    setenv("WAVEFIELD_CACHE", "off", 1);
    setenv("WAVEFIELD_PRODUCTS", "library", 1);
    const char *why = missing();
    if (why) {
        printf("skipped: %s\n", why);
        return SKIPPED;
    }
    true_table = clblast_table;
    CLBlastSgemmWithTempBuffer = multiply;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_right),
        cmocka_unit_test_teardown(some_forms_are_right, test_release),
        cmocka_unit_test_teardown(large_products_are_right, test_release),
        cmocka_unit_test(a_wrong_library_is_not_used),
        cmocka_unit_test(the_outcome_is_kept),
        cmocka_unit_test(a_tuning_asks_for_it),
        cmocka_unit_test(own_products_where_asked_for),
    };
    int failed = cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
    test_close_devices();
    return failed;
}
