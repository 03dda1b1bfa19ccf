/* Whole plans on a GPU backend: test_gpu_plans vulkan|opencl.
 *
 * What a recording must hold beyond its ops: barriers, replays, nodes run one by one, runs that
 * queue up, workspace that is shared, and a device's buffers and errors.
 *
 * Device 0 of the backend. Exit code 77, a skip, where this build or machine has none. */
#include "tests/gpu_support.h"

#include "check/case.h"
#include "field/geometry.h"
#include "graph/autodiff.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- barriers ---- */

static void every_op_is_ordered(void **state)
{
    (void)state;
    for (int i = 0; i < n_check_cases; i++) {
        if (check_cases[i].model) continue;
        CaseGraph graph;
        Runnable runnable;
        test_ok(case_graph_create(&check_cases[i], &gpu->limits, false, DTYPE_REAL, &graph));
        test_ok(device_allocate(gpu, &graph.region));
        test_ok(runnable_create(gpu, graph.graph, &runnable));
        test_ordered(runnable.program, INT_MAX);
        runnable_destroy(&runnable);
        case_graph_destroy(&graph);
    }
}

/* ---- a plan of many nodes, recorded once and replayed ---- */

enum { BATCH = 2, TOKENS = 71, HEADS = 3, WIDTH = 5, EMBED = HEADS * WIDTH, CELLS = 121, MAX = 81 };
enum { ROWS = BATCH * TOKENS, LAYERS = 2, REPLAYS = 3 };

typedef struct Value {
    TensorId id;
    int64_t offset, elements;
    double deviation; /* of an input's numbers; 0: an output */
} Value;

/* LAYERS times x += product(field(layernorm(x))) on one device, with its backward. */
typedef struct Stack {
    Device *device;
    Graph *graph;
    Region region;
    Value values[64];
    int n_values;
    Runnable runnable;
} Stack;

static TensorId stack_tensor(Stack *stack, DType dtype, Shape shape, double deviation)
{
    int64_t offset = region_append(&stack->region, &stack->device->limits, dtype, shape);
    TensorId id = graph_external(stack->graph, "value", dtype, shape, &stack->region, offset);
    assert_true(stack->n_values < (int)(sizeof stack->values / sizeof *stack->values));
    if (dtype == DTYPE_REAL)
        stack->values[stack->n_values++] = (Value){id, offset, shape_elements(shape), deviation};
    return id;
}

/* A parameter, and its gradient, cleared when the plan begins. */
static TensorId stack_parameter(Stack *stack, Shape shape, double deviation)
{
    TensorId gradient = stack_tensor(stack, DTYPE_REAL, shape, 0);
    graph_append(stack->graph,
                 &(NodeParams){.op = OP_FILL, .out = (TensorId[]){gradient}, .n_out = 1});
    TensorId value = stack_tensor(stack, DTYPE_REAL, shape, deviation);
    stack->graph->tensors[value].gradient = gradient;
    stack->graph->tensors[value].differentiable = true;
    return value;
}

static TensorId stack_node(Stack *stack, Op op, OpParams params, const TensorId *in, int n_in,
                           int n_out)
{
    TensorId out[NODE_MAX_OUT] = {NO_TENSOR, NO_TENSOR, NO_TENSOR};
    graph_append(
        stack->graph,
        &(NodeParams){
            .op = op, .params = params, .in = in, .n_in = n_in, .out = out, .n_out = n_out});
    return out[0];
}

static const Geometry geometry = {MODEL_V4, CELLS, MAX};

