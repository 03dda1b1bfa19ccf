/* Whether a library's products are right on a device: some known ones, of every kind that models
 * have, against the same in double. */
#include "backends/gpu/library.h"

#include "backends/gpu/cache.h"
#include "backends/gpu/lower.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 67, COLS = 70, INNER = 129, GAP = 3, FORMAT = 1 };

typedef struct Known {
    const char *what;
    int64_t batch;
    bool trans_a, trans_b, sum_batch, bias, accumulate, to_real, gaps, shared;
} Known;

static const Known known[] = {
    {"a layer's product", 1, .trans_b = true, .bias = true},
    {"its input's gradient", .batch = 1},
    {"its weight's gradient", 1, .trans_a = true, .accumulate = true, .to_real = true},
    {"a batch of products", 3, .trans_b = true, .bias = true, .gaps = true},
    {"products of one operand", 3, .trans_b = true, .bias = true, .shared = true},
    {"a sum of products", 3, .sum_batch = true, .accumulate = true, .gaps = true},
    {"a product of transposes", 1, .trans_a = true, .trans_b = true},
};

static ProductParams params_of(const Known *this)
{
    ProductParams p = product_packed(ROWS, COLS, INNER, this->trans_a, this->trans_b);
    int64_t gap = this->gaps ? GAP : 0;
    p.batch = this->batch;
    p.sum_batch = this->sum_batch;
    p.ld_a += gap;
    p.ld_b += gap;
    p.ld_c += gap;
    p.stride_a = this->shared ? 0 : (this->trans_a ? INNER : ROWS) * p.ld_a;
    p.stride_b = (this->trans_b ? COLS : INNER) * p.ld_b;
    p.stride_c = ROWS * p.ld_c;
    p.stride_bias = COLS;
    return p;
}

/* ---- in double ---- */

/* 0 … 3: a, b, bias and c; gaps are numbers too. */
typedef struct Numbers {
    int64_t count[4];
    DType dtype[4];
    double *values[4], *expected;
} Numbers;

/* Whole multiples in [-2, 2) that the type holds exactly; float32 with all its bits, which an
 * arithmetic of fewer would not keep. */
static void draw(double *values, int64_t n, DType dtype, uint64_t stream)
{
    Rng rng = {.seed = 1, .stream = stream};
    double unit = dtype == DTYPE_REAL ? 0x1p-22 : 0x1p-6;
    for (int64_t i = 0; i < n; i++) values[i] = floor((4 * rng_uniform(&rng) - 2) / unit) * unit;
}

static double dot(const ProductParams *p, const Numbers *n, int64_t item, int64_t i, int64_t j)
{
    const double *a = n->values[0] + item * p->stride_a, *b = n->values[1] + item * p->stride_b;
    double sum = 0;
    for (int64_t k = 0; k < p->inner; k++)
        sum += (p->trans_a ? a[k * p->ld_a + i] : a[i * p->ld_a + k]) *
               (p->trans_b ? b[j * p->ld_b + k] : b[k * p->ld_b + j]);
    return sum;
}

static void compute(const Known *this, const ProductParams *p, Numbers *n)
{
    memcpy(n->expected, n->values[3], (size_t)n->count[3] * sizeof(double));
    for (int64_t item = 0; item < p->batch; item++)
        for (int64_t i = 0; i < p->rows; i++)
            for (int64_t j = 0; j < p->cols; j++) {
                int64_t of = p->sum_batch ? 0 : item;
                double *c = &n->expected[of * p->stride_c + i * p->ld_c + j];
                bool first = item == 0 || !p->sum_batch;
                double start = first && !this->accumulate ? 0 : *c;
                if (first && this->bias) start += n->values[2][of * p->stride_bias + j];
                *c = start + dot(p, n, item, i, j);
            }
}

static void numbers_free(Numbers *n)
{
    for (int i = 0; i < 4; i++) free(n->values[i]);
    free(n->expected);
}

