/* The CUDA backend without a GPU: the real NVRTC compiles every kernel and every Fourier plan for
 * real GPUs, a fake driver (cuda_fake.h) takes them, and whole programs are created, run and
 * replayed. What the kernels compute is not seen here. */
#include "backends/cuda/cuda.h"
#include "check/case.h"
#include "tests/cuda_fake.h"
#include "tests/scratch.h"
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
    assert_int_equal(fake_record.live_locked, 0);
    assert_int_equal(fake_record.live_events, 0);
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

/* Writes and fills wait for nothing before the ring has gone round, and then only for what was
 * written a whole ring ago; a readback has the bytes of its moment, whatever was enqueued later. */
static void test_transfers(void **state)
{
    (void)state;
    enum { SIZE = 3 << 20, SMALL = 1000, ROUNDS = 20 };
    Device *device = open_fake(&gpus[1]);
    const Backend *backend = &backend_cuda;
    Buffer *buffer;
    Readback *readbacks[2];
    char *data = test_memory(SIZE), *got = test_memory(SIZE), late[SMALL];
    test_ok(backend->buffer_create(device, SIZE, &buffer));
    for (int i = 0; i < 2; i++) test_ok(backend->readback_create(device, SMALL, &readbacks[i]));
    int waits = fake_record.waits;
    for (int round = 0; round < ROUNDS; round++) {
        memset(data, round, SMALL);
        test_ok(backend->buffer_write(buffer, 4, data, SMALL));
        test_ok(backend->buffer_fill(buffer, SMALL, 8, 0x01010101u * (unsigned)round));
        test_ok(backend->readback_begin(readbacks[round % 2], buffer, 5));
        memset(data, 0xee, SMALL);
        assert_int_equal(fake_record.waits, waits);
        if (round == 0) continue;
        test_ok(backend->readback_end(readbacks[(round - 1) % 2], late));
        for (int i = 0; i < SMALL - 5; i++) assert_int_equal(late[i], round - 1);
        assert_int_equal(late[SMALL - 1], round - 1);
        assert_int_equal(fake_record.waits, ++waits);
    }
    for (int round = 0; round < ROUNDS; round++) { /* several times round the ring */
        for (int i = 0; i < SIZE; i++) data[i] = (char)(i * (round + 3) >> 4);
        test_ok(backend->buffer_write(buffer, 0, data, SIZE));
    }
    assert_true(fake_record.waits > waits);
    test_ok(backend->buffer_read(buffer, 0, got, SIZE));
    assert_memory_equal(got, data, SIZE);
    assert_int_equal(backend->readback_begin(readbacks[0], buffer, SIZE - SMALL + 1),
                     WF_ERROR_ARGUMENT);
    test_ok(backend->readback_begin(readbacks[0], buffer, 0));
    for (int i = 0; i < 2; i++) backend->readback_destroy(readbacks[i]);
    backend->buffer_destroy(buffer);
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
            if (!gpu_kernels[k].glsl_only) compile_unless_loaded(device, k + v);
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

/* ---- machine code kept between runs ---- */

static nvrtcResult (*true_compile)(nvrtcProgram, int, const char *const *);
static CUresult(CUDAAPI *true_load)(CUmodule *, const void *, unsigned, CUjit_option *, void **);
static int compiled;                   /* programs */
static CUresult refusal;               /* of modules, by the driver */
static bool refuses_fresh, fresh_code; /* also what was compiled since the last module */

static nvrtcResult counting_compile(nvrtcProgram program, int count, const char *const *options)
{
    compiled++;
    fresh_code = true;
    return true_compile(program, count, options);
}

static CUresult CUDAAPI refusing_load(CUmodule *module, const void *image, unsigned count,
                                      CUjit_option *names, void **values)
{
    if (refusal && (refuses_fresh || !fresh_code)) return refusal;
    fresh_code = false;
    return true_load(module, image, count, names, values);
}

static Device *open_watched(const FakeGpu *gpu)
{
    Device *device = open_fake(gpu);
    true_load = cuda_table.p_cuModuleLoadDataEx;
    cuda_table.p_cuModuleLoadDataEx = refusing_load;
    compiled = 0;
    return device;
}

/* Fields, with kernels and transforms, on a device opened anew; how many programs were compiled. */
static int run_anew(const FakeGpu *gpu)
{
    Device *device = open_watched(gpu);
    int run = 0;
    for (int c = 0; c < n_check_cases; c++) {
        char name[128];
        case_name(&check_cases[c], name, sizeof name);
        if (!strncmp(name, "field 2x13", 10)) run_case(device, &check_cases[c], &run);
    }
    assert_true(run > 0);
    assert_non_null(cuda_device(device)->transforms);
    close_fake(device);
    return compiled;
}

static int use_fresh_folder(void **state)
{
    (void)state;
    true_compile = cuda_table.p_nvrtcCompileProgram;
    cuda_table.p_nvrtcCompileProgram = counting_compile;
    folder_run("rm -rf kept");
    return setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
}

static int keep_nothing(void **state)
{
    (void)state;
    cuda_table.p_nvrtcCompileProgram = true_compile;
    refusal = CUDA_SUCCESS;
    return setenv("WAVEFIELD_CACHE", "off", 1);
}

static void test_kept(void **state)
{
    (void)state;
    int first = run_anew(&gpus[1]);
    assert_true(first > 0);
    assert_int_equal(run_anew(&gpus[1]), 0);
    assert_true(run_anew(&gpus[0]) > 0); /* another architecture: its own files */
    assert_int_equal(run_anew(&gpus[0]), 0);
    assert_int_equal(run_anew(&gpus[1]), 0);

    static const struct {
        size_t cut, at;
    } damages[] = {{1, SIZE_MAX}, {SIZE_MAX, SIZE_MAX}, {0, 0}, {0, 24}, {0, 900}};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        folder_damage("kept", damages[i].cut, damages[i].at);
        assert_int_equal(run_anew(&gpus[1]), first);
    }
    refusal = CUDA_ERROR_INVALID_IMAGE; /* whole, and yet of no use */
    assert_int_equal(run_anew(&gpus[1]), first);
    refusal = CUDA_SUCCESS;
    assert_int_equal(run_anew(&gpus[1]), 0);
    setenv("WAVEFIELD_CACHE", "off", 1);
    assert_int_equal(run_anew(&gpus[1]), first);
    assert_int_equal(run_anew(&gpus[1]), first);
}

