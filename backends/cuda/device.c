/* CUDA devices, in the driver's order. */
#include "backends/cuda/cuda.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

wf_status cuda_fail(CUresult error, const char *format, ...)
{
    char doing[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(doing, sizeof doing, format, arguments);
    va_end(arguments);
    const char *text = NULL;
    cuGetErrorString(error, &text);
    return fail(error == CUDA_ERROR_OUT_OF_MEMORY ? WF_ERROR_MEMORY : WF_ERROR_DEVICE,
                "CUDA: %s: %s (error %d)", doing, text ? text : "failed", (int)error);
}

wf_status cuda_enter(const CudaDevice *device)
{
    CUresult error = cuCtxSetCurrent(device->context);
    return error ? cuda_fail(error, "entering the device's context") : WF_OK;
}

/* 0 where the driver does not answer. */
static int attribute(CUdevice id, CUdevice_attribute name)
{
    int value = 0;
    return cuDeviceGetAttribute(&value, name, id) ? 0 : value;
}

static wf_status device_describe(CUdevice id, DeviceInfo *info)
{
    size_t bytes = 0;
    int version = 0;
    CUresult error = cuDeviceGetName(info->name, (int)sizeof info->name, id);
    if (!error) error = cuDeviceTotalMem(&bytes, id);
    if (!error) error = cuDriverGetVersion(&version);
    if (error) return cuda_fail(error, "describing device %d", (int)id);
    snprintf(info->driver, sizeof info->driver, "CUDA %d.%d, compute capability %d.%d",
             version / 1000, version % 1000 / 10,
             attribute(id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
             attribute(id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
    int capability = 10 * attribute(id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
                     attribute(id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    info->subgroup = attribute(id, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
    info->half_storage = true;
    info->half_arithmetic = capability >= 53;
    info->matrix = capability >= 70;
    info->bfloat16 = capability >= 80;
    info->kind =
        attribute(id, CU_DEVICE_ATTRIBUTE_INTEGRATED) ? DEVICE_INTEGRATED : DEVICE_DISCRETE;
    info->memory = (int64_t)bytes;
    cuda_products_describe(info);
    gpu_tuning_load(NULL, backend_cuda.name, info);
    return WF_OK;
}

/* Why no CUDA device can be used here, or NULL: both the driver and the compiler are needed. */
static const char *cuda_absent(void)
{
    const char *absent = cuda_load_driver();
    return absent ? absent : cuda_load_compiler();
}

static wf_status cuda_list(DeviceInfo *infos, int capacity, int *count)
{
    *count = 0;
    const char *absent = cuda_absent();
    if (absent) {
        fail(WF_ERROR_DEVICE, "%s", absent);
        return WF_OK;
    }
    CUresult error = cuDeviceGetCount(count);
    if (error) return cuda_fail(error, "counting devices");
    for (int i = 0; i < *count && i < capacity; i++) {
        CUdevice id;
        error = cuDeviceGet(&id, i);
        if (error) return cuda_fail(error, "finding device %d", i);
        TRY(device_describe(id, &infos[i]));
    }
    return WF_OK;
}

static void cuda_close(Device *base)
{
    CudaDevice *device = cuda_device(base);
    if (!device) return;
    if (device->context && !cuda_enter(device)) {
        cuda_transforms_free(device);
        cuda_staging_destroy(device);
        cuda_products_close(device);
        for (int k = 0; k < KERNEL_COUNT; k++)
            if (device->modules[k]) cuModuleUnload(device->modules[k]);
        if (device->stream) cuStreamDestroy(device->stream);
        cuDevicePrimaryCtxRelease(device->id);
    }
    gpu_cache_close(&device->files);
    free(device);
}

static GpuLimits lowering_limits(CUdevice id)
{
    int64_t processors = attribute(id, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    return (GpuLimits){
        .groups = {attribute(id, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X),
                   attribute(id, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y),
                   attribute(id, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z)},
        .transform_bytes = (int64_t)256 << 20,
        .busy_groups = int64_max(1, 4 * processors),
    };
}

/* Machine code is the compiler's and the architecture's; what VkFFT makes goes by the card too. */
static void open_files(CudaDevice *device)
{
    char depends[512];
    int major = 0, minor = 0;
    nvrtcVersion(&major, &minor);
    snprintf(depends, sizeof depends, "cuda %s, %s, NVRTC %d.%d, sm_%d%d, %s",
             device->base.info.name, device->base.info.driver, major, minor, device->major,
             device->minor, CUDA_OPTION);
    gpu_cache_open(&device->files, depends, strlen(depends));
}

static wf_status device_start(CudaDevice *device, int index)
{
    CUresult error = cuDeviceGet(&device->id, index);
    if (error) return cuda_fail(error, "finding device %d", index);
    TRY(device_describe(device->id, &device->base.info));
    device->gpu = lowering_limits(device->id);
    gpu_tuning_load(&device->gpu.tuning, backend_cuda.name, &device->base.info);
    device->major = attribute(device->id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    device->minor = attribute(device->id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    open_files(device);
    error = cuDevicePrimaryCtxRetain(&device->context, device->id);
    if (error) return cuda_fail(error, "opening %s", device->base.info.name);
    TRY(cuda_enter(device));
    error = cuStreamCreate(&device->stream, CU_STREAM_NON_BLOCKING);
    if (error) return cuda_fail(error, "opening %s", device->base.info.name);
    return cuda_staging_create(device);
}

static wf_status cuda_open(int index, Device **out)
{
    int count = 0;
    const char *absent = cuda_absent();
    if (absent) return fail(WF_ERROR_DEVICE, "CUDA: %s", absent);
    TRY(cuda_list(NULL, 0, &count));
    if (index < 0 || index >= count)
        return fail(WF_ERROR_DEVICE, "CUDA: no device %d: %d found", index, count);

    CudaDevice *device = calloc(1, sizeof *device);
    if (!device) return fail(WF_ERROR_MEMORY, "out of memory for a device's record");
    device->base.backend = &backend_cuda;
    device->base.limits = (Limits){
        .alignment = 256, /* what cuMemAlloc gives */
        .dtype_size = {[DTYPE_REAL] = 4, [DTYPE_I32] = 4, [DTYPE_F16] = 2, [DTYPE_BF16] = 2},
    };
    wf_status status = device_start(device, index);
    if (status) {
        cuda_close(&device->base);
        return status;
    }
    device->base.limits.total = device->base.info.memory;
    cuda_products_open(device);
    gpu_library_prepare(&device->gpu);
    *out = &device->base;
    return WF_OK;
}

static bool cuda_supports(const Device *device, const Graph *graph, const Node *node,
                          const char **why)
{
    return gpu_supports(&cuda_device(device)->gpu, graph, node, why);
}

static int cuda_fuse(const Device *device, const Graph *graph, int first)
{
    return gpu_fuse(&cuda_device(device)->gpu, graph, first);
}

static int64_t cuda_workspace(const Device *device, const Graph *graph, int first, int count)
{
    return gpu_workspace(&cuda_device(device)->gpu, graph, first, count);
}

static GpuLimits *cuda_gpu_limits(Device *device)
{
    return &cuda_device(device)->gpu;
}

const Backend backend_cuda = {
    .name = "cuda",
    .partial = true,
    .list = cuda_list,
    .open = cuda_open,
    .close = cuda_close,
    .supports = cuda_supports,
    .fuse = cuda_fuse,
    .workspace = cuda_workspace,
    .buffer_create = cuda_buffer_create,
    .buffer_destroy = cuda_buffer_destroy,
    .buffer_write = cuda_buffer_write,
    .buffer_read = cuda_buffer_read,
    .buffer_fill = cuda_buffer_fill,
    .readback_create = cuda_readback_create,
    .readback_destroy = cuda_readback_destroy,
    .readback_begin = cuda_readback_begin,
    .readback_end = cuda_readback_end,
    .program_create = cuda_program_create,
    .program_destroy = cuda_program_destroy,
    .program_run = cuda_program_run,
    .program_run_nodes = cuda_program_run_nodes,
    .program_commands = cuda_program_commands,
    .gpu_limits = cuda_gpu_limits,
};
