/* The CUDA backend without a GPU: the real NVRTC compiles every kernel and every Fourier plan for
 * real GPUs, a fake driver (cuda_fake.h) takes them, and whole programs are created, run and
 * replayed. What the kernels compute is not seen here. */
#include "backends/cuda/cuda.h"
#include "check/case.h"
#include "tests/cuda_fake.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const FakeGpu gpus[] = {
    {"sm_80", 8, 0, 163 << 10},
    {"sm_90", 9, 0, 227 << 10},
};

static Device *open_fake(const FakeGpu *gpu)
{
    Device *device = NULL;
    fake_install(gpu);
    test_ok(backend_cuda.open(0, &device));
    assert_string_equal(device->info.name, gpu->name);
    return device;
}

/* Everything was given back, and nothing the driver was told was wrong. */
static void close_fake(Device *device)
{
    backend_cuda.close(device);
    assert_string_equal(fake_record.wrong, "");
    assert_int_equal(fake_record.live_allocations, 0);
    assert_int_equal(fake_record.live_modules, 0);
}

/* A kernel that does not compile says which and why. */
static void test_compile_failure(void **state)
{
    (void)state;
    const GpuKernel broken = {.name = "broken", .source = "int f() { return nowhere; }"};
    char *code = NULL;
    size_t size = 0;
    assert_int_equal(cuda_compile(&broken, 9, 0, &code, &size), WF_ERROR_DEVICE);
    assert_non_null(strstr(wf_error_message(), "broken"));
    assert_non_null(strstr(wf_error_message(), "nowhere"));
}

/* A card younger than the compiler. */
static void test_unknown_architecture(void **state)
{
    (void)state;
    char *code = NULL;
    size_t size = 0;
    assert_int_equal(cuda_compile(&gpu_kernels[KERNEL_ADD], 99, 7, &code, &size), WF_ERROR_DEVICE);
    assert_non_null(strstr(wf_error_message(), "compute capability 99.7"));
    assert_non_null(strstr(wf_error_message(), "NVRTC"));
}

static void make_transform(CudaDevice *device, const Transform *shape)
{
    TransformPlan *plan;
    fake_answer(shape);
    test_ok(cuda_transform_get(device, shape, &plan));
}

static void test_transforms(void **state)
{
    (void)state;
    static const int64_t lengths[] = {2, 32, 105, 512, 2401, 8192, 117649, 131072};
    for (size_t g = 0; g < sizeof gpus / sizeof *gpus; g++) {
        Device *device = open_fake(&gpus[g]);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
            for (int inverse = 0; inverse < 2; inverse++)
                make_transform(cuda_device(device), &(Transform){.length = lengths[i],
                                                                 .rows = 1 + 32767 / lengths[i],
                                                                 .inverse = inverse});
        assert_true(fake_record.launches > 0);
        close_fake(device);
    }
}

/* A transform that the GPU computes wrongly is refused. */
static void test_wrong_transform(void **state)
{
    (void)state;
    Device *device = open_fake(&gpus[1]);
    TransformPlan *plan;
    Transform shape = {.length = 64, .rows = 3}, mistaken = shape;
    mistaken.inverse = true;
    fake_answer(&mistaken);
    assert_int_equal(cuda_transform_get(cuda_device(device), &shape, &plan), WF_ERROR_DEVICE);
    assert_non_null(strstr(wf_error_message(), "length 64"));
    close_fake(device);
}

static bool supported(Device *device, const Graph *graph)
{
    for (int n = 0; n < graph->n_nodes; n++)
        if (!backend_cuda.supports(device, graph, &graph->nodes[n], NULL)) return false;
    return true;
}

/* Plain, captured, replayed: the graph holds what the plain run launched. */
static void run_three_times(Device *device, const Plan *plan)
{
    Program *program;
    GpuList list = {0};
    test_ok(gpu_lower(plan, &cuda_device(device)->gpu, &list));
    for (int i = 0; i < list.n_steps; i++)
        if (list.steps[i].kind == GPU_TRANSFORM)
            make_transform(cuda_device(device), &list.steps[i].transform);
    gpu_list_free(&list);
    test_ok(backend_cuda.program_create(device, plan, &program));
    test_ok(hazards_check(backend_cuda.program_commands(program), plan));

    fake_record.launches = fake_record.captured = fake_record.replays = 0;
    for (int i = 0; i < 3; i++) test_ok(backend_cuda.program_run(program));
    assert_true(fake_record.launches > 0);
    assert_int_equal(fake_record.captured, fake_record.launches);
    assert_int_equal(fake_record.replays, 2);

    int plain = fake_record.launches;
    test_ok(backend_cuda.program_run_nodes(program, 0, plan->graph->n_nodes));
    assert_int_equal(fake_record.launches, 2 * plain);
    backend_cuda.program_destroy(program);
}

static void run_case(Device *device, const CheckCase *this, int *run)
{
    CaseGraph graph;
    Plan *plan;
    test_ok(case_graph_create(this, &device->limits, false, DTYPE_REAL, &graph));
    if (supported(device, graph.graph)) {
        test_ok(device_allocate(device, &graph.region));
        test_ok(device_plan_create(device, graph.graph, &plan));
        test_ok(device_plan_allocate(device, plan));
        run_three_times(device, plan);
        device_plan_release(plan);
        plan_destroy(plan);
        (*run)++;
    }
    case_graph_destroy(&graph);
}

static void compile_unless_loaded(const CudaDevice *device, int kernel)
{
    char *code = NULL;
    size_t size = 0;
    if (device->modules[kernel]) return;
    test_ok(cuda_compile(&gpu_kernels[kernel], device->major, device->minor, &code, &size));
    assert_true(size > 0);
    free(code);
}

/* Kernels that no case needed are compiled all the same, those for 16-bit storage on one card. */
static void compile_others(const CudaDevice *device, bool all_storage)
{
    for (int k = 0; k < KERNEL_COUNT; k += gpu_kernels[k].variants)
        for (int v = 0; v < (all_storage ? gpu_kernels[k].variants : 1); v++)
            compile_unless_loaded(device, k + v);
}

static void test_programs(void **state)
{
    (void)state;
    for (size_t g = 0; g < sizeof gpus / sizeof *gpus; g++) {
        Device *device = open_fake(&gpus[g]);
        int run = 0;
        for (int c = 0; c < n_check_cases; c++)
            if (!check_cases[c].model) run_case(device, &check_cases[c], &run);
        assert_true(run > 0);
        compile_others(cuda_device(device), g + 1 == sizeof gpus / sizeof *gpus);
        close_fake(device);
    }
}

int main(void)
{
    setenv("WAVEFIELD_PRODUCTS", "own", 1); /* test_cuda_products has the library's */
    const char *absent = cuda_load_compiler();
    if (absent) {
        printf("skipped: %s\n", absent);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compile_failure), cmocka_unit_test(test_unknown_architecture),
        cmocka_unit_test(test_transforms),      cmocka_unit_test(test_wrong_transform),
        cmocka_unit_test(test_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
