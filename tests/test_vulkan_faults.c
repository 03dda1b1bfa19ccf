/* The Vulkan backend where something fails: every call in turn, a lost device, a device that lacks
 * what is needed, no loader. A status and a message each time, and nothing left behind. */
#include "tests/scratch.h"
#include "tests/support.h"

#include "backends/vulkan/vulkan.h"
#include "tests/vulkan_fake.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Backend *backend;

/* ---- all that a device is asked to do ---- */

enum { TOKENS = 37, HEADS = 2, WIDTH = 3, N = TOKENS * HEADS * WIDTH };

typedef struct Work {
    Device *device;
    Region region;
    Graph *graph;
    Runnable runnable;
    Readback *readback;
    int64_t result;
    double r[N];
} Work;

static TensorId external(Work *work, DType dtype, Shape shape)
{
    int64_t offset = region_append(&work->region, &work->device->limits, dtype, shape);
    return graph_external(work->graph, "value", dtype, shape, &work->region, offset);
}

/* A field by transforms, and its sum with its input. */
static wf_status build(Work *work)
{
    Shape shape = SHAPE(1, TOKENS, HEADS, WIDTH);
    work->graph = graph_create();
    work->region = (Region){.name = "values"};
    TensorId in[] = {
        external(work, DTYPE_REAL, shape),        external(work, DTYPE_REAL, SHAPE(HEADS)),
        external(work, DTYPE_REAL, SHAPE(HEADS)), external(work, DTYPE_REAL, SHAPE(HEADS)),
        external(work, DTYPE_I32, SHAPE(TOKENS)), external(work, DTYPE_REAL, SHAPE(TOKENS))};
    TensorId field[] = {NO_TENSOR, NO_TENSOR};
    OpParams params = {.field = {.heads = HEADS,
                                 .width = WIDTH,
                                 .cells = TOKENS,
                                 .reach = TOKENS,
                                 .damping_limit = INFINITY,
                                 .evaluator = FIELD_FFT}};
    graph_append(
        work->graph,
        &(NodeParams){
            .op = OP_FIELD, .params = params, .in = in, .n_in = 6, .out = field, .n_out = 2});
    TensorId sum = external(work, DTYPE_REAL, shape), terms[] = {field[0], in[0]};
    work->result = work->region.size - N * 4;
    graph_append(work->graph,
                 &(NodeParams){.op = OP_ADD, .in = terms, .n_in = 2, .out = &sum, .n_out = 1});
    return graph_status(work->graph);
}

static wf_status load(Work *work)
{
    int32_t cells[TOKENS];
    double values[N], ones[HEADS] = {1, 2};
    for (int i = 0; i < TOKENS; i++) cells[i] = i;
    for (int i = 0; i < N; i++) values[i] = sin(i);
    int64_t offset[5], size = 0;
    const int64_t bytes[] = {N * 4, HEADS * 4, HEADS * 4, HEADS * 4, TOKENS * 4};
    for (int k = 0; k < 5; k++) {
        offset[k] = round_up(size, work->device->limits.alignment);
        size = offset[k] + bytes[k];
    }
    TRY(device_clear(&work->region));
    TRY(device_write_doubles(&work->region, offset[0], values, N));
    for (int k = 1; k < 4; k++) TRY(device_write_doubles(&work->region, offset[k], ones, HEADS));
    return device_write_ints(&work->region, offset[4], cells, TOKENS);
}