static TensorId stack_layer(Stack *stack, TensorId x, TensorId cell, TensorId fraction,
                            FieldEvaluator evaluator)
{
    TensorId norm[] = {x, stack_parameter(stack, SHAPE(EMBED), 1),
                       stack_parameter(stack, SHAPE(EMBED), 1)};
    TensorId u = stack_node(stack, OP_LAYERNORM, (OpParams){{0}}, norm, 3, 3);
    OpParams field = {.field = {.heads = HEADS,
                                .width = WIDTH,
                                .cells = CELLS,
                                .reach = geometry_reach(&geometry, TOKENS),
                                .damping_limit = 1.5f,
                                .evaluator = evaluator}};
    TensorId heads = graph_view(stack->graph, u, SHAPE(BATCH, TOKENS, HEADS, WIDTH), 0);
    TensorId wave[] = {heads,
                       stack_parameter(stack, SHAPE(HEADS), 2),
                       stack_parameter(stack, SHAPE(HEADS), 1),
                       stack_parameter(stack, SHAPE(HEADS), 2),
                       cell,
                       fraction};
    TensorId r = stack_node(stack, OP_FIELD, field, wave, 6, 2);
    OpParams linear = {.product = {.batch = 1,
                                   .rows = ROWS,
                                   .cols = EMBED,
                                   .inner = EMBED,
                                   .trans_b = true,
                                   .ld_a = EMBED,
                                   .ld_b = EMBED,
                                   .ld_c = EMBED}};
    TensorId projected[] = {r, stack_parameter(stack, SHAPE(EMBED, EMBED), 0.3),
                            stack_parameter(stack, SHAPE(EMBED), 1)};
    TensorId y = stack_node(stack, OP_PRODUCT, linear, projected, 3, 1);
    TensorId sum[] = {x, graph_view(stack->graph, y, graph_shape(stack->graph, x), 0)};
    return stack_node(stack, OP_ADD, (OpParams){{0}}, sum, 2, 1);
}

static void stack_create(Stack *stack, Device *device, FieldEvaluator evaluator)
{
    *stack = (Stack){.device = device, .graph = graph_create(), .region = {.name = "values"}};
    Shape shape = SHAPE(BATCH, TOKENS, EMBED);
    TensorId cell = stack_tensor(stack, DTYPE_I32, SHAPE(TOKENS), 0);
    TensorId fraction = stack_tensor(stack, DTYPE_REAL, SHAPE(TOKENS), 0);
    stack->n_values--; /* neither drawn nor compared: the places of the tokens */
    TensorId x = stack_parameter(stack, shape, 1), seed = stack_tensor(stack, DTYPE_REAL, shape, 1);
    TensorId y = x;
    for (int layer = 0; layer < LAYERS; layer++)
        y = stack_layer(stack, y, cell, fraction, evaluator);
    TensorId shown = stack_tensor(stack, DTYPE_REAL, shape, 0);
    graph_append(stack->graph,
                 &(NodeParams){.op = OP_COPY, .in = &y, .n_in = 1, .out = &shown, .n_out = 1});
    test_ok(graph_backward(stack->graph, y, seed));
    test_ok(device_allocate(device, &stack->region));
    test_ok(runnable_create(device, stack->graph, &stack->runnable));

    assert_true(geometry_causal(&geometry, NULL)); /* scan and fft must agree */
    int32_t cells[TOKENS];
    double fractions[TOKENS];
    geometry_places(&geometry, 0, TOKENS, cells, fractions);
    for (int i = 0; i < TOKENS; i++) fractions[i] = (double)(float)fractions[i];
    test_ok(device_poison(&stack->region));
    test_ok(device_write_ints(&stack->region, stack->graph->tensors[cell].region_offset, cells,
                              TOKENS));
    test_ok(device_write_doubles(&stack->region, stack->graph->tensors[fraction].region_offset,
                                 fractions, TOKENS));
}

static void stack_destroy(Stack *stack)
{
    runnable_destroy(&stack->runnable);
    device_release(&stack->region);
    graph_destroy(stack->graph);
}

/* Inputs of replay number `round`; the plan's own memory and all outputs NaN. */
static void stack_load(Stack *stack, uint64_t round)
{
    const Plan *plan = stack->runnable.plan;
    for (int i = plan->n_external; i < plan->n_slabs; i++) test_ok(device_poison(plan->slabs[i]));
    for (int i = 0; i < stack->n_values; i++) {
        const Value *value = &stack->values[i];
        double *numbers = test_normal(100 * round + (uint64_t)i, value->elements, value->deviation);
        for (int64_t k = 0; k < value->elements && value->deviation == 0; k++) numbers[k] = NAN;
        test_ok(device_write_doubles(&stack->region, value->offset, numbers, value->elements));
    }
}

