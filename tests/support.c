#include "tests/support.h"
#include "base/rng.h"
#include "graph/hazards.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Piece {
    struct Piece *next;
    max_align_t data[];
} Piece;

enum { SKIPPED = 77 };

static Piece *pieces;
static Device *devices[2];

void *test_memory(size_t size)
{
    Piece *piece = calloc(1, sizeof *piece + size);
    assert_non_null(piece);
    piece->next = pieces;
    pieces = piece;
    return piece->data;
}

int test_release(void **state)
{
    (void)state;
    while (pieces) {
        Piece *next = pieces->next;
        free(pieces);
        pieces = next;
    }
    return 0;
}

void test_ok(wf_status status)
{
    if (status) fail_msg("%s: %s", wf_status_name(status), wf_error_message());
}

Device *test_device(bool as_double)
{
    const Backend *backend = as_double ? &backend_cpu64 : backend_find("cpu");
    if (!devices[as_double]) test_ok(backend->open(0, &devices[as_double]));
    return devices[as_double];
}

void test_use_device(Device *device)
{
    if (devices[0]) devices[0]->backend->close(devices[0]);
    devices[0] = device;
}

void test_close_devices(void)
{
    for (int i = 0; i < 2; i++) {
        if (devices[i]) devices[i]->backend->close(devices[i]);
        devices[i] = NULL;
    }
}

int test_open(const char *name, Device **out)
{
    const Backend *backend = backend_find(name);
    int count = 0;
    if (!backend) {
        print_message("skipped: this build has no backend %s\n", name);
        return SKIPPED;
    }
    if (backend->list(NULL, 0, &count) || count == 0) {
        print_message("skipped: %s\n", wf_error_message());
        return SKIPPED;
    }
    if (backend->open(0, out)) {
        print_error("%s\n", wf_error_message());
        return 1;
    }
    print_message("%s (%s)\n", (*out)->info.name, (*out)->info.driver);
    return 0;
}

double *test_normal(uint64_t seed, int64_t n, double deviation)
{
    Rng rng = {.seed = seed};
    double *value = test_memory((size_t)n * sizeof *value);
    for (int64_t i = 0; i < n; i++) value[i] = (double)(float)(deviation * rng_normal(&rng));
    return value;
}

/* ---- comparison ---- */

Closeness test_closeness(const double *got, const double *expected, int64_t n, int64_t reduction,
                         bool as_double)
{
    double squares = 0, largest = 0, epsilon = as_double ? 0x1p-52 : 0x1p-23;
    for (int64_t i = 0; i < n; i++) squares += expected[i] * expected[i];
    for (int64_t i = 0; i < n; i++) {
        double off = fabs(got[i] - expected[i]);
        if (!(off <= largest)) largest = isnan(off) ? INFINITY : off;
    }
    double scale = sqrt(squares / (double)n);
    return (Closeness){.error = largest == 0 ? 0 : largest / scale,
                       .bound = TEST_C * epsilon * sqrt((double)reduction)};
}

void test_close(const char *what, const double *got, const double *expected, int64_t n,
                int64_t reduction, bool as_double)
{
    Closeness closeness = test_closeness(got, expected, n, reduction, as_double);
    if (getenv("WAVEFIELD_TEST_VERBOSE"))
        print_message("%-48s %-6s error %.2e bound %.2e\n", what, as_double ? "double" : "float",
                      closeness.error, closeness.bound);
    if (!(closeness.error <= closeness.bound))
        fail_msg("%s (%s): error %g, bound %g", what, as_double ? "double" : "float",
                 closeness.error, closeness.bound);

    double *moved = test_memory((size_t)n * sizeof *moved), squares = 0;
    memcpy(moved, expected, (size_t)n * sizeof *moved);
    for (int64_t i = 0; i < n; i++) squares += expected[i] * expected[i];
    if (squares == 0) return;
    moved[n / 2] += 10 * closeness.bound * sqrt(squares / (double)n);
    closeness = test_closeness(moved, expected, n, reduction, as_double);
    if (closeness.error <= closeness.bound)
        fail_msg("%s: an element off by ten bounds goes unnoticed", what);
}

/* ---- one op ---- */

typedef struct Stage {
    Device *device;
    Graph *graph;
    Region region;
    int64_t offset[NODE_MAX_IN + NODE_MAX_OUT];
} Stage;

static TensorId stage_operand(Stage *stage, const Operand *operand, const int64_t *offset)
{
    if (operand->absent) return NO_TENSOR;
    return graph_external(stage->graph, "operand", operand->dtype, operand->shape, &stage->region,
                          *offset);
}

