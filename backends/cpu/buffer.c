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

wf_status cpu_buffer_write(Buffer *buffer, int64_t offset, const void *data, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    if (size) memcpy(((CpuBuffer *)buffer)->data + offset, data, (size_t)size);
    return WF_OK;
}

wf_status cpu_buffer_read(Buffer *buffer, int64_t offset, void *data, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    if (size) memcpy(data, ((CpuBuffer *)buffer)->data + offset, (size_t)size);
    return WF_OK;
}

wf_status cpu_buffer_fill(Buffer *buffer, int64_t offset, int64_t size, uint32_t word)
{
    TRY(buffer_check_words(buffer, offset, size));
    unsigned char *at = ((CpuBuffer *)buffer)->data + offset;
    for (int64_t i = 0; i < size; i += 4) memcpy(at + i, &word, sizeof word);
    return WF_OK;
}

/* Everything before it has run: the bytes are taken at once. */
typedef struct CpuReadback {
    Readback base;
    unsigned char data[];
} CpuReadback;

wf_status cpu_readback_create(Device *device, int64_t size, Readback **out)
{
    CpuReadback *readback = calloc(1, sizeof *readback + (size_t)size);
    if (!readback) return fail(WF_ERROR_MEMORY, "out of memory for %lld bytes", (long long)size);
    readback->base = (Readback){.device = device, .size = size};
    *out = &readback->base;
    return WF_OK;
}

void cpu_readback_destroy(Readback *readback)
{
    free(readback);
}

wf_status cpu_readback_begin(Readback *readback, Buffer *buffer, int64_t offset)
{
    TRY(buffer_check_range(buffer, offset, readback->size));
    memcpy(((CpuReadback *)readback)->data, ((const CpuBuffer *)buffer)->data + offset,
           (size_t)readback->size);
    return WF_OK;
}

wf_status cpu_readback_end(Readback *readback, void *data)
{
    memcpy(data, ((CpuReadback *)readback)->data, (size_t)readback->size);
    return WF_OK;
}
