#include "backends/gpu/staging.h"

#include <string.h>

/* Of a write's bytes in the ring: a cache line. */
enum { ALIGNMENT = 64 };

static wf_status next_piece(Staging *s)
{
    TRY(s->mark(s->device, s->piece));
    s->marked[s->piece] = true;
    s->piece = (s->piece + 1) % STAGING_PIECES;
    s->used = 0;
    return WF_OK;
}

/* Room for `size` bytes, at most a piece's. */
static wf_status reserve(Staging *s, int64_t size, char **at)
{
    s->used = round_up(s->used, ALIGNMENT);
    if (s->used + size > STAGING_PIECE) TRY(next_piece(s));
    if (s->marked[s->piece]) {
        TRY(s->wait(s->device, s->piece));
        s->marked[s->piece] = false;
    }
    *at = s->memory + (int64_t)s->piece * STAGING_PIECE + s->used;
    s->used += size;
    return WF_OK;
}

wf_status staging_write(Staging *staging, Buffer *buffer, int64_t offset, const void *data,
                        int64_t size)
{
    for (int64_t done = 0; done < size; done += STAGING_PIECE) {
        int64_t part = int64_min(size - done, STAGING_PIECE);
        char *at = NULL;
        TRY(reserve(staging, part, &at));
        memcpy(at, (const char *)data + done, (size_t)part);
        TRY(staging->copy(buffer, offset + done, at, part));
    }
    return WF_OK;
}