static wf_status calls(Work *work)
{
    TRY(backend->open(0, &work->device));
    TRY(build(work));
    TRY(device_allocate(work->device, &work->region));
    TRY(runnable_create(work->device, work->graph, &work->runnable));
    TRY(load(work));
    for (int i = 0; i < 2; i++) {
        TRY(backend->program_run(work->runnable.program));
        TRY(device_read_doubles(&work->region, work->result, work->r, N));
    }
    float late[N];
    TRY(backend->readback_create(work->device, sizeof late, &work->readback));
    TRY(backend->readback_begin(work->readback, work->region.buffer, work->result));
    TRY(backend->program_run(work->runnable.program));
    TRY(backend->readback_end(work->readback, late));
    if ((double)late[N - 1] != work->r[N - 1]) return WF_ERROR_NUMERIC;
    TRY(backend->program_run_nodes(work->runnable.program, 0, work->graph->n_nodes));
    return device_read_doubles(&work->region, work->result, work->r, N);
}

static void clear_up(Work *work)
{
    if (work->device) backend->readback_destroy(work->readback);
    runnable_destroy(&work->runnable);
    device_release(&work->region);
    if (work->graph) graph_destroy(work->graph);
    if (work->device) backend->close(work->device);
}

static wf_status do_all(double *r)
{
    Work *work = calloc(1, sizeof *work);
    wf_status status = calls(work);
    clear_up(work);
    if (r) memcpy(r, work->r, sizeof work->r);
    free(work);
    return status;
}

/* ---- each call fails ---- */

/* Their failure is not one of the work: nothing waits for them but destroying, or they only make
 * the next start faster. */
static bool harmless(FakeFunction function)
{
    return function == FAKE_vkDeviceWaitIdle || function == FAKE_vkQueueWaitIdle ||
           function == FAKE_vkGetQueryPoolResults || function == FAKE_vkGetPipelineCacheData ||
           function == FAKE_vkCreatePipelineCache;
}

static void expect_clean(FakeFunction function, int nth, VkResult result)
{
    fake_reset();
    fake_arm(function, nth, result);
    wf_status status = do_all(NULL), expected = result == VK_ERROR_OUT_OF_DEVICE_MEMORY
                                                    ? WF_ERROR_MEMORY
                                                    : WF_ERROR_DEVICE;
    if (!fake.failed) fail_msg("call %d of %s does not happen", nth, fake_names[function]);
    if (status != expected && !(status == WF_OK && harmless(function)))
        fail_msg("call %d of %s answers %d: %s (%s)", nth, fake_names[function], (int)result,
                 wf_status_name(status), wf_error_message());
    if (status && !strstr(wf_error_message(), "Vulkan"))
        fail_msg("call %d of %s: \"%s\"", nth, fake_names[function], wf_error_message());
    if (fake.live)
        fail_msg("call %d of %s answers %d: %d objects are left", nth, fake_names[function],
                 (int)result, fake.live);
}

/* Of every function the first call, the last, and, where not brief, one between. */
static bool brief;

static void each_call_fails(void)
{
    fake_reset();
    double expected[N], r[N];
    test_ok(do_all(expected));
    assert_int_equal(fake.live, 0);
    FakeVulkan whole = fake;
    for (int f = 0; f < FAKE_FUNCTIONS; f++) {
        int calls = whole.calls[f], between = (1 + calls) / 2;
        for (int nth = 1; nth <= calls; nth++) {
            if (nth != 1 && nth != calls && (brief || nth != between)) continue;
            expect_clean((FakeFunction)f, nth, VK_ERROR_OUT_OF_DEVICE_MEMORY);
            if (nth == calls) expect_clean((FakeFunction)f, nth, VK_ERROR_DEVICE_LOST);
        }
    }
    fake_reset();
    test_ok(do_all(r));
    assert_memory_equal(r, expected, sizeof r);
}

static void each_call_fails_with_files(void **state)
{
    (void)state;
    setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
    test_ok(do_all(NULL));
    each_call_fails();
    setenv("WAVEFIELD_CACHE", "off", 1);
}

/* VkFFT compiles, and the transform is checked. */
static void each_call_fails_without_files(void **state)
{
    (void)state;
    each_call_fails();
}

/* ---- a lost device ---- */

