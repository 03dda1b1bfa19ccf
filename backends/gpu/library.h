/* Products by a vendor's library: cuBLASLt under CUDA, CLBlast under OpenCL.
 *
 * A backend that has one puts it into its GpuLimits. Lowering then asks it, product by product,
 * whether it takes the form, and emits a GPU_PRODUCT step (gpu.h) or the project's own kernels: the
 * same in supports, workspace and lowering, since a library answers by form alone. Before the first
 * product is given to it, a library shows on known ones that it computes them right on this device
 * and driver (product_check.h). One that does not is not used. */
#ifndef BACKENDS_GPU_LIBRARY_H
#define BACKENDS_GPU_LIBRARY_H

#include "backends/backend.h"

/* C = op(A)·op(B) + bias, or the same added onto C; the sum of the product in float32 at least. */
typedef struct GpuProduct {
    ProductParams shape; /* never sum_batch */
    DType operands;      /* of a and b */
    DType result;        /* of c: the same or DTYPE_REAL */
    bool accumulate;
    Place a, b, bias, c; /* bias is float; size 0: none */
    Place workspace;     /* as large as the library said; its content is lost */
} GpuProduct;

typedef enum GpuLibraryState {
    GPU_LIBRARY_UNCHECKED,
    GPU_LIBRARY_IN_CHECK,
    GPU_LIBRARY_RIGHT,
    GPU_LIBRARY_WRONG
} GpuLibraryState;

typedef struct GpuLibrary GpuLibrary;
struct GpuLibrary {
    char name[64];  /* "cuBLASLt 13.0.0" */
    bool preferred; /* where no tuning says otherwise, for products of more than a few rows */
    Device *device;
    GpuLibraryState state;
    /* Of a product's places only whether there is one and the alignment of its offset count, up to
     * Limits.alignment. False: not in this form. */
    bool (*takes)(const GpuLibrary *library, const GpuProduct *product);
    /* Bytes, for any offsets. */
    int64_t (*workspace)(const GpuLibrary *library, const GpuProduct *product);
};

/* Has shown that it computes right? The first call makes it do so, or finds it kept that it has.
 * Sets info.products of the device; on a failure that says why. */
bool gpu_library_is_right(GpuLibrary *library);

/* The same when a device is opened, where rules or its tuning may ask for the library: whoever
 * opens it can then say what is wrong. */
void gpu_library_prepare(const struct GpuLimits *limits);

/* What WAVEFIELD_PRODUCTS says: "own" leaves libraries out, "library" prefers them on every device.
 * Anything else, or nothing: as the device is best served. */
typedef enum GpuProductsBy {
    PRODUCTS_BY_DEVICE,
    PRODUCTS_BY_OWN,
    PRODUCTS_BY_LIBRARY
} GpuProductsBy;
GpuProductsBy gpu_products_by(void);

/* Fills info.products and .library_wrong of a device that need not be open: `absent` says why there
 * is no library, or is NULL and it has a name. */
void gpu_library_describe(DeviceInfo *info, const char *backend, const char *absent,
                          const char *name, bool preferred);

#endif
