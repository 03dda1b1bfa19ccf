/* What only the Vulkan backend has: memory the host cannot see, recordings cut in submissions,
 * transforms in several places, and machines without a driver (test_vulkan absent). */
#include "tests/scratch.h"
#include "tests/support.h"

#include "backends/vulkan/vulkan.h"
#include "base/files.h"
#include "check/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Device *gpu;

/* Software drivers let the host see all memory; discrete devices do not. */
static Device *open_staged(void)
{
    Device *device;
    setenv("WAVEFIELD_VULKAN_STAGED", "1", 1);
    test_ok(backend_find("vulkan")->open(0, &device));
    unsetenv("WAVEFIELD_VULKAN_STAGED");
    assert_false(vulkan_device(device)->mapped);
    return device;
}

static void bytes_pass_through_the_ring(void **state)
{
    (void)state;
    Device *device = open_staged();
    const Backend *backend = device->backend;
    int64_t size = 2 * VULKAN_RING + 12345, offset = 77;
    Buffer *buffer;
    test_ok(backend->buffer_create(device, size, &buffer));
    char *sent = test_memory((size_t)size), *got = test_memory((size_t)size);
    for (int64_t i = 0; i < size; i++) sent[i] = (char)(i * i % 251);
    test_ok(backend->buffer_fill(buffer, 0, size / 4 * 4, 0x01020304));
    test_ok(backend->buffer_write(buffer, offset, sent, size - offset));
    test_ok(backend->buffer_read(buffer, 0, got, size));
    for (int64_t i = 0; i < offset; i++) assert_int_equal(got[i], 4 - i % 4);
    assert_memory_equal(got + offset, sent, (size_t)(size - offset));
    test_ok(backend->buffer_read(buffer, size - 5, got, 5));
    assert_memory_equal(got, sent + size - offset - 5, 5);
    backend->buffer_destroy(buffer);
    backend->close(device);
}

/* Writes of many sizes over one another, some larger than what the ring has left, with fills and
 * reads between: the host does the same and must hold the same. */
static void writes_keep_their_order(void **state)
{
    (void)state;
    enum { SIZE = 6 << 20, WRITES = 60 };
    for (int staged = 0; staged < 2; staged++) {
        Device *device = staged ? open_staged() : gpu;
        const Backend *backend = device->backend;
        Buffer *buffer;
        char *host = test_memory(SIZE), *data = test_memory(SIZE), *got = test_memory(SIZE);
        test_ok(backend->buffer_create(device, SIZE, &buffer));
        test_ok(backend->buffer_fill(buffer, 0, SIZE, 0));
        uint64_t random = 1;
        for (int i = 0; i < WRITES; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            int64_t size = (int64_t)(random >> 33) % (i % 3 ? 5000 : 5 << 20);
            int64_t offset = (int64_t)(random >> 40) % (SIZE - size);
            if (i % 7 == 3) {
                offset = offset / 4 * 4;
                size = size / 4 * 4;
                test_ok(backend->buffer_fill(buffer, offset, size, 0x01010101u * (uint32_t)i));
                memset(host + offset, i, (size_t)size);
            } else {
                for (int64_t k = 0; k < size; k++) data[k] = (char)(k * (i + 1));
                test_ok(backend->buffer_write(buffer, offset, data, size));
                memcpy(host + offset, data, (size_t)size);
                memset(data, 0, (size_t)size); /* ours again */
            }
            if (i % 20 != 19) continue;
            test_ok(backend->buffer_read(buffer, 1, got, SIZE - 1));
            assert_memory_equal(got, host + 1, SIZE - 1);
        }
        backend->buffer_destroy(buffer);
        if (staged) backend->close(device);
    }
}

enum { TOKENS = 37, HEADS = 2, WIDTH = 3, CHUNKS = 1 };
enum { ELEMENTS = TOKENS * HEADS * WIDTH };

static FieldParams field_params(void)
{
    return (FieldParams){.heads = HEADS,
                         .width = WIDTH,
                         .cells = TOKENS,
                         .reach = TOKENS,
                         .damping_limit = INFINITY,
                         .evaluator = FIELD_FFT};
}

