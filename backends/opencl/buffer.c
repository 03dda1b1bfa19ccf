#include "backends/opencl/opencl.h"

#include <stdlib.h>

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

wf_status opencl_buffer_write(Buffer *buffer, int64_t offset, const void *data, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    if (size == 0) return WF_OK;
    cl_int error = clEnqueueWriteBuffer(opencl_device(buffer->device)->queue, opencl_memory(buffer),
                                        CL_TRUE, (size_t)offset, (size_t)size, data, 0, NULL, NULL);
    return error ? opencl_fail(error, "writing a buffer") : WF_OK;
}

wf_status opencl_buffer_read(Buffer *buffer, int64_t offset, void *data, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    if (size == 0) return WF_OK;
    cl_int error = clEnqueueReadBuffer(opencl_device(buffer->device)->queue, opencl_memory(buffer),
                                       CL_TRUE, (size_t)offset, (size_t)size, data, 0, NULL, NULL);
    return error ? opencl_fail(error, "reading a buffer") : WF_OK;
}

wf_status opencl_buffer_fill(Buffer *buffer, int64_t offset, int64_t size, uint32_t word)
{
    TRY(buffer_check_words(buffer, offset, size));
    if (size == 0) return WF_OK;
    cl_command_queue queue = opencl_device(buffer->device)->queue;
    cl_int error = clEnqueueFillBuffer(queue, opencl_memory(buffer), &word, sizeof word,
                                       (size_t)offset, (size_t)size, 0, NULL, NULL);
    if (!error) error = clFinish(queue);
    return error ? opencl_fail(error, "filling a buffer") : WF_OK;
}
