#include "backends/gpu/product_check.h"

#include "backends/gpu/cache.h"
#include "backends/gpu/lower.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is tried ---- */

typedef struct Form {
    const char *what;
    int64_t batch;
    bool trans_a, trans_b, bias;
    bool accumulate, to_real; /* onto C; into a C of floats */
    bool sum_batch, shared;   /* into one C; of one A */
    bool gaps;                /* after the rows of A, B and C */
    bool tiny;                /* A is below the normal numbers of binary16 */
    uint32_t follower;        /* FOLLOW_… of shaders/product.h; 0: none */
    bool kept;                /* C is written although there is a follower */
} Form;

static const Form forms[] = {
    {"a layer's product", 1, .trans_b = true, .bias = true},
    {"its input's gradient", .batch = 1},
    {"its weight's gradient", 1, .trans_a = true, .accumulate = true, .to_real = true},
    {"a product of transposes", 1, .trans_a = true, .trans_b = true},
    {"tiny factors", 1, .tiny = true, .to_real = true},
    {"a batch of products", 3, .trans_b = true, .bias = true, .gaps = true},
    {"products of one operand", 3, .trans_b = true, .bias = true, .shared = true},
    {"a sum of products", 3, .sum_batch = true, .accumulate = true, .gaps = true},
    {"a product's GELU", 1, .trans_b = true, .bias = true, .follower = FOLLOW_GELU, .kept = true},
    {"GELU's gradient", 1, .follower = FOLLOW_GELU_BACKWARD},
    {"a feature map", 1, .trans_b = true, .bias = true, .follower = FOLLOW_FEATURE},
    {"a gated product", 1, .trans_b = true, .follower = FOLLOW_GATE, .kept = true},
    {"a product as a gate", 1, .trans_b = true, .bias = true, .follower = FOLLOW_GATED},
    {"a residual's sum", 1, .trans_b = true, .bias = true, .follower = FOLLOW_ADD},
};

/* Each of them twice: with an edge in every tile and aligned for nothing, and in whole fours. */
typedef struct Size {
    int64_t rows, cols, inner, gap;
} Size;
static const Size sizes[] = {{67, 131, 75, 3}, {128, 64, 96, 8}};

enum { VERSION = 1 /* of all of this: what passed less is tried again */ };

static ProductParams params_of(const Form *form, const Size *size)
{
    ProductParams p =
        product_packed(size->rows, size->cols, size->inner, form->trans_a, form->trans_b);
    int64_t gap = form->gaps ? size->gap : 0;
    p.batch = form->batch;
    p.sum_batch = form->sum_batch;
    p.ld_a += gap;
    p.ld_b += gap;
    p.ld_c += gap;
    p.stride_a = form->shared ? 0 : (p.trans_a ? p.inner : p.rows) * p.ld_a;
    p.stride_b = (p.trans_b ? p.cols : p.inner) * p.ld_b;
    p.stride_c = p.rows * p.ld_c;
    p.stride_bias = p.cols;
    return p;
}

/* ---- its numbers ---- */

/* C is what the product gives, Y what its follower makes of that and of X. */
enum { A, B, BIAS, X, C, Y, TENSORS };

typedef struct Values {
    DType dtype;
    int64_t lines, width, pitch; /* a gap from width to pitch; no lines: it is absent */
    bool passes;                 /* from node to node, and stands nowhere */
    int64_t offset;              /* in the region */
    double *at;                  /* before the run; then, of C and Y, what is right */
} Values;

typedef struct Trial {
    const Form *form;
    DType storage;
    ProductParams product;
    Values of[TENSORS];
    Region region;
    double rms, bound; /* of C: its root mean square; how far from right its sums may be */
} Trial;

static int64_t count_of(const Values *v)
{
    return v->lines * v->pitch;
}

/* Whole multiples in [-2, 2) that the type holds exactly; floats of all their bits, which an
 * arithmetic of fewer would not keep. What must not be read is NaN: gaps of operands, and results
 * that are not added to. One element of A and one of B are, to stay in their row and column. */
static void draw(const Trial *trial, int k)
{
    enum { NAN_AT = 5 };
    const Values *v = &trial->of[k];
    Rng rng = {.seed = 1, .stream = (uint64_t)k};
    double unit = v->dtype == DTYPE_REAL ? 0x1p-22 : 0x1p-6;
    double scale = k == A && trial->form->tiny ? 0x1p-16 : 1;
    for (int64_t i = 0; i < count_of(v); i++) {
        bool gap = i % v->pitch >= v->width;
        bool number = k < C ? !gap : gap || (k == C && trial->form->accumulate);
        double value = scale * unit * floor((4 * rng_uniform(&rng) - 2) / unit);
        v->at[i] = number ? value : NAN;
    }
    if (k == A) v->at[trial->form->trans_a ? NAN_AT : NAN_AT * v->pitch] = NAN;
    if (k == B) v->at[trial->form->trans_b ? NAN_AT * v->pitch : NAN_AT] = NAN;
}