/* A driver without room for code says so, whatever VkFFT makes of it, and nothing is kept of it. */
static void test_no_room(void **state)
{
    (void)state;
    TransformPlan *plan;
    const Transform shape = {.length = 8192, .rows = 3};
    for (int pass = 0; pass < 2; pass++) {
        Device *device = open_watched(&gpus[1]);
        refusal = CUDA_ERROR_OUT_OF_MEMORY;
        refuses_fresh = true;
        assert_int_equal(cuda_transform_get(cuda_device(device), &shape, &plan), WF_ERROR_MEMORY);
        assert_non_null(strstr(wf_error_message(), "length 8192"));
        CUfunction function;
        assert_int_equal(cuda_kernel_get(cuda_device(device), 0, &function), WF_ERROR_MEMORY);
        refusal = CUDA_SUCCESS;
        refuses_fresh = false;
        compiled = 0;
        make_transform(cuda_device(device), &shape);
        assert_true(compiled > 0);
        close_fake(device);
    }
}

int main(void)
{
    setenv("WAVEFIELD_CACHE", "off", 1);
    setenv("WAVEFIELD_PRODUCTS", "own", 1); /* test_cuda_products has the library's */
    const char *absent = cuda_load_compiler();
    if (absent) {
        printf("skipped: %s\n", absent);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compile_failure),
        cmocka_unit_test(test_unknown_architecture),
        cmocka_unit_test(test_transforms),
        cmocka_unit_test(test_wrong_transform),
        cmocka_unit_test_teardown(test_transfers, test_release),
        cmocka_unit_test_setup_teardown(test_kept, use_fresh_folder, keep_nothing),
        cmocka_unit_test_setup_teardown(test_no_room, use_fresh_folder, keep_nothing),
        cmocka_unit_test(test_programs),
    };
    return cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
}
