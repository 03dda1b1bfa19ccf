/* The field against a copy of its bytes, and its evaluators against each other. */
#include "check/measure.h"

#include "base/rng.h"
#include "check/timing.h"
#include "field/geometry.h"

#include <stdlib.h>
#include <string.h>

enum { HEADS = 12, WIDTH = 64, REPEATS = 21 };

typedef struct FieldSize {
    int64_t tokens, cells;
    bool backward;
    FieldEvaluator evaluator;
} FieldSize;

/* A plan of one field, with or without its gradient. */
typedef struct FieldBench {
    FieldSize size;
    Region region;
    int64_t u, frequency, damping, phase, cell, fraction;
    Graph *graph;
    Runnable runnable;
} FieldBench;

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
    int64_t n = bench->size.tokens, chunks = ceil_div(n, FIELD_CHUNK);
    Shape shape = SHAPE(1, n, HEADS, WIDTH), heads = SHAPE(HEADS);
    TensorId u = append(bench, limits, "u", DTYPE_REAL, shape, &bench->u);
    TensorId r = append(bench, limits, "r", DTYPE_REAL, shape, NULL);
    TensorId frequency = append(bench, limits, "frequency", DTYPE_REAL, heads, &bench->frequency);
    TensorId damping = append(bench, limits, "damping", DTYPE_REAL, heads, &bench->damping);
    TensorId phase = append(bench, limits, "phase", DTYPE_REAL, heads, &bench->phase);
    TensorId cell = append(bench, limits, "cell", DTYPE_I32, SHAPE(n), &bench->cell);
    TensorId fraction = append(bench, limits, "fraction", DTYPE_REAL, SHAPE(n), &bench->fraction);
    TensorId carry =
        append(bench, limits, "carry", DTYPE_REAL, SHAPE(1, HEADS, chunks, 2, WIDTH), NULL);
    OpParams params = {.field = {.heads = HEADS,
                                 .width = WIDTH,
                                 .cells = bench->size.cells,
                                 .reach = bench->size.cells,
                                 .norm = KERNEL_NORM_L1,
                                 .damping_limit = 1.5f,
                                 .evaluator = bench->size.evaluator}};
    TensorId in[] = {u, frequency, damping, phase, cell, fraction, NO_TENSOR};
    TensorId out[] = {r, carry};
    graph_append(bench->graph, &(NodeParams){OP_FIELD, params, in, 7, out, 2, 0, 0});
    if (!bench->size.backward) return;
    TensorId du = append(bench, limits, "du", DTYPE_REAL, shape, NULL), d[3];
    for (int k = 0; k < 3; k++) d[k] = append(bench, limits, "d", DTYPE_REAL, heads, NULL);
    TensorId back_in[] = {r, u, frequency, damping, phase, cell, fraction, carry, NO_TENSOR};
    TensorId back_out[] = {du, d[0], d[1], d[2], NO_TENSOR};
    graph_append(bench->graph,
                 &(NodeParams){OP_FIELD_BACKWARD, params, back_in, 9, back_out, 5, 0, 1u << 4});
}

static wf_status write_inputs(FieldBench *bench)
{
    int64_t n = bench->size.tokens, elements = n * HEADS * WIDTH;
    double *reals = calloc((size_t)elements, sizeof *reals);
    int32_t *cells = calloc((size_t)n, sizeof *cells);
    wf_status status = reals && cells ? WF_OK : fail(WF_ERROR_MEMORY, "out of memory");
    Geometry geometry = {MODEL_V4, bench->size.cells, n};
    Region *region = &bench->region;
    if (!status) {
        geometry_places(&geometry, 0, n, cells, reals);
        status = device_write_doubles(region, bench->fraction, reals, n);
    }
    if (!status) status = device_write_ints(region, bench->cell, cells, n);
    Rng rng = {.seed = 1};
    for (int64_t i = 0; !status && i < elements; i++) reals[i] = rng_normal(&rng);
    if (!status) status = device_write_doubles(region, bench->u, reals, elements);
    for (int h = 0; !status && h < HEADS; h++) reals[h] = 0.3 + 0.25 * h;
    if (!status) status = device_write_doubles(region, bench->frequency, reals, HEADS);
    if (!status) status = device_write_doubles(region, bench->phase, reals, HEADS);
    for (int h = 0; !status && h < HEADS; h++) reals[h] = -2.5 + 0.2 * h;
    if (!status) status = device_write_doubles(region, bench->damping, reals, HEADS);
    free(reals);
    free(cells);
    return status;
}

