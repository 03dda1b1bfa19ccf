/* OpenCL devices: every device of every platform that compiles OpenCL C 1.2, in the loader's order.
 */
#include "backends/opencl/opencl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Found {
    cl_platform_id platform;
    cl_device_id device;
} Found;

enum { MAX_PLATFORMS = 32, MAX_DEVICES = 64 };

static const char *error_text(cl_int error)
{
    switch (error) {
    case CL_DEVICE_NOT_AVAILABLE: return "device not available";
    case CL_COMPILER_NOT_AVAILABLE: return "no compiler";
    case CL_MEM_OBJECT_ALLOCATION_FAILURE: return "not enough device memory";
    case CL_OUT_OF_RESOURCES: return "out of device resources";
    case CL_OUT_OF_HOST_MEMORY: return "out of host memory";
    case CL_BUILD_PROGRAM_FAILURE: return "build failure";
    case CL_INVALID_BUFFER_SIZE: return "larger than the device's largest allocation";
    case CL_INVALID_WORK_GROUP_SIZE: return "work-group size not allowed";
    case CL_INVALID_KERNEL_ARGS: return "kernel arguments missing";
    default: return "failed";
    }
}

wf_status opencl_fail(cl_int error, const char *format, ...)
{
    char doing[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(doing, sizeof doing, format, arguments);
    va_end(arguments);
    bool memory = error == CL_MEM_OBJECT_ALLOCATION_FAILURE || error == CL_OUT_OF_HOST_MEMORY ||
                  error == CL_OUT_OF_RESOURCES || error == CL_INVALID_BUFFER_SIZE;
    return fail(memory ? WF_ERROR_MEMORY : WF_ERROR_DEVICE, "OpenCL: %s: %s (error %d)", doing,
                error_text(error), (int)error);
}

/* A device property of a fixed-size type; 0 where the driver does not answer. */
#define PROPERTY(type, device, name) (*(type *)property(device, name, &(type){0}, sizeof(type)))
static void *property(cl_device_id device, cl_device_info name, void *value, size_t size)
{
    if (clGetDeviceInfo(device, name, size, value, NULL)) memset(value, 0, size);
    return value;
}

/* A text property cut to `size`, "" where the driver does not answer. */
static void property_text(cl_device_id device, cl_device_info name, char *text, size_t size)
{
    char whole[1024] = "";
    if (clGetDeviceInfo(device, name, sizeof whole, whole, NULL)) whole[0] = 0;
    whole[size - 1] = 0;
    memcpy(text, whole, size);
}

static bool device_usable(cl_device_id device)
{
    char version[64];
    int major = 0, minor = 0;
    property_text(device, CL_DEVICE_OPENCL_C_VERSION, version, sizeof version);
    if (sscanf(version, "OpenCL C %d.%d", &major, &minor) != 2) return false;
    return (major > 1 || minor >= 2) && PROPERTY(cl_bool, device, CL_DEVICE_AVAILABLE) &&
           PROPERTY(cl_bool, device, CL_DEVICE_COMPILER_AVAILABLE);
}

/* Returns the number of usable devices, at most MAX_DEVICES. A platform that fails has none. */
static int devices_find(Found *found)
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n_platforms = 0;
    if (clGetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms)) return 0;
    int count = 0;
    for (cl_uint p = 0; p < n_platforms && p < MAX_PLATFORMS; p++) {
        cl_device_id devices[MAX_DEVICES];
        cl_uint n_devices = 0;
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, &n_devices))
            continue;
        for (cl_uint d = 0; d < n_devices && d < MAX_DEVICES && count < MAX_DEVICES; d++)
            if (device_usable(devices[d])) found[count++] = (Found){platforms[p], devices[d]};
    }
    return count;
}

static DeviceKind device_kind(cl_device_id device, const char *name)
{
    cl_device_type type = PROPERTY(cl_device_type, device, CL_DEVICE_TYPE);
    if ((type & CL_DEVICE_TYPE_CPU) || strstr(name, "llvmpipe") || strstr(name, "softpipe"))
        return DEVICE_SOFTWARE;
    return PROPERTY(cl_bool, device, CL_DEVICE_HOST_UNIFIED_MEMORY) ? DEVICE_INTEGRATED
                                                                    : DEVICE_DISCRETE;
}

/* Of the vendors' own queries, which the headers may lack. */
enum { WARP_SIZE_NV = 0x4003, WAVEFRONT_WIDTH_AMD = 0x4043 };

