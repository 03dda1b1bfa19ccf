/* A ring of the host's memory through which writes pass on their way to a device, so that a write
 * need not wait for what was enqueued before it: the bytes are copied into the ring, and the device
 * takes them out when it comes to them.
 *
 * The ring is cut into pieces. When one is full, a mark is set behind what has been enqueued so
 * far, and when the ring has come round to it again, it is waited for. */
#ifndef BACKENDS_GPU_STAGING_H
#define BACKENDS_GPU_STAGING_H

#include "backends/backend.h"

enum { STAGING_PIECES = 8, STAGING_PIECE = 2 << 20, STAGING_RING = STAGING_PIECES * STAGING_PIECE };

typedef struct Staging {
    char *memory;                /* STAGING_RING bytes, the backend's */
    int piece;                   /* being filled */
    int64_t used;                /* bytes of it */
    bool marked[STAGING_PIECES]; /* something may still take bytes out of it */

    /* Set by the backend. mark: notes, for this piece, all that has been enqueued so far; wait:
     * until what was noted for it is done. */
    Device *device;
    wf_status (*mark)(Device *device, int piece);
    wf_status (*wait)(Device *device, int piece);
    /* Enqueues the copy of `size` bytes of the ring to a buffer. */
    wf_status (*copy)(Buffer *buffer, int64_t offset, const char *from, int64_t size);
} Staging;

/* Enqueues a write; `data` may be reused afterwards. Waits only where the ring is full. */
wf_status staging_write(Staging *staging, Buffer *buffer, int64_t offset, const void *data,
                        int64_t size);

#endif