static OneOp field_backward(void)
{
    Shape shape = SHAPE(1, TOKENS, HEADS, WIDTH);
    double *cell = test_memory(TOKENS * sizeof *cell);
    for (int i = 0; i < TOKENS; i++) cell[i] = i;
    OneOp op = {.op = OP_FIELD_BACKWARD, .params.field = field_params(), .n_in = 8, .n_out = 4};
    op.in[0] = operand_real(shape, test_normal(1, ELEMENTS, 1));
    op.in[1] = operand_real(shape, test_normal(2, ELEMENTS, 1));
    for (int k = 2; k < 5; k++)
        op.in[k] = operand_real(SHAPE(HEADS), test_normal((uint64_t)k, HEADS, 1));
    op.in[5] = (Operand){.dtype = DTYPE_I32, .shape = SHAPE(TOKENS), .value = cell};
    op.in[6] = operand_real(SHAPE(TOKENS), test_memory(TOKENS * sizeof(double)));
    op.in[7] = operand_real(SHAPE(1, HEADS, CHUNKS, 2, WIDTH), NULL);
    op.out[0] = operand_real(shape, NULL);
    for (int k = 1; k < 4; k++)
        op.out[k] = operand_real(SHAPE(HEADS), test_memory(HEADS * sizeof(double)));
    return op;
}

static void expect_same_results(const OneOp *op, const OneOpResult *a, const OneOpResult *b)
{
    for (int k = 0; k < op->n_out; k++)
        assert_memory_equal(a->out[k], b->out[k],
                            (size_t)operand_elements(&op->out[k]) * sizeof(double));
}

/* Every step a submission of its own gives what one submission gives. */
static void submissions_may_be_cut_anywhere(void **state)
{
    (void)state;
    VulkanDevice *device = vulkan_device(gpu);
    OneOp op = field_backward();
    OneOpResult whole = test_run(gpu, &op);
    double target = device->target;
    device->target = 0;
    OneOpResult cut = test_run(gpu, &op);
    device->target = target;
    expect_same_results(&op, &whole, &cut);
}

typedef struct TwoFields {
    Region region;
    Graph *graph;
    Runnable runnable;
    int64_t r[2]; /* byte offsets of the results */
} TwoFields;

static TensorId external(TwoFields *two, DType dtype, Shape shape, int64_t *offset)
{
    *offset = region_append(&two->region, &gpu->limits, dtype, shape);
    return graph_external(two->graph, "value", dtype, shape, &two->region, *offset);
}

static void append(TwoFields *two, Op op, const TensorId *in, int n_in, TensorId *out, int n_out)
{
    OpParams params = {.field = field_params()};
    graph_append(
        two->graph,
        &(NodeParams){
            .op = op, .params = params, .in = in, .n_in = n_in, .out = out, .n_out = n_out});
}

/* The same field twice; between them something begins to live that is larger than their workspace
 * and takes its place. */
static void build_two_fields(TwoFields *two)
{
    *two = (TwoFields){.region = {.name = "values"}, .graph = graph_create()};
    Shape shape = SHAPE(1, TOKENS, HEADS, WIDTH), large = SHAPE(1 << 16);
    int64_t at[7];
    TensorId in[] = {external(two, DTYPE_REAL, shape, &at[0]),
                     external(two, DTYPE_REAL, SHAPE(HEADS), &at[1]),
                     external(two, DTYPE_REAL, SHAPE(HEADS), &at[2]),
                     external(two, DTYPE_REAL, SHAPE(HEADS), &at[3]),
                     external(two, DTYPE_I32, SHAPE(TOKENS), &at[4]),
                     external(two, DTYPE_REAL, SHAPE(TOKENS), &at[5])};
    TensorId block = external(two, DTYPE_REAL, large, &at[6]), living[] = {NO_TENSOR};
    for (int k = 0; k < 2; k++) {
        TensorId out[] = {external(two, DTYPE_REAL, shape, &two->r[k]), NO_TENSOR};
        append(two, OP_FIELD, in, 6, out, 2);
        if (k == 0) append(two, OP_COPY, &block, 1, living, 1);
    }
    append(two, OP_COPY, living, 1, &block, 1);
    test_ok(graph_status(two->graph));
    test_ok(device_allocate(gpu, &two->region));
    test_ok(runnable_create(gpu, two->graph, &two->runnable));
    int32_t cells[TOKENS];
    for (int i = 0; i < TOKENS; i++) cells[i] = i;
    test_ok(device_clear(&two->region));
    test_ok(device_write_doubles(&two->region, at[0], test_normal(1, ELEMENTS, 1), ELEMENTS));
    for (int k = 1; k < 4; k++)
        test_ok(
            device_write_doubles(&two->region, at[k], test_normal((uint64_t)k, HEADS, 1), HEADS));
    test_ok(device_write_ints(&two->region, at[4], cells, TOKENS));
}

static void destroy_two_fields(TwoFields *two)
{
    runnable_destroy(&two->runnable);
    device_release(&two->region);
    graph_destroy(two->graph);
}