static wf_status numbers_create(const Known *this, const ProductParams *p, DType storage,
                                Numbers *n)
{
    int64_t results = p->sum_batch ? 1 : p->batch;
    *n = (Numbers){
        .count = {(this->trans_a ? p->inner : p->rows) * p->ld_a + (p->batch - 1) * p->stride_a,
                  p->batch * p->stride_b, results * p->stride_bias, results * p->stride_c},
        .dtype = {storage, storage, DTYPE_REAL, this->to_real ? DTYPE_REAL : storage}};
    bool failed = false;
    for (int i = 0; i < 4; i++) {
        n->values[i] = calloc((size_t)n->count[i], sizeof(double));
        failed = failed || !n->values[i];
        if (n->values[i]) draw(n->values[i], n->count[i], n->dtype[i], (uint64_t)i);
    }
    n->expected = calloc((size_t)n->count[3], sizeof(double));
    if (failed || !n->expected) {
        numbers_free(n);
        return fail(WF_ERROR_MEMORY, "out of memory for the check of a library");
    }
    compute(this, p, n);
    return WF_OK;
}

/* The bound of `wavefield check`, and what storing in the result's type may add. */
static bool close_enough(const ProductParams *p, const Numbers *n, const double *got)
{
    double squares = 0, step = 0;
    for (int64_t i = 0; i < n->count[3]; i++) squares += n->expected[i] * n->expected[i];
    double rms = sqrt(squares / (double)n->count[3]);
    double bound = 16 * 0x1p-24 * sqrt((double)(p->inner * p->batch)) * rms;
    if (n->dtype[3] == DTYPE_F16) step = 0x1p-11;
    if (n->dtype[3] == DTYPE_BF16) step = 0x1p-8;
    for (int64_t i = 0; i < n->count[3]; i++)
        if (!(fabs(got[i] - n->expected[i]) <= bound + step * fabs(n->expected[i]))) return false;
    return true;
}

/* ---- on the device ---- */

typedef struct Bench {
    Region region;
    Graph *graph;
    TensorId ids[4];
    int64_t offsets[4];
    Runnable runnable;
} Bench;

static wf_status build(Device *device, const Known *this, const ProductParams *p, DType storage,
                       const Numbers *n, Bench *bench)
{
    static const char *const names[] = {"a", "b", "bias", "c"};
    bench->region = (Region){.name = "the check of a library"};
    bench->graph = graph_create();
    TRY(graph_status(bench->graph));
    bench->graph->storage = storage;
    for (int i = 0; i < 4; i++) {
        Shape shape = SHAPE(n->count[i]);
        bench->offsets[i] = region_append(&bench->region, &device->limits, n->dtype[i], shape);
        bench->ids[i] = graph_external(bench->graph, names[i], n->dtype[i], shape, &bench->region,
                                       bench->offsets[i]);
    }
    TensorId in[] = {bench->ids[0], bench->ids[1], this->bias ? bench->ids[2] : NO_TENSOR};
    graph_append(bench->graph, &(NodeParams){.op = OP_PRODUCT,
                                             .params = {.product = *p},
                                             .in = in,
                                             .n_in = 3,
                                             .out = &bench->ids[3],
                                             .n_out = 1,
                                             .accumulate = this->accumulate});
    TRY(graph_status(bench->graph));
    TRY(device_allocate(device, &bench->region));
    for (int i = 0; i < 4; i++)
        TRY(device_write_stored(&bench->region, n->dtype[i], bench->offsets[i], n->values[i],
                                n->count[i]));
    return runnable_create(device, bench->graph, &bench->runnable);
}

static wf_status run(Device *device, const Known *this, const ProductParams *p, DType storage,
                     const Numbers *n, double *got)
{
    Bench bench = {0};
    wf_status status = build(device, this, p, storage, n, &bench);
    if (!status) status = device->backend->program_run(bench.runnable.program);
    if (!status)
        status = device_read_stored(&bench.region, n->dtype[3], bench.offsets[3], got, n->count[3]);
    runnable_destroy(&bench.runnable);
    device_release(&bench.region);
    graph_destroy(bench.graph);
    return status;
}

static wf_status check_one(Device *device, const Known *this, DType storage, bool *right)
{
    Numbers n;
    ProductParams p = params_of(this);
    if (!lower_library_takes(device->backend->gpu_limits(device), &p, storage)) return WF_OK;
    TRY(numbers_create(this, &p, storage, &n));
    double *got = calloc((size_t)n.count[3], sizeof *got);
    wf_status status = got ? run(device, this, &p, storage, &n, got)
                           : fail(WF_ERROR_MEMORY, "out of memory for the check of a library");
    *right = !status && close_enough(&p, &n, got);
    free(got);
    numbers_free(&n);
    return status;
}