static void expect_lost(wf_status status, char *message)
{
    assert_int_equal(status, WF_ERROR_DEVICE);
    assert_non_null(strstr(wf_error_message(), "lost"));
    assert_non_null(strstr(wf_error_message(), "checkpoint is intact"));
    if (*message) assert_string_equal(wf_error_message(), message);
    snprintf(message, 1024, "%s", wf_error_message());
}

static void a_lost_device_stays_lost(void **state)
{
    (void)state;
    Work *work = test_memory(sizeof *work);
    fake_reset();
    test_ok(calls(work));
    fake_arm(FAKE_vkQueueSubmit, fake.calls[FAKE_vkQueueSubmit] + 1, VK_ERROR_DEVICE_LOST);
    char message[1024] = "";
    expect_lost(backend->program_run(work->runnable.program), message);
    *message = 0;
    int submits = fake.calls[FAKE_vkQueueSubmit], waits = fake.calls[FAKE_vkWaitSemaphores];
    double r[N];
    Buffer *buffer = NULL;
    Program *program = NULL;
    Readback *readback = NULL;
    for (int i = 0; i < 2; i++) {
        expect_lost(backend->readback_begin(work->readback, work->region.buffer, 0), message);
        expect_lost(backend->readback_end(work->readback, r), message);
        expect_lost(backend->readback_create(work->device, 64, &readback), message);
        expect_lost(backend->program_run(work->runnable.program), message);
        expect_lost(backend->program_run_nodes(work->runnable.program, 0, 1), message);
        expect_lost(device_read_doubles(&work->region, 0, r, N), message);
        expect_lost(device_write_doubles(&work->region, 0, r, N), message);
        expect_lost(device_clear(&work->region), message);
        expect_lost(backend->buffer_create(work->device, 64, &buffer), message);
        expect_lost(backend->program_create(work->device, work->runnable.plan, &program), message);
    }
    assert_null(buffer);
    assert_null(program);
    assert_null(readback);
    assert_int_equal(fake.calls[FAKE_vkQueueSubmit], submits);
    assert_int_equal(fake.calls[FAKE_vkWaitSemaphores], waits);
    clear_up(work);
    assert_int_equal(fake.live, 0);
    fake_reset();
    test_ok(do_all(NULL)); /* opened anew it may work again */
}

/* ---- what waits ---- */

/* A readback waits for its own bytes, which have arrived while the next run may still be going. */
static void a_readback_waits_for_itself(void **state)
{
    (void)state;
    enum { ROUNDS = 4 };
    Work *work = test_memory(sizeof *work);
    Readback *readbacks[2];
    float expected[N], got[N];
    double values[N];
    fake_reset();
    test_ok(calls(work));
    for (int k = 0; k < 2; k++)
        test_ok(backend->readback_create(work->device, sizeof got, &readbacks[k]));
    for (int round = 0; round < ROUNDS; round++) {
        int waits = fake.calls[FAKE_vkWaitSemaphores], idle = fake.calls[FAKE_vkQueueWaitIdle];
        for (int i = 0; i < N; i++) values[i] = round;
        test_ok(device_write_doubles(&work->region, work->result, values, N));
        test_ok(backend->readback_begin(readbacks[round % 2], work->region.buffer, work->result));
        test_ok(backend->program_run(work->runnable.program));
        assert_int_equal(fake.calls[FAKE_vkWaitSemaphores], waits);
        assert_int_equal(fake.calls[FAKE_vkQueueWaitIdle], idle);
        if (round == 0) continue;
        for (int i = 0; i < N; i++) expected[i] = (float)(round - 1);
        test_ok(backend->readback_end(readbacks[(round - 1) % 2], got));
        assert_memory_equal(got, expected, sizeof got);
        assert_true(fake.calls[FAKE_vkWaitSemaphores] <= waits + 1);
        assert_true(fake.waited < vulkan_device(work->device)->submitted);
    }
    for (int k = 0; k < 2; k++) backend->readback_destroy(readbacks[k]);
    clear_up(work);
    assert_int_equal(fake.live, 0);
}

