/* Products under CUDA without a GPU: lowering, the backend and its calls of cuBLASLt are real, the
 * driver and the library are fakes that compute (cuda_fake.h, cublaslt_fake.h). Every form of
 * product is compared with the reference in double, from the first run and from a replayed graph.
 */
#include "backends/cuda/cublaslt.h"
#include "backends/cuda/cuda.h"
#include "check/check.h"
#include "tests/cublaslt_fake.h"
#include "tests/cuda_fake.h"
#include "tests/product_forms.h"
#include "tests/scratch.h"
#include "tests/support.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const FakeGpu hopper = {"sm_90", 9, 0, 227 << 10};

static Device *open_device(void)
{
    Device *device = NULL;
    test_ok(backend_cuda.open(0, &device));
    return device;
}

static Device *open_fake(void)
{
    fake_install(&hopper);
    fake_cublaslt_install();
    return open_device();
}

/* Everything was given back, and nothing that driver or library were told was wrong. */
static void close_fake(Device *device)
{
    backend_cuda.close(device);
    assert_string_equal(fake_record.wrong, "");
    assert_int_equal(fake_record.live_allocations, 0);
    assert_int_equal(fake_record.live_modules, 0);
    assert_int_equal(fake_cublaslt.live, 0);
}

static void force(Device *device, ProductTile tile)
{
    gpu_limits_tuning(backend_cuda.gpu_limits(device))->forced = (ProductChoice){(uint8_t)tile, 1};
}

/* ---- every form gives the right numbers ---- */

static void expect_right(void *context, const CheckResult *result)
{
    const DType *storage = context;
    if (result->verdict != CHECK_OK)
        fail_msg("%s, %s: %s, error %g, bound %g", dtype_name(*storage), result->name,
                 result->detail, result->error, result->bound);
}

static void every_case_is_right(void **state)
{
    (void)state;
    static const DType types[] = {DTYPE_REAL, DTYPE_F16, DTYPE_BF16};
    Device *device = open_fake();
    force(device, TILE_LIBRARY);
    for (int t = 0; t < 3; t++) {
        CheckTotals totals = {0};
        DType storage = types[t];
        test_ok(check_device(
            device,
            &(CheckParams){
                .op = "product", .storage = storage, .report = expect_right, .context = &storage},
            &totals));
        assert_true(totals.passed > 20);
    }
    assert_true(fake_cublaslt.captured > 60);
    close_fake(device);
}

static void some_forms_are_right(void **state)
{
    (void)state;
    Rng rng = {.seed = 5};
    Device *device = open_fake();
    force(device, TILE_LIBRARY);
    for (uint64_t i = 0; i < 300; i++) {
        OneOp op = product_form(&rng, 10 * i);
        int before = fake_cublaslt.launched;
        const double *got = test_run(device, &op).out[0];
        const double *expected = test_run(test_device(true), &op).out[0];
        assert_true(fake_cublaslt.launched > before);
        product_close(&op, got, expected);
        test_release(NULL);
    }
    close_fake(device);
}

/* ---- who does what ---- */

typedef struct Steps {
    int products, sums, others;
} Steps;

static Steps lower(Device *device, const ProductParams *p, DType storage, bool bias, bool to_real)
{
    Region region = {.name = "values"};
    Graph *graph = graph_create();
    graph->storage = storage;
    const DType types[] = {storage, storage, DTYPE_REAL, to_real ? DTYPE_REAL : storage};
    const Shape shapes[] = {
        SHAPE(product_extent(p->batch, p->stride_a, p->trans_a ? p->inner : p->rows, p->ld_a)),
        SHAPE(product_extent(p->batch, p->stride_b, p->trans_b ? p->cols : p->inner, p->ld_b)),
        SHAPE(p->batch * p->cols), SHAPE(p->batch * p->rows * p->ld_c)};
    TensorId ids[4];
    for (int i = 0; i < 4; i++)
        ids[i] = graph_external(graph, "value", types[i], shapes[i], &region,
                                region_append(&region, &device->limits, types[i], shapes[i]));
    TensorId in[] = {ids[0], ids[1], bias ? ids[2] : NO_TENSOR};
    graph_append(graph, &(NodeParams){.op = OP_PRODUCT,
                                      .params = {.product = *p},
                                      .in = in,
                                      .n_in = 3,
                                      .out = &ids[3],
                                      .n_out = 1});
    Plan *plan;
    GpuList list = {0};
    Steps steps = {0};
    test_ok(device_plan_create(device, graph, &plan));
    test_ok(gpu_lower(plan, backend_cuda.gpu_limits(device), &list));
    test_ok(hazards_check(&list.commands, plan));
    for (int i = 0; i < list.n_steps; i++) {
        KernelId kernel = list.steps[i].dispatch.kernel;
        bool sum = kernel >= KERNEL_PRODUCT_SUM && kernel <= KERNEL_PRODUCT_SUM + 2;
        if (list.steps[i].kind == GPU_PRODUCT)
            steps.products++;
        else
            *(sum ? &steps.sums : &steps.others) += 1;
    }
    gpu_list_free(&list);
    plan_destroy(plan);
    graph_destroy(graph);
    return steps;
}

