/* A few products on the device by matrices, as any graph has them, against sums in double here. */
#include "backends/vulkan/matrix.h"
#include "backends/vulkan/vulkan.h"
#include "tensor/half.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Edges of tiles everywhere and aligned for nothing; whole words and tiles. Every tensor is read
 * between bytes that are NaN. */
typedef struct Shape3 {
    int64_t rows, cols, inner;
} Shape3;
static const Shape3 shapes[] = {{67, 131, 75}, {128, 64, 96}};

/* One product: c in halves is a·b + bias, in floats has a·b added to it. Factors below the normal
 * halves must count; NaN must stay in its row. */
typedef struct Trial {
    ProductParams product;
    ProductChoice choice;
    bool to_real;
    double scale; /* of a */
    Region region;
    int64_t a, b, bias, c; /* where in the region */
    double *va, *vb, *vbias, *vc;
} Trial;

enum { NAN_ROW = 5 };

static const double tiny = 0x1p-16; /* times 1 and less: below 2^-14 */

/* Halves between -1 and 1, the same ones every time. */
static double *noise(int64_t n, uint32_t seed, double scale)
{
    double *values = malloc((size_t)n * sizeof *values);
    for (int64_t i = 0; values && i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (double)float_from_f16(f16_from_double(scale * ((double)seed * 0x1p-31 - 1)));
    }
    return values;
}

static int64_t append(Trial *trial, const Device *device, DType dtype, int64_t n)
{
    return region_append(&trial->region, &device->limits, dtype, SHAPE(n));
}

static wf_status trial_begin(Trial *trial, Device *device)
{
    const ProductParams *p = &trial->product;
    DType type = trial->to_real ? DTYPE_REAL : DTYPE_F16;
    trial->region = (Region){.name = "products"};
    trial->a = append(trial, device, DTYPE_F16, p->rows * p->inner);
    trial->b = append(trial, device, DTYPE_F16, p->inner * p->cols);
    trial->bias = append(trial, device, DTYPE_REAL, p->cols);
    trial->c = append(trial, device, type, p->rows * p->cols);
    trial->va = noise(p->rows * p->inner, 1, trial->scale);
    trial->vb = noise(p->inner * p->cols, 2, 1);
    trial->vbias = noise(p->cols, 3, 1);
    trial->vc = noise(p->rows * p->cols, 4, 1);
    if (!trial->va || !trial->vb || !trial->vbias || !trial->vc)
        return fail(WF_ERROR_MEMORY, "out of memory for a product");
    trial->va[p->trans_a ? NAN_ROW : NAN_ROW * p->inner] = NAN;
    TRY(device_allocate(device, &trial->region));
    TRY(device_poison(&trial->region));
    TRY(device_write_stored(&trial->region, DTYPE_F16, trial->a, trial->va, p->rows * p->inner));
    TRY(device_write_stored(&trial->region, DTYPE_F16, trial->b, trial->vb, p->inner * p->cols));
    TRY(device_write_doubles(&trial->region, trial->bias, trial->vbias, p->cols));
    if (!trial->to_real) return WF_OK;
    return device_write_doubles(&trial->region, trial->c, trial->vc, p->rows * p->cols);
}

static void trial_end(Trial *trial)
{
    device_release(&trial->region);
    free(trial->va);
    free(trial->vb);
    free(trial->vbias);
    free(trial->vc);
}

static wf_status append_product(Trial *trial, Graph *graph)
{
    const ProductParams *p = &trial->product;
    DType type = trial->to_real ? DTYPE_REAL : DTYPE_F16;
    Region *region = &trial->region;
    graph->storage = DTYPE_F16;
    TensorId in[] = {
        graph_external(graph, "a", DTYPE_F16, SHAPE(p->rows * p->inner), region, trial->a),
        graph_external(graph, "b", DTYPE_F16, SHAPE(p->inner * p->cols), region, trial->b),
        trial->to_real
            ? NO_TENSOR
            : graph_external(graph, "bias", DTYPE_REAL, SHAPE(p->cols), region, trial->bias)};
    TensorId out = graph_external(graph, "c", type, SHAPE(p->rows, p->cols), region, trial->c);
    graph_append(graph, &(NodeParams){.op = OP_PRODUCT,
                                      .params = {.product = *p},
                                      .in = in,
                                      .n_in = 3,
                                      .out = &out,
                                      .n_out = 1,
                                      .accumulate = trial->to_real});
    return graph_status(graph);
}

