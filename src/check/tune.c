#include "check/tune.h"

#include "base/array.h"
#include "model/model.h"
#include "train/programs.h"

#include <stdlib.h>
#include <string.h>

/* ---- which products there are ---- */

typedef struct Gathering {
    ProductList *list;
    bool failed; /* out of memory */
} Gathering;

/* The same product without gaps. */
static ProductParams packed(const ProductParams *from)
{
    ProductParams p =
        product_packed(from->rows, from->cols, from->inner, from->trans_a, from->trans_b);
    p.batch = from->batch;
    p.sum_batch = from->sum_batch;
    p.stride_a = p.rows * p.inner;
    p.stride_b = p.inner * p.cols;
    p.stride_c = p.rows * p.cols;
    return p;
}

static bool same_class(const ProductList *list, const ProductParams *a, const ProductParams *b)
{
    ProductClass x = product_class(a, list->storage), y = product_class(b, list->storage);
    return !memcmp(&x, &y, sizeof x);
}

static void gather(void *context, const ProductParams *product)
{
    Gathering *gathering = context;
    ProductList *list = gathering->list;
    for (int i = 0; i < list->count; i++)
        if (same_class(list, &list->items[i], product)) return;
    if (!array_reserve((void **)&list->items, list->count, &list->capacity, sizeof *list->items)) {
        gathering->failed = true;
        return;
    }
    list->items[list->count++] = packed(product);
}

static wf_status gather_graph(Device *device, const Graph *graph, ProductList *list)
{
    Gathering gathering = {list, false};
    TRY(graph_status(graph));
    for (int n = 0; n < graph->n_nodes; n++)
        gpu_products(device->backend->gpu_limits(device), graph, &graph->nodes[n], gather,
                     &gathering);
    return gathering.failed ? fail(WF_ERROR_MEMORY, "out of memory for products") : WF_OK;
}

/* A device that lacks an op cannot have the plan, but the graph is there. */
static wf_status gather_training(const wf_model *model, int64_t batch, int64_t tokens,
                                 FieldEvaluator evaluator, ProductList *list)
{
    Programs programs = {0};
    ProgramsParams params = {batch, tokens, evaluator, false};
    wf_status status = programs_plan(&programs, model, &params);
    bool whole = !status || (status == WF_ERROR_UNSUPPORTED && programs.accumulate.graph);
    if (whole) status = gather_graph(model->device, programs.accumulate.graph, list);
    programs_destroy(&programs);
    return status;
}

static wf_status gather_forward(const wf_model *model, int64_t tokens, FieldEvaluator evaluator,
                                ProductList *list)
{
    Pass pass = {0};
    PassParams params = {.batch = 1, .tokens = tokens, .evaluator = evaluator};
    wf_status status = pass_plan(&pass, model, &params);
    bool whole = !status || (status == WF_ERROR_UNSUPPORTED && pass.graph);
    if (whole) status = gather_graph(model->device, pass.graph, list);
    pass_destroy(&pass);
    return status;
}

wf_status tune_products(Device *device, const wf_config *config, int64_t batch, int64_t tokens,
                        ProductList *list)
{
    static const int64_t chunks[] = {1, 64, 512}; /* as the decoder takes them */
    FieldEvaluator evaluator;
    wf_model *model;
    if (!device->backend->gpu_limits)
        return fail(WF_ERROR_UNSUPPORTED, "%s is no GPU: there is nothing to tune", device->id);
    TRY(model_evaluator(config, NULL, &evaluator));
    TRY(model_outline(device, config, &model));
    wf_status status = model_outline_precision(model, dtype_name(list->storage));
    if (!status) status = gather_training(model, batch, tokens, evaluator, list);
    for (int i = 0; i < 3 && !status; i++)
        if (chunks[i] <= config->max_seq_len)
            status = gather_forward(model, chunks[i], evaluator, list);
    wf_model_destroy(model);
    return status;
}

void product_list_free(ProductList *list)
{
    free(list->items);
    *list = (ProductList){0};
}

/* ---- timing ---- */

enum { MOST_REPEATS = 64, COLD_BYTES = 128 << 20 };

/* One product again and again, ways apart by their plan. The second operands, weights as a rule,
 * are several where they are small, so that they come from memory as in a model. */
typedef struct Bench {
    Device *device;
    const ProductParams *product;
    DType storage;
    int repeats, copies;
    Region region;
    Graph *graph;
} Bench;

static TensorId append_tensor(Bench *bench, const char *name, Shape shape)
{
    DType type = bench->storage;
    int64_t offset = region_append(&bench->region, &bench->device->limits, type, shape);
    return graph_external(bench->graph, name, type, shape, &bench->region, offset);
}

static void build(Bench *bench)
{
    const ProductParams *p = bench->product;
    int64_t items = p->sum_batch ? 1 : p->batch;
    bench->region = (Region){.name = "product"};
    bench->graph = graph_create();
    bench->graph->storage = bench->storage;
    TensorId b[MOST_REPEATS];
    TensorId a = append_tensor(bench, "a", SHAPE(p->batch, p->rows * p->inner));
    TensorId c = append_tensor(bench, "c", SHAPE(items, p->rows, p->cols));
    for (int i = 0; i < bench->copies; i++)
        b[i] = append_tensor(bench, "b", SHAPE(p->batch, p->inner * p->cols));
    for (int i = 0; i < bench->repeats; i++) {
        TensorId in[] = {a, b[i % bench->copies], NO_TENSOR}, out[] = {c};
        graph_append(bench->graph, &(NodeParams){.op = OP_PRODUCT,
                                                 .params = {.product = *p},
                                                 .in = in,
                                                 .n_in = 3,
                                                 .out = out,
                                                 .n_out = 1});
    }
}

