/* Fourier transforms through VkFFT. One plan serves every buffer, since CUDA takes the addresses
 * with each launch; a captured launch keeps its own. */
#define VKFFT_BACKEND 1
#include "backends/cuda/cuda.h"

#include <cuComplex.h>
#include <cuda_runtime.h>

/* What VkFFT asks of the CUDA run-time library, through the driver. With one stream it uses no
 * events. */
static cudaError_t memory_create(void **address, size_t bytes)
{
    CUdeviceptr allocated = 0;
    CUresult error = cuMemAlloc(&allocated, bytes);
    *address = (void *)(uintptr_t)allocated;
    return error ? cudaErrorMemoryAllocation : cudaSuccess;
}
static cudaError_t memory_free(void *address)
{
    return cuMemFree((CUdeviceptr)(uintptr_t)address) ? cudaErrorInvalidValue : cudaSuccess;
}
/* A copy from pageable memory may return while its bytes are still on their way, on the legacy
 * stream, for which the device's stream does not wait. */
static cudaError_t memory_copy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    CUresult error = kind == cudaMemcpyHostToDevice
                         ? cuMemcpyHtoD((CUdeviceptr)(uintptr_t)to, from, bytes)
                         : cuMemcpyDtoH(to, (CUdeviceptr)(uintptr_t)from, bytes);
    if (!error) error = cuStreamSynchronize(CU_STREAM_LEGACY);
    return error ? cudaErrorInvalidValue : cudaSuccess;
}
static cudaError_t synchronize(void)
{
    return cuCtxSynchronize() ? cudaErrorUnknown : cudaSuccess;
}
/* The driver's first refusal since it was reset. VkFFT, which frees a kernel's code twice where it
 * hears of one, is told that all went well; compile() below looks. */
static _Thread_local CUresult refusal;
static CUresult note(CUresult error)
{
    if (!refusal) refusal = error;
    return CUDA_SUCCESS;
}
static CUresult module_load(CUmodule *module, const void *code)
{
    *module = NULL;
    return note(cuModuleLoadDataEx(module, code, 0, NULL, NULL));
}
static CUresult module_function(CUfunction *function, CUmodule module, const char *name)
{
    *function = NULL;
    return note(module ? cuModuleGetFunction(function, module, name) : CUDA_ERROR_INVALID_HANDLE);
}
static CUresult function_set(CUfunction function, CUfunction_attribute attribute, int value)
{
    return note(function ? cuFuncSetAttribute(function, attribute, value)
                         : CUDA_ERROR_INVALID_HANDLE);
}
#undef cuModuleLoadDataEx
#undef cuModuleGetFunction
#undef cuFuncSetAttribute
#define cuModuleLoadDataEx(module, code, count, names, values) module_load(module, code)
#define cuModuleGetFunction(function, module, name)            module_function(function, module, name)
#define cuFuncSetAttribute(function, attribute, value)         function_set(function, attribute, value)

#define cudaMalloc(address, bytes)        memory_create((void **)(address), bytes)
#define cudaFree(address)                 memory_free(address)
#define cudaMemcpy(to, from, bytes, kind) memory_copy(to, from, bytes, kind)
#define cudaDeviceSynchronize()           synchronize()
#define cudaEventCreate(event)            cudaErrorNotSupported
#define cudaEventDestroy(event)           cudaErrorNotSupported
#define cudaEventRecord(event, stream)    cudaErrorNotSupported
#define cudaEventSynchronize(event)       cudaErrorNotSupported

#include "backends/gpu/vkfft.h"

wf_status cuda_transform_run(CudaDevice *device, TransformPlan *plan, CUdeviceptr data,
                             CUdeviceptr scratch)
{
    (void)device; /* the plan holds its stream */
    void *data_address = (void *)(uintptr_t)data, *scratch_address = (void *)(uintptr_t)scratch;
    VkFFTLaunchParams launch = {.buffer = &data_address, .tempBuffer = &scratch_address};
    VkFFTResult result = VkFFTAppend(&plan->app, plan->shape.inverse ? 1 : -1, &launch);
    if (result)
        return fail(WF_ERROR_DEVICE,
                    "CUDA: VkFFT does not run transforms of length %lld (error %d)",
                    (long long)plan->shape.length, (int)result);
    return WF_OK;
}

static wf_status run(TransformPlan *plan, Buffer *data, Buffer *scratch)
{
    return cuda_transform_run(cuda_device(data->device), plan, cuda_address(data),
                              cuda_address(scratch));
}

static wf_status compile(TransformPlan *plan, VkFFTConfiguration settings)
{
    refusal = CUDA_SUCCESS;
    TRY(transform_plan_compile(plan, settings));
    if (!refusal) return WF_OK;
    deleteVkFFT(&plan->app);
    return cuda_fail(refusal, "planning transforms of length %lld", (long long)plan->shape.length);
}

wf_status cuda_transform_get(CudaDevice *device, const Transform *shape, TransformPlan **out)
{
    TransformMaker maker = {
        .device = &device->base,
        .files = &device->files,
        .settings = {.device = &device->id, .stream = &device->stream, .num_streams = 1},
        .compile = compile,
        .run = run,
    };
    return transform_plan_get(&device->transforms, shape, &maker, out);
}

void cuda_transforms_free(CudaDevice *device)
{
    transform_plans_free(&device->transforms);
}