/* A plan of VkFFT belongs to one place: two places of one shape must not become one. */
static void transforms_stay_in_their_places(void **state)
{
    (void)state;
    TwoFields two;
    build_two_fields(&two);
    const Place *workspace = two.runnable.plan->workspace;
    assert_int_not_equal(workspace[0].offset, workspace[2].offset);
    test_ok(gpu->backend->program_run(two.runnable.program));
    double r[2][ELEMENTS];
    for (int k = 0; k < 2; k++) test_ok(device_read_doubles(&two.region, two.r[k], r[k], ELEMENTS));
    assert_memory_equal(r[0], r[1], sizeof r[0]);
    double squares = 0;
    for (int i = 0; i < ELEMENTS; i++) squares += r[0][i] * r[0][i];
    assert_true(squares > 0);
    destroy_two_fields(&two);
}

static void expect_not_failed(void *context, const CheckResult *result)
{
    (void)context;
    if (result->verdict == CHECK_FAILED)
        fail_msg("%s: %s, error %g, bound %g", result->name, result->detail, result->error,
                 result->bound);
}

/* On a device that transforms a few rows at once fields are convolved in many passes, and gated
 * kernels made in blocks; what needs longer rows is refused. */
static void short_transforms_mean_more_passes(void **state)
{
    (void)state;
    int64_t *limit = &vulkan_device(gpu)->gpu.transform_bytes, whole = *limit;
    static const char *const ops[] = {"field 2x13", "field_backward 2x13", "field 2x65"};
    *limit = 2048;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        CheckTotals totals;
        test_ok(
            check_device(gpu, &(CheckParams){.op = ops[i], .report = expect_not_failed}, &totals));
        assert_true(totals.passed > 0);
        assert_int_equal(totals.missing, 0);
    }
    *limit = whole;
}

/* ---- what is kept between runs ---- */

/* The field with the device opened anew; how many transforms had to be compiled. */
static int run_anew(const OneOp *op, OneOpResult *out)
{
    const Backend *backend = backend_find("vulkan");
    Device *device;
    test_ok(backend->open(0, &device));
    *out = test_run(device, op);
    int learned = vulkan_device(device)->n_learned;
    backend->close(device);
    return learned;
}

static void compiled_transforms_are_kept(void **state)
{
    (void)state;
    setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
    OneOp op = field_backward();
    OneOpResult first, again;
    int shapes = run_anew(&op, &first);
    assert_true(shapes > 0);
    assert_int_equal(run_anew(&op, &again), 0);
    expect_same_results(&op, &first, &again);
    static const struct {
        size_t cut, at;
    } damages[] = {{1, SIZE_MAX}, {0, 700}};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        folder_damage("kept", damages[i].cut, damages[i].at);
        assert_int_equal(run_anew(&op, &again), shapes);
        expect_same_results(&op, &first, &again);
    }
    /* A folder that cannot be made. */
    test_ok(file_write_atomic(IN_FOLDER("file"), "x", 1));
    setenv("WAVEFIELD_CACHE", IN_FOLDER("file/kept"), 1);
    assert_int_equal(run_anew(&op, &again), shapes);
    expect_same_results(&op, &first, &again);
    setenv("WAVEFIELD_CACHE", "off", 1);
}

/* Whole by its checksum, and yet not what VkFFT wrote: as if its format had changed. */
static void strange_transforms_are_not_loaded(void **state)
{
    (void)state;
    setenv("WAVEFIELD_CACHE", IN_FOLDER("strange"), 1);
    OneOp op = field_backward();
    OneOpResult first, again;
    int shapes = run_anew(&op, &first);
    Device *device;
    test_ok(backend_find("vulkan")->open(0, &device));
    GpuCache *files = &vulkan_device(device)->files;
    char name[96];
    int found = 0;
    for (int64_t length = 2; length <= 512; length *= 2)
        for (int64_t rows = 1; rows <= 64; rows++)
            for (int inverse = 0; inverse < 2; inverse++) {
                char *data;
                size_t size;
                vulkan_transform_name(
                    &(Transform){.length = length, .rows = rows, .inverse = inverse}, name);
                if (!gpu_cache_load(files, name, (void **)&data, &size)) continue;
                uint64_t huge = UINT64_MAX / 2;
                memcpy(data + 40, &huge, sizeof huge); /* the first kernel's size */
                gpu_cache_store(files, name, data, size);
                free(data);
                found++;
            }
    backend_find("vulkan")->close(device);
    assert_int_equal(found, shapes);
    assert_int_equal(run_anew(&op, &again), shapes);
    expect_same_results(&op, &first, &again);
    setenv("WAVEFIELD_CACHE", "off", 1);
}

