#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>

static const double BETA1 = 0.9, BETA2 = 0.95, EPSILON = 1e-8; /* spec §6 */

wf_status optimizer_layout(Optimizer *optimizer, const wf_model *model)
{
    const Limits *limits = &model->device->limits;
    const Layout *layout = &model->layout;
    size_t pages = (size_t)layout->n_pages;
    *optimizer = (Optimizer){0};
    TRY(sequence_create(layout, limits, DTYPE_REAL, "gradients", &optimizer->gradients));
    TRY(sequence_create(layout, limits, DTYPE_REAL, "first moments", &optimizer->first));
    TRY(sequence_create(layout, limits, DTYPE_REAL, "second moments", &optimizer->second));
    optimizer->segments = calloc(pages, sizeof *optimizer->segments);
    optimizer->segment_counts = calloc(pages, sizeof *optimizer->segment_counts);
    if (!optimizer->segments || !optimizer->segment_counts)
        return fail(WF_ERROR_MEMORY, "out of memory for an optimizer");

    Region *region = &optimizer->region;
    *region = (Region){.name = "optimizer record"};
    optimizer->record = region_append(region, limits, DTYPE_REAL, SHAPE(RECORD_COUNT));
    optimizer->rate = region_append(region, limits, DTYPE_REAL, SHAPE(GROUP_COUNT));
    for (int i = 0; i < layout->n_segments; i++)
        optimizer->segment_counts[layout->segments[i].page]++;
    for (int page = 0; page < layout->n_pages; page++) {
        if (layout->page_elements[page] > INT32_MAX)
            return fail(WF_ERROR_UNSUPPORTED,
                        "a page of %lld parameters is more than a kernel can address (%d)",
                        (long long)layout->page_elements[page], INT32_MAX);
        optimizer->segments[page] =
            region_append(region, limits, DTYPE_I32, SHAPE(optimizer->segment_counts[page], 4));
    }
    return WF_OK;
}

/* norm² += the squares of x, bad += its elements that are not finite. */
static void append_squares(Graph *graph, TensorId x, TensorId norm2, TensorId bad)
{
    TensorId out[] = {norm2, bad};
    graph_append(graph,
                 &(NodeParams){.op = OP_SQUARE_SUM, .in = &x, .n_in = 1, .out = out, .n_out = 2});
}

static void build(Optimizer *optimizer, Sequence *values, Sequence *copies, Tally *tally)
{
    Graph *graph = optimizer->graph;
    Region *region = &optimizer->region;
    Shape one = SHAPE(1);
    TensorId record =
        graph_external(graph, "record", DTYPE_REAL, SHAPE(RECORD_COUNT), region, optimizer->record);
    TensorId rate =
        graph_external(graph, "rates", DTYPE_REAL, SHAPE(GROUP_COUNT), region, optimizer->rate);
    Region *sums = &tally->region;
    TensorId norm2 = graph_external(graph, "norm", DTYPE_REAL, one, sums, tally->norm2);
    TensorId bad = graph_external(graph, "bad", DTYPE_I32, one, sums, tally->bad);
    TensorId scratch = graph_external(graph, "scratch", DTYPE_REAL, one, sums, tally->scratch);
    TensorId loss = graph_external(graph, "loss", DTYPE_REAL, one, sums, tally->loss);
    int pages = values->layout->n_pages;

    graph_scope(graph, "update");
    for (int page = 0; page < pages; page++)
        append_squares(graph, sequence_page(&optimizer->gradients, graph, page), norm2, bad);
    append_squares(graph, norm2, scratch, bad);
    append_squares(graph, loss, scratch, bad);
    for (int page = 0; page < pages; page++) {
        TensorId segments =
            graph_external(graph, "segments", DTYPE_I32, SHAPE(optimizer->segment_counts[page], 4),
                           region, optimizer->segments[page]);
        TensorId in[] = {segments, rate, record, norm2, bad};
        TensorId out[] = {sequence_page(values, graph, page),
                          sequence_page(&optimizer->gradients, graph, page),
                          sequence_page(&optimizer->first, graph, page),
                          sequence_page(&optimizer->second, graph, page)};
        graph_append(graph,
                     &(NodeParams){.op = OP_ADAMW, .in = in, .n_in = 5, .out = out, .n_out = 4});
    }
    if (copies->pages) copies_append(graph, values, copies);
}

