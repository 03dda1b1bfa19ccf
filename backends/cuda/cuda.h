/* What the files of the CUDA backend share. */
#ifndef BACKENDS_CUDA_CUDA_H
#define BACKENDS_CUDA_CUDA_H

#include "backends/cuda/loader.h"
#include "backends/gpu/cache.h"
#include "backends/gpu/gpu.h"
#include "backends/gpu/staging.h"

typedef struct TransformPlan TransformPlan; /* backends/gpu/vkfft.h */
typedef struct CudaProduct CudaProduct;     /* product.c */

typedef struct CudaDevice {
    Device base;
    CUdevice id;
    CUcontext context; /* the primary one */
    CUstream stream;   /* everything runs on it, in order: commands need no barriers */
    int major, minor;  /* compute capability */
    GpuLimits gpu;
    GpuCache files;                 /* what is kept between runs of the program */
    CUmodule modules[KERNEL_COUNT]; /* compiled, or taken from a file, when first needed */
    TransformPlan *transforms;      /* list of those made so far */
    CUevent marks[STAGING_PIECES];  /* behind the last use of each */
    Staging staging;
    struct cublasLtContext *cublaslt; /* NULL: our own products */
    GpuLibrary library;
} CudaDevice;

typedef struct CudaBuffer {
    Buffer base;
    CUdeviceptr address;
} CudaBuffer;

static inline CudaDevice *cuda_device(const Device *device)
{
    return (CudaDevice *)device;
}

static inline CUdeviceptr cuda_address(const Buffer *buffer)
{
    return ((const CudaBuffer *)buffer)->address;
}

/* Of a place in a plan whose slabs have buffers; 0 where it is absent. */
static inline CUdeviceptr cuda_place(const Plan *plan, Place place)
{
    if (!place.size) return 0;
    return cuda_address(plan->slabs[place.slab]->buffer) + (CUdeviceptr)place.offset;
}

/* WF_ERROR_MEMORY or WF_ERROR_DEVICE, with "CUDA: <doing>: <error>" as the message. */
wf_status cuda_fail(CUresult error, const char *format, ...) PRINTF_LIKE(2, 3);

/* Makes the device's context the calling thread's: first in every call that enters this backend. */
wf_status cuda_enter(const CudaDevice *device);

extern const Backend backend_cuda;

/* buffer.c */
wf_status cuda_buffer_create(Device *device, int64_t size, Buffer **out);
void cuda_buffer_destroy(Buffer *buffer);
wf_status cuda_buffer_write(Buffer *buffer, int64_t offset, const void *data, int64_t size);
wf_status cuda_buffer_read(Buffer *buffer, int64_t offset, void *data, int64_t size);
wf_status cuda_buffer_fill(Buffer *buffer, int64_t offset, int64_t size, uint32_t word);

/* Written through a ring (staging.h); to be destroyed on failure too. */
wf_status cuda_staging_create(CudaDevice *device);
void cuda_staging_destroy(CudaDevice *device);
wf_status cuda_readback_create(Device *device, int64_t size, Readback **out);
void cuda_readback_destroy(Readback *readback);
wf_status cuda_readback_begin(Readback *readback, Buffer *buffer, int64_t offset);
wf_status cuda_readback_end(Readback *readback, void *data);

/* program.c */
wf_status cuda_program_create(Device *device, const Plan *plan, Program **out);
void cuda_program_destroy(Program *program);
wf_status cuda_program_run(Program *program);
wf_status cuda_program_run_nodes(Program *program, int first, int last);
const CommandList *cuda_program_commands(const Program *program);

/* compile.c: a kernel's machine code for a compute capability, *size bytes that the caller frees;
 * needs no driver and no GPU. */
wf_status cuda_compile(const GpuKernel *kernel, int major, int minor, char **code, size_t *size);
/* The device's kernel, compiled unless an earlier run's machine code is kept. */
wf_status cuda_kernel_get(CudaDevice *device, KernelId id, CUfunction *out);

/* Of the compiler, beside the architecture. */
#define CUDA_OPTION "--fmad=false"

/* product.c: who computes products goes into info->products; of an open device, the library into
 * what lowering goes by. */
void cuda_products_describe(DeviceInfo *info);
void cuda_products_open(CudaDevice *device);
void cuda_products_close(CudaDevice *device);
/* A program's product; `from` must be the one it was made from. */
wf_status cuda_product_create(CudaDevice *device, const Plan *plan, const GpuProduct *from,
                              CudaProduct **out);
void cuda_product_destroy(CudaProduct *product);
wf_status cuda_product_run(CudaDevice *device, const CudaProduct *product, const GpuProduct *from);

/* fft.c: the device's plan for transforms of this shape, made and checked when first asked for. */
wf_status cuda_transform_get(CudaDevice *device, const Transform *shape, TransformPlan **out);
/* Enqueues one. */
wf_status cuda_transform_run(CudaDevice *device, TransformPlan *plan, CUdeviceptr data,
                             CUdeviceptr scratch);
void cuda_transforms_free(CudaDevice *device);

#endif
