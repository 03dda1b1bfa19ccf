/* The field against a copy of its bytes, and its evaluators against each other. */
#include "check/measure_parts.h"

#include "check/measure.h"
#include "check/timing.h"
#include "field/geometry.h"

#include <stdlib.h>
#include <string.h>

enum { HEADS = MEASURED_HEADS, WIDTH = MEASURED_WIDTH, REPEATS = 21 };

/* Appends a tensor; where it starts goes to *offset unless that is NULL. */
static TensorId append(FieldBench *bench, const Limits *limits, const char *name, DType dtype,
                       Shape shape, int64_t *offset)
{
    int64_t at = region_append(&bench->region, limits, dtype, shape);
    if (offset) *offset = at;
    return graph_external(bench->graph, name, dtype, shape, &bench->region, at);
}

static void build(FieldBench *bench, const Limits *limits)
{
    const FieldSize *size = &bench->size;
    int64_t n = size->tokens, chunks = ceil_div(n, FIELD_CHUNK);
    Shape shape = SHAPE(size->batch, n, HEADS, WIDTH), heads = SHAPE(HEADS);
    Graph *graph = bench->graph;
    graph->storage = size->storage;
    TensorId u = append(bench, limits, "u", size->storage, shape, &bench->u);
    TensorId r = append(bench, limits, "r", size->storage, shape, &bench->r);
    TensorId frequency = append(bench, limits, "frequency", DTYPE_REAL, heads, &bench->frequency);
    TensorId damping = append(bench, limits, "damping", DTYPE_REAL, heads, &bench->damping);
    TensorId phase = append(bench, limits, "phase", DTYPE_REAL, heads, &bench->phase);
    TensorId cell = append(bench, limits, "cell", DTYPE_I32, SHAPE(n), &bench->cell);
    TensorId fraction = append(bench, limits, "fraction", DTYPE_REAL, SHAPE(n), &bench->fraction);
    TensorId carry = append(bench, limits, "carry", DTYPE_REAL,
                            SHAPE(size->batch, HEADS, chunks, 2, WIDTH), NULL);
    OpParams params = {.field = {.heads = HEADS,
                                 .width = WIDTH,
                                 .cells = size->cells,
                                 .reach = size->cells,
                                 .norm = KERNEL_NORM_L1,
                                 .damping_limit = 1.5f,
                                 .evaluator = size->evaluator}};
    TensorId in[] = {u, frequency, damping, phase, cell, fraction, NO_TENSOR};
    TensorId out[] = {r, carry};
    if (size->parts & FIELD_FORWARD)
        graph_append(graph, &(NodeParams){OP_FIELD, params, in, 7, out, 2, 0, 0});
    if (!(size->parts & FIELD_BACKWARD)) return;
    TensorId du = append(bench, limits, "du", size->storage, shape, NULL), d[3];
    for (int k = 0; k < 3; k++) d[k] = append(bench, limits, "d", DTYPE_REAL, heads, NULL);
    TensorId back_in[] = {r, u, frequency, damping, phase, cell, fraction, carry, NO_TENSOR};
    TensorId back_out[] = {du, d[0], d[1], d[2], NO_TENSOR};
    graph_append(graph,
                 &(NodeParams){OP_FIELD_BACKWARD, params, back_in, 9, back_out, 5, 0, 1u << 4});
}

static wf_status write_places(FieldBench *bench)
{
    int64_t n = bench->size.tokens;
    double *fraction = calloc((size_t)n, sizeof *fraction);
    int32_t *cell = calloc((size_t)n, sizeof *cell);
    wf_status status = fraction && cell ? WF_OK : fail(WF_ERROR_MEMORY, "out of memory");
    Geometry geometry = {MODEL_V4, bench->size.cells, n};
    if (!status) {
        geometry_places(&geometry, 0, n, cell, fraction);
        status = device_write_doubles(&bench->region, bench->fraction, fraction, n);
    }
    if (!status) status = device_write_ints(&bench->region, bench->cell, cell, n);
    free(fraction);
    free(cell);
    return status;
}