wf_status optimizer_plan(Optimizer *optimizer, const wf_model *model, Tally *tally)
{
    Sequence values = model->values, copies = model->copies.sequence;
    optimizer->graph = graph_create();
    TRY(graph_status(optimizer->graph));
    optimizer->graph->storage = model->storage;
    build(optimizer, &values, &copies, tally);
    return device_plan_create(model->device, optimizer->graph, &optimizer->plan);
}

static wf_status write_segments(Optimizer *optimizer, const wf_model *model, int page)
{
    const Layout *layout = &model->layout;
    int32_t count = optimizer->segment_counts[page];
    int32_t(*table)[4] = malloc((size_t)count * sizeof *table);
    if (!table) return fail(WF_ERROR_MEMORY, "out of memory for %d segments", count);
    int32_t row = 0;
    for (int i = 0; i < layout->n_segments; i++) {
        const Segment *segment = &layout->segments[i];
        const Parameter *parameter = &model->parameters.items[i];
        if (segment->page != page) continue;
        table[row][0] = (int32_t)segment->offset;
        table[row][1] = (int32_t)segment->elements;
        table[row][2] = (int32_t)parameter->group;
        table[row++][3] = parameter->decays;
    }
    wf_status status = device_write_ints(&optimizer->region, optimizer->segments[page],
                                         &table[0][0], 4 * (int64_t)count);
    free(table);
    return status;
}

wf_status optimizer_allocate(Optimizer *optimizer, const wf_model *model,
                             const double rate[GROUP_COUNT])
{
    Device *device = model->device;
    TRY(sequence_allocate(&optimizer->gradients, device));
    TRY(sequence_allocate(&optimizer->first, device));
    TRY(sequence_allocate(&optimizer->second, device));
    TRY(device_allocate(device, &optimizer->region));
    TRY(device_clear(&optimizer->region));
    TRY(device_plan_allocate(device, optimizer->plan));
    TRY(device_write_doubles(&optimizer->region, optimizer->rate, rate, GROUP_COUNT));
    for (int page = 0; page < model->layout.n_pages; page++)
        TRY(write_segments(optimizer, model, page));
    return WF_OK;
}

wf_status optimizer_record(Optimizer *optimizer, Device *device)
{
    return device->backend->program_create(device, optimizer->plan, &optimizer->program);
}

void optimizer_destroy(Optimizer *optimizer)
{
    Program *program = optimizer->program;
    if (program) program->device->backend->program_destroy(program);
    if (optimizer->plan) device_plan_release(optimizer->plan);
    plan_destroy(optimizer->plan);
    graph_destroy(optimizer->graph);
    device_release(&optimizer->region);
    sequence_destroy(&optimizer->gradients);
    sequence_destroy(&optimizer->first);
    sequence_destroy(&optimizer->second);
    free(optimizer->segments);
    free(optimizer->segment_counts);
    *optimizer = (Optimizer){0};
}

wf_status optimizer_load(Optimizer *optimizer, const OptimizerStep *step)
{
    double record[RECORD_COUNT] = {
        [RECORD_LEARNING_RATE] = step->learning_rate,
        [RECORD_CLIP] = step->clip,
        [RECORD_BETA1] = BETA1,
        [RECORD_BETA2] = BETA2,
        [RECORD_CORRECTION1] = 1 - pow(BETA1, (double)step->step),
        [RECORD_CORRECTION2] = 1 - pow(BETA2, (double)step->step),
        [RECORD_EPSILON] = EPSILON,
        [RECORD_DECAY] = step->decay,
        [RECORD_SCALE] = step->scale,
    };
    return device_write_doubles(&optimizer->region, optimizer->record, record, RECORD_COUNT);
}

wf_status optimizer_run(Optimizer *optimizer)
{
    return optimizer->program->device->backend->program_run(optimizer->program);
}