#define EXPECT_STEPS(steps, n_products, n_sums, n_others)                                          \
    do {                                                                                           \
        Steps got_ = (steps);                                                                      \
        assert_int_equal(got_.products, n_products);                                               \
        assert_int_equal(got_.sums, n_sums);                                                       \
        assert_int_equal(got_.others, n_others);                                                   \
    } while (0)

static void rules_say_who(void **state)
{
    (void)state;
    Device *device = open_fake();
    ProductParams p = product_packed(256, 128, 64, false, true), few = p, planes, sum;
    assert_string_equal(device->info.products, "cuBLASLt 13.0.0");
    EXPECT_STEPS(lower(device, &p, DTYPE_REAL, true, true), 1, 0, 0);
    EXPECT_STEPS(lower(device, &p, DTYPE_F16, false, false), 1, 0, 0);
    EXPECT_STEPS(lower(device, &p, DTYPE_F16, true, false), 1, 1, 0); /* a float bias */
    EXPECT_STEPS(lower(device, &p, DTYPE_BF16, true, true), 1, 0, 0);
    few.rows = 4; /* as in decoding */
    EXPECT_STEPS(lower(device, &few, DTYPE_REAL, true, true), 0, 0, 1);

    /* Queries, keys and values of the same tokens; the gradient of those. */
    planes = p;
    planes.batch = 3;
    planes.stride_b = p.cols * p.inner;
    planes.stride_c = p.rows * p.cols;
    planes.stride_bias = p.cols;
    EXPECT_STEPS(lower(device, &planes, DTYPE_REAL, true, true), 1, 0, 0);
    sum = product_packed(256, 64, 128, false, false);
    sum.batch = 3;
    sum.sum_batch = true;
    sum.stride_a = 256 * 128;
    sum.stride_b = 128 * 64;
    EXPECT_STEPS(lower(device, &sum, DTYPE_REAL, false, true), 3, 0, 0);
    EXPECT_STEPS(lower(device, &sum, DTYPE_F16, false, false), 3, 1, 0); /* rounded once */
    sum.trans_a = true; /* the items follow one another */
    sum.ld_a = 256;
    EXPECT_STEPS(lower(device, &sum, DTYPE_F16, false, false), 1, 0, 0);
    sum = product_packed(256, 64, 128, false, false);
    sum.batch = 64;
    sum.sum_batch = true;
    sum.stride_a = 256 * 128;
    sum.stride_b = 128 * 64;
    assert_int_equal(lower(device, &sum, DTYPE_REAL, false, true).products, 0);

    GpuTuning *tuning = gpu_limits_tuning(backend_cuda.gpu_limits(device));
    assert_true(gpu_tuning_set(tuning, &p, DTYPE_REAL, (ProductChoice){TILE_64X64, 1}));
    EXPECT_STEPS(lower(device, &p, DTYPE_REAL, true, true), 0, 0, 1);
    assert_true(gpu_tuning_set(tuning, &few, DTYPE_REAL, (ProductChoice){TILE_LIBRARY, 1}));
    EXPECT_STEPS(lower(device, &few, DTYPE_REAL, true, true), 1, 0, 0);
    close_fake(device);
}

