/* Devices: where a model's numbers live and its kernels run.
 *
 * A device is named "cpu", "vulkan:1", "vulkan" (of that backend's devices a discrete GPU, else an
 * integrated one, else the first), or "auto" (a discrete GPU, else an integrated one, else the CPU;
 * of a kind CUDA's before Vulkan's before OpenCL's; software GPU drivers, and backends that have
 * not run on a device yet, only when named). The choice depends on the devices present and on
 * nothing else. A device and everything made on it are used from one thread at a time; different
 * devices may be used from different threads. */
#ifndef WAVEFIELD_DEVICE_H
#define WAVEFIELD_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "wavefield/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wf_device wf_device;

typedef enum wf_device_kind {
    WF_DEVICE_CPU,
    WF_DEVICE_DISCRETE,
    WF_DEVICE_INTEGRATED,
    WF_DEVICE_SOFTWARE /* a GPU driver that computes on the CPU */
} wf_device_kind;

typedef struct wf_device_info {
    char id[32];      /* what wf_device_open takes: "vulkan:0" */
    char name[128];   /* the product's name */
    char driver[128]; /* its driver and version */
    wf_device_kind kind;
    int64_t memory;   /* bytes; 0: unknown */
    int threads;      /* that a CPU computes with, which changes no bit; 0: not a CPU */
    char reason[512]; /* why "auto" chose it, and what it passed over; "" when listed or named */
    /* Of a GPU, as its driver has it; 0 and false where it does not say. */
    int subgroup_size;    /* threads that run in step: a warp, a wave */
    bool half_storage;    /* 16-bit floats in memory */
    bool half_arithmetic; /* and computed with */
    bool bfloat16;        /* computed with */
    bool matrix_units;    /* products of small matrices as one instruction */
    /* Who computes products of matrices: "cuBLASLt 13.0.0", or "own kernels: " and why no library
     * does. "": the device's backend has none. */
    char products[160];
    bool library_wrong; /* because the library failed its check on the opened device */
    char matrices[96];  /* which of them 16-bit products use, or why none; "": nothing known */
    /* What `wavefield tune` kept for it: results depend on it in rounding. */
    int tuned;           /* classes of products; 0: none */
    uint64_t tuning;     /* tells tunings apart; 0: none */
    bool tuning_damaged; /* something is kept and cannot be used */
} wf_device_info;

/* Lists the devices present: up to `capacity` of them into `infos` (may be NULL when capacity is
 * 0); how many there are, which may be more, into *count. Backends without a loader or driver
 * contribute none. */
WF_API wf_status wf_device_list(wf_device_info *infos, int capacity, int *count);

/* Opens a device by name; NULL is "auto". WF_ERROR_DEVICE, listing those present, when there is no
 * such device. Under "auto" a device that cannot be opened is passed over. The caller closes it
 * after everything made on it has been destroyed. */
WF_API wf_status wf_device_open(const char *name, wf_device **out);
WF_API void wf_device_close(wf_device *device); /* NULL is allowed */

/* What was opened, and why. */
WF_API void wf_device_describe(const wf_device *device, wf_device_info *info);

#ifdef __cplusplus
}
#endif
#endif
