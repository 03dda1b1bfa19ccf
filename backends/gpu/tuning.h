/* How a device computes products best, as `wavefield tune` measured it: for a class of shapes
 * stored in one type, which tile, and how many splits of the inner axis. Shapes of no class, types
 * that were not tuned, and devices never tuned, go by the rules of lower_product.c.
 *
 * A tuning is read when a device is opened and stays as it is until the device is closed, so what a
 * product is lowered to depends on device, driver, shape and the stored tuning alone. Without
 * splits all tiles add the terms of an element in the same order, to the same bits; splits, the
 * kernel for few rows and matrices round differently.
 *
 * Tunings are kept as JSON in the folder of kept files (backends/gpu/cache.h), one for each device,
 * driver, and text of the product's kernels. */
#ifndef BACKENDS_GPU_TUNING_H
#define BACKENDS_GPU_TUNING_H

#include "backends/backend.h"

/* How a product is computed: rows × columns of the tile of results that a group has. */
typedef enum ProductTile {
    TILE_RULE,    /* by the rules */
    TILE_LIBRARY, /* none: the library's product (library.h) */
    TILE_FEW,     /* of one to four rows: product_few */
    TILE_16X64,
    TILE_64X16,
    TILE_64X64,
    TILE_64X128,
    TILE_128X64,
    TILE_128X128,
    /* Square ones of results, by the device's own products of small matrices. */
    TILE_MATRIX_64,
    TILE_MATRIX_128,
    TILE_COUNT
} ProductTile;

extern const char *const product_tile_names[TILE_COUNT]; /* "64x64", "matrix 128" */

enum { PRODUCT_MOST_SPLITS = 255, PRODUCT_MOST_CANDIDATES = 192, GPU_TUNED_MOST = 1024 };

/* Shapes alike: each size to the nearest power of two, given as its exponent. */
typedef struct ProductClass {
    uint8_t rows, cols, inner, batch;
    bool trans_a, trans_b, sum_batch;
    uint8_t storage; /* DType of the operands: real, f16 or bf16 */
} ProductClass;

typedef struct ProductChoice {
    uint8_t tile;   /* ProductTile */
    uint8_t splits; /* of the inner axis, at most PRODUCT_MOST_SPLITS; 0: by the rules */
} ProductChoice;

typedef struct TunedProduct {
    ProductClass shapes;
    ProductChoice choice;
} TunedProduct;

typedef struct GpuTuning {
    ProductChoice forced; /* for every product, before anything stored; of tests and of tuning */
    int count;
    TunedProduct products[GPU_TUNED_MOST];
} GpuTuning;

/* What lowering goes by (gpu.h); backend.gpu_limits() gives a device's. */
typedef struct GpuLimits GpuLimits;
GpuTuning *gpu_limits_tuning(GpuLimits *limits);

/* Calls `visit` with every product that the node is lowered to, the head's chunks included, in
 * order.
 */
typedef void (*GpuProductVisit)(void *context, const ProductParams *product);
void gpu_products(const GpuLimits *limits, const Graph *graph, const Node *node,
                  GpuProductVisit visit, void *context);

/* What may be tried for a product in a graph of this storage type, the rules' own choice first;
 * returns how many, at most PRODUCT_MOST_CANDIDATES. Splits are doubled up to where the device has
 * more than enough groups.
 */
int gpu_product_candidates(const GpuLimits *limits, const ProductParams *product, DType storage,
                           ProductChoice *out);

/* The choice with TILE_RULE and splits of 0 replaced by what they stand for here. */
ProductChoice gpu_product_choice(const GpuLimits *limits, const ProductParams *product,
                                 DType storage, ProductChoice choice);

ProductClass product_class(const ProductParams *product, DType storage);

/* What to do for a product; TILE_RULE where nothing is said of its class. */
ProductChoice gpu_tuning_choice(const GpuTuning *tuning, const ProductParams *product,
                                DType storage);

/* Sets the choice for a product's class. False: GPU_TUNED_MOST classes have one already. */
bool gpu_tuning_set(GpuTuning *tuning, const ProductParams *product, DType storage,
                    ProductChoice choice);

/* A number that tells tunings apart; 0: nothing is tuned. `forced` does not count. */
uint64_t gpu_tuning_fingerprint(const GpuTuning *tuning);

/* The stored tuning of the backend's device that `info` describes. info->tuned, ->tuning and
 * ->tuning_damaged are set; `tuning` may be NULL. What is absent, damaged or in the format of
 * another version is an empty tuning, the latter two with ->tuning_damaged. */
void gpu_tuning_load(GpuTuning *tuning, const char *backend, DeviceInfo *info);

/* WF_ERROR_IO where it does not come back as it was stored: without a folder, or room in it. */
wf_status gpu_tuning_store(const GpuTuning *tuning, const char *backend, const DeviceInfo *info);

/* Back to the rules, for the next one who opens the device. */
void gpu_tuning_forget(const char *backend, const DeviceInfo *info);

#endif
