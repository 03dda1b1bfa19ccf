/* In place of product.c and clblast.c where the build found no clblast_c.h. */
#include "backends/opencl/opencl.h"

void opencl_products_describe(DeviceInfo *info)
{
    gpu_library_describe(info, backend_opencl.name, "built without CLBlast", NULL, false);
}

void opencl_products_open(OpenclDevice *device)
{
    (void)device;
}

void opencl_products_close(OpenclDevice *device)
{
    (void)device;
}

wf_status opencl_product_create(OpenclDevice *device, const Plan *plan, const GpuProduct *from,
                                OpenclProduct **out)
{
    (void)device, (void)plan, (void)from, (void)out;
    return fail(WF_ERROR_UNSUPPORTED, "OpenCL: built without CLBlast");
}

void opencl_product_destroy(OpenclProduct *product)
{
    (void)product;
}

wf_status opencl_product_run(OpenclDevice *device, const OpenclProduct *product,
                             const GpuProduct *from)
{
    (void)device, (void)product, (void)from;
    return fail(WF_ERROR_UNSUPPORTED, "OpenCL: built without CLBlast");
}