static int64_t stage_room(Stage *stage, const Operand *operand)
{
    if (operand->absent) return 0;
    return region_append(&stage->region, &stage->device->limits, operand->dtype, operand->shape);
}

static void write_operand(Stage *stage, const Operand *operand, int64_t offset)
{
    int64_t n = operand_elements(operand);
    if (operand->absent || !operand->value) return;
    if (operand->dtype == DTYPE_REAL) {
        test_ok(device_write_doubles(&stage->region, offset, operand->value, n));
        return;
    }
    int32_t *whole = test_memory((size_t)n * sizeof *whole);
    for (int64_t i = 0; i < n; i++) whole[i] = (int32_t)operand->value[i];
    test_ok(device_write_ints(&stage->region, offset, whole, n));
}

static double *read_operand(const Stage *stage, const Operand *operand, int64_t offset)
{
    if (operand->absent) return NULL;
    int64_t n = operand_elements(operand);
    double *value = test_memory((size_t)n * sizeof *value);
    if (operand->dtype == DTYPE_REAL) {
        test_ok(device_read_doubles(&stage->region, offset, value, n));
        return value;
    }
    int32_t *whole = test_memory((size_t)n * sizeof *whole);
    test_ok(device_read_ints(&stage->region, offset, whole, n));
    for (int64_t i = 0; i < n; i++) value[i] = whole[i];
    return value;
}

static void stage_build(Stage *stage, const OneOp *op)
{
    TensorId in[NODE_MAX_IN], out[NODE_MAX_OUT];
    uint32_t absent = 0;
    int64_t *of_out = stage->offset + NODE_MAX_IN;
    for (int k = 0; k < op->n_in; k++) stage->offset[k] = stage_room(stage, &op->in[k]);
    for (int k = 0; k < op->n_out; k++)
        of_out[k] = k == 0 && op->in_place ? stage->offset[0] : stage_room(stage, &op->out[k]);
    for (int k = 0; k < op->n_in; k++) in[k] = stage_operand(stage, &op->in[k], &stage->offset[k]);
    for (int k = 0; k < op->n_out; k++) {
        out[k] = stage_operand(stage, &op->out[k], &of_out[k]);
        if (op->out[k].absent) absent |= 1u << k;
    }
    graph_append(stage->graph, &(NodeParams){.op = op->op,
                                             .params = op->params,
                                             .in = in,
                                             .n_in = op->n_in,
                                             .out = out,
                                             .n_out = op->n_out,
                                             .accumulate = op->accumulate,
                                             .skip = absent});
    test_ok(graph_status(stage->graph));
}

OneOpResult test_run(Device *device, const OneOp *op)
{
    Stage stage = {.device = device, .graph = graph_create(), .region = {.name = "operands"}};
    stage_build(&stage, op);
    Runnable runnable;
    test_ok(device_allocate(device, &stage.region));
    test_ok(runnable_create(device, stage.graph, &runnable));
    for (int i = 0; i < runnable.plan->n_slabs; i++)
        test_ok(device_poison(runnable.plan->slabs[i]));
    for (int k = 0; k < op->n_in; k++) write_operand(&stage, &op->in[k], stage.offset[k]);
    for (int k = op->in_place ? 1 : 0; k < op->n_out; k++)
        write_operand(&stage, &op->out[k], stage.offset[NODE_MAX_IN + k]);
    test_ok(hazards_check(device->backend->program_commands(runnable.program), runnable.plan));
    test_ok(device->backend->program_run(runnable.program));
    OneOpResult result = {{0}};
    for (int k = 0; k < op->n_out; k++)
        result.out[k] = read_operand(&stage, &op->out[k], stage.offset[NODE_MAX_IN + k]);
    runnable_destroy(&runnable);
    device_release(&stage.region);
    graph_destroy(stage.graph);
    return result;
}

/* ---- barriers ---- */

int test_ordered(const Program *program, int most)
{
    const CommandList *recorded = program->device->backend->program_commands(program);
    test_ok(hazards_check(recorded, program->plan));
    CommandList copy = *recorded;
    size_t bytes = (size_t)copy.n_commands * sizeof *copy.commands;
    copy.commands = test_memory(bytes);
    memcpy(copy.commands, recorded->commands, bytes);
    int tried = 0, next = 0;
    for (int i = 0; i < copy.n_commands; i++) {
        if (!copy.commands[i].barrier || i < next) continue;
        copy.commands[i].barrier = false;
        if (hazards_check(&copy, program->plan) != WF_ERROR_DEVICE)
            fail_msg("nothing is lost with the barrier of command %d", i);
        copy.commands[i].barrier = true;
        next = i + copy.n_commands / most + 1;
        tried++;
    }
    return tried;
}