static double *stack_read(const Stack *stack, const Value *value)
{
    double *numbers = test_memory((size_t)value->elements * sizeof *numbers);
    test_ok(device_read_doubles(&stack->region, value->offset, numbers, value->elements));
    return numbers;
}

static void stack_run(Stack *stack, uint64_t round)
{
    stack_load(stack, round);
    test_ok(stack->device->backend->program_run(stack->runnable.program));
}

/* Terms summed one after the other on the longest way through the stack and back. */
static int64_t stack_reduction(void)
{
    int64_t reach = geometry_reach(&geometry, TOKENS);
    return LAYERS * 2 * (2 * EMBED + reach) + ROWS * EMBED;
}

static void replays_of(FieldEvaluator evaluator)
{
    Stack here, there;
    stack_create(&here, gpu, evaluator);
    stack_create(&there, test_device(true), FIELD_SCAN);
    test_ordered(here.runnable.program, INT_MAX);
    double *first[64] = {NULL};
    for (int round = 0; round <= REPLAYS; round++) {
        uint64_t inputs = (uint64_t)(round % REPLAYS); /* the last is the first once more */
        stack_run(&here, inputs);
        stack_run(&there, inputs);
        for (int i = 0; i < here.n_values; i++) {
            const Value *value = &here.values[i];
            if (value->deviation != 0) continue;
            char what[64];
            snprintf(what, sizeof what, "value %d of replay %d", i, round);
            double *got = stack_read(&here, value);
            test_close(what, got, stack_read(&there, &there.values[i]), value->elements,
                       stack_reduction(), false);
            if (round == 0) first[i] = got;
            if (round == REPLAYS)
                assert_memory_equal(got, first[i], (size_t)value->elements * sizeof *got);
        }
    }
    stack_destroy(&here);
    stack_destroy(&there);
}

static void a_plan_is_replayed_with_scan(void **state)
{
    (void)state;
    replays_of(FIELD_SCAN);
}

static void a_plan_is_replayed_with_fft(void **state)
{
    (void)state;
    replays_of(FIELD_FFT);
}

/* Node after node gives what the recording gives. */
static void nodes_run_one_by_one(void **state)
{
    (void)state;
    Stack whole;
    stack_create(&whole, gpu, FIELD_SCAN);
    stack_run(&whole, 0);
    double *expected[64] = {NULL};
    for (int i = 0; i < whole.n_values; i++) expected[i] = stack_read(&whole, &whole.values[i]);
    stack_load(&whole, 0);
    for (int n = 0; n < whole.graph->n_nodes; n++)
        test_ok(gpu->backend->program_run_nodes(whole.runnable.program, n, n + 1));
    for (int i = 0; i < whole.n_values; i++)
        assert_memory_equal(stack_read(&whole, &whole.values[i]), expected[i],
                            (size_t)whole.values[i].elements * sizeof(double));
    stack_destroy(&whole);
}

/* Replays that nobody waits for run in order: each adds to what the one before it left. */
static void runs_queue_up(void **state)
{
    (void)state;
    enum { N = 1031, RUNS = 5 };
    Graph *graph = graph_create();
    Region region = {.name = "sum"};
    int64_t offset = region_append(&region, &gpu->limits, DTYPE_REAL, SHAPE(N));
    TensorId sum = graph_external(graph, "sum", DTYPE_REAL, SHAPE(N), &region, offset);
    for (int i = 0; i < 2; i++)
        graph_append(
            graph,
            &(NodeParams){
                .op = OP_COPY, .in = &sum, .n_in = 1, .out = &sum, .n_out = 1, .accumulate = 1});
    test_ok(graph_status(graph));
    test_ok(device_allocate(gpu, &region));
    Runnable runnable;
    test_ok(runnable_create(gpu, graph, &runnable));
    double *start = test_normal(1, N, 1), *end = test_memory(N * sizeof *end);
    test_ok(device_write_doubles(&region, offset, start, N));
    for (int i = 0; i < RUNS; i++) test_ok(gpu->backend->program_run(runnable.program));
    test_ok(device_read_doubles(&region, offset, end, N));
    for (int i = 0; i < N; i++) assert_true(end[i] == ldexp(start[i], 2 * RUNS));
    runnable_destroy(&runnable);
    device_release(&region);
    graph_destroy(graph);
}

