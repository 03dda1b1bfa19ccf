/* A CUDA driver that computes nothing: memory is the host's, modules are checked and launches
 * counted. With it the CUDA backend runs, compiling for any GPU, where there is none. Transfers
 * that are enqueued happen as late as they may: when something waits for them. */
#ifndef TESTS_CUDA_FAKE_H
#define TESTS_CUDA_FAKE_H

#include "backends/cuda/loader.h"
#include "backends/gpu/gpu.h"

typedef struct FakeGpu {
    const char *name;
    int major, minor;     /* compute capability */
    int shared_per_block; /* bytes, when asked for */
} FakeGpu;

/* What happened, and the first thing that was wrong ("" if nothing). */
typedef struct FakeRecord {
    int launches, captured, replays, modules;
    int live_allocations, live_modules, live_locked, live_events; /* locked: of the host */
    int waits;                                                    /* of the host for the stream */
    char wrong[256];
} FakeRecord;

extern FakeRecord fake_record;

/* Puts the fake driver into cuda_table and this GPU behind it. */
void fake_install(const FakeGpu *gpu);

/* The next read of this many bytes answers with the transform of what the buffer holds: as if the
 * launches before it had computed it. */
void fake_answer(const Transform *transform);

#endif
