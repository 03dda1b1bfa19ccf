#include "backends/gpu/tuning.h"

#include "backends/gpu/cache.h"
#include "backends/gpu/gpu.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 2, LARGEST_EXPONENT = 31 };

static const char file_name[] = "products";

const char *const product_tile_names[TILE_COUNT] = {
    [TILE_RULE] = "rule",           [TILE_LIBRARY] = "library",       [TILE_FEW] = "few rows",
    [TILE_16X64] = "16x64",         [TILE_64X16] = "64x16",           [TILE_64X64] = "64x64",
    [TILE_64X128] = "64x128",       [TILE_128X64] = "128x64",         [TILE_128X128] = "128x128",
    [TILE_MATRIX_64] = "matrix 64", [TILE_MATRIX_128] = "matrix 128",
};

GpuTuning *gpu_limits_tuning(GpuLimits *limits)
{
    return &limits->tuning;
}

/* ---- classes ---- */

/* Of the nearest power of two, the larger from √2 on; in whole numbers, to be the same anywhere. */
static uint8_t exponent(int64_t n)
{
    uint8_t k = 0;
    while (k < LARGEST_EXPONENT && n >> (k + 1) > 0) k++;
    bool up = k < LARGEST_EXPONENT && (uint64_t)n * (uint64_t)n >= (uint64_t)1 << (2 * k + 1);
    return (uint8_t)(up ? k + 1 : k);
}

ProductClass product_class(const ProductParams *p, DType storage)
{
    return (ProductClass){.rows = exponent(p->rows),
                          .cols = exponent(p->cols),
                          .inner = exponent(p->inner),
                          .batch = exponent(p->batch),
                          .trans_a = p->trans_a,
                          .trans_b = p->trans_b,
                          .sum_batch = p->sum_batch,
                          .storage = (uint8_t)storage};
}

static bool same_class(const ProductClass *a, const ProductClass *b)
{
    return a->rows == b->rows && a->cols == b->cols && a->inner == b->inner &&
           a->batch == b->batch && a->trans_a == b->trans_a && a->trans_b == b->trans_b &&
           a->sum_batch == b->sum_batch && a->storage == b->storage;
}

ProductChoice gpu_tuning_choice(const GpuTuning *tuning, const ProductParams *product,
                                DType storage)
{
    if (tuning->forced.tile != TILE_RULE) return tuning->forced;
    if (tuning->count == 0) return (ProductChoice){0};
    ProductClass class = product_class(product, storage);
    for (int i = 0; i < tuning->count; i++)
        if (same_class(&tuning->products[i].shapes, &class)) return tuning->products[i].choice;
    return (ProductChoice){0};
}

static bool set_class(GpuTuning *tuning, const TunedProduct *product)
{
    int i = 0;
    while (i < tuning->count && !same_class(&tuning->products[i].shapes, &product->shapes)) i++;
    if (i == GPU_TUNED_MOST) return false;
    tuning->products[i] = *product;
    tuning->count = i == tuning->count ? i + 1 : tuning->count;
    return true;
}

bool gpu_tuning_set(GpuTuning *tuning, const ProductParams *product, DType storage,
                    ProductChoice choice)
{
    return set_class(tuning, &(TunedProduct){product_class(product, storage), choice});
}

uint64_t gpu_tuning_fingerprint(const GpuTuning *tuning)
{
    if (tuning->count == 0) return 0;
    uint64_t hash = GPU_HASH_START;
    for (int i = 0; i < tuning->count; i++) {
        const ProductClass *c = &tuning->products[i].shapes;
        ProductChoice choice = tuning->products[i].choice;
        const uint8_t bytes[] = {c->rows,    c->cols,      c->inner,   c->batch,    c->trans_a,
                                 c->trans_b, c->sum_batch, c->storage, choice.tile, choice.splits};
        hash = gpu_hash(hash, bytes, sizeof bytes);
    }
    return hash ? hash : 1;
}

/* ---- as JSON ---- */

static json_t *product_json(const TunedProduct *product)
{
    const ProductClass *c = &product->shapes;
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:s, s:i}", "storage",
                     dtype_name((DType)c->storage), "rows", (json_int_t)1 << c->rows, "cols",
                     (json_int_t)1 << c->cols, "inner", (json_int_t)1 << c->inner, "batch",
                     (json_int_t)1 << c->batch, "trans_a", c->trans_a, "trans_b", c->trans_b,
                     "sum_batch", c->sum_batch, "tile", product_tile_names[product->choice.tile],
                     "splits", product->choice.splits);
}

static char *tuning_print(const GpuTuning *tuning, const char *backend, const DeviceInfo *info)
{
    json_t *products = json_array();
    for (int i = 0; i < tuning->count; i++)
        json_array_append_new(products, product_json(&tuning->products[i]));
    json_t *root = json_pack("{s:i, s:s, s:s, s:s, s:o}", "format", FORMAT, "backend", backend,
                             "device", info->name, "driver", info->driver, "products", products);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    return text;
}

static bool read_size(const json_t *object, const char *key, uint8_t *out)
{
    json_int_t size = json_integer_value(json_object_get(object, key));
    if (size < 1 || size > (json_int_t)1 << LARGEST_EXPONENT) return false;
    *out = exponent(size);
    return size == (json_int_t)1 << *out;
}