/* Of any product found wrong, `why` says which. */
static wf_status check_all(GpuLibrary *library, char *why, size_t size)
{
    static const DType types[] = {DTYPE_REAL, DTYPE_F16, DTYPE_BF16};
    Device *device = library->device;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        if (device->limits.dtype_size[types[t]] == 0) continue;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
            bool right = true;
            TRY(check_one(device, &known[k], types[t], &right));
            if (right) continue;
            snprintf(why, size, "%s in %s comes out wrong", known[k].what, dtype_name(types[t]));
            return WF_OK;
        }
    }
    return WF_OK;
}

/* ---- once ---- */

static const char file_name[] = "library";

static void open_files(GpuCache *files, const DeviceInfo *info, const char *backend,
                       const char *library)
{
    char depends[512];
    snprintf(depends, sizeof depends, "library %d, %s, %s, %s, %s", FORMAT, backend, info->name,
             info->driver, library);
    gpu_cache_open(files, depends, strlen(depends));
}

static const char right[] = "right"; /* what is kept then; else what was wrong */

/* False where nothing is kept. `why` stays empty where nothing was wrong. */
static bool find_kept(const GpuCache *files, char *why, size_t size)
{
    void *kept = NULL;
    size_t length = 0;
    if (!gpu_cache_load(files, file_name, &kept, &length)) return false;
    bool was_right = length == strlen(right) && !memcmp(kept, right, length);
    if (!was_right) snprintf(why, size, "%.*s", (int)length, (const char *)kept);
    free(kept);
    return true;
}

/* A check that did not come to its end is not kept. */
static void find_out(GpuLibrary *library, char *why, size_t size)
{
    GpuCache files;
    Device *device = library->device;
    open_files(&files, &device->info, device->backend->name, library->name);
    if (!find_kept(&files, why, size)) {
        GpuTuning *tuning = gpu_limits_tuning(device->backend->gpu_limits(device));
        ProductChoice forced = tuning->forced;
        tuning->forced = (ProductChoice){TILE_LIBRARY, 1};
        wf_status status = check_all(library, why, size);
        tuning->forced = forced;
        const char *outcome = why[0] ? why : right;
        if (status)
            snprintf(why, size, "%s", wf_error_message());
        else
            gpu_cache_store(&files, file_name, outcome, strlen(outcome));
    }
    gpu_cache_close(&files);
}

static void say_wrong(DeviceInfo *info, const char *library, const char *why)
{
    info->library_wrong = true;
    snprintf(info->products, sizeof info->products, "own kernels: %.63s: %.80s", library, why);
}

bool gpu_library_is_right(GpuLibrary *library)
{
    if (library->state == GPU_LIBRARY_UNCHECKED) {
        char why[200] = "";
        library->state = GPU_LIBRARY_IN_CHECK;
        find_out(library, why, sizeof why);
        library->state = why[0] ? GPU_LIBRARY_WRONG : GPU_LIBRARY_RIGHT;
        if (why[0]) say_wrong(&library->device->info, library->name, why);
    }
    return library->state != GPU_LIBRARY_WRONG;
}

void gpu_library_prepare(const GpuLimits *limits)
{
    if (!limits->library) return;
    bool wanted = limits->library->preferred;
    for (int i = 0; i < limits->tuning.count; i++)
        wanted = wanted || limits->tuning.products[i].choice.tile == TILE_LIBRARY;
    if (wanted) gpu_library_is_right(limits->library);
}

GpuProductsBy gpu_products_by(void)
{
    const char *by = getenv("WAVEFIELD_PRODUCTS");
    if (by && !strcmp(by, "own")) return PRODUCTS_BY_OWN;
    if (by && !strcmp(by, "library")) return PRODUCTS_BY_LIBRARY;
    return PRODUCTS_BY_DEVICE;
}

void gpu_library_describe(DeviceInfo *info, const char *backend, const char *absent,
                          const char *name, bool preferred)
{
    GpuCache files;
    char why[200] = "", *text = info->products;
    size_t size = sizeof info->products;
    info->library_wrong = false;
    if (gpu_products_by() == PRODUCTS_BY_OWN) absent = "WAVEFIELD_PRODUCTS is own";
    if (absent) {
        snprintf(text, size, "own kernels: %s", absent);
        return;
    }
    open_files(&files, info, backend, name);
    find_kept(&files, why, sizeof why);
    gpu_cache_close(&files);
    if (why[0])
        say_wrong(info, name, why);
    else if (preferred)
        snprintf(text, size, "%s", name);
    else
        snprintf(text, size, "own kernels, and %s where tuned so", name);
}