/* OpenCL 1.2 reads and writes halves in memory everywhere; the rest is extensions. */
static void describe_computing(cl_device_id device, DeviceInfo *info)
{
    info->half_storage = true;
    size_t size = 0;
    if (clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, 0, NULL, &size)) return;
    char *extensions = calloc(size + 1, 1);
    if (extensions && !clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, size, extensions, NULL)) {
        if (strstr(extensions, "cl_nv_device_attribute_query"))
            info->subgroup = (int)PROPERTY(cl_uint, device, WARP_SIZE_NV);
        if (strstr(extensions, "cl_amd_device_attribute_query"))
            info->subgroup = (int)PROPERTY(cl_uint, device, WAVEFRONT_WIDTH_AMD);
        info->half_arithmetic = strstr(extensions, "cl_khr_fp16") != NULL;
        info->matrix = strstr(extensions, "cl_intel_subgroup_matrix_multiply_accumulate") != NULL;
    }
    free(extensions);
}

static void device_describe(const Found *found, DeviceInfo *info)
{
    char platform[64] = "", version[64];
    property_text(found->device, CL_DEVICE_NAME, info->name, sizeof info->name);
    property_text(found->device, CL_DRIVER_VERSION, version, sizeof version);
    clGetPlatformInfo(found->platform, CL_PLATFORM_NAME, sizeof platform, platform, NULL);
    platform[sizeof platform - 1] = 0;
    snprintf(info->driver, sizeof info->driver, "%s %s", platform, version);
    info->kind = device_kind(found->device, info->name);
    info->memory = (int64_t)PROPERTY(cl_ulong, found->device, CL_DEVICE_GLOBAL_MEM_SIZE);
    describe_computing(found->device, info);
    opencl_products_describe(info);
    gpu_tuning_load(NULL, backend_opencl.name, info);
}

static wf_status opencl_list(DeviceInfo *infos, int capacity, int *count)
{
    *count = 0;
    const char *absent = opencl_load();
    if (absent) {
        fail(WF_ERROR_DEVICE, "%s", absent);
        return WF_OK;
    }
    Found found[MAX_DEVICES];
    *count = devices_find(found);
    if (*count == 0) fail(WF_ERROR_DEVICE, "no OpenCL platform offers a device here");
    for (int i = 0; i < *count && i < capacity; i++) device_describe(&found[i], &infos[i]);
    return WF_OK;
}

