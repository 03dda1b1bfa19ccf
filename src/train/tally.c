#include "train/tally.h"

#include <stdlib.h>
#include <string.h>

void tally_layout(Tally *tally, const Limits *limits)
{
    *tally = (Tally){.region = {.name = "sums of a step"}};
    tally->loss = region_append(&tally->region, limits, DTYPE_REAL, SHAPE(1));
    tally->counts = region_append(&tally->region, limits, DTYPE_I32, SHAPE(2));
    tally->norm2 = region_append(&tally->region, limits, DTYPE_REAL, SHAPE(1));
    tally->scratch = region_append(&tally->region, limits, DTYPE_REAL, SHAPE(1));
    tally->bad =
        region_append(&tally->region, limits, DTYPE_I32, SHAPE(1)); /* the last: clearing */
}

wf_status tally_clear(Tally *tally)
{
    Buffer *buffer = tally->region.buffer;
    return buffer->device->backend->buffer_fill(buffer, 0, tally->bad, 0);
}

wf_status tally_forgive(Tally *tally)
{
    const int32_t none = 0;
    return device_write_ints(&tally->region, tally->bad, &none, 1);
}

/* ---- reading ---- */

static int32_t int_at(const char *bytes, int64_t offset)
{
    int32_t value;
    memcpy(&value, bytes + offset, sizeof value);
    return value;
}

/* From the region's bytes. */
static TallyValues decode(const Tally *tally, const char *bytes)
{
    const Device *device = tally->region.buffer->device;
    int64_t hits = tally->counts + (int64_t)sizeof(int32_t);
    return (TallyValues){
        .loss = device_real(device, bytes + tally->loss),
        .targets = int_at(bytes, tally->counts),
        .hits = int_at(bytes, hits),
        .norm2 = device_real(device, bytes + tally->norm2),
        .all_finite = int_at(bytes, tally->bad) == 0,
    };
}

static wf_status bytes_create(const Tally *tally, char **bytes)
{
    size_t size = (size_t)tally->region.size;
    *bytes = malloc(size);
    return *bytes ? WF_OK : fail(WF_ERROR_MEMORY, "out of memory for %zu bytes of sums", size);
}

wf_status tally_read(const Tally *tally, TallyValues *values)
{
    Buffer *buffer = tally->region.buffer;
    char *bytes = NULL;
    TRY(bytes_create(tally, &bytes));
    wf_status status = buffer->device->backend->buffer_read(buffer, 0, bytes, tally->region.size);
    if (!status) *values = decode(tally, bytes);
    free(bytes);
    return status;
}

wf_status tally_readback_create(const Tally *tally, Readback **out)
{
    Device *device = tally->region.buffer->device;
    return device->backend->readback_create(device, tally->region.size, out);
}

wf_status tally_read_begin(const Tally *tally, Readback *readback)
{
    return readback->device->backend->readback_begin(readback, tally->region.buffer, 0);
}

wf_status tally_read_end(const Tally *tally, Readback *readback, TallyValues *values)
{
    char *bytes = NULL;
    TRY(bytes_create(tally, &bytes));
    wf_status status = readback->device->backend->readback_end(readback, bytes);
    if (!status) *values = decode(tally, bytes);
    free(bytes);
    return status;
}
