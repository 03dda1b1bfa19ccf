/* What the GPU backends share: the kernels, and how a plan becomes a list of steps for a queue.
 *
 * gpu_lower() turns each node of a plan into steps: dispatches of the kernels in shaders/, Fourier
 * transforms, which each backend hands to VkFFT, and products, which only backends with a library
 * for them see. A backend records the steps in order, with a barrier before those whose command
 * says so. It adds no mathematics of its own.
 *
 * How a kernel takes its arguments, from what gpu_kernels[] and a Dispatch say:
 *   Vulkan   push constants: the buffers' addresses (8 bytes each), then the scalars.
 *   OpenCL   for each buffer a cl_mem and a uint, the element where the place starts (place.offset
 * / element, in elements of that buffer); then all scalars as one struct by value. CUDA     the
 * buffers' addresses; then all scalars as one struct by value. A place of size 0 is an absent
 * buffer: address 0, which the kernel will not touch. */
#ifndef BACKENDS_GPU_GPU_H
#define BACKENDS_GPU_GPU_H

#include "backends/backend.h"
#include "backends/gpu/library.h"
#include "backends/gpu/tuning.h"

/* The kernels' entry lines, as KERNEL_ENTRY(CAPITALS, name, threads, buffers, scalars), copied from
 * the files in shaders/ by the build. */
#define KERNEL_ENTRY(capitals, name, threads, buffers, scalars) KERNEL_##capitals,
typedef enum KernelId {
#include "shaders/kernels.inc"
    KERNEL_COUNT
} KernelId;
#undef KERNEL_ENTRY

enum { GPU_MAX_BUFFERS = 12, GPU_MAX_ARGUMENT_BYTES = 128, GPU_MAX_SCALARS = 24 };

typedef enum KernelAccess { KERNEL_READS = 1, KERNEL_WRITES = 2, KERNEL_UPDATES = 3 } KernelAccess;

typedef struct KernelBuffer {
    const char *name;
    uint8_t access;  /* KernelAccess */
    uint8_t element; /* bytes */
} KernelBuffer;

typedef struct GpuKernel {
    const char *name; /* the entry point in OpenCL C and CUDA ("main" in SPIR-V) */
    uint32_t threads; /* in a group, along x */
    int variants;     /* 3: the next two are the same kernel for F16 and BF16 storage; else 1 */
    bool glsl_only;   /* for F16 storage under Vulkan; `source` only tells versions of it apart */
    int n_buffers, n_scalars;
    KernelBuffer buffers[GPU_MAX_BUFFERS + 1];
    const char *source; /* OpenCL C and CUDA C++, to follow gpu_prelude */
} GpuKernel;

extern const GpuKernel gpu_kernels[KERNEL_COUNT];

/* What every kernel's source needs before it. One program may hold the prelude and any number of
 * kernels after it. CUDA compiles with --fmad=false. */
extern const char *const gpu_prelude;

/* Under which what a driver made of a kernel is kept in files: it says the whole source. Returns
 * `name`. */
const char *gpu_kernel_file(const GpuKernel *kernel, char name[96]);

typedef struct Dispatch {
    KernelId kernel;
    Place buffers[GPU_MAX_BUFFERS]; /* gpu_kernels[kernel].n_buffers of them */
    uint32_t scalars[GPU_MAX_SCALARS];
    uint32_t groups[3];
} Dispatch;

/* `rows` complex transforms of `length` (≥ 2, of factors 2, 3, 5 and 7), in place, one after
 * another, float pairs, no scaling: Σ x·e^(∓2πi·jk/length), minus when forward. */
typedef struct Transform {
    int64_t length, rows;
    bool inverse;
    Place data;    /* length·rows·8 bytes */
    Place scratch; /* the same size, content lost */
} Transform;

typedef struct GpuStep {
    enum { GPU_DISPATCH, GPU_TRANSFORM, GPU_PRODUCT } kind;
    union {
        Dispatch dispatch;
        Transform transform;
        GpuProduct product;
    };
    double cost; /* estimated operations and bytes moved; one measure for splitting submissions */
} GpuStep;

/* Steps, and the command of each: commands.commands[i] says what steps[i] touches and whether a
 * barrier stands before it. */
typedef struct GpuList {
    GpuStep *steps;
    int n_steps, step_capacity;
    CommandList commands;
} GpuList;

/* What a device allows, and how it does products best, for lowering. Part of the device: the same
 * for every call. */
struct GpuLimits {
    int64_t groups[3];       /* largest counts */
    int64_t transform_bytes; /* largest Transform.data; 0: no transforms on this device */
    int64_t busy_groups;     /* groups that keep the device busy, ≥ 1 */
    int64_t alignment;       /* of workspace parts, bytes; below 256 means 256 */
    bool matrices;           /* TILE_MATRIX_64 and _128 work here, in graphs of F16 storage */
    GpuTuning tuning;        /* empty: by the rules */
    GpuLibrary *library;     /* of products; NULL: there is none */
    bool apart;              /* fuse nothing: to test and measure what fusing does */
};

/* For Backend.supports, .fuse and .workspace. */
bool gpu_supports(const GpuLimits *limits, const Graph *graph, const Node *node, const char **why);
int gpu_fuse(const GpuLimits *limits, const Graph *graph, int first);
int64_t gpu_workspace(const GpuLimits *limits, const Graph *graph, int first, int count);

/* Appends the steps of every node, or group of nodes, with barriers derived. The list starts zeroed
 * and is freed by gpu_list_free() on failure too. */
wf_status gpu_lower(const Plan *plan, const GpuLimits *limits, GpuList *list);
void gpu_list_free(GpuList *list);

/* A known transform that every plan for a length is checked with before use (a driver may compute
 * wrongly without saying so): fills data[2·length·rows], and gives the relative error of what came
 * back. Beyond GPU_TRANSFORM_BOUND the backend reports WF_ERROR_DEVICE. */
#define GPU_TRANSFORM_BOUND 1e-5
void gpu_transform_probe(float *data, int64_t length, int64_t rows);
double gpu_transform_error(const float *result, int64_t length, int64_t rows, bool inverse);

#endif
