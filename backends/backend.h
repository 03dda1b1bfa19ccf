/* The one interface between the library and a backend.
 *
 * A backend is a table of functions and a folder of files with the same names as every other
 * backend's. It sees plans, never models. Calls on one device come from one thread at a time. */
#ifndef BACKENDS_BACKEND_H
#define BACKENDS_BACKEND_H

#include "graph/hazards.h"
#include "graph/plan.h"

typedef enum DeviceKind {
    DEVICE_CPU,
    DEVICE_DISCRETE,
    DEVICE_INTEGRATED,
    DEVICE_SOFTWARE
} DeviceKind;

typedef struct DeviceInfo {
    char name[128];   /* "NVIDIA H100", "llvmpipe (LLVM 15.0.6, 256 bits)" */
    char driver[128]; /* name and version */
    DeviceKind kind;
    int64_t memory; /* bytes */
    int threads;    /* of a CPU; they have no say in the bits */
    /* Of a GPU, as its driver has it; 0 and false where it does not say. */
    int subgroup;         /* threads that run in step: a warp, a wave */
    bool half_storage;    /* 16-bit floats in buffers */
    bool half_arithmetic; /* and in registers */
    bool bfloat16;        /* in registers */
    bool matrix;          /* products of small matrices as one instruction */
    char products[160];   /* who computes them (backends/gpu/library.h); "": our kernels */
    bool library_wrong;   /* a library that it should be is not, as its products are wrong here */
    char matrices[96];    /* which of them products use, or why none; "": nothing to say */
    /* What `wavefield tune` stored for it (backends/gpu/tuning.h). */
    int tuned;           /* classes of products; 0: none */
    uint64_t tuning;     /* fingerprint; 0: none */
    bool tuning_damaged; /* something is stored, and cannot be used */
} DeviceInfo;

typedef struct wf_device Device;  /* an open device; the public handle */
typedef struct Buffer Buffer;     /* an allocation on one */
typedef struct Readback Readback; /* bytes on their way from one to the host */
typedef struct Program Program;   /* a plan recorded for one, to be replayed */
typedef struct Backend Backend;

enum { DEVICE_REASON = 512 };

/* Every backend's device, buffer, readback and program start with these. */
struct wf_device {
    const Backend *backend;
    DeviceInfo info;
    Limits limits;
    char id[32];                /* "vulkan:1"; this and the next are filled by wf_device_open() */
    char reason[DEVICE_REASON]; /* why "auto" chose it, "" when it was named */
};
struct Buffer {
    Device *device;
    int64_t size;
};
struct Readback {
    Device *device;
    int64_t size; /* bytes that each of its reads has */
};
struct Program {
    Device *device;
    const Plan *plan; /* borrowed */
};

struct Backend {
    const char *name; /* "cpu", "vulkan", … */
    bool partial;     /* not yet proven on a device: "auto" does not choose it */

    /* Devices present, at most `capacity` of them into `infos`; *count is how many there are.
     * A missing loader or driver is *count = 0 and WF_OK, with the reason in wf_error_message(). */
    wf_status (*list)(DeviceInfo *infos, int capacity, int *count);
    wf_status (*open)(int index, Device **out);
    void (*close)(Device *device);

    /* False: not on this device, or not in this form. `why` (may be NULL) gets a constant text. */
    bool (*supports)(const Device *device, const Graph *graph, const Node *node, const char **why);
    /* As in PlanQueries. NULL: no nodes are fused. */
    int (*fuse)(const Device *device, const Graph *graph, int first);
    int64_t (*workspace)(const Device *device, const Graph *graph, int first, int count);

    /* Buffers are uninitialised. WF_ERROR_MEMORY when there is no room. */
    wf_status (*buffer_create)(Device *device, int64_t size, Buffer **out);
    void (*buffer_destroy)(Buffer *buffer);
    /* Ordered after every earlier program_run, write and fill of the device. When they return, what
     * was read is there and what was written may be reused; it may still be on its way. Only reads
     * wait for the device: a write waits where more bytes are on their way to it than it has
     * staging memory for, and never for a program. */
    wf_status (*buffer_write)(Buffer *buffer, int64_t offset, const void *data, int64_t size);
    wf_status (*buffer_read)(Buffer *buffer, int64_t offset, void *data, int64_t size);
    wf_status (*buffer_fill)(Buffer *buffer, int64_t offset, int64_t size, uint32_t word);