/* Where a submission fails, what waits for it does not wait for ever. */
static void what_never_went_is_not_waited_for(void **state)
{
    (void)state;
    Work *work = test_memory(sizeof *work);
    double values[N] = {0};
    fake_reset();
    test_ok(calls(work));
    test_ok(device_clear(&work->region));
    fake_arm(FAKE_vkEndCommandBuffer, fake.calls[FAKE_vkEndCommandBuffer] + 1,
             VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(vulkan_flush(vulkan_device(work->device)), WF_ERROR_MEMORY);
    test_ok(device_read_doubles(&work->region, 0, values, N));
    clear_up(work);
}

/* Inputs and runs are enqueued; only the read at the end waits. */
static void only_reads_wait(void **state)
{
    (void)state;
    Work *work = test_memory(sizeof *work);
    fake_reset();
    test_ok(calls(work));
    int waits = fake.calls[FAKE_vkWaitSemaphores], idle = fake.calls[FAKE_vkQueueWaitIdle];
    double values[N] = {0};
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 5; k++) test_ok(device_write_doubles(&work->region, 0, values, N));
        test_ok(backend->program_run(work->runnable.program));
    }
    assert_int_equal(fake.calls[FAKE_vkWaitSemaphores], waits);
    assert_int_equal(fake.calls[FAKE_vkQueueWaitIdle], idle);
    test_ok(device_read_doubles(&work->region, work->result, work->r, N));
    assert_true(fake.calls[FAKE_vkWaitSemaphores] <= waits + 1);
    clear_up(work);
}

/* Steps wait for each other; the host's sight of what they wrote, which a device may have to leave
 * its caches for, is for the end. */
static void the_host_sees_a_recording_once(void **state)
{
    (void)state;
    Work *work = test_memory(sizeof *work);
    fake_reset();
    test_ok(calls(work));
    FakeVulkan before = fake;
    test_ok(backend->program_run_nodes(work->runnable.program, 0, work->graph->n_nodes));
    assert_int_equal(fake.calls[FAKE_vkEndCommandBuffer],
                     before.calls[FAKE_vkEndCommandBuffer] + 1);
    assert_int_equal(fake.for_host, before.for_host + 1);
    assert_true(fake.barriers > before.barriers + 3);
    clear_up(work);
}

/* ---- what a device must have ---- */

static void expect_none(const char *word)
{
    int count = -1;
    Device *device = NULL;
    test_ok(backend->list(NULL, 0, &count));
    assert_int_equal(count, 0);
    if (!strstr(wf_error_message(), word)) fail_msg("\"%s\": %s", word, wf_error_message());
    assert_int_equal(backend->open(0, &device), WF_ERROR_DEVICE);
    if (!strstr(wf_error_message(), word)) fail_msg("\"%s\": %s", word, wf_error_message());
    assert_null(device);
    assert_int_equal(fake.live, 0);
    fake_reset();
}

static void what_is_lacking_is_said(void **state)
{
    (void)state;
    fake_reset();
    fake.withheld.bufferDeviceAddress = VK_TRUE;
    expect_none("buffer device addresses");
    fake.withheld.timelineSemaphore = VK_TRUE;
    expect_none("timeline semaphores");
    fake.lowered.apiVersion = VK_API_VERSION_1_1;
    expect_none("Vulkan 1.2");
    fake.lowered.limits.maxComputeWorkGroupInvocations = 128;
    expect_none("256 threads");
    fake.lowered.limits.maxComputeSharedMemorySize = 8192;
    expect_none("16 KiB");
    fake.no_queue = VK_QUEUE_COMPUTE_BIT;
    expect_none("compute queue");
    fake_arm(FAKE_vkCreateInstance, 1, VK_ERROR_INCOMPATIBLE_DRIVER);
    int count = -1;
    test_ok(backend->list(NULL, 0, &count));
    assert_int_equal(count, 0);
    assert_non_null(strstr(wf_error_message(), "no driver"));
    fake_reset();
}