/* Kernels count a slab's elements, the smallest of 2 bytes, in 32 bits (program.c). */
static Limits device_limits(cl_device_id device, const DeviceInfo *info)
{
    int64_t base_align = PROPERTY(cl_uint, device, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
    int64_t alignment = int64_max(256, base_align);
    int64_t reach = 2 * (int64_t)UINT32_MAX / alignment * alignment;
    int64_t most = (int64_t)PROPERTY(cl_ulong, device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    return (Limits){
        .largest_allocation = int64_min(most, reach),
        .total = info->memory,
        .alignment = alignment,
        .dtype_size = {[DTYPE_REAL] = 4, [DTYPE_I32] = 4, [DTYPE_F16] = 2, [DTYPE_BF16] = 2},
    };
}

/* Groups of 256 threads that a device has at once, or so: eight on the processors that others call
 * units, while Intel's units are their vector engines, of some 128 threads each. */
static int64_t busy_groups(cl_device_id device)
{
    enum { INTEL = 0x8086 };
    int64_t units = int64_max(1, PROPERTY(cl_uint, device, CL_DEVICE_MAX_COMPUTE_UNITS));
    if (PROPERTY(cl_device_type, device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) return units;
    bool intel = PROPERTY(cl_uint, device, CL_DEVICE_VENDOR_ID) == INTEL;
    return intel ? ceil_div(units, 2) : 8 * units;
}

static GpuLimits lowering_limits(cl_device_id device, const Limits *limits)
{
    return (GpuLimits){
        .groups = {INT32_MAX, INT32_MAX, INT32_MAX},
        .transform_bytes = int64_min(limits->largest_allocation, (int64_t)256 << 20),
        .alignment = limits->alignment,
        .busy_groups = busy_groups(device),
    };
}

static void opencl_close(Device *base)
{
    OpenclDevice *device = opencl_device(base);
    if (!device) return;
    opencl_transforms_free(device);
    opencl_staging_destroy(device);
    opencl_products_close(device);
    for (int k = 0; k < KERNEL_COUNT; k++)
        if (device->programs[k]) clReleaseProgram(device->programs[k]);
    if (device->queue) clReleaseCommandQueue(device->queue);
    if (device->context) clReleaseContext(device->context);
    gpu_cache_close(&device->files);
    free(device);
}

/* Kernels fix their group's size, 256 at most: what nearly every device can do. */
static wf_status check_groups(const OpenclDevice *device)
{
    size_t most = PROPERTY(size_t, device->id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    for (int k = 0; k < KERNEL_COUNT; k++)
        if (gpu_kernels[k].threads > most)
            return fail(WF_ERROR_UNSUPPORTED,
                        "OpenCL: %s runs work-groups of %zu, kernel %s needs %u",
                        device->base.info.name, most, gpu_kernels[k].name, gpu_kernels[k].threads);
    return WF_OK;
}

/* PoCL keeps what it compiled, and to hand out a binary compiles every form of a kernel: the check
 * of the field's kernels then takes twice the processor time on a first start. */
static bool keeps_its_own(const DeviceInfo *info)
{
    static const char pocl[] = "Portable Computing Language";
    return !strncmp(info->driver, pocl, sizeof pocl - 1);
}

/* What is kept depends on all that says which compiler compiles for which device. */
static void open_files(OpenclDevice *device)
{
    char depends[1024], platform[256] = "", version[256], build[256];
    const DeviceInfo *info = &device->base.info;
    if (keeps_its_own(info)) return;
    clGetPlatformInfo(device->platform, CL_PLATFORM_VERSION, sizeof platform, platform, NULL);
    platform[sizeof platform - 1] = 0;
    property_text(device->id, CL_DEVICE_VERSION, version, sizeof version);
    property_text(device->id, CL_DEVICE_OPENCL_C_VERSION, build, sizeof build);
    snprintf(depends, sizeof depends, "opencl %s, %08x %s, %s, %s, %s, %u bits, %s", info->name,
             PROPERTY(cl_uint, device->id, CL_DEVICE_VENDOR_ID), info->driver, platform, version,
             build, PROPERTY(cl_uint, device->id, CL_DEVICE_ADDRESS_BITS), OPENCL_OPTIONS);
    gpu_cache_open(&device->files, depends, strlen(depends));
}

static wf_status device_start(OpenclDevice *device, const Found *found)
{
    device->platform = found->platform;
    device->id = found->device;
    device_describe(found, &device->base.info);
    device->base.limits = device_limits(device->id, &device->base.info);
    device->gpu = lowering_limits(device->id, &device->base.limits);
    gpu_tuning_load(&device->gpu.tuning, backend_opencl.name, &device->base.info);
    TRY(check_groups(device));
    open_files(device);

    cl_int error;
    device->context = clCreateContext(NULL, 1, &device->id, NULL, NULL, &error);
    if (!error) device->queue = clCreateCommandQueue(device->context, device->id, 0, &error);
    if (error) return opencl_fail(error, "opening %s", device->base.info.name);
    return opencl_staging_create(device);
}

static wf_status opencl_open(int index, Device **out)
{
    const char *absent = opencl_load();
    if (absent) return fail(WF_ERROR_DEVICE, "OpenCL: %s", absent);
    Found found[MAX_DEVICES];
    int count = devices_find(found);
    if (index < 0 || index >= count)
        return fail(WF_ERROR_DEVICE, "OpenCL: no device %d: %d found", index, count);

    OpenclDevice *device = calloc(1, sizeof *device);
    if (!device) return fail(WF_ERROR_MEMORY, "out of memory for a device's record");
    device->base.backend = &backend_opencl;
    wf_status status = device_start(device, &found[index]);
    if (status) {
        opencl_close(&device->base);
        return status;
    }
    opencl_products_open(device);
    gpu_library_prepare(&device->gpu);
    *out = &device->base;
    return WF_OK;
}

static bool opencl_supports(const Device *device, const Graph *graph, const Node *node,
                            const char **why)
{
    return gpu_supports(&opencl_device(device)->gpu, graph, node, why);
}

static int opencl_fuse(const Device *device, const Graph *graph, int first)
{
    return gpu_fuse(&opencl_device(device)->gpu, graph, first);
}

static int64_t opencl_workspace(const Device *device, const Graph *graph, int first, int count)
{
    return gpu_workspace(&opencl_device(device)->gpu, graph, first, count);
}

static GpuLimits *opencl_gpu_limits(Device *device)
{
    return &opencl_device(device)->gpu;
}

const Backend backend_opencl = {
    .name = "opencl",
    .list = opencl_list,
    .open = opencl_open,
    .close = opencl_close,
    .supports = opencl_supports,
    .fuse = opencl_fuse,
    .workspace = opencl_workspace,
    .buffer_create = opencl_buffer_create,
    .buffer_destroy = opencl_buffer_destroy,
    .buffer_write = opencl_buffer_write,
    .buffer_read = opencl_buffer_read,
    .buffer_fill = opencl_buffer_fill,
    .readback_create = opencl_readback_create,
    .readback_destroy = opencl_readback_destroy,
    .readback_begin = opencl_readback_begin,
    .readback_end = opencl_readback_end,
    .program_create = opencl_program_create,
    .program_destroy = opencl_program_destroy,
    .program_run = opencl_program_run,
    .program_run_nodes = opencl_program_run_nodes,
    .program_commands = opencl_program_commands,
    .gpu_limits = opencl_gpu_limits,
};
