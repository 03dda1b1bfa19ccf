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

wf_status cuda_transform_get(CudaDevice *device, const Transform *shape, TransformPlan **out)
{
    VkFFTConfiguration settings = {
        .device = &device->id, .stream = &device->stream, .num_streams = 1};
    return transform_plan_get(&device->transforms, shape, &device->base, settings, run, out);
}

void cuda_transforms_free(CudaDevice *device)
{
    transform_plans_free(&device->transforms);
}
