/* Numbers that a device stores in 16 bits, to the host's doubles and back. */
#include "backends/backend.h"
#include "tensor/half.h"

#include <stdlib.h>

enum { PIECE = 1 << 16 }; /* elements converted at a time */

/* Some devices keep every type of reals as the reals they compute with. */
static bool is_real_there(const Region *region, DType dtype)
{
    if (!region->buffer) return true; /* let the plain functions say so */
    const Limits *limits = &region->buffer->device->limits;
    return limits->dtype_size[dtype] == limits->dtype_size[DTYPE_REAL];
}

static wf_status piece_create(int64_t n, uint16_t **piece)
{
    *piece = malloc((size_t)int64_max(int64_min(n, PIECE), 1) * sizeof **piece);
    return *piece ? WF_OK : fail(WF_ERROR_MEMORY, "out of memory for %lld numbers", (long long)n);
}

wf_status device_write_stored(Region *region, DType dtype, int64_t offset, const double *data,
                              int64_t n)
{
    if (is_real_there(region, dtype)) return device_write_doubles(region, offset, data, n);
    Buffer *buffer = region->buffer;
    uint16_t *piece;
    wf_status status = piece_create(n, &piece);
    for (int64_t first = 0; first < n && !status; first += PIECE) {
        int64_t count = int64_min(n - first, PIECE);
        for (int64_t i = 0; i < count; i++)
            piece[i] = dtype == DTYPE_F16 ? f16_from_double(data[first + i])
                                          : bf16_from_double(data[first + i]);
        status =
            buffer->device->backend->buffer_write(buffer, offset + 2 * first, piece, 2 * count);
    }
    free(piece);
    return status;
}

wf_status device_read_stored(const Region *region, DType dtype, int64_t offset, double *data,
                             int64_t n)
{
    if (is_real_there(region, dtype)) return device_read_doubles(region, offset, data, n);
    Buffer *buffer = region->buffer;
    uint16_t *piece;
    wf_status status = piece_create(n, &piece);
    for (int64_t first = 0; first < n && !status; first += PIECE) {
        int64_t count = int64_min(n - first, PIECE);
        status = buffer->device->backend->buffer_read(buffer, offset + 2 * first, piece, 2 * count);
        for (int64_t i = 0; i < count; i++)
            data[first + i] =
                (double)(dtype == DTYPE_F16 ? float_from_f16(piece[i]) : float_from_bf16(piece[i]));
    }
    free(piece);
    return status;
}