static wf_status trial_run(Trial *trial, Device *device, double *result)
{
    const ProductParams *p = &trial->product;
    GpuTuning *tuning = gpu_limits_tuning(device->backend->gpu_limits(device));
    Graph *graph = graph_create();
    Runnable runnable = {0};
    if (!graph) return fail(WF_ERROR_MEMORY, "out of memory for a product");
    wf_status status = append_product(trial, graph);
    tuning->forced = trial->choice;
    if (!status) status = runnable_create(device, graph, &runnable);
    tuning->forced = (ProductChoice){0};
    if (!status) status = device->backend->program_run(runnable.program);
    if (!status)
        status = device_read_stored(&trial->region, trial->to_real ? DTYPE_REAL : DTYPE_F16,
                                    trial->c, result, p->rows * p->cols);
    runnable_destroy(&runnable);
    graph_destroy(graph);
    return status;
}

/* The right result, in place of what c held before. */
static void trial_expect(Trial *trial)
{
    const ProductParams *p = &trial->product;
    int64_t row_a = p->trans_a ? 1 : p->inner, inner_a = p->trans_a ? p->rows : 1;
    int64_t inner_b = p->trans_b ? 1 : p->cols, col_b = p->trans_b ? p->inner : 1;
    for (int64_t i = 0; i < p->rows; i++) {
        for (int64_t j = 0; j < p->cols; j++) {
            double *c = &trial->vc[i * p->cols + j], sum = trial->to_real ? *c : trial->vbias[j];
            for (int64_t k = 0; k < p->inner; k++)
                sum += trial->va[i * row_a + k * inner_a] * trial->vb[k * inner_b + j * col_b];
            *c = sum;
        }
    }
}

/* The largest error of what is not NaN, relative to the root mean square of the products; infinite
 * where NaN is not where it should be. */
static double largest_error(const Trial *trial, const double *result)
{
    const ProductParams *p = &trial->product;
    double largest = 0;
    for (int64_t i = 0; i < p->rows * p->cols; i++) {
        double expected = trial->vc[i], error = fabs(result[i] - expected);
        if (isnan(expected) != isnan(result[i])) return INFINITY;
        if (isnan(expected)) continue;
        if (!trial->to_real) error -= 0x1p-11 * fabs(expected); /* rounded to a half */
        largest = fmax(largest, error);
    }
    return largest / (trial->scale * sqrt((double)p->inner) / 3);
}

/* As of every op: 16·ε·√(terms). Where what is added to is larger than the products, its own
 * rounding counts. */
static double bound(const Trial *trial)
{
    double terms = (double)trial->product.inner;
    return 16 * (double)FLT_EPSILON * sqrt(terms) + (double)FLT_EPSILON / trial->scale;
}

static wf_status try_product(Device *device, Trial *trial, double *error)
{
    int64_t n = trial->product.rows * trial->product.cols;
    double *result = malloc((size_t)n * sizeof *result);
    wf_status status = result ? WF_OK : fail(WF_ERROR_MEMORY, "out of memory for a product");
    if (!status) status = trial_begin(trial, device);
    if (!status) status = trial_run(trial, device, result);
    if (!status) {
        trial_expect(trial);
        *error = largest_error(trial, result);
    }
    trial_end(trial);
    free(result);
    return status;
}

/* The t-th way to try: shape, transposes, result, tile, splits and scale all change. */
static Trial trial_of(int t)
{
    Shape3 s = shapes[t & 1];
    bool small = (t & 2) != 0, to_real = (t & 4) != 0;
    return (Trial){.product = product_packed(s.rows, s.cols, s.inner, (t & 8) != 0, (t & 16) != 0),
                   .choice = {small ? TILE_MATRIX_64 : TILE_MATRIX_128, t % 3 == 0 ? 2 : 1},
                   .to_real = to_real,
                   .scale = to_real && (t & 1) == 0 ? tiny : 1};
}

wf_status vulkan_matrix_probe(VulkanDevice *device, char *verdict, size_t size)
{
    wf_status status = WF_OK;
    snprintf(verdict, size, "%s", VULKAN_MATRIX_RIGHT);
    device->gpu.matrices = true;
    for (int t = 0; t < 32 && !status; t++) {
        Trial trial = trial_of(t);
        const ProductParams *p = &trial.product;
        double error = 0;
        status = try_product(&device->base, &trial, &error);
        if (status || error <= bound(&trial)) continue;
        snprintf(verdict, size, "%dx%dx%d%s%s is wrong by %.1e", (int)p->rows, (int)p->cols,
                 (int)p->inner, p->trans_a ? " A'" : "", p->trans_b ? " B'" : "", error);
        break;
    }
    device->gpu.matrices = false;
    return status;
}