static void tuning_tries_both(void **state)
{
    (void)state;
    Device *device = open_fake();
    ProductChoice choices[PRODUCT_MOST_CANDIDATES];
    ProductParams p = product_packed(256, 128, 64, false, true);
    const GpuLimits *limits = backend_cuda.gpu_limits(device);
    int count = gpu_product_candidates(limits, &p, DTYPE_REAL, choices), library = 0;
    assert_true(count > 2);
    assert_int_equal(choices[0].tile, TILE_LIBRARY);
    for (int i = 0; i < count; i++) {
        library += choices[i].tile == TILE_LIBRARY;
        assert_true(choices[i].splits >= 1);
    }
    assert_int_equal(library, 1);
    p.rows = 1;
    count = gpu_product_candidates(limits, &p, DTYPE_REAL, choices);
    assert_int_equal(choices[0].tile, TILE_FEW);
    assert_true(count > 1 && choices[1].tile == TILE_LIBRARY);
    close_fake(device);
}

/* ---- and where it cannot ---- */

static void expect_own(Device *device)
{
    ProductParams p = product_packed(256, 128, 64, false, true);
    EXPECT_STEPS(lower(device, &p, DTYPE_REAL, true, true), 0, 0, 1);
    force(device, TILE_LIBRARY);
    EXPECT_STEPS(lower(device, &p, DTYPE_REAL, true, true), 0, 0, 1);
}

static void own_kernels_without_it(void **state)
{
    (void)state;
    fake_install(&hopper);
    fake_cublaslt_install();
    fake_cublaslt.broken = true;
    Device *device = open_device();
    assert_non_null(strstr(device->info.products, "own kernels: cuBLASLt 13.0.0 does not start"));
    expect_own(device);
    close_fake(device);

    setenv("WAVEFIELD_PRODUCTS", "own", 1);
    device = open_fake();
    unsetenv("WAVEFIELD_PRODUCTS");
    assert_non_null(strstr(device->info.products, "own kernels: WAVEFIELD_PRODUCTS"));
    expect_own(device);
    close_fake(device);
}

static void own_kernels_where_it_refuses(void **state)
{
    (void)state;
    Device *device = open_fake();
    fake_cublaslt.refuses = true;
    expect_own(device);
    close_fake(device);
}

static void failures_say_what(void **state)
{
    (void)state;
    Device *device = open_fake();
    ProductParams p = product_packed(20, 30, 40, false, true);
    OneOp op = {.op = OP_PRODUCT, .n_in = 3, .n_out = 1, .params = {.product = p}};
    Region region = {.name = "values"};
    Graph *graph = graph_create();
    TensorId ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = graph_external(graph, "value", DTYPE_REAL, SHAPE(1200), &region,
                                region_append(&region, &device->limits, DTYPE_REAL, SHAPE(1200)));
    TensorId in[] = {ids[0], ids[1], NO_TENSOR};
    graph_append(graph, &(NodeParams){.op = OP_PRODUCT,
                                      .params = op.params,
                                      .in = in,
                                      .n_in = 3,
                                      .out = &ids[2],
                                      .n_out = 1});
    Runnable run;
    test_ok(device_allocate(device, &region));
    test_ok(runnable_create(device, graph, &run));
    fake_cublaslt.fails = true;
    assert_int_equal(backend_cuda.program_run(run.program), WF_ERROR_DEVICE);
    assert_non_null(strstr(wf_error_message(), "20x30x40"));
    assert_non_null(strstr(wf_error_message(), "a status of the fake"));
    runnable_destroy(&run);
    device_release(&region);
    graph_destroy(graph);
    close_fake(device);
}

/* Whatever is wrong with it, and be it in one form alone, is found out, and it is not used. */
static void a_wrong_library_is_not_used(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        [COARSE] = "a layer's product (67x131x75 f32, library): off by ",
        [FORGETS] = "its weight's gradient (67x131x75 f32, library): off by ",
        [LEAKS] = "a layer's product (67x131x75 f32, library): NaN out of place",
        [SPILLS] = "a batch of products (67x131x75 f32, library): writes between rows"};
    for (int fault = COARSE; fault <= SPILLS; fault++) {
        fake_install(&hopper);
        fake_cublaslt_install();
        fake_cublaslt.fault = (FakeFault)fault;
        Device *device = open_device();
        assert_non_null(strstr(device->info.products, "own kernels: cuBLASLt 13.0.0: "));
        if (!strstr(device->info.products, wrong[fault])) fail_msg("%s", device->info.products);
        assert_int_equal(gpu_limits_tuning(backend_cuda.gpu_limits(device))->forced.tile,
                         TILE_RULE);
        expect_own(device);
        close_fake(device);
    }
}

