#include "backends/cpu/device.h"

#include <stdlib.h>
#include <string.h>

wf_status cpu_buffer_create(Device *device, int64_t size, Buffer **out)
{
    int64_t alignment = device->limits.alignment;
    CpuBuffer *buffer = calloc(1, sizeof *buffer);
    if (buffer) buffer->data = aligned_alloc((size_t)alignment, (size_t)round_up(size, alignment));
    if (!buffer || !buffer->data) {
        free(buffer);
        return fail(WF_ERROR_MEMORY,
                    "the host has no %.2f GiB left: lower the batch size or the sequence length",
                    (double)size / 0x1p30);
    }
    buffer->base = (Buffer){.device = device, .size = size};
    *out = &buffer->base;
    return WF_OK;
}

void cpu_buffer_destroy(Buffer *buffer)
{
    if (buffer) free(((CpuBuffer *)buffer)->data);
    free(buffer);
}

static wf_status check_range(const Buffer *buffer, int64_t offset, int64_t size)
{
    if (offset >= 0 && size >= 0 && offset <= buffer->size && size <= buffer->size - offset)
        return WF_OK;
    return fail(WF_ERROR_ARGUMENT, "bytes %lld to %lld lie outside a buffer of %lld bytes",
                (long long)offset, (long long)(offset + size), (long long)buffer->size);
}

wf_status cpu_buffer_write(Buffer *buffer, int64_t offset, const void *data, int64_t size)
{
    TRY(check_range(buffer, offset, size));
    if (size) memcpy(((CpuBuffer *)buffer)->data + offset, data, (size_t)size);
    return WF_OK;
}

wf_status cpu_buffer_read(Buffer *buffer, int64_t offset, void *data, int64_t size)
{
    TRY(check_range(buffer, offset, size));
    if (size) memcpy(data, ((CpuBuffer *)buffer)->data + offset, (size_t)size);
    return WF_OK;
}

wf_status cpu_buffer_fill(Buffer *buffer, int64_t offset, int64_t size, uint32_t word)
{
    TRY(check_range(buffer, offset, size));
    if (offset % 4 || size % 4)
        return fail(WF_ERROR_ARGUMENT, "bytes %lld to %lld do not divide into words of 4",
                    (long long)offset, (long long)(offset + size));
    unsigned char *at = ((CpuBuffer *)buffer)->data + offset;
    for (int64_t i = 0; i < size; i += 4) memcpy(at + i, &word, sizeof word);
    return WF_OK;
}