static Trial trial_of(const Form *form, const Size *size, DType storage)
{
    const ProductParams p = params_of(form, size);
    int64_t items = form->shared ? 1 : p.batch, results = p.sum_batch ? 1 : p.batch;
    int64_t a = items * (p.trans_a ? p.inner : p.rows), c = results * p.rows;
    int64_t b = p.batch * (p.trans_b ? p.cols : p.inner), y = form->follower ? c : 0;
    DType result = form->to_real ? DTYPE_REAL : storage;
    return (Trial){
        .form = form,
        .storage = storage,
        .product = p,
        .of = {[A] = {storage, a, p.trans_a ? p.rows : p.inner, p.ld_a},
               [B] = {storage, b, p.trans_b ? p.inner : p.cols, p.ld_b},
               [BIAS] = {DTYPE_REAL, form->bias ? results : 0, p.cols, p.cols},
               [X] = {storage, y, p.cols, p.ld_c},
               [C] = {result, c, p.cols, p.ld_c, .passes = form->follower && !form->kept},
               [Y] = {storage, y, p.cols, p.ld_c}},
        .region = {.name = "known products"}};
}

static wf_status trial_begin(Trial *trial, Device *device)
{
    for (int k = 0; k < TENSORS; k++) {
        Values *v = &trial->of[k];
        if (v->lines == 0) continue;
        v->at = calloc((size_t)count_of(v), sizeof *v->at);
        if (!v->at) return fail(WF_ERROR_MEMORY, "out of memory for a known product");
        draw(trial, k);
        if (v->passes) continue;
        Shape shape = SHAPE(v->lines, v->pitch);
        v->offset = region_append(&trial->region, &device->limits, v->dtype, shape);
    }
    return device_allocate(device, &trial->region);
}

static void trial_end(Trial *trial)
{
    device_release(&trial->region);
    for (int k = 0; k < TENSORS; k++) free(trial->of[k].at);
}

/* ---- in double ---- */

static double dot(const Trial *trial, int64_t item, int64_t i, int64_t j)
{
    const ProductParams *p = &trial->product;
    int64_t step_a = p->trans_a ? p->ld_a : 1, step_b = p->trans_b ? 1 : p->ld_b;
    const double *a = trial->of[A].at + item * p->stride_a + i * (p->trans_a ? 1 : p->ld_a);
    const double *b = trial->of[B].at + item * p->stride_b + j * (p->trans_b ? p->ld_b : 1);
    double sum = 0;
    for (int64_t k = 0; k < p->inner; k++) sum += a[k * step_a] * b[k * step_b];
    return sum;
}