/* Nothing is wrong with it any more, and so many of its products were asked for. */
static Device *open_again(int *asked)
{
    Device *device = open_fake();
    *asked = fake_cublaslt.launched;
    return device;
}

static void the_outcome_is_kept(void **state)
{
    (void)state;
    setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
    for (int fault = NO_FAULT; fault <= COARSE; fault++) {
        int asked;
        folder_run("rm -rf kept");
        fake_install(&hopper);
        fake_cublaslt_install();
        fake_cublaslt.fault = (FakeFault)fault;
        backend_cuda.close(open_device());
        assert_true(fake_cublaslt.launched > 0);

        Device *device = open_again(&asked);
        assert_int_equal(asked, 0);
        DeviceInfo info; /* of the device that nobody opened */
        int count;
        test_ok(backend_cuda.list(&info, 1, &count));
        assert_int_equal(info.library_wrong, fault == COARSE);
        assert_string_equal(info.products, device->info.products);
        ProductParams p = product_packed(256, 128, 64, false, true);
        EXPECT_STEPS(lower(device, &p, DTYPE_REAL, true, true), !fault, 0, fault);
        close_fake(device);

        folder_damage("kept", 0, 40); /* is as good as nothing */
        device = open_again(&asked);
        assert_true(asked > 0);
        assert_false(device->info.library_wrong);
        close_fake(device);
    }
    setenv("WAVEFIELD_CACHE", "off", 1);
}

/* One that did not come to its end says nothing of the next. */
static void a_check_that_fails_is_not_kept(void **state)
{
    (void)state;
    int asked;
    folder_run("rm -rf kept");
    setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
    fake_install(&hopper);
    fake_cublaslt_install();
    fake_cublaslt.fails = true;
    Device *device = open_device();
    assert_true(device->info.library_wrong);
    assert_non_null(strstr(device->info.products, "running a product of 67x131x75"));
    assert_int_equal(gpu_limits_tuning(backend_cuda.gpu_limits(device))->forced.tile, TILE_RULE);
    close_fake(device);
    device = open_again(&asked);
    assert_true(asked > 0);
    assert_false(device->info.library_wrong);
    close_fake(device);
    setenv("WAVEFIELD_CACHE", "off", 1);
}

/* ---- the library itself ---- */

static void every_function_is_in_it(void **state)
{
    (void)state;
    int newer;
    void *library = cublaslt_open(&newer);
    if (!library) {
        print_message("skipped: no cuBLASLt here\n");
        skip();
    }
#define X(name, parameters) #name,
    static const char *const names[] = {CUBLASLT_FUNCTIONS(X) "cublasLtGetStatusString"};
#undef X
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!dlsym(library, names[i])) fail_msg("it has no %s", names[i]);
    dlclose(library);
}

int main(void)
{
    const char *absent = cuda_load_compiler();
    if (absent) {
        printf("skipped: %s\n", absent);
        return 77;
    }
    setenv("WAVEFIELD_CACHE", "off", 1);
    unsetenv("WAVEFIELD_PRODUCTS");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_right),
        cmocka_unit_test_teardown(some_forms_are_right, test_release),
        cmocka_unit_test(rules_say_who),
        cmocka_unit_test(tuning_tries_both),
        cmocka_unit_test(own_kernels_without_it),
        cmocka_unit_test(own_kernels_where_it_refuses),
        cmocka_unit_test(failures_say_what),
        cmocka_unit_test(a_wrong_library_is_not_used),
        cmocka_unit_test(the_outcome_is_kept),
        cmocka_unit_test(a_check_that_fails_is_not_kept),
        cmocka_unit_test(every_function_is_in_it),
    };
    int failed = cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
    test_close_devices();
    return failed;
}