static wf_status write_inputs(FieldBench *bench)
{
    int64_t elements = bench->size.batch * bench->size.tokens * HEADS * WIDTH;
    double frequency[HEADS], damping[HEADS];
    Region *region = &bench->region;
    for (int h = 0; h < HEADS; h++) {
        frequency[h] = 0.3 + 0.25 * h;
        damping[h] = -2.5 + 0.2 * h;
    }
    TRY(write_places(bench));
    TRY(measure_noise(region, bench->size.storage, bench->u, elements));
    TRY(measure_noise(region, bench->size.storage, bench->r, elements)); /* the gradient of r */
    TRY(device_write_doubles(region, bench->frequency, frequency, HEADS));
    TRY(device_write_doubles(region, bench->phase, frequency, HEADS));
    return device_write_doubles(region, bench->damping, damping, HEADS);
}

wf_status field_bench_create(Device *device, FieldSize size, FieldBench *bench)
{
    *bench = (FieldBench){.size = size, .region = {.name = "field"}, .graph = graph_create()};
    TRY(graph_status(bench->graph));
    build(bench, &device->limits);
    TRY(graph_status(bench->graph));
    TRY(device_allocate(device, &bench->region));
    TRY(device_clear(&bench->region));
    TRY(write_inputs(bench));
    return runnable_create(device, bench->graph, &bench->runnable);
}

void field_bench_destroy(FieldBench *bench)
{
    runnable_destroy(&bench->runnable);
    device_release(&bench->region);
    graph_destroy(bench->graph);
}

static wf_status bench_run(const FieldBench *bench)
{
    Program *program = bench->runnable.program;
    TRY(program->device->backend->program_run(program));
    return timing_wait(&bench->region);
}

/* ---- against a copy ---- */

typedef struct FieldCopy {
    FieldBench field;
    CopyBench copy;
} FieldCopy;

static wf_status run_field(void *context)
{
    return bench_run(&((FieldCopy *)context)->field);
}

static wf_status run_copy(void *context)
{
    CopyBench *copy = &((FieldCopy *)context)->copy;
    TRY(copy_run(copy));
    return copy->runnable.program ? timing_wait(&copy->region) : WF_OK;
}

wf_status measure_field_copy(Device *device, Measurement *out)
{
    FieldCopy bench = {0};
    FieldSize size = {.batch = 1, .tokens = 8192, .cells = 8192, .parts = FIELD_FORWARD};
    int64_t bytes = size.tokens * HEADS * WIDTH * device->limits.dtype_size[DTYPE_REAL];
    wf_status status = field_bench_create(device, size, &bench.field);
    if (!status) status = copy_create(device, bytes, &bench.copy);
    if (!status) status = measure_in_turns(run_field, run_copy, &bench, REPEATS, out);
    out->bytes = 2.0 * (double)bytes;
    field_bench_destroy(&bench.field);
    copy_destroy(&bench.copy);
    return status;
}

/* ---- evaluators ---- */

typedef struct ScanBench {
    FieldBench scan, fft;
} ScanBench;

static wf_status run_scan(void *context)
{
    return bench_run(&((ScanBench *)context)->scan);
}

static wf_status run_fft(void *context)
{
    return bench_run(&((ScanBench *)context)->fft);
}

wf_status measure_field_scan(Device *device, Measurement *out)
{
    ScanBench bench = {0};
    FieldSize size = {.batch = 1,
                      .tokens = 2048,
                      .cells = 2048,
                      .parts = FIELD_FORWARD | FIELD_BACKWARD,
                      .evaluator = FIELD_SCAN};
    wf_status status = field_bench_create(device, size, &bench.scan);
    size.evaluator = FIELD_FFT;
    if (!status) status = field_bench_create(device, size, &bench.fft);
    if (!status) status = measure_in_turns(run_scan, run_fft, &bench, REPEATS, out);
    field_bench_destroy(&bench.scan);
    field_bench_destroy(&bench.fft);
    return status;
}
