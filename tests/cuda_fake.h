/* A CUDA driver without a GPU: memory is the host's, modules are checked and launches counted. With
 * it the CUDA backend runs, compiling for any GPU. It computes nothing by itself; what others do
 * for it (fake_work) happens when it would on a GPU, replays of a captured graph included.
 * Transfers that are enqueued happen as late as they may: when something waits for them, or
 * computes. */
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

/* Of the driver's: does one allocation hold these bytes? The first thing that was wrong. */
bool fake_holds(CUdeviceptr address, size_t bytes);
void fake_wrong(const char *format, ...) PRINTF_LIKE(1, 2);

/* Calls run(a copy of what) now or, where the stream is capturing, which it returns, whenever the
 * graph is launched. */
bool fake_work(CUstream stream, void (*run)(const void *what), const void *what, size_t size);

/* Called with every launch of one of the project's kernels; NULL: nobody computes them. */
extern void (*fake_kernel)(KernelId kernel, void **parameters, CUstream stream);

/* The next read of this many bytes answers with the transform of what the buffer holds: as if the
 * launches before it had computed it. */
void fake_answer(const Transform *transform);

#endif
