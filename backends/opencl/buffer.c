/* Memory on an OpenCL device. Writes and fills are enqueued and wait for nothing; what is written
 * passes through a ring of the host's memory. */
#include "backends/opencl/opencl.h"

#include <stdlib.h>
#include <string.h>

wf_status opencl_buffer_create(Device *device, int64_t size, Buffer **out)
{
    OpenclBuffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer) return fail(WF_ERROR_MEMORY, "out of memory for a buffer's record");
    buffer->base = (Buffer){.device = device, .size = size};
    cl_int error;
    buffer->memory = clCreateBuffer(opencl_device(device)->context, CL_MEM_READ_WRITE,
                                    size > 0 ? (size_t)size : 4, NULL, &error);
    if (error) {
        free(buffer);
        return opencl_fail(error, "allocating %lld bytes", (long long)size);
    }
    *out = &buffer->base;
    return WF_OK;
}

void opencl_buffer_destroy(Buffer *buffer)
{
    if (!buffer) return;
    clReleaseMemObject(opencl_memory(buffer));
    free(buffer);
}

/* ---- the host's side ---- */

static wf_status pinned_create(OpenclDevice *device, int64_t size, OpenclPinned *out)
{
    cl_int error;
    out->memory = clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR,
                                 (size_t)size, NULL, &error);
    if (!error)
        out->data =
            clEnqueueMapBuffer(device->queue, out->memory, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0,
                               (size_t)size, 0, NULL, NULL, &error);
    return error ? opencl_fail(error, "%lld bytes of staging memory", (long long)size) : WF_OK;
}

static void pinned_destroy(OpenclDevice *device, OpenclPinned *pinned)
{
    if (pinned->data)
        clEnqueueUnmapMemObject(device->queue, pinned->memory, pinned->data, 0, NULL, NULL);
    if (pinned->memory) clReleaseMemObject(pinned->memory);
    *pinned = (OpenclPinned){0};
}

static void release_event(cl_event *event)
{
    if (*event) clReleaseEvent(*event);
    *event = NULL;
}

/* ---- writing ---- */

static wf_status mark(Device *base, int piece)
{
    OpenclDevice *device = opencl_device(base);
    release_event(&device->marks[piece]);
    cl_int error = clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &device->marks[piece]);
    if (!error) error = clFlush(device->queue);
    return error ? opencl_fail(error, "writing a buffer") : WF_OK;
}

static wf_status wait_for(Device *base, int piece)
{
    OpenclDevice *device = opencl_device(base);
    cl_int error = clWaitForEvents(1, &device->marks[piece]);
    release_event(&device->marks[piece]);
    return error ? opencl_fail(error, "writing a buffer") : WF_OK;
}

static wf_status copy(Buffer *buffer, int64_t offset, const char *from, int64_t size)
{
    cl_int error =
        clEnqueueWriteBuffer(opencl_device(buffer->device)->queue, opencl_memory(buffer), CL_FALSE,
                             (size_t)offset, (size_t)size, from, 0, NULL, NULL);
    return error ? opencl_fail(error, "writing a buffer") : WF_OK;
}

wf_status opencl_staging_create(OpenclDevice *device)
{
    TRY(pinned_create(device, STAGING_RING, &device->ring));
    device->staging = (Staging){.memory = device->ring.data,
                                .device = &device->base,
                                .mark = mark,
                                .wait = wait_for,
                                .copy = copy};
    return WF_OK;
}

void opencl_staging_destroy(OpenclDevice *device)
{
    if (device->queue) clFinish(device->queue);
    for (int piece = 0; piece < STAGING_PIECES; piece++) release_event(&device->marks[piece]);
    pinned_destroy(device, &device->ring);
}

wf_status opencl_buffer_write(Buffer *buffer, int64_t offset, const void *data, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    return staging_write(&opencl_device(buffer->device)->staging, buffer, offset, data, size);
}

wf_status opencl_buffer_fill(Buffer *buffer, int64_t offset, int64_t size, uint32_t word)
{
    TRY(buffer_check_words(buffer, offset, size));
    if (size == 0) return WF_OK;
    cl_int error =
        clEnqueueFillBuffer(opencl_device(buffer->device)->queue, opencl_memory(buffer), &word,
                            sizeof word, (size_t)offset, (size_t)size, 0, NULL, NULL);
    return error ? opencl_fail(error, "filling a buffer") : WF_OK;
}

/* ---- reading ---- */

wf_status opencl_buffer_read(Buffer *buffer, int64_t offset, void *data, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    if (size == 0) return WF_OK;
    cl_int error = clEnqueueReadBuffer(opencl_device(buffer->device)->queue, opencl_memory(buffer),
                                       CL_TRUE, (size_t)offset, (size_t)size, data, 0, NULL, NULL);
    return error ? opencl_fail(error, "reading a buffer") : WF_OK;
}

typedef struct OpenclReadback {
    Readback base;
    OpenclPinned landing;
    cl_event arrived; /* NULL: no read is under way */
} OpenclReadback;

wf_status opencl_readback_create(Device *device, int64_t size, Readback **out)
{
    OpenclReadback *readback = calloc(1, sizeof *readback);
    if (!readback) return fail(WF_ERROR_MEMORY, "out of memory for a readback's record");
    readback->base = (Readback){.device = device, .size = size};
    wf_status status = pinned_create(opencl_device(device), int64_max(size, 4), &readback->landing);
    if (status) {
        opencl_readback_destroy(&readback->base);
        return status;
    }
    *out = &readback->base;
    return WF_OK;
}

void opencl_readback_destroy(Readback *base)
{
    OpenclReadback *readback = (OpenclReadback *)base;
    if (!readback) return;
    if (readback->arrived) clWaitForEvents(1, &readback->arrived);
    release_event(&readback->arrived);
    pinned_destroy(opencl_device(base->device), &readback->landing);
    free(readback);
}

wf_status opencl_readback_begin(Readback *base, Buffer *buffer, int64_t offset)
{
    OpenclReadback *readback = (OpenclReadback *)base;
    cl_command_queue queue = opencl_device(base->device)->queue;
    TRY(buffer_check_range(buffer, offset, base->size));
    release_event(&readback->arrived);
    if (base->size == 0) return WF_OK;
    cl_int error = clEnqueueReadBuffer(queue, opencl_memory(buffer), CL_FALSE, (size_t)offset,
                                       (size_t)base->size, readback->landing.data, 0, NULL,
                                       &readback->arrived);
    if (!error) error = clFlush(queue);
    return error ? opencl_fail(error, "reading a buffer") : WF_OK;
}

/* The event stays: whoever waits again gets the same answer. */
wf_status opencl_readback_end(Readback *base, void *data)
{
    OpenclReadback *readback = (OpenclReadback *)base;
    cl_int error = readback->arrived ? clWaitForEvents(1, &readback->arrived) : CL_SUCCESS;
    if (error) return opencl_fail(error, "reading a buffer");
    memcpy(data, readback->landing.data, (size_t)base->size);
    return WF_OK;
}
