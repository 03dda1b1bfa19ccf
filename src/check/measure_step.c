/* A training step against its matrix products: what everything else costs. */
#include "check/measure.h"

#include "base/rng.h"
#include "check/timing.h"
#include "train/programs.h"

#include <stdlib.h>

enum { BATCH = 1, TOKENS = 512, REPEATS = 11 };

typedef struct StepBench {
    wf_model *model;
    Programs programs;
    OptimizerStep step;
    /* The products: the step's own parameters and gradients, activations in a region of their own,
     * each where no other is. */
    Region activations;
    Graph *graph;
    TensorId *ids; /* one a tensor of the step's graph, NO_TENSOR until needed */
    Runnable products;
} StepBench;

/* The tensor of the step's graph, as an external one of the products' graph. */
static TensorId mirror(StepBench *bench, TensorId id)
{
    const Graph *from = bench->programs.accumulate.graph;
    const Limits *limits = &bench->model->device->limits;
    if (id == NO_TENSOR) return NO_TENSOR;
    const Tensor *tensor = &from->tensors[id];
    if (tensor->base != NO_TENSOR)
        return graph_view(bench->graph, mirror(bench, tensor->base), tensor->shape, tensor->offset);
    if (bench->ids[id] != NO_TENSOR) return bench->ids[id];
    Region *region = tensor->region;
    int64_t offset = tensor->region_offset;
    if (!region) {
        region = &bench->activations;
        offset = region_append(region, limits, tensor->dtype, tensor->shape);
    }
    return bench->ids[id] = graph_external(bench->graph, tensor->name, tensor->dtype, tensor->shape,
                                           region, offset);
}

static void append_product(StepBench *bench, ProductParams params, TensorId a, TensorId b,
                           TensorId bias, TensorId c, uint32_t accumulate)
{
    TensorId in[] = {a, b, bias}, out[] = {c};
    graph_append(bench->graph, &(NodeParams){.op = OP_PRODUCT,
                                             .params = {.product = params},
                                             .in = in,
                                             .n_in = 3,
                                             .out = out,
                                             .n_out = 1,
                                             .accumulate = accumulate});
}

/* The head's three: logits, and the gradients of h and of the table. */
static void append_head(StepBench *bench, const Node *head)
{
    TensorId h = mirror(bench, head->in[0]), table = mirror(bench, head->in[1]);
    TensorId dh = mirror(bench, head->out[2]), dtable = mirror(bench, head->out[3]);
    if (graph_status(bench->graph)) return;
    int64_t width = shape_width(graph_shape(bench->graph, h));
    int64_t rows = shape_rows(graph_shape(bench->graph, h));
    int64_t vocabulary = shape_elements(graph_shape(bench->graph, table)) / width;
    Shape shape = SHAPE(rows, vocabulary);
    int64_t offset =
        region_append(&bench->activations, &bench->model->device->limits, DTYPE_REAL, shape);
    TensorId logits =
        graph_external(bench->graph, "logits", DTYPE_REAL, shape, &bench->activations, offset);
    append_product(bench,
                   (ProductParams){.batch = 1,
                                   .rows = rows,
                                   .cols = vocabulary,
                                   .inner = width,
                                   .trans_b = true,
                                   .ld_a = width,
                                   .ld_b = width,
                                   .ld_c = vocabulary},
                   h, table, NO_TENSOR, logits, 0);
    append_product(bench,
                   (ProductParams){.batch = 1,
                                   .rows = rows,
                                   .cols = width,
                                   .inner = vocabulary,
                                   .ld_a = vocabulary,
                                   .ld_b = width,
                                   .ld_c = width},
                   logits, table, NO_TENSOR, dh, 0);
    append_product(bench,
                   (ProductParams){.batch = 1,
                                   .rows = vocabulary,
                                   .cols = width,
                                   .inner = rows,
                                   .trans_a = true,
                                   .ld_a = vocabulary,
                                   .ld_b = width,
                                   .ld_c = width},
                   logits, h, NO_TENSOR, dtable, 1);
}

