/* Regions, conversion between host and device reals, and what is refused before anything runs. */
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 70001 }; /* more than one piece of a conversion */

static void test_numbers_survive(void **state)
{
    (void)state;
    for (int as_double = 0; as_double < 2; as_double++) {
        Device *device = test_device(as_double);
        Region region = {.name = "numbers"};
        int64_t reals = region_append(&region, &device->limits, DTYPE_REAL, SHAPE(N));
        int64_t ints = region_append(&region, &device->limits, DTYPE_I32, SHAPE(3));
        assert_int_equal(ints % device->limits.alignment, 0);
        test_ok(device_allocate(device, &region));
        test_ok(device_poison(&region));
        double *drawn = test_normal(1, N, 1), *back = test_memory(N * sizeof *back);
        float *single = test_memory(N * sizeof *single);
        test_ok(device_read_doubles(&region, reals, back, N));
        for (int i = 0; i < N; i++) assert_true(isnan(back[i]));

        test_ok(device_write_doubles(&region, reals, drawn, N));
        test_ok(device_read_floats(&region, reals, single, N));
        for (int i = 0; i < N; i++) assert_true((double)single[i] == drawn[i]);
        test_ok(device_clear(&region));
        test_ok(device_write_floats(&region, reals, single, N));
        test_ok(device_read_doubles(&region, reals, back, N));
        assert_memory_equal(drawn, back, N * sizeof *back);

        int32_t whole[3] = {-5, INT32_MAX, INT32_MIN}, got[3];
        test_ok(device_write_ints(&region, ints, whole, 3));
        test_ok(device_read_ints(&region, ints, got, 3));
        assert_memory_equal(whole, got, sizeof got);
        device_release(&region);
        assert_null(region.buffer);
    }
}

static void expect_refused(wf_status got, wf_status expected, const char *word)
{
    assert_int_equal(got, expected);
    if (!strstr(wf_error_message(), word))
        fail_msg("\"%s\" does not say \"%s\"", wf_error_message(), word);
}

static void test_bad_ranges_are_refused(void **state)
{
    (void)state;
    Device *device = test_device(false);
    Region region = {.name = "small", .size = 64};
    float value[32] = {0};
    expect_refused(device_write_floats(&region, 0, value, 1), WF_ERROR_ARGUMENT, "small");
    test_ok(device_allocate(device, &region));
    expect_refused(device_write_floats(&region, 0, value, 17), WF_ERROR_ARGUMENT, "64");
    expect_refused(device_read_floats(&region, -4, value, 1), WF_ERROR_ARGUMENT, "outside");
    expect_refused(device_read_floats(&region, 60, value, 2), WF_ERROR_ARGUMENT, "outside");
    const Backend *backend = device->backend;
    expect_refused(backend->buffer_fill(region.buffer, 2, 4, 0), WF_ERROR_ARGUMENT, "words");
    device_release(&region);
}

/* A copy of `n` numbers between two regions. */
static Graph *copy_graph(Region *from, Region *to, int64_t n)
{
    Graph *graph = graph_create();
    TensorId x = graph_external(graph, "x", DTYPE_REAL, SHAPE(n), from, 0);
    TensorId y = graph_external(graph, "y", DTYPE_REAL, SHAPE(n), to, 0);
    graph_append(graph, &(NodeParams){.op = OP_COPY, .in = &x, .n_in = 1, .out = &y, .n_out = 1});
    test_ok(graph_status(graph));
    return graph;
}

static void test_too_much_is_refused_early(void **state)
{
    (void)state;
    Device *device = test_device(false);
    const Limits limits = device->limits;
    device->limits.total = (int64_t)8 << 30;
    Region region = {.name = "weights", .size = (int64_t)12025908429}; /* 11.2 GiB */
    wf_status status = device_allocate(device, &region);
    expect_refused(status, WF_ERROR_MEMORY, "needs 11.2 GiB, the device has 8.0 GiB");
    expect_refused(status, WF_ERROR_MEMORY, "lower the batch size");
    assert_null(region.buffer);

    /* Together too much, though each part would fit. */
    int64_t n = (int64_t)5 << 28;
    Region from = {.name = "from", .size = 4 * n}, to = {.name = "to", .size = 4 * n};
    Graph *graph = copy_graph(&from, &to, n);
    Runnable runnable;
    expect_refused(runnable_create(device, graph, &runnable), WF_ERROR_MEMORY,
                   "needs 10.0 GiB, the device has 8.0 GiB");
    assert_null(runnable.plan);
    graph_destroy(graph);

    device->limits.total = 0;
    device->limits.largest_allocation = (int64_t)1 << 30;
    expect_refused(device_allocate(device, &region), WF_ERROR_MEMORY, "in one piece");
    device->limits = limits;
}

static void test_programs_want_memory(void **state)
{
    (void)state;
    Device *device = test_device(false);
    Region from = {.name = "from", .size = 64}, to = {.name = "to", .size = 64};
    Graph *graph = copy_graph(&from, &to, 16);
    Runnable runnable;
    test_ok(device_allocate(device, &from));
    expect_refused(runnable_create(device, graph, &runnable), WF_ERROR_ARGUMENT, "region to");
    assert_null(runnable.program);
    test_ok(device_allocate(test_device(true), &to));
    expect_refused(runnable_create(device, graph, &runnable), WF_ERROR_ARGUMENT, "another device");
    device_release(&to);
    test_ok(device_allocate(device, &to));
    test_ok(runnable_create(device, graph, &runnable));

    float value[16], back[16];
    for (int replay = 0; replay < 3; replay++) {
        for (int i = 0; i < 16; i++) value[i] = (float)(i * replay);
        test_ok(device_poison(&to));
        test_ok(device_write_floats(&from, 0, value, 16));
        test_ok(device->backend->program_run(runnable.program));
        test_ok(device_read_floats(&to, 0, back, 16));
        assert_memory_equal(value, back, sizeof back);
    }
    expect_refused(device->backend->program_run_nodes(runnable.program, 0, 2), WF_ERROR_ARGUMENT,
                   "nodes");
    runnable_destroy(&runnable);
    device_release(&from);
    device_release(&to);
    graph_destroy(graph);
}

static void test_backends_are_found(void **state)
{
    (void)state;
    const Backend *cpu = backend_find("cpu");
    assert_non_null(cpu);
    assert_null(backend_find("abacus"));
    int count = 0;
    while (backends[count]) count++;
    assert_ptr_equal(backends[count - 1], cpu); /* the CPU comes last */
    DeviceInfo info = {.memory = 0};
    test_ok(cpu->list(&info, 1, &count));
    assert_int_equal(count, 1);
    assert_true(info.name[0] && info.driver[0] && info.memory > 0);
    Device *device = NULL;
    expect_refused(cpu->open(1, &device), WF_ERROR_DEVICE, "one CPU");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_numbers_survive, test_release),
        cmocka_unit_test_teardown(test_bad_ranges_are_refused, test_release),
        cmocka_unit_test_teardown(test_too_much_is_refused_early, test_release),
        cmocka_unit_test_teardown(test_programs_want_memory, test_release),
        cmocka_unit_test_teardown(test_backends_are_found, test_release),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_close_devices();
    return failed;
}
