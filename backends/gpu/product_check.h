/* Whether products computed in some way are right on a device: by a vendor's library (library.h),
 * or by those kernels of ours that rest on what a driver makes of them (vulkan/matrix.h).
 *
 * Known products of every form that models have are run as any graph is, each in every way in
 * question, and compared with sums in double. The verdict is kept under all that it depends on
 * (cache.h). What follows from it is the caller's to decide. */
#ifndef BACKENDS_GPU_PRODUCT_CHECK_H
#define BACKENDS_GPU_PRODUCT_CHECK_H

#include "backends/gpu/gpu.h"

/* A way to compute the products of a graph of this storage type. Types that the device lacks, and
 * forms that the library does not take, are passed over. */
typedef struct ProductWay {
    DType storage;
    ProductChoice choice;
} ProductWay;

/* "a layer's product (67x131x75 f16, matrix 64): off by 1.2e-03", an error relative to the results'
 * root mean square. "": nothing is wrong. */
typedef struct ProductVerdict {
    char wrong[96];
} ProductVerdict;

/* The verdict that is kept under `depends`, a text of the device, its driver and the library or
 * kernels; or that of trials now, which is then kept. A failure: the trials did not come to their
 * end, and nothing is kept. */
wf_status product_check(Device *device, const char *depends, const ProductWay *ways, int n_ways,
                        ProductVerdict *out);

/* False: none is kept, and *out says that nothing was wrong. */
bool product_verdict_find(const char *depends, ProductVerdict *out);
void product_verdict_keep(const char *depends, const ProductVerdict *verdict);

#endif
