/* Products through CLBlast: float32, one at a time, without a bias; lowering makes the rest of
 * those. Its matrices lie by rows as ours do.
 *
 * It pads and transposes operands into temporary memory, which the plan gives, where they do not
 * begin at the start of their buffers or do not fit its tiles: sub-buffers give them their own
 * start. Its parameters come from a table of devices that it was built with, so that results
 * repeat. It compiles its kernels when first used, in every process anew. */
#include "backends/opencl/clblast.h"
#include "backends/opencl/opencl.h"

#include <stdio.h>
#include <stdlib.h>

struct OpenclProduct {
    cl_mem a, b, c, temporary;           /* sub-buffers */
    size_t offset_a, offset_b, offset_c; /* elements into them */
};

static CLBlastTranspose turned(bool transposed)
{
    return transposed ? CLBlastTransposeYes : CLBlastTransposeNo;
}

static wf_status clblast_fail(CLBlastStatusCode error, const GpuProduct *product)
{
    const ProductParams *p = &product->shape;
    return fail(error == CLBlastTempBufferAllocFailure ? WF_ERROR_MEMORY : WF_ERROR_DEVICE,
                "OpenCL: CLBlast does not run a product of %lldx%lldx%lld (error %d)",
                (long long)p->rows, (long long)p->cols, (long long)p->inner, (int)error);
}

/* ---- what it takes ---- */

static int64_t begin_of(const OpenclDevice *device, Place place)
{
    return place.offset / device->base.limits.alignment * device->base.limits.alignment;
}

/* Elements from the start of the place's sub-buffer. */
static size_t start_of(const OpenclDevice *device, Place place)
{
    return (size_t)(place.offset - begin_of(device, place)) / sizeof(float);
}

static CLBlastStatusCode temporary_bytes(const OpenclDevice *device, const GpuProduct *product,
                                         size_t *bytes)
{
    const ProductParams *p = &product->shape;
    cl_command_queue queue = device->queue;
    return CLBlastSGemmTempBufferSize(CLBlastLayoutRowMajor, turned(p->trans_a), turned(p->trans_b),
                                      (size_t)p->rows, (size_t)p->cols, (size_t)p->inner,
                                      start_of(device, product->a), (size_t)p->ld_a,
                                      start_of(device, product->b), (size_t)p->ld_b,
                                      start_of(device, product->c), (size_t)p->ld_c, &queue, bytes);
}

static bool fits(int64_t rows, int64_t width, int64_t ld)
{
    return rows >= 1 && width >= 1 && ld >= width && rows <= INT32_MAX / ld - 1;
}

static bool takes(const GpuLibrary *library, const GpuProduct *product)
{
    const ProductParams *p = &product->shape;
    size_t bytes = 0;
    if (product->operands != DTYPE_REAL || product->bias.size || p->batch != 1) return false;
    if (!fits(p->trans_a ? p->inner : p->rows, p->trans_a ? p->rows : p->inner, p->ld_a) ||
        !fits(p->trans_b ? p->cols : p->inner, p->trans_b ? p->inner : p->cols, p->ld_b) ||
        !fits(p->rows, p->cols, p->ld_c))
        return false;
    const OpenclDevice *device = opencl_device(library->device);
    if (temporary_bytes(device, product, &bytes)) return false;
    int64_t largest = device->base.limits.largest_allocation;
    return !largest || (int64_t)bytes <= largest;
}

static int64_t workspace(const GpuLibrary *library, const GpuProduct *product)
{
    size_t bytes = 0;
    temporary_bytes(opencl_device(library->device), product, &bytes);
    return (int64_t)bytes;
}

/* ---- products of programs ---- */

static wf_status sub_buffer(const OpenclDevice *device, const Plan *plan, Place place, cl_mem *out)
{
    if (!place.size) return WF_OK;
    cl_int error;
    int64_t begin = begin_of(device, place);
    cl_buffer_region region = {(size_t)begin, (size_t)(place.offset + place.size - begin)};
    *out = clCreateSubBuffer(opencl_memory(plan->slabs[place.slab]->buffer), CL_MEM_READ_WRITE,
                             CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    return error ? opencl_fail(error, "recording a product at byte %lld", (long long)place.offset)
                 : WF_OK;
}

wf_status opencl_product_create(OpenclDevice *device, const Plan *plan, const GpuProduct *from,
                                OpenclProduct **out)
{
    OpenclProduct *product = calloc(1, sizeof *product);
    if (!product) return fail(WF_ERROR_MEMORY, "out of memory for a product");
    *out = product; /* the program's to free, whatever happens */
    product->offset_a = start_of(device, from->a);
    product->offset_b = start_of(device, from->b);
    product->offset_c = start_of(device, from->c);
    TRY(sub_buffer(device, plan, from->a, &product->a));
    TRY(sub_buffer(device, plan, from->b, &product->b));
    TRY(sub_buffer(device, plan, from->c, &product->c));
    return sub_buffer(device, plan, from->workspace, &product->temporary);
}

void opencl_product_destroy(OpenclProduct *product)
{
    if (!product) return;
    cl_mem buffers[] = {product->a, product->b, product->c, product->temporary};
    for (int i = 0; i < 4; i++)
        if (buffers[i]) clReleaseMemObject(buffers[i]);
    free(product);
}

wf_status opencl_product_run(OpenclDevice *device, const OpenclProduct *product,
                             const GpuProduct *from)
{
    const ProductParams *p = &from->shape;
    CLBlastStatusCode error = CLBlastSgemmWithTempBuffer(
        CLBlastLayoutRowMajor, turned(p->trans_a), turned(p->trans_b), (size_t)p->rows,
        (size_t)p->cols, (size_t)p->inner, 1, product->a, product->offset_a, (size_t)p->ld_a,
        product->b, product->offset_b, (size_t)p->ld_b, from->accumulate ? 1 : 0, product->c,
        product->offset_c, (size_t)p->ld_c, &device->queue, NULL, product->temporary);
    return error ? clblast_fail(error, from) : WF_OK;
}

/* ---- the library ---- */

/* On software devices our kernels are as fast, and nothing has to be compiled for them first
 * (docs/devices.md). */
static bool preferred(const DeviceInfo *info)
{
    return gpu_products_by() == PRODUCTS_BY_LIBRARY || info->kind != DEVICE_SOFTWARE;
}

void opencl_products_describe(DeviceInfo *info)
{
    gpu_library_describe(info, backend_opencl.name, clblast_load(), clblast_name(),
                         preferred(info));
}

void opencl_products_open(OpenclDevice *device)
{
    if (gpu_products_by() == PRODUCTS_BY_OWN || clblast_load()) return;
    device->library = (GpuLibrary){.preferred = preferred(&device->base.info),
                                   .device = &device->base,
                                   .takes = takes,
                                   .workspace = workspace};
    snprintf(device->library.name, sizeof device->library.name, "%s", clblast_name());
    device->gpu.library = &device->library;
}

/* It finds compiled kernels by the context's address, which the next context may have too. */
void opencl_products_close(OpenclDevice *device)
{
    if (device->gpu.library) CLBlastClearCache();
}
