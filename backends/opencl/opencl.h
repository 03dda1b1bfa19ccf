/* What the files of the OpenCL backend share. */
#ifndef BACKENDS_OPENCL_OPENCL_H
#define BACKENDS_OPENCL_OPENCL_H

#include "backends/gpu/cache.h"
#include "backends/gpu/gpu.h"
#include "backends/gpu/staging.h"
#include "backends/opencl/loader.h"

typedef struct TransformPlan TransformPlan; /* backends/gpu/vkfft.h */
typedef struct OpenclProduct OpenclProduct; /* product.c */

/* Memory of the host that transfers are quick with. */
typedef struct OpenclPinned {
    cl_mem memory;
    char *data;
} OpenclPinned;

typedef struct OpenclDevice {
    Device base;
    cl_platform_id platform;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue; /* in order: commands need no barriers */
    GpuLimits gpu;
    GpuCache files;                    /* what is kept between runs of the program */
    cl_program programs[KERNEL_COUNT]; /* built, or taken from a file, when first needed */
    TransformPlan *transforms;         /* list of those made so far */
    OpenclPinned ring;
    cl_event marks[STAGING_PIECES]; /* behind the last use of each; NULL: none */
    Staging staging;
    GpuLibrary library; /* of products */
} OpenclDevice;

typedef struct OpenclBuffer {
    Buffer base;
    cl_mem memory;
} OpenclBuffer;

static inline OpenclDevice *opencl_device(const Device *device)
{
    return (OpenclDevice *)device;
}

static inline cl_mem opencl_memory(const Buffer *buffer)
{
    return ((const OpenclBuffer *)buffer)->memory;
}

/* WF_ERROR_MEMORY or WF_ERROR_DEVICE, with "OpenCL: <doing>: <error>" as the message. */
wf_status opencl_fail(cl_int error, const char *format, ...) PRINTF_LIKE(2, 3);

extern const Backend backend_opencl;

/* Of the compiler, for kernels. */
#define OPENCL_OPTIONS "-cl-std=CL1.2"

/* buffer.c */
wf_status opencl_buffer_create(Device *device, int64_t size, Buffer **out);
void opencl_buffer_destroy(Buffer *buffer);
wf_status opencl_buffer_write(Buffer *buffer, int64_t offset, const void *data, int64_t size);
wf_status opencl_buffer_read(Buffer *buffer, int64_t offset, void *data, int64_t size);
wf_status opencl_buffer_fill(Buffer *buffer, int64_t offset, int64_t size, uint32_t word);

/* Written through a ring (staging.h); to be destroyed on failure too. */
wf_status opencl_staging_create(OpenclDevice *device);
void opencl_staging_destroy(OpenclDevice *device);
wf_status opencl_readback_create(Device *device, int64_t size, Readback **out);
void opencl_readback_destroy(Readback *readback);
wf_status opencl_readback_begin(Readback *readback, Buffer *buffer, int64_t offset);
wf_status opencl_readback_end(Readback *readback, void *data);

/* compile.c: a kernel object for each use, since it holds its arguments. */
wf_status opencl_kernel_create(OpenclDevice *device, KernelId id, cl_kernel *out);

/* program.c */
wf_status opencl_program_create(Device *device, const Plan *plan, Program **out);
void opencl_program_destroy(Program *program);
wf_status opencl_program_run(Program *program);
wf_status opencl_program_run_nodes(Program *program, int first, int last);
const CommandList *opencl_program_commands(const Program *program);

/* product.c: who computes products goes into info->products; of an open device, the library into
 * what lowering goes by. */
void opencl_products_describe(DeviceInfo *info);
void opencl_products_open(OpenclDevice *device);
void opencl_products_close(OpenclDevice *device);
/* A program's product, to be destroyed even where it could not be made; `from` must be the one it
 * was made from. */
wf_status opencl_product_create(OpenclDevice *device, const Plan *plan, const GpuProduct *from,
                                OpenclProduct **out);
void opencl_product_destroy(OpenclProduct *product);
wf_status opencl_product_run(OpenclDevice *device, const OpenclProduct *product,
                             const GpuProduct *from);

/* fft.c: the device's plan for transforms of this shape, made and checked when first asked for. */
wf_status opencl_transform_get(OpenclDevice *device, const Transform *shape, TransformPlan **out);
/* Enqueues one; the addresses must stay valid until the next. */
wf_status opencl_transform_run(OpenclDevice *device, TransformPlan *transform, cl_mem *data,
                               cl_mem *scratch);
void opencl_transforms_free(OpenclDevice *device);

#endif