/* ---- workspace ---- */

/* The workspace of a head loss over `rows` rows. */
static int64_t head_workspace(int64_t rows)
{
    enum { WORDS = 4099, INNER = 64 };
    Graph *graph = graph_create();
    const Shape in_shape[] = {SHAPE(rows, INNER), SHAPE(WORDS, INNER), SHAPE(rows), SHAPE(1)};
    const Shape out_shape[] = {SHAPE(1), SHAPE(2), SHAPE(rows, INNER), SHAPE(WORDS, INNER)};
    TensorId in[4], out[4];
    for (int k = 0; k < 4; k++) {
        in[k] = graph_activation(graph, "input", k == 2 ? DTYPE_I32 : DTYPE_REAL, in_shape[k]);
        out[k] = graph_activation(graph, "output", k == 1 ? DTYPE_I32 : DTYPE_REAL, out_shape[k]);
    }
    out[2] = NO_TENSOR; /* the node's own */
    graph_append(graph,
                 &(NodeParams){.op = OP_HEAD_LOSS, .in = in, .n_in = 4, .out = out, .n_out = 4});
    test_ok(graph_status(graph));
    assert_true(gpu->backend->supports(gpu, graph, &graph->nodes[0], NULL));
    int64_t bytes = gpu->backend->workspace(gpu, graph, 0, 1);
    graph_destroy(graph);
    return bytes;
}

/* All chunks of rows share one workspace: with more rows it grows by what a row leaves behind. */
static void chunks_of_the_head_share_workspace(void **state)
{
    (void)state;
    enum { MANY = 1 << 16 };
    assert_true(head_workspace(2 * MANY) - head_workspace(MANY) == 8 * MANY);
}

/* ---- the device ---- */

static void errors_are_statuses(void **state)
{
    (void)state;
    Device *device = NULL;
    assert_int_equal(gpu->backend->open(1000, &device), WF_ERROR_DEVICE);
    assert_non_null(strstr(wf_error_message(), "1000"));
    Buffer *buffer = NULL;
    assert_int_not_equal(gpu->backend->buffer_create(gpu, (int64_t)1 << 46, &buffer), WF_OK);
    assert_null(buffer);
    test_ok(gpu->backend->buffer_create(gpu, 10, &buffer));
    char bytes[16] = {0};
    assert_int_equal(gpu->backend->buffer_write(buffer, 4, bytes, 7), WF_ERROR_ARGUMENT);
    assert_int_equal(gpu->backend->buffer_read(buffer, -1, bytes, 1), WF_ERROR_ARGUMENT);
    test_ok(gpu->backend->buffer_write(buffer, 3, "seven 7", 7));
    test_ok(gpu->backend->buffer_read(buffer, 3, bytes, 7));
    assert_memory_equal(bytes, "seven 7", 7);
    gpu->backend->buffer_destroy(buffer);
}

int main(int argc, char **argv)
{
    int closed = gpu_open(argc, argv);
    if (closed) return closed;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_op_is_ordered, test_release),
        cmocka_unit_test_teardown(a_plan_is_replayed_with_scan, test_release),
        cmocka_unit_test_teardown(a_plan_is_replayed_with_fft, test_release),
        cmocka_unit_test_teardown(nodes_run_one_by_one, test_release),
        cmocka_unit_test_teardown(runs_queue_up, test_release),
        cmocka_unit_test_teardown(chunks_of_the_head_share_workspace, test_release),
        cmocka_unit_test_teardown(errors_are_statuses, test_release),
    };
    return cmocka_run_group_tests(tests, NULL, gpu_close);
}