/* Estimates far too low make one submission; what the timestamps say makes many. */
static void long_submissions_are_cut(void **state)
{
    (void)state;
    VulkanDevice *device = vulkan_device(gpu);
    if (!device->timestamp_bits) skip();
    double rate = device->rate, target = device->target, r[3][ELEMENTS];
    device->rate = 1e30;
    TwoFields two;
    build_two_fields(&two);
    assert_int_equal(vulkan_program_submissions(two.runnable.program), 1);
    device->target = 0; /* a step each */
    for (int run = 0; run < 3; run++) {
        int64_t n = run == 0 ? 1 : vulkan_program_commands(two.runnable.program)->n_commands;
        test_ok(gpu->backend->program_run(two.runnable.program));
        assert_int_equal(vulkan_program_submissions(two.runnable.program), n);
        test_ok(device_read_doubles(&two.region, two.r[1], r[run], ELEMENTS));
        assert_memory_equal(r[run], r[0], sizeof r[0]);
    }
    assert_true(device->rate < 1e30);
    device->rate = rate;
    device->target = target;
    destroy_two_fields(&two);
}

/* Estimates far too high make many submissions; what the timestamps say makes few. */
static void short_submissions_are_joined(void **state)
{
    (void)state;
    VulkanDevice *device = vulkan_device(gpu);
    if (!device->timestamp_bits) skip();
    double rate = device->rate, r[3][ELEMENTS];
    device->rate = 1;
    TwoFields two;
    build_two_fields(&two);
    int n = (int)vulkan_program_commands(two.runnable.program)->n_commands;
    assert_int_equal(vulkan_program_submissions(two.runnable.program), n);
    for (int run = 0; run < 3; run++) {
        test_ok(gpu->backend->program_run(two.runnable.program));
        test_ok(device_read_doubles(&two.region, two.r[1], r[run], ELEMENTS));
        assert_memory_equal(r[run], r[0], sizeof r[0]);
    }
    assert_true(vulkan_program_submissions(two.runnable.program) < n / 2);
    device->rate = rate;
    destroy_two_fields(&two);
}

/* ---- what a device says of itself ---- */

/* Both drivers have subgroups; only lavapipe has halves, neither matrix units. */
static void devices_describe_themselves(void **state)
{
    (void)state;
    DeviceInfo infos[8];
    int count = 0;
    test_ok(backend_find("vulkan")->list(infos, 8, &count));
    assert_true(count >= 1);
    for (int i = 0; i < count && i < 8; i++) {
        assert_in_range(infos[i].subgroup, 1, 128);
        assert_true(infos[i].half_storage || !strstr(infos[i].name, "llvmpipe"));
        assert_false(infos[i].half_storage && strstr(infos[i].name, "SwiftShader"));
        assert_false(infos[i].matrix && infos[i].kind == DEVICE_SOFTWARE);
    }
}

static void no_driver_is_no_device(void **state)
{
    (void)state;
    const Backend *backend = backend_find("vulkan");
    int count = -1;
    test_ok(backend->list(NULL, 0, &count));
    assert_int_equal(count, 0);
    assert_true(strlen(wf_error_message()) > 0);
    Device *device = NULL;
    assert_int_equal(backend->open(0, &device), WF_ERROR_DEVICE);
    assert_null(device);
    assert_true(strlen(wf_error_message()) > 0);
}

enum { SKIPPED = 77 };

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "absent")) {
        const struct CMUnitTest absent[] = {cmocka_unit_test(no_driver_is_no_device)};
        return cmocka_run_group_tests(absent, NULL, NULL);
    }
    const Backend *backend = backend_find("vulkan");
    int count = 0;
    if (backend->list(NULL, 0, &count) || count == 0) {
        print_message("skipped: %s\n", wf_error_message());
        return SKIPPED;
    }
    if (backend->open(0, &gpu)) {
        print_error("%s\n", wf_error_message());
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(bytes_pass_through_the_ring, test_release),
        cmocka_unit_test_teardown(writes_keep_their_order, test_release),
        cmocka_unit_test_teardown(submissions_may_be_cut_anywhere, test_release),
        cmocka_unit_test_teardown(transforms_stay_in_their_places, test_release),
        cmocka_unit_test_teardown(short_transforms_mean_more_passes, test_release),
        cmocka_unit_test_teardown(long_submissions_are_cut, test_release),
        cmocka_unit_test_teardown(short_submissions_are_joined, test_release),
        cmocka_unit_test(devices_describe_themselves),
        cmocka_unit_test_teardown(compiled_transforms_are_kept, test_release),
        cmocka_unit_test_teardown(strange_transforms_are_not_loaded, test_release),
    };
    int failed = cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
    backend->close(gpu);
    return failed;
}
