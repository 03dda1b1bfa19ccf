/* What "auto" takes of backends made up here, and what it says of the others. */
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

/* A backend of at most two devices; `opens` of the first ones can be opened. */
typedef struct Made {
    Backend backend;
    DeviceKind kinds[2];
    int count, opens;
} Made;

static Made cuda, vulkan, opencl, cpu;
static const Backend *const order[] = {&cuda.backend, &vulkan.backend, &opencl.backend,
                                       &cpu.backend, NULL};

static wf_status list_made(const Made *made, DeviceInfo *infos, int capacity, int *count)
{
    *count = made->count;
    for (int i = 0; i < made->count && i < capacity; i++)
        infos[i] = (DeviceInfo){.name = "made up", .kind = made->kinds[i]};
    return WF_OK;
}

static wf_status open_made(const Made *made, int index, Device **out)
{
    if (index >= made->opens) return (fail)(WF_ERROR_DEVICE, "broken");
    *out = calloc(1, sizeof **out);
    (*out)->backend = &made->backend;
    return WF_OK;
}

static void close_made(Device *device)
{
    free(device);
}

#define MADE(made)                                                                                 \
    static wf_status made##_list(DeviceInfo *infos, int capacity, int *count)                      \
    {                                                                                              \
        return list_made(&(made), infos, capacity, count);                                         \
    }                                                                                              \
    static wf_status made##_open(int index, Device **out)                                          \
    {                                                                                              \
        return open_made(&(made), index, out);                                                     \
    }
MADE(cuda)
MADE(vulkan)
MADE(opencl)
MADE(cpu)
#define BACKEND(made, is_partial)                                                                  \
    (Backend)                                                                                      \
    {                                                                                              \
        .name = #made, .partial = (is_partial), .list = made##_list, .open = made##_open,          \
        .close = close_made                                                                        \
    }

/* A machine with one card that all three offer, and CUDA proven. */
static int one_card(void **state)
{
    (void)state;
    cuda = (Made){BACKEND(cuda, false), {DEVICE_DISCRETE}, 1, 1};
    vulkan = (Made){BACKEND(vulkan, false), {DEVICE_DISCRETE}, 1, 1};
    opencl = (Made){BACKEND(opencl, false), {DEVICE_DISCRETE}, 1, 1};
    cpu = (Made){BACKEND(cpu, false), {DEVICE_CPU}, 1, 1};
    return 0;
}

static void expect_choice(const char *id, const char *reason)
{
    Device *device = NULL;
    test_ok(device_open_best(order, &device));
    assert_string_equal(device->id, id);
    assert_string_equal(device->reason, reason);
    device->backend->close(device);
}

static void cuda_comes_first_once_it_is_proven(void **state)
{
    (void)state;
    expect_choice("cuda:0", "a discrete GPU");
    cuda.backend.partial = true;
    expect_choice("vulkan:0", "a discrete GPU: cuda:0 has a backend not yet proven on a card: name "
                              "it to try");
    cuda.count = 0;
    expect_choice("vulkan:0", "a discrete GPU");
}

static void then_vulkan_then_opencl(void **state)
{
    (void)state;
    cuda.opens = 0;
    expect_choice("vulkan:0", "a discrete GPU: cuda:0 cannot be opened: name it to learn why");
    cuda.count = 0;
    vulkan.opens = 0;
    expect_choice("opencl:0", "a discrete GPU: vulkan:0 cannot be opened: name it to learn why");
    vulkan.count = 0;
    expect_choice("opencl:0", "a discrete GPU");
}

/* A discrete card by any backend before an integrated one by a better. */
static void the_kind_comes_before_the_backend(void **state)
{
    (void)state;
    cuda.kinds[0] = vulkan.kinds[0] = DEVICE_INTEGRATED;
    expect_choice("opencl:0", "a discrete GPU");
    opencl.kinds[0] = DEVICE_INTEGRATED;
    expect_choice("cuda:0", "an integrated GPU, as no discrete one can be used");
    vulkan.count = 2;
    vulkan.kinds[1] = DEVICE_DISCRETE;
    vulkan.opens = 2;
    expect_choice("vulkan:1", "a discrete GPU");
    vulkan.opens = 1;
    expect_choice("cuda:0", "an integrated GPU, as no discrete one can be used: vulkan:1 cannot be "
                            "opened: name it to learn why");
}

static void the_cpu_is_left_with_every_reason(void **state)
{
    (void)state;
    cuda.backend.partial = true;
    vulkan.kinds[0] = DEVICE_SOFTWARE;
    opencl.opens = 0;
    expect_choice("cpu", "the CPU, as no GPU can be used: cuda:0 has a backend not yet proven on a "
                         "card: name it to try; opencl:0 cannot be opened: name it to learn why; "
                         "vulkan:0 computes on the CPU itself");
    cuda.count = vulkan.count = opencl.count = 0;
    expect_choice("cpu", "the CPU, as no GPU can be used");
    cpu.count = 0;
    Device *device = NULL;
    assert_int_equal(device_open_best(order, &device), WF_ERROR_DEVICE);
    assert_null(device);
}

/* The build's own backends stand in the order promised. */
static void the_order_of_this_build(void **state)
{
    (void)state;
    static const char *const promised[] = {"cuda", "vulkan", "opencl", "cpu"};
    size_t at = 0;
    for (const Backend *const *backend = backends; *backend; backend++, at++) {
        while (at < 4 && strcmp((*backend)->name, promised[at]) != 0) at++;
        assert_true(at < 4);
    }
    assert_int_equal(at, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cuda_comes_first_once_it_is_proven, one_card),
        cmocka_unit_test_setup(then_vulkan_then_opencl, one_card),
        cmocka_unit_test_setup(the_kind_comes_before_the_backend, one_card),
        cmocka_unit_test_setup(the_cpu_is_left_with_every_reason, one_card),
        cmocka_unit_test(the_order_of_this_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