static wf_status build_products(StepBench *bench)
{
    const Graph *step = bench->programs.accumulate.graph;
    Device *device = bench->model->device;
    bench->activations = (Region){.name = "products"};
    bench->graph = graph_create();
    bench->ids = malloc((size_t)step->n_tensors * sizeof *bench->ids);
    TRY(graph_status(bench->graph));
    if (!bench->ids) return fail(WF_ERROR_MEMORY, "out of memory for a graph");
    for (int i = 0; i < step->n_tensors; i++) bench->ids[i] = NO_TENSOR;
    for (int i = 0; i < step->n_nodes; i++) {
        const Node *node = &step->nodes[i];
        graph_scope(bench->graph, "%s", node->scope);
        if (node->op == OP_PRODUCT)
            append_product(bench, node->params.product, mirror(bench, node->in[0]),
                           mirror(bench, node->in[1]),
                           mirror(bench, node->n_in > 2 ? node->in[2] : NO_TENSOR),
                           mirror(bench, node->out[0]), node->accumulate);
        if (node->op == OP_HEAD_LOSS) append_head(bench, node);
    }
    TRY(graph_status(bench->graph));
    TRY(device_allocate(device, &bench->activations));
    TRY(device_clear(&bench->activations));
    return runnable_create(device, bench->graph, &bench->products);
}

static wf_status load_batch(StepBench *bench)
{
    int32_t token[TOKENS], target[TOKENS], order[TOKENS], n = 0;
    int64_t vocabulary = bench->model->config->vocab_size;
    Rng rng = {.seed = 1};
    for (int i = 0; i < TOKENS; i++) {
        token[i] = (int32_t)rng_below(&rng, (uint64_t)vocabulary);
        target[i] = (int32_t)rng_below(&rng, (uint64_t)vocabulary);
    }
    for (int32_t t = 0; t < vocabulary; t++)
        for (int32_t i = 0; i < TOKENS; i++)
            if (token[i] == t) order[n++] = i;
    return pass_load(&bench->programs.accumulate,
                     &(PassBatch){token, target, order, {1, 1}, 1.0 / TOKENS});
}

static wf_status create(Device *device, StepBench *bench)
{
    static const double rates[GROUP_COUNT] = {1, 3, 50};
    wf_config *config;
    TRY(wf_config_create("v4-20m", &config));
    wf_status status = wf_model_create(device, config, 1, &bench->model);
    wf_config_destroy(config);
    TRY(status);
    ProgramsParams params = {BATCH, TOKENS, FIELD_SCAN, false};
    TRY(programs_plan(&bench->programs, bench->model, &params));
    TRY(programs_allocate(&bench->programs, bench->model, rates));
    TRY(load_batch(bench));
    return build_products(bench);
}

static wf_status run_step(void *context)
{
    StepBench *bench = context;
    OptimizerStep step = {
        .step = ++bench->step.step, .learning_rate = 1e-5, .clip = 1, .decay = 0.1, .scale = 1};
    return programs_step(&bench->programs, &step);
}

static wf_status run_products(void *context)
{
    StepBench *bench = context;
    Program *program = bench->products.program;
    TRY(program->device->backend->program_run(program));
    return timing_wait(&bench->activations);
}

wf_status measure_step(Device *device, Measurement *out)
{
    StepBench *bench = calloc(1, sizeof *bench);
    if (!bench) return fail(WF_ERROR_MEMORY, "out of memory for a step");
    wf_status status = create(device, bench);
    if (!status) status = measure_in_turns(run_step, run_products, bench, REPEATS, out);
    runnable_destroy(&bench->products);
    device_release(&bench->activations);
    graph_destroy(bench->graph);
    free(bench->ids);
    programs_destroy(&bench->programs);
    wf_model_destroy(bench->model);
    free(bench);
    return status;
}
