/* In place of product.c and cublaslt.c where the toolkit has no cublasLt.h. */
#include "backends/cuda/cuda.h"

void cuda_products_describe(DeviceInfo *info)
{
    gpu_library_describe(info, backend_cuda.name, "built without cuBLASLt", NULL, false);
}

void cuda_products_open(CudaDevice *device)
{
    (void)device;
}

void cuda_products_close(CudaDevice *device)
{
    (void)device;
}

wf_status cuda_product_create(CudaDevice *device, const Plan *plan, const GpuProduct *from,
                              CudaProduct **out)
{
    (void)device, (void)plan, (void)from, (void)out;
    return fail(WF_ERROR_UNSUPPORTED, "CUDA: built without cuBLASLt");
}

void cuda_product_destroy(CudaProduct *product)
{
    (void)product;
}

wf_status cuda_product_run(CudaDevice *device, const CudaProduct *product, const GpuProduct *from)
{
    (void)device, (void)product, (void)from;
    return fail(WF_ERROR_UNSUPPORTED, "CUDA: built without cuBLASLt");
}
