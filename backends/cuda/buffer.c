/* Memory on a CUDA device. Writes and fills are enqueued and wait for nothing; what is written
 * passes through a ring of page-locked memory, as the driver waits for copies from any other. */
#include "backends/cuda/cuda.h"

#include <stdlib.h>
#include <string.h>

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

/* ---- writing ---- */

static wf_status mark(Device *base, int piece)
{
    CudaDevice *device = cuda_device(base);
    CUresult error = cuEventRecord(device->marks[piece], device->stream);
    return error ? cuda_fail(error, "writing a buffer") : WF_OK;
}

static wf_status wait_for(Device *base, int piece)
{
    CUresult error = cuEventSynchronize(cuda_device(base)->marks[piece]);
    return error ? cuda_fail(error, "writing a buffer") : WF_OK;
}

static wf_status copy(Buffer *buffer, int64_t offset, const char *from, int64_t size)
{
    CUresult error = cuMemcpyHtoDAsync(cuda_address(buffer) + (CUdeviceptr)offset, from,
                                       (size_t)size, cuda_device(buffer->device)->stream);
    return error ? cuda_fail(error, "writing a buffer") : WF_OK;
}

static CUresult event_create(CUevent *out)
{
    CUresult error = cuEventCreate(out, CU_EVENT_DISABLE_TIMING);
    if (error) *out = NULL;
    return error;
}

wf_status cuda_staging_create(CudaDevice *device)
{
    void *memory = NULL;
    CUresult error = cuMemHostAlloc(&memory, STAGING_RING, 0);
    if (error) return cuda_fail(error, "%d bytes of staging memory", STAGING_RING);
    device->staging = (Staging){
        .memory = memory, .device = &device->base, .mark = mark, .wait = wait_for, .copy = copy};
    for (int piece = 0; piece < STAGING_PIECES && !error; piece++)
        error = event_create(&device->marks[piece]);
    return error ? cuda_fail(error, "opening %s", device->base.info.name) : WF_OK;
}

void cuda_staging_destroy(CudaDevice *device)
{
    if (device->stream) cuStreamSynchronize(device->stream);
    for (int piece = 0; piece < STAGING_PIECES; piece++)
        if (device->marks[piece]) cuEventDestroy(device->marks[piece]);
    if (device->staging.memory) cuMemFreeHost(device->staging.memory);
}

wf_status cuda_buffer_write(Buffer *buffer, int64_t offset, const void *data, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    CudaDevice *device = cuda_device(buffer->device);
    TRY(cuda_enter(device));
    return staging_write(&device->staging, buffer, offset, data, size);
}

wf_status cuda_buffer_fill(Buffer *buffer, int64_t offset, int64_t size, uint32_t word)
{
    TRY(buffer_check_words(buffer, offset, size));
    if (size == 0) return WF_OK;
    CudaDevice *device = cuda_device(buffer->device);
    TRY(cuda_enter(device));
    CUresult error = cuMemsetD32Async(cuda_address(buffer) + (CUdeviceptr)offset, word,
                                      (size_t)size / sizeof word, device->stream);
    return error ? cuda_fail(error, "filling a buffer") : WF_OK;
}

/* ---- reading ---- */

wf_status cuda_buffer_read(Buffer *buffer, int64_t offset, void *data, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    if (size == 0) return WF_OK;
    CudaDevice *device = cuda_device(buffer->device);
    TRY(cuda_enter(device));
    CUresult error = cuMemcpyDtoHAsync(data, cuda_address(buffer) + (CUdeviceptr)offset,
                                       (size_t)size, device->stream);
    if (!error) error = cuStreamSynchronize(device->stream);
    return error ? cuda_fail(error, "reading a buffer") : WF_OK;
}

typedef struct CudaReadback {
    Readback base;
    void *landing; /* page-locked */
    CUevent arrived;
    bool under_way;
} CudaReadback;

wf_status cuda_readback_create(Device *device, int64_t size, Readback **out)
{
    TRY(cuda_enter(cuda_device(device)));
    CudaReadback *readback = calloc(1, sizeof *readback);
    if (!readback) return fail(WF_ERROR_MEMORY, "out of memory for a readback's record");
    readback->base = (Readback){.device = device, .size = size};
    CUresult error = cuMemHostAlloc(&readback->landing, size > 0 ? (size_t)size : 4, 0);
    if (error)
        readback->landing = NULL;
    else
        error = event_create(&readback->arrived);
    if (error) {
        cuda_readback_destroy(&readback->base);
        return cuda_fail(error, "%lld bytes of staging memory", (long long)size);
    }
    *out = &readback->base;
    return WF_OK;
}

void cuda_readback_destroy(Readback *base)
{
    CudaReadback *readback = (CudaReadback *)base;
    if (!readback) return;
    if (!cuda_enter(cuda_device(base->device))) {
        if (readback->under_way) cuEventSynchronize(readback->arrived);
        if (readback->arrived) cuEventDestroy(readback->arrived);
        if (readback->landing) cuMemFreeHost(readback->landing);
    }
    free(readback);
}

wf_status cuda_readback_begin(Readback *base, Buffer *buffer, int64_t offset)
{
    CudaReadback *readback = (CudaReadback *)base;
    CudaDevice *device = cuda_device(base->device);
    TRY(buffer_check_range(buffer, offset, base->size));
    if (base->size == 0) return WF_OK;
    TRY(cuda_enter(device));
    CUresult error =
        cuMemcpyDtoHAsync(readback->landing, cuda_address(buffer) + (CUdeviceptr)offset,
                          (size_t)base->size, device->stream);
    if (!error) error = cuEventRecord(readback->arrived, device->stream);
    if (error) return cuda_fail(error, "reading a buffer");
    readback->under_way = true;
    return WF_OK;
}

wf_status cuda_readback_end(Readback *base, void *data)
{
    CudaReadback *readback = (CudaReadback *)base;
    TRY(cuda_enter(cuda_device(base->device)));
    CUresult error = readback->under_way ? cuEventSynchronize(readback->arrived) : CUDA_SUCCESS;
    if (error) return cuda_fail(error, "reading a buffer");
    memcpy(data, readback->landing, (size_t)base->size);
    return WF_OK;
}