static bool read_flag(const json_t *object, const char *key, bool *out)
{
    const json_t *value = json_object_get(object, key);
    *out = json_is_true(value);
    return json_is_boolean(value);
}

static bool read_storage(const json_t *object, uint8_t *out)
{
    static const DType types[] = {DTYPE_REAL, DTYPE_F16, DTYPE_BF16};
    const char *name = json_string_value(json_object_get(object, "storage"));
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++) {
        *out = (uint8_t)types[i];
        if (strcmp(name, dtype_name(types[i])) == 0) return true;
    }
    return false;
}

static bool read_choice(const json_t *object, ProductChoice *out)
{
    const char *name = json_string_value(json_object_get(object, "tile"));
    json_int_t splits = json_integer_value(json_object_get(object, "splits"));
    int tile = TILE_RULE + 1;
    while (name && tile < TILE_COUNT && strcmp(name, product_tile_names[tile]) != 0) tile++;
    if (!name || tile == TILE_COUNT || splits < 1 || splits > PRODUCT_MOST_SPLITS) return false;
    *out = (ProductChoice){(uint8_t)tile, (uint8_t)splits};
    return true;
}

static bool read_product(const json_t *object, TunedProduct *out)
{
    ProductClass *c = &out->shapes;
    return read_storage(object, &c->storage) && read_size(object, "rows", &c->rows) &&
           read_size(object, "cols", &c->cols) && read_size(object, "inner", &c->inner) &&
           read_size(object, "batch", &c->batch) && read_flag(object, "trans_a", &c->trans_a) &&
           read_flag(object, "trans_b", &c->trans_b) &&
           read_flag(object, "sum_batch", &c->sum_batch) && read_choice(object, &out->choice);
}

/* False for anything that store() does not write. */
static bool tuning_read(const json_t *root, GpuTuning *tuning)
{
    const json_t *products = json_object_get(root, "products"), *format;
    size_t count = json_array_size(products);
    format = json_object_get(root, "format");
    if (json_integer_value(format) != FORMAT || count < 1 || count > GPU_TUNED_MOST) return false;
    for (size_t i = 0; i < count; i++) {
        TunedProduct product;
        if (!read_product(json_array_get(products, i), &product)) return false;
        set_class(tuning, &product);
    }
    return tuning->count == (int)count; /* no class twice */
}

/* ---- kept ---- */

/* The text of all that products are computed with. */
static uint64_t hash_kernels(void)
{
    uint64_t hash = gpu_hash(GPU_HASH_START, gpu_prelude, strlen(gpu_prelude));
    for (int k = 0; k < KERNEL_COUNT; k++)
        if (!strncmp(gpu_kernels[k].name, "product_", 8))
            hash = gpu_hash(hash, gpu_kernels[k].source, strlen(gpu_kernels[k].source));
    return hash;
}

/* The name is that of the first format: a file of another one is found, and not passed over in
 * silence. */
static void open_files(GpuCache *files, const char *backend, const DeviceInfo *info)
{
    char depends[512];
    snprintf(depends, sizeof depends, "tuning 1, %s, %s, %s, kernels %016llx", backend, info->name,
             info->driver, (unsigned long long)hash_kernels());
    gpu_cache_open(files, depends, strlen(depends));
}

void gpu_tuning_load(GpuTuning *tuning, const char *backend, DeviceInfo *info)
{
    GpuCache files;
    GpuTuning found = {0};
    void *data = NULL;
    size_t size = 0;
    open_files(&files, backend, info);
    bool present = gpu_cache_has(&files, file_name), whole = false;
    if (gpu_cache_load(&files, file_name, &data, &size)) {
        json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
        whole = tuning_read(root, &found);
        json_decref(root);
        free(data);
    }
    if (!whole) found = (GpuTuning){0};
    info->tuned = found.count;
    info->tuning = gpu_tuning_fingerprint(&found);
    info->tuning_damaged = present && !whole;
    if (tuning) *tuning = found;
    gpu_cache_close(&files);
}

wf_status gpu_tuning_store(const GpuTuning *tuning, const char *backend, const DeviceInfo *info)
{
    GpuCache files;
    DeviceInfo stored = *info;
    char *text = tuning_print(tuning, backend, info);
    if (!text) return fail(WF_ERROR_MEMORY, "out of memory for a tuning");
    open_files(&files, backend, info);
    gpu_cache_store(&files, file_name, text, strlen(text));
    gpu_tuning_load(NULL, backend, &stored);
    wf_status status = WF_OK;
    if (stored.tuning != gpu_tuning_fingerprint(tuning))
        status = fail(WF_ERROR_IO, "the tuning of %s cannot be kept: %s%s", info->name,
                      files.folder ? "nothing can be written to " : "WAVEFIELD_CACHE keeps nothing",
                      files.folder ? files.folder : "");
    gpu_cache_close(&files);
    free(text);
    return status;
}

void gpu_tuning_forget(const char *backend, const DeviceInfo *info)
{
    GpuCache files;
    open_files(&files, backend, info);
    gpu_cache_forget(&files, file_name);
    gpu_cache_close(&files);
}