static double normal_cdf(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

/* The followers as src/graph/ops.h has them. */
static double follow(uint32_t follower, double c, double x)
{
    const double density = 0.39894228040143267794 * exp(-0.5 * x * x);
    switch (follower) {
    case FOLLOW_GELU: return c * normal_cdf(c);
    case FOLLOW_GELU_BACKWARD: return c * (normal_cdf(x) + x * density);
    case FOLLOW_FEATURE: return ((c < 0 ? 0 : c) + 1e-6) * x;
    case FOLLOW_GATE: return c / (1 + exp(-x));
    case FOLLOW_GATED: return x / (1 + exp(-c));
    default: return x + c;
    }
}

/* The right results in place of what was there, and a bound that is half that of `wavefield check`.
 */
static void compute(Trial *trial)
{
    const ProductParams *p = &trial->product;
    Values *of = trial->of;
    for (int64_t item = 0; item < p->batch; item++)
        for (int64_t i = 0; i < p->rows; i++)
            for (int64_t j = 0; j < p->cols; j++) {
                int64_t to = p->sum_batch ? 0 : item;
                double *c = &of[C].at[to * p->stride_c + i * p->ld_c + j];
                double start = item > to || trial->form->accumulate ? *c : 0;
                if (item == to && trial->form->bias) start += of[BIAS].at[to * p->stride_bias + j];
                *c = start + dot(trial, item, i, j);
            }
    double squares = 0, numbers = 0, terms = (double)(p->inner * (p->sum_batch ? p->batch : 1));
    for (int64_t i = 0; i < count_of(&of[C]); i++) {
        double c = of[C].at[i];
        if (of[Y].at) of[Y].at[i] = follow(trial->form->follower, c, of[X].at[i]);
        if (isnan(c)) continue;
        squares += c * c;
        numbers++;
    }
    trial->rms = sqrt(squares / numbers);
    trial->bound = 16 * 0x1p-24 * sqrt(terms) * trial->rms;
}

/* How far from right a sum may be, and what storing it may add. */
static double sum_error(const Trial *trial, DType stored, double value)
{
    double unit = stored == DTYPE_F16 ? 0x1p-11 : stored == DTYPE_BF16 ? 0x1p-8 : 0;
    return trial->bound + unit * fabs(value);
}

/* Of Y as much, and what comes of a C that is as far from right as it may be. */
static double tolerance(const Trial *trial, int k, int64_t i)
{
    double right = trial->of[k].at[i], own = sum_error(trial, trial->of[k].dtype, right);
    if (k == C) return own;
    uint32_t follower = trial->form->follower;
    double c = trial->of[C].at[i], x = trial->of[X].at[i];
    double off = sum_error(trial, trial->of[C].dtype, c);
    return own + fmax(fabs(follow(follower, c + off, x) - right),
                      fabs(follow(follower, c - off, x) - right));
}

typedef struct Wrong {
    char text[32]; /* "": nothing */
} Wrong;

static Wrong compare(const Trial *trial, int k, const double *got)
{
    const Values *v = &trial->of[k];
    Wrong wrong = {""};
    double largest = 0;
    for (int64_t i = 0; i < count_of(v); i++) {
        double error = fabs(got[i] - v->at[i]);
        if (i % v->pitch >= v->width && got[i] != v->at[i]) return (Wrong){"writes between rows"};
        if (isnan(got[i]) != isnan(v->at[i])) return (Wrong){"NaN out of place"};
        if (error > tolerance(trial, k, i)) largest = fmax(largest, error);
    }
    if (largest > 0) snprintf(wrong.text, sizeof wrong.text, "off by %.1e", largest / trial->rms);
    return wrong;
}

/* ---- on the device ---- */

static void append_follower(Graph *graph, uint32_t follower, const TensorId *ids)
{
    static const Op ops[] = {
        [FOLLOW_GELU] = OP_GELU,       [FOLLOW_GELU_BACKWARD] = OP_GELU_BACKWARD,
        [FOLLOW_FEATURE] = OP_FEATURE, [FOLLOW_GATE] = OP_GATE,
        [FOLLOW_GATED] = OP_GATE,      [FOLLOW_ADD] = OP_ADD};
    TensorId in[] = {ids[C], ids[X]}, gate[] = {ids[X], ids[C]}, out = ids[Y];
    graph_append(graph, &(NodeParams){.op = ops[follower],
                                      .in = follower == FOLLOW_GATED ? gate : in,
                                      .n_in = follower == FOLLOW_GELU ? 1 : 2,
                                      .out = &out,
                                      .n_out = 1});
}

static wf_status append_nodes(Trial *trial, Graph *graph)
{
    static const char *const names[] = {"a", "b", "bias", "x", "c", "y"};
    TensorId ids[TENSORS];
    TRY(graph_status(graph));
    graph->storage = trial->storage;
    for (int k = 0; k < TENSORS; k++) {
        const Values *v = &trial->of[k];
        Shape shape = SHAPE(v->lines, v->pitch);
        ids[k] = v->lines == 0 ? NO_TENSOR
                 : v->passes
                     ? graph_activation(graph, names[k], v->dtype, shape)
                     : graph_external(graph, names[k], v->dtype, shape, &trial->region, v->offset);
    }
    graph_append(graph, &(NodeParams){.op = OP_PRODUCT,
                                      .params = {.product = trial->product},
                                      .in = (TensorId[]){ids[A], ids[B], ids[BIAS]},
                                      .n_in = 3,
                                      .out = &ids[C],
                                      .n_out = 1,
                                      .accumulate = trial->form->accumulate});
    if (trial->form->follower) append_follower(graph, trial->form->follower, ids);
    return graph_status(graph);
}

/* In memory that is NaN where nothing is written. */
static wf_status run(Trial *trial, Device *device, const Runnable *runnable)
{
    for (int i = 0; i < runnable->plan->n_slabs; i++) TRY(device_poison(runnable->plan->slabs[i]));
    for (int k = 0; k < TENSORS; k++) {
        const Values *v = &trial->of[k];
        if (!v->at || v->passes) continue;
        TRY(device_write_stored(&trial->region, v->dtype, v->offset, v->at, count_of(v)));
    }
    return device->backend->program_run(runnable->program);
}

/* Of C or Y, unless something is wrong already. */
static wf_status judge(const Trial *trial, int k, Wrong *wrong)
{
    const Values *v = &trial->of[k];
    if (!v->at || v->passes || wrong->text[0]) return WF_OK;
    double *got = calloc((size_t)count_of(v), sizeof *got);
    if (!got) return fail(WF_ERROR_MEMORY, "out of memory for a known product");
    wf_status status = device_read_stored(&trial->region, v->dtype, v->offset, got, count_of(v));
    if (!status) *wrong = compare(trial, k, got);
    free(got);
    return status;
}

static wf_status trial_run(Trial *trial, Device *device, Wrong *wrong)
{
    Runnable runnable = {0};
    Graph *graph = graph_create();
    wf_status status = trial_begin(trial, device);
    if (!status) status = append_nodes(trial, graph);
    if (!status) status = runnable_create(device, graph, &runnable);
    if (!status) status = run(trial, device, &runnable);
    if (!status) compute(trial);
    for (int k = C; k <= Y && !status; k++) status = judge(trial, k, wrong);
    runnable_destroy(&runnable);
    graph_destroy(graph);
    trial_end(trial);
    return status;
}

/* ---- every way ---- */

/* Nothing is fused to a library's product: its kernels are not what follows it. */
static bool applies(const GpuLimits *limits, const Trial *trial, ProductChoice choice)
{
    bool own = lower_own_product(limits, &trial->product, trial->storage);
    return choice.tile == TILE_LIBRARY ? !own && !trial->form->follower : own;
}

static wf_status try_form(Device *device, const Form *form, const Size *size, ProductWay way,
                          ProductVerdict *out)
{
    Wrong wrong = {""};
    Trial trial = trial_of(form, size, way.storage);
    if (!applies(device->backend->gpu_limits(device), &trial, way.choice)) return WF_OK;
    TRY(trial_run(&trial, device, &wrong));
    if (wrong.text[0])
        snprintf(out->wrong, sizeof out->wrong, "%s (%dx%dx%d %s, %s%s): %s", form->what,
                 (int)size->rows, (int)size->cols, (int)size->inner, dtype_name(way.storage),
                 product_tile_names[way.choice.tile], way.choice.splits > 1 ? ", split" : "",
                 wrong.text);
    return WF_OK;
}

/* Up to the first that is wrong. */
static wf_status try_way(Device *device, ProductWay way, ProductVerdict *out)
{
    if (device->limits.dtype_size[way.storage] == 0) return WF_OK;
    gpu_limits_tuning(device->backend->gpu_limits(device))->forced = way.choice;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes && !out->wrong[0]; s++)
            TRY(try_form(device, &forms[f], &sizes[s], way, out));
    return WF_OK;
}