static wf_status bench_create(Device *device, FieldSize size, FieldBench *bench)
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

static void bench_destroy(FieldBench *bench)
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

typedef struct CopyBench {
    FieldBench field;
    int64_t bytes;   /* of u */
    char *from, *to; /* on the CPU */
    Region region;   /* else */
    Graph *graph;
    Runnable runnable;
} CopyBench;

static wf_status copy_create(Device *device, CopyBench *bench)
{
    int64_t elements = bench->field.size.tokens * HEADS * WIDTH;
    bench->bytes = elements * device->limits.dtype_size[DTYPE_REAL];
    if (device->info.kind == DEVICE_CPU) {
        bench->from = malloc((size_t)bench->bytes);
        bench->to = malloc((size_t)bench->bytes);
        if (!bench->from || !bench->to) return fail(WF_ERROR_MEMORY, "out of memory for a copy");
        memset(bench->from, 1, (size_t)bench->bytes);
        memset(bench->to, 2, (size_t)bench->bytes);
        return WF_OK;
    }
    const Limits *limits = &device->limits;
    bench->region = (Region){.name = "copy"};
    bench->graph = graph_create();
    TRY(graph_status(bench->graph));
    int64_t a = region_append(&bench->region, limits, DTYPE_REAL, SHAPE(elements));
    int64_t b = region_append(&bench->region, limits, DTYPE_REAL, SHAPE(elements));
    TensorId in =
        graph_external(bench->graph, "from", DTYPE_REAL, SHAPE(elements), &bench->region, a);
    TensorId out =
        graph_external(bench->graph, "to", DTYPE_REAL, SHAPE(elements), &bench->region, b);
    graph_append(bench->graph,
                 &(NodeParams){.op = OP_COPY, .in = &in, .n_in = 1, .out = &out, .n_out = 1});
    TRY(graph_status(bench->graph));
    TRY(device_allocate(device, &bench->region));
    TRY(device_clear(&bench->region));
    return runnable_create(device, bench->graph, &bench->runnable);
}

static wf_status run_field(void *context)
{
    return bench_run(&((CopyBench *)context)->field);
}

/* memcpy by as many threads as the field has. */
static wf_status run_copy(void *context)
{
    const CopyBench *bench = context;
    if (bench->runnable.program) {
        Program *program = bench->runnable.program;
        TRY(program->device->backend->program_run(program));
        return timing_wait(&bench->region);
    }
    const int64_t slice = 1 << 20;
#pragma omp parallel for schedule(static)
    for (int64_t at = 0; at < bench->bytes; at += slice)
        memcpy(bench->to + at, bench->from + at, (size_t)int64_min(slice, bench->bytes - at));
    return WF_OK;
}

wf_status measure_field_copy(Device *device, Measurement *out)
{
    CopyBench bench = {0};
    FieldSize size = {.tokens = 8192, .cells = 8192, .evaluator = FIELD_SCAN};
    wf_status status = bench_create(device, size, &bench.field);
    if (!status) status = copy_create(device, &bench);
    if (!status) status = measure_in_turns(run_field, run_copy, &bench, REPEATS, out);
    out->bytes = 2.0 * (double)bench.bytes;
    bench_destroy(&bench.field);
    runnable_destroy(&bench.runnable);
    device_release(&bench.region);
    graph_destroy(bench.graph);
    free(bench.from);
    free(bench.to);
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
    FieldSize size = {.tokens = 2048, .cells = 2048, .backward = true, .evaluator = FIELD_SCAN};
    wf_status status = bench_create(device, size, &bench.scan);
    size.evaluator = FIELD_FFT;
    if (!status) status = bench_create(device, size, &bench.fft);
    if (!status) status = measure_in_turns(run_scan, run_fft, &bench, REPEATS, out);
    bench_destroy(&bench.scan);
    bench_destroy(&bench.fft);
    return status;
}