static void bench_destroy(Bench *bench)
{
    device_release(&bench->region);
    graph_destroy(bench->graph);
    *bench = (Bench){0};
}

/* A half, once or twice in a word: no zeros, nothing tiny. */
static uint32_t word_of_halves(DType storage)
{
    switch (storage) {
    case DTYPE_F16: return 0x38003800;
    case DTYPE_BF16: return 0x3f003f00;
    default: return 0x3f000000;
    }
}

static wf_status bench_create(Device *device, const ProductParams *product, DType storage,
                              int repeats, Bench *bench)
{
    int64_t bytes =
        device->limits.dtype_size[storage] * product->batch * product->inner * product->cols;
    int64_t copies = int64_max(1, int64_min(COLD_BYTES / bytes, repeats));
    *bench = (Bench){device, product, storage, repeats, (int)copies, {0}, NULL};
    build(bench);
    wf_status status = graph_status(bench->graph);
    if (!status) status = device_allocate(device, &bench->region);
    if (!status)
        status = device->backend->buffer_fill(bench->region.buffer, 0, bench->region.size,
                                              word_of_halves(storage));
    if (status) bench_destroy(bench);
    return status;
}

/* Seconds of one product done in this way. */
static wf_status bench_time(const Bench *bench, ProductChoice choice, const Timing *timing,
                            double *seconds)
{
    Device *device = bench->device;
    GpuTuning *tuning = gpu_limits_tuning(device->backend->gpu_limits(device));
    Runnable runnable = {0};
    tuning->forced = choice;
    wf_status status = runnable_create(device, bench->graph, &runnable);
    if (!status) status = device->backend->program_run(runnable.program); /* the first compiles */
    if (!status) status = time_program(runnable.program, &bench->region, timing, seconds);
    tuning->forced = (ProductChoice){0};
    runnable_destroy(&runnable);
    *seconds /= bench->repeats;
    return status;
}

/* More splits only where they have been getting faster so far. */
static bool hopeless(const TuneResult *result, int i)
{
    const TuneCandidate *c = result->candidates;
    if (i < 2 || c[i].choice.tile != c[i - 1].choice.tile) return false;
    if (c[i - 1].seconds == 0) return true;
    bool before = i >= 3 && c[i - 2].choice.tile == c[i].choice.tile;
    return before && c[i - 1].seconds > 1.1 * c[i - 2].seconds;
}

static wf_status time_candidates(const Bench *bench, const Timing *timing, TuneResult *result)
{
    TuneCandidate *c = result->candidates;
    for (int i = 0; i < result->count; i++) {
        c[i].seconds = 0;
        if (hopeless(result, i)) continue;
        TRY(bench_time(bench, c[i].choice, timing, &c[i].seconds));
    }
    for (int i = 1; i < result->count; i++) {
        double gain = result->best == 0 ? TUNE_GAIN : 1;
        if (c[i].seconds > 0 && c[i].seconds * gain < c[result->best].seconds) result->best = i;
    }
    return WF_OK;
}

wf_status tune_product(Device *device, const ProductParams *product, DType storage,
                       const TuneEffort *effort, TuneResult *result)
{
    Bench bench;
    ProductChoice choices[PRODUCT_MOST_CANDIDATES];
    const Timing once = {.least = 1, .most = 1};
    double seconds = 0;
    *result = (TuneResult){.product = *product, .storage = storage};
    result->count =
        gpu_product_candidates(device->backend->gpu_limits(device), product, storage, choices);
    for (int i = 0; i < result->count; i++) result->candidates[i].choice = choices[i];
    TRY(bench_create(device, product, storage, 1, &bench));
    wf_status status = bench_time(&bench, choices[0], &once, &seconds);
    bench_destroy(&bench);
    TRY(status);
    double repeats = seconds > 0 ? effort->run / seconds : MOST_REPEATS;
    int whole = repeats < 1 ? 1 : repeats > MOST_REPEATS ? MOST_REPEATS : (int)repeats;
    TRY(bench_create(device, product, storage, whole, &bench));
    status = time_candidates(&bench, &effort->timing, result);
    bench_destroy(&bench);
    return status;
}

wf_status tune_list(Device *device, const ProductList *list, const TuneEffort *effort,
                    TuneReport report, void *context, GpuTuning *tuning)
{
    for (int i = 0; i < list->count; i++) {
        TuneResult result;
        wf_status status = tune_product(device, &list->items[i], list->storage, effort, &result);
        if (status == WF_ERROR_MEMORY) continue;
        TRY(status);
        report(context, &result);
        if (!gpu_tuning_set(tuning, &result.product, list->storage,
                            result.candidates[result.best].choice))
            return fail(WF_ERROR_ARGUMENT,
                        "a tuning holds %d classes of products, and has as many: --forget "
                        "begins another",
                        GPU_TUNED_MOST);
    }
    return WF_OK;
}