    /* A read in two halves. begin enqueues it, ordered as buffer_read is, and waits for nothing;
     * end waits until those bytes have arrived, whatever was enqueued after them, and hands them
     * out. After a failure of end it can be called again; a begin before the end forgets the read
     * that was under way. destroy waits for it. */
    wf_status (*readback_create)(Device *device, int64_t size, Readback **out);
    void (*readback_destroy)(Readback *readback); /* NULL is allowed */
    wf_status (*readback_begin)(Readback *readback, Buffer *buffer, int64_t offset);
    wf_status (*readback_end)(Readback *readback, void *data);

    /* Records the plan; all its slabs must have buffers. */
    wf_status (*program_create)(Device *device, const Plan *plan, Program **out);
    void (*program_destroy)(Program *program);
    /* Enqueues one replay; later reads and writes of buffers come after it. */
    wf_status (*program_run)(Program *program);
    /* Runs commands of nodes [first, last) only, and waits: for finding the first bad tensor. Those
     * of a group run with its first node. */
    wf_status (*program_run_nodes)(Program *program, int first, int last);
    /* What lowering for this device goes by, to be changed only by the tuning and tests of it, and
     * before plans are made. NULL: not a GPU. */
    struct GpuLimits *(*gpu_limits)(Device *device);
    /* The recorded commands with their barriers, for the checker. Owned by the program. */
    const CommandList *(*program_commands)(const Program *program);
};

/* The backends of this build, NULL-terminated, in the order in which "auto" prefers them for
 * devices of one kind: CUDA, Vulkan, OpenCL, the CPU. */
extern const Backend *const backends[];

/* What "auto" opens: a discrete GPU, else an integrated one, else the CPU; of a kind the first that
 * opens, in the order of the backends, but none of a `partial` one. The device's reason says so,
 * and what was passed over on the way, and why. */
wf_status device_open_best(const Backend *const *order, Device **out);

/* The double-precision reference device; not among `backends`. */
extern const Backend backend_cpu64;

const Backend *backend_find(const char *name);

/* ---- helpers over any backend (backends/device.c) ---- */

/* What every buffer_write, _read and _fill, and readback_begin, begin with: WF_ERROR_ARGUMENT for
 * bytes outside the buffer; for a fill, for bytes that are not whole words too. */
wf_status buffer_check_range(const Buffer *buffer, int64_t offset, int64_t size);
wf_status buffer_check_words(const Buffer *buffer, int64_t offset, int64_t size);

/* Region buffers of a plan's own slabs: created if absent. On failure says what was needed. */
wf_status device_allocate(Device *device, Region *region);
void device_release(Region *region);
wf_status device_plan_allocate(Device *device, Plan *plan);
void device_plan_release(Plan *plan);
wf_status device_plan_create(Device *device, const Graph *graph, Plan **out);

/* A plan, its memory and its program in one: the usual case. */
typedef struct Runnable {
    Plan *plan;
    Program *program;
} Runnable;
wf_status runnable_create(Device *device, const Graph *graph, Runnable *out);
void runnable_destroy(Runnable *runnable);

/* Appends a tensor to a region under the device's alignment; returns its byte offset. */
int64_t region_append(Region *region, const Limits *limits, DType dtype, Shape shape);

/* DTYPE_REAL elements, converted between the host's float or double and the device's type. */
wf_status device_write_floats(Region *region, int64_t offset, const float *data, int64_t n);
wf_status device_read_floats(const Region *region, int64_t offset, float *data, int64_t n);
wf_status device_write_doubles(Region *region, int64_t offset, const double *data, int64_t n);
wf_status device_read_doubles(const Region *region, int64_t offset, double *data, int64_t n);
/* Elements of any type of reals, from and to double. */
wf_status device_write_stored(Region *region, DType dtype, int64_t offset, const double *data,
                              int64_t n);
wf_status device_read_stored(const Region *region, DType dtype, int64_t offset, double *data,
                             int64_t n);
/* One real as this device stores it. */
double device_real(const Device *device, const void *bytes);
wf_status device_write_ints(Region *region, int64_t offset, const int32_t *data, int64_t n);
wf_status device_read_ints(const Region *region, int64_t offset, int32_t *data, int64_t n);
/* Every byte of the region 0, or 0xff (NaN in every float). */
wf_status device_clear(Region *region);
wf_status device_poison(Region *region);

#endif
