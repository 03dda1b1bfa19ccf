/* What the OpenCL backend makes of what a device says of itself: the device is one present, some of
 * whose answers are replaced. */
#include "backends/opencl/opencl.h"
#include "tests/support.h"

#include <string.h>

typedef struct Answer {
    cl_device_info name;
    cl_ulong value;
    size_t size;
} Answer;

static cl_api_clGetDeviceInfo driver;
static Answer answers[4];

static cl_int CL_API_CALL device_info(cl_device_id device, cl_device_info name, size_t size,
                                      void *value, size_t *written)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (!answers[i].size || answers[i].name != name) continue;
        if (value && size < answers[i].size) return CL_INVALID_VALUE;
        if (value && answers[i].size == 4) memcpy(value, &(cl_uint){(cl_uint)answers[i].value}, 4);
        if (value && answers[i].size == 8) memcpy(value, &answers[i].value, 8);
        if (written) *written = answers[i].size;
        return CL_SUCCESS;
    }
    return driver(device, name, size, value, written);
}

static OpenclDevice *open_with(cl_uint vendor, cl_uint units, cl_ulong largest)
{
    Device *device = NULL;
    const Answer given[] = {
        {CL_DEVICE_TYPE, CL_DEVICE_TYPE_GPU, sizeof(cl_device_type)},
        {CL_DEVICE_VENDOR_ID, vendor, sizeof(cl_uint)},
        {CL_DEVICE_MAX_COMPUTE_UNITS, units, sizeof(cl_uint)},
        {CL_DEVICE_MAX_MEM_ALLOC_SIZE, largest, sizeof(cl_ulong)},
    };
    memcpy(answers, given, sizeof given);
    test_ok(backend_opencl.open(0, &device));
    return opencl_device(device);
}

/* An element of 2 bytes at the end of the largest slab has a number of 32 bits. */
static void slabs_are_within_reach_of_kernels(void **state)
{
    (void)state;
    OpenclDevice *device = open_with(0x1002, 304, (cl_ulong)160 << 30);
    const Limits *limits = &device->base.limits;
    assert_true(limits->largest_allocation / 2 <= UINT32_MAX);
    assert_true(limits->largest_allocation > (int64_t)7 << 30);
    assert_int_equal(limits->largest_allocation % limits->alignment, 0);
    backend_opencl.close(&device->base);

    device = open_with(0x1002, 304, (cl_ulong)1 << 30);
    assert_int_equal(device->base.limits.largest_allocation, 1 << 30);
    backend_opencl.close(&device->base);
}

static void units_are_of_the_vendor(void **state)
{
    (void)state;
    static const struct {
        cl_uint vendor, units;
        int64_t busy;
    } cases[] = {{0x10de, 132, 1056}, {0x8086, 512, 256}, {0x8086, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        OpenclDevice *device = open_with(cases[i].vendor, cases[i].units, (cl_ulong)1 << 30);
        assert_int_equal(device->gpu.busy_groups, cases[i].busy);
        backend_opencl.close(&device->base);
    }
}

int main(void)
{
    int count = 0;
    if (backend_opencl.list(NULL, 0, &count) || count == 0) {
        print_message("skipped: %s\n", wf_error_message());
        return 77;
    }
    driver = opencl_table.p_clGetDeviceInfo;
    opencl_table.p_clGetDeviceInfo = device_info;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slabs_are_within_reach_of_kernels),
        cmocka_unit_test(units_are_of_the_vendor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