/* Drivers list types that buffers cannot be in, before others with the same properties. */
static void memory_is_of_a_type_that_buffers_take(void **state)
{
    (void)state;
    double expected[N], r[N];
    fake_reset();
    test_ok(do_all(expected));
    fake.decoy = true;
    test_ok(do_all(r));
    assert_memory_equal(r, expected, sizeof r);
    assert_int_equal(fake.live, 0);
    fake_reset();
}

/* A device may have larger allocations than buffers. */
static void buffers_have_a_largest_size(void **state)
{
    (void)state;
    Device *device;
    fake_reset();
    fake.most_buffer = 1 << 28;
    test_ok(backend->open(0, &device));
    assert_int_equal(device->limits.largest_allocation, 1 << 28);
    backend->close(device);
    fake_reset();
}

static void too_much_memory_is_refused(void **state)
{
    (void)state;
    Device *device;
    Buffer *buffer = NULL;
    fake_reset();
    test_ok(backend->open(0, &device));
    fake_arm(FAKE_vkAllocateMemory, fake.calls[FAKE_vkAllocateMemory] + 1,
             VK_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(backend->buffer_create(device, 1 << 20, &buffer), WF_ERROR_MEMORY);
    assert_null(buffer);
    assert_non_null(strstr(wf_error_message(), "lower the batch size"));
    test_ok(backend->buffer_create(device, 1 << 20, &buffer)); /* and goes on working */
    backend->buffer_destroy(buffer);
    backend->close(device);
    assert_int_equal(fake.live, 0);
}

static void loaders_may_be_absent_or_old(void **state)
{
    (void)state;
    VulkanTable table = vulkan_table;
    char why[256] = "";
    assert_false(vulkan_load_from((const char *const[]){"libnothing.so.7", "libnone.so", NULL}, why,
                                  sizeof why));
    assert_non_null(strstr(why, "libnothing.so.7"));
    assert_false(vulkan_load_from((const char *const[]){"libm.so.6", NULL}, why, sizeof why));
    assert_non_null(strstr(why, "vkEnumerateInstanceVersion"));
    vulkan_table = table;
}

enum { SKIPPED = 77 };

/* test_vulkan_faults brief: fewer calls, and without compiling transforms over and over, which
 * takes some drivers a second each. */
int main(int argc, char **argv)
{
    setenv("WAVEFIELD_CACHE", "off", 1);
    brief = argc == 2 && !strcmp(argv[1], "brief");
    backend = backend_find("vulkan");
    int count = 0;
    if (backend->list(NULL, 0, &count) || count == 0) {
        print_message("skipped: %s\n", wf_error_message());
        return SKIPPED;
    }
    fake_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loaders_may_be_absent_or_old),
        cmocka_unit_test(what_is_lacking_is_said),
        cmocka_unit_test(memory_is_of_a_type_that_buffers_take),
        cmocka_unit_test(buffers_have_a_largest_size),
        cmocka_unit_test(too_much_memory_is_refused),
        cmocka_unit_test_teardown(a_lost_device_stays_lost, test_release),
        cmocka_unit_test_teardown(only_reads_wait, test_release),
        cmocka_unit_test_teardown(the_host_sees_a_recording_once, test_release),
        cmocka_unit_test_teardown(a_readback_waits_for_itself, test_release),
        cmocka_unit_test_teardown(what_never_went_is_not_waited_for, test_release),
        cmocka_unit_test(each_call_fails_with_files),
    };
    const struct CMUnitTest compiling[] = {cmocka_unit_test(each_call_fails_without_files)};
    int failed = cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
    if (brief) return failed;
    return failed + cmocka_run_group_tests(compiling, NULL, NULL);
}
