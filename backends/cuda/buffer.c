#include "backends/cuda/cuda.h"

#include <stdlib.h>

wf_status cuda_buffer_create(Device *device, int64_t size, Buffer **out)
{
    TRY(cuda_enter(cuda_device(device)));
    CudaBuffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer) return fail(WF_ERROR_MEMORY, "out of memory for a buffer's record");
    buffer->base = (Buffer){.device = device, .size = size};
    CUresult error = cuMemAlloc(&buffer->address, size > 0 ? (size_t)size : 4);
    if (error) {
        free(buffer);
        return cuda_fail(error, "allocating %lld bytes", (long long)size);
    }
    *out = &buffer->base;
    return WF_OK;
}

void cuda_buffer_destroy(Buffer *buffer)
{
    if (!buffer) return;
    if (!cuda_enter(cuda_device(buffer->device))) cuMemFree(cuda_address(buffer));
    free(buffer);
}

/* Waits for a transfer just enqueued. */
static wf_status finish(const CudaDevice *device, CUresult enqueued, const char *doing)
{
    CUresult error = enqueued ? enqueued : cuStreamSynchronize(device->stream);
    return error ? cuda_fail(error, "%s a buffer", doing) : WF_OK;
}

wf_status cuda_buffer_write(Buffer *buffer, int64_t offset, const void *data, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    if (size == 0) return WF_OK;
    CudaDevice *device = cuda_device(buffer->device);
    TRY(cuda_enter(device));
    return finish(device,
                  cuMemcpyHtoDAsync(cuda_address(buffer) + (CUdeviceptr)offset, data, (size_t)size,
                                    device->stream),
                  "writing");
}

wf_status cuda_buffer_read(Buffer *buffer, int64_t offset, void *data, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    if (size == 0) return WF_OK;
    CudaDevice *device = cuda_device(buffer->device);
    TRY(cuda_enter(device));
    return finish(device,
                  cuMemcpyDtoHAsync(data, cuda_address(buffer) + (CUdeviceptr)offset, (size_t)size,
                                    device->stream),
                  "reading");
}

wf_status cuda_buffer_fill(Buffer *buffer, int64_t offset, int64_t size, uint32_t word)
{
    TRY(buffer_check_words(buffer, offset, size));
    if (size == 0) return WF_OK;
    CudaDevice *device = cuda_device(buffer->device);
    TRY(cuda_enter(device));
    return finish(device,
                  cuMemsetD32Async(cuda_address(buffer) + (CUdeviceptr)offset, word,
                                   (size_t)size / sizeof word, device->stream),
                  "filling");
}