/* ---- once ---- */

static const char file_name[] = "known products";
static const char right[] = "right"; /* what is kept where nothing was wrong */

static void open_files(GpuCache *files, const char *depends)
{
    char all[600];
    snprintf(all, sizeof all, "known products %d, %.550s", VERSION, depends);
    gpu_cache_open(files, all, strlen(all));
}

bool product_verdict_find(const char *depends, ProductVerdict *out)
{
    GpuCache files;
    void *kept = NULL;
    size_t size = 0;
    *out = (ProductVerdict){""};
    open_files(&files, depends);
    bool found = gpu_cache_load(&files, file_name, &kept, &size);
    found = found && size > 0 && size < sizeof out->wrong;
    if (found && (size != strlen(right) || memcmp(kept, right, size)))
        memcpy(out->wrong, kept, size);
    free(kept);
    gpu_cache_close(&files);
    return found;
}

void product_verdict_keep(const char *depends, const ProductVerdict *verdict)
{
    GpuCache files;
    const char *text = verdict->wrong[0] ? verdict->wrong : right;
    open_files(&files, depends);
    gpu_cache_store(&files, file_name, text, strlen(text));
    gpu_cache_close(&files);
}

wf_status product_check(Device *device, const char *depends, const ProductWay *ways, int n_ways,
                        ProductVerdict *out)
{
    if (product_verdict_find(depends, out)) return WF_OK;
    GpuTuning *tuning = gpu_limits_tuning(device->backend->gpu_limits(device));
    ProductChoice forced = tuning->forced;
    wf_status status = WF_OK;
    for (int i = 0; i < n_ways && !status && !out->wrong[0]; i++)
        status = try_way(device, ways[i], out);
    tuning->forced = forced;
    if (!status) product_verdict_keep(depends, out);
    return status;
}
