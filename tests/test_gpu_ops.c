/* A GPU backend against the double reference, through real plans: test_gpu_ops vulkan|opencl.
 *
 * Device 0 of the backend. Exit code 77, a skip, where this build or machine has none. */
#include "tests/op_builders.h"

#include "check/case.h"
#include "check/check.h"
#include "field/geometry.h"
#include "graph/autodiff.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/rounding.h"

static Device *gpu;

/* ---- every op alone: the check's cases ---- */

static void expect_right(void *context, const CheckResult *result)
{
    (void)context;
    if (result->verdict == CHECK_FAILED)
        fail_msg("%s: %s, error %g, bound %g", result->name, result->detail, result->error,
                 result->bound);
    if (result->verdict == CHECK_MISSING)
        fail_msg("%s is missing: %s", result->name, result->detail);
}

static void every_op_is_right(void **state)
{
    (void)state;
    CheckTotals totals = {0};
    test_ok(check_device(gpu, &(CheckParams){.report = expect_right}, &totals));
    assert_true(totals.passed > 0);
}

/* ---- barriers ---- */

/* The recorded commands are ordered, and stop being so when any one barrier is taken away. */
static void expect_ordered(const Program *program)
{
    const CommandList *recorded = gpu->backend->program_commands(program);
    test_ok(hazards_check(recorded, program->plan));
    CommandList copy = *recorded;
    size_t bytes = (size_t)copy.n_commands * sizeof *copy.commands;
    copy.commands = test_memory(bytes);
    memcpy(copy.commands, recorded->commands, bytes);
    for (int i = 0; i < copy.n_commands; i++) {
        if (!copy.commands[i].barrier) continue;
        copy.commands[i].barrier = false;
        if (!hazards_check(&copy, program->plan))
            fail_msg("nothing is lost with the barrier of command %d", i);
        copy.commands[i].barrier = true;
    }
}

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
        expect_ordered(runnable.program);
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
    expect_ordered(here.runnable.program);
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

/* ---- sizes that take other paths ---- */

static Operand real(Shape shape, double *value)
{
    return (Operand){.dtype = DTYPE_REAL, .shape = shape, .value = value};
}

/* The op on both devices; every output within the bound. */
static void expect_same(const char *what, OneOp *op, FieldEvaluator reference, int64_t reduction)
{
    OneOpResult got = test_run(gpu, op);
    if (op->op == OP_FIELD || op->op == OP_FIELD_BACKWARD) op->params.field.evaluator = reference;
    OneOpResult expected = test_run(test_device(true), op);
    for (int k = 0; k < op->n_out; k++)
        test_close(what, got.out[k], expected.out[k], operand_elements(&op->out[k]), reduction,
                   false);
}

/* Tiles of 128 x 128 with edges; and an inner axis long enough to be cut. */
static void large_products_are_right(void **state)
{
    (void)state;
    static const int64_t size[][3] = {{515, 640, 9}, {640, 515, 19}, {33, 40, 2051}};
    for (int i = 0; i < 3; i++) {
        int64_t rows = size[i][0], cols = size[i][1], inner = size[i][2];
        OneOp op = {.op = OP_PRODUCT, .n_in = 3, .n_out = 1};
        op.params.product = (ProductParams){.batch = 1,
                                            .rows = rows,
                                            .cols = cols,
                                            .inner = inner,
                                            .trans_a = i == 1,
                                            .trans_b = i != 1,
                                            .ld_a = i == 1 ? rows : inner,
                                            .ld_b = i == 1 ? cols : inner,
                                            .ld_c = cols};
        op.in[0] = real(SHAPE(rows * inner), test_normal(1, rows * inner, 1));
        op.in[1] = real(SHAPE(cols * inner), test_normal(2, cols * inner, 1));
        op.in[2] = real(SHAPE(cols), test_normal(3, cols, 1));
        op.out[0] = real(SHAPE(rows, cols), NULL);
        expect_same("large product", &op, FIELD_SCAN, inner + 1);
    }
}

/* A field op over `tokens` tokens, `cells` a token, of waves that hardly fade. */
static OneOp long_field(FieldEvaluator evaluator, int64_t tokens, int64_t heads, int64_t width,
                        int64_t spacing)
{
    int64_t cells = 1 + spacing * (tokens - 1);
    Shape shape = SHAPE(1, tokens, heads, width);
    double *cell = test_memory((size_t)tokens * sizeof *cell);
    double *fraction = test_memory((size_t)tokens * sizeof *fraction);
    for (int64_t i = 0; i < tokens; i++) {
        cell[i] = (double)(spacing * i);
        if (spacing > 1 && i + 1 < tokens) fraction[i] = (double)(i % 4) / 4;
    }
    double *damping = test_normal(4, heads, 1);
    for (int64_t h = 0; h < heads; h++) damping[h] -= 12;
    OneOp op = {.op = OP_FIELD, .n_in = 6, .n_out = 2};
    op.params.field = (FieldParams){.heads = heads,
                                    .width = width,
                                    .cells = cells,
                                    .reach = cells,
                                    .damping_limit = INFINITY,
                                    .evaluator = evaluator};
    op.in[0] = real(shape, test_normal(5, shape_elements(shape), 1));
    op.in[1] = real(SHAPE(heads), test_normal(6, heads, 2));
    op.in[2] = real(SHAPE(heads), damping);
    op.in[3] = real(SHAPE(heads), test_normal(7, heads, 2));
    op.in[4] = (Operand){.dtype = DTYPE_I32, .shape = SHAPE(tokens), .value = cell};
    op.in[5] = real(SHAPE(tokens), fraction);
    op.out[0] = real(shape, NULL);
    op.out[1] = real(SHAPE(1, heads, ceil_div(tokens, FIELD_CHUNK), 2, width), NULL);
    return op;
}

/* The backward op of a field op on one device, from that device's own carry. */
static OneOpResult run_backward(Device *device, const OneOp *forward, OneOp *op)
{
    OneOp copy = *forward;
    OneOpResult carried = test_run(device, &copy);
    Shape shape = forward->in[0].shape, heads = forward->in[1].shape;
    *op = (OneOp){.op = OP_FIELD_BACKWARD, .params = forward->params, .n_in = 8, .n_out = 4};
    op->in[0] = real(shape, test_normal(8, shape_elements(shape), 1));
    for (int k = 0; k < 6; k++) op->in[k + 1] = forward->in[k];
    op->in[7] = real(forward->out[1].shape, carried.out[1]);
    op->out[0] = real(shape, NULL);
    for (int k = 1; k < 4; k++) op->out[k] = real(heads, test_normal(9, shape_elements(heads), 1));
    return test_run(device, op);
}

/* Poles keep their phase over many chunks: what a wave has gained and lost by the end must not grow
 * with the way it went. */
static void long_scans_do_not_drift(void **state)
{
    (void)state;
    enum { LONG = 20011 };
    OneOp forward = long_field(FIELD_SCAN, LONG, 2, 3, 7), backward;
    expect_same("long scan", &forward, FIELD_SCAN, LONG);
    OneOpResult got = run_backward(gpu, &forward, &backward);
    OneOpResult expected = run_backward(test_device(true), &forward, &backward);
    for (int k = 0; k < backward.n_out; k++)
        test_close("long scan backward", got.out[k], expected.out[k],
                   operand_elements(&backward.out[k]), LONG * 3, false);
}

/* "dc" norms may be a hundredth of the terms they sum: their rounding must not show. */
static void small_norms_are_exact(void **state)
{
    (void)state;
    enum { LONG = 4099 };
    OneOp op = long_field(FIELD_SCAN, LONG, 2, 1, 1);
    op.params.field.norm = KERNEL_NORM_DC;
    expect_same("dc scan", &op, FIELD_SCAN, LONG);
}

/* Transforms of several passes, in an odd number of rows. */
static void long_transforms_are_right(void **state)
{
    (void)state;
    enum { LONG = 4100 };
    OneOp forward = long_field(FIELD_FFT, LONG, 1, 3, 32), backward;
    int64_t cells = forward.params.field.cells;
    assert_true(cells > 131072);
    OneOpResult got = test_run(gpu, &forward);
    forward.params.field.evaluator = FIELD_SCAN;
    OneOpResult expected = test_run(test_device(true), &forward);
    test_close("long transform", got.out[0], expected.out[0], operand_elements(&forward.out[0]),
               cells, false);
    expected = run_backward(test_device(true), &forward, &backward);
    forward.params.field.evaluator = FIELD_FFT;
    got = run_backward(gpu, &forward, &backward);
    for (int k = 0; k < backward.n_out; k++)
        test_close("long transform backward", got.out[k], expected.out[k],
                   operand_elements(&backward.out[k]), cells * 3, false);
}

/* ---- gated kernels ---- */

/* Where transforms of P points are odd, of one large factor only, or take several passes. */
static void gated_kernels_are_right(void **state)
{
    (void)state;
    static const struct {
        int64_t batch, heads, cells, size;
    } cases[] = {{1, 2, 9, 36}, {3, 2, 156, 625}, {1, 1, 4201, 16807}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t batch = cases[i].batch, heads = cases[i].heads, cells = cases[i].cells;
        OneOp op = {.op = OP_FIELD_KERNEL, .n_in = 4, .n_out = 1};
        op.params.field = (FieldParams){
            .heads = heads, .width = 1, .cells = cells, .reach = cells, .damping_limit = 1.5f};
        op.in[0] = real(SHAPE(heads), test_normal(1, heads, 2));
        op.in[1] = real(SHAPE(heads), test_normal(2, heads, 3));
        op.in[2] = real(SHAPE(heads), test_normal(3, heads, 2));
        Shape points = SHAPE(batch, heads, FIELD_GATE_POINTS);
        op.in[3] = real(points, test_normal(4, shape_elements(points), 0.3));
        op.out[0] = real(SHAPE(batch, heads, cells), NULL);
        char what[64];
        snprintf(what, sizeof what, "gated kernel of %d points", (int)cases[i].size);
        expect_same(what, &op, FIELD_SCAN, cases[i].size);
    }
}

/* ---- ops of rows and elements, beyond what the cases show ---- */

static const OpCase row_ops[] = {
    {OP_GELU, {301}},
    {OP_DROPOUT, {301}},
    {OP_FEATURE, {301}},
    {OP_GATE, {301}},
    {OP_KEY_NORM, {19, 21}},
    {OP_FIRST_TOKEN, {3, 5, 7}},
    {OP_CAUSAL_MEAN, {2, 67, 5}},
    {OP_CAUSAL_MEAN_STREAM, {2, 67, 5, 9}},
    {OP_COSINE, {19, 21}},
    {OP_INTERFERE, {19, 21}},
};
enum { ROW_OPS = sizeof row_ops / sizeof *row_ops };

/* The backward op; false: it has none. */
static bool backward_of(const OneOp *forward, OneOp *backward)
{
    int of_input[NODE_MAX_OUT];
    if (forward->op == OP_CAUSAL_MEAN_STREAM) return false;
    OneOpResult result = test_run(test_device(true), forward);
    *backward = op_backward(forward, &result, of_input);
    return true;
}

/* Each element to its own last places, however small. */
static void expect_digits(OneOp *op, int k)
{
    double *got = test_run(gpu, op).out[k], *expected = test_run(test_device(true), op).out[k];
    for (int64_t i = 0; i < operand_elements(&op->out[k]); i++)
        if (!(fabs(got[i] - expected[i]) <= 16 * (double)FLT_EPSILON * fabs(expected[i])))
            fail_msg("op %d at %g: %.9g, not %.9g", (int)op->op, op->in[op->n_in - 1].value[i],
                     got[i], expected[i]);
}

/* from, …, to in equal steps. */
static void sweep(Operand *operand, double from, double to)
{
    int64_t n = operand_elements(operand);
    for (int64_t i = 0; i < n; i++)
        operand->value[i] = (double)(float)(from + (to - from) * (double)i / (double)(n - 1));
}

static void tails_keep_their_digits(void **state)
{
    (void)state;
    const int64_t n = 4001;
    OneOp gelu = op_build((OpCase){OP_GELU, {n}}), gate = op_build((OpCase){OP_GATE, {n}}), slope;
    sweep(&gelu.in[0], -12.5, 12.5);
    expect_digits(&gelu, 0);
    sweep(&gate.in[0], 1, 1);
    sweep(&gate.in[1], -85, 85);
    expect_digits(&gate, 0);
    assert_true(backward_of(&gate, &slope));
    sweep(&slope.in[0], 1, 1);
    expect_digits(&slope, 1);
}

/* A NaN in the middle of each input in turn reaches what it reaches in double, and nothing else. */
static void expect_same_nan(OneOp *op)
{
    for (int k = 0; k < op->n_in; k++) {
        if (op->in[k].dtype != DTYPE_REAL) continue;
        double *value = &op->in[k].value[operand_elements(&op->in[k]) / 2], before = *value;
        *value = (double)NAN;
        OneOpResult got = test_run(gpu, op), expected = test_run(test_device(true), op);
        for (int j = 0; j < op->n_out; j++)
            for (int64_t i = 0; i < operand_elements(&op->out[j]); i++)
                if (isnan(got.out[j][i]) != isnan(expected.out[j][i]))
                    fail_msg("op %d: input %d is NaN, output %d has %g at %lld, not %g",
                             (int)op->op, k, j, got.out[j][i], (long long)i, expected.out[j][i]);
        *value = before;
    }
}

static void a_nan_is_kept(void **state)
{
    (void)state;
    for (int i = 0; i < ROW_OPS; i++) {
        OneOp forward = op_build(row_ops[i]), backward;
        expect_same_nan(&forward);
        if (backward_of(&forward, &backward)) expect_same_nan(&backward);
    }
    for (int heads = 2; heads < 12; heads += 3) {
        OneOp forward = op_build((OpCase){OP_COUPLE, {2, 5, heads, 3}}), backward;
        expect_same_nan(&forward);
        if (backward_of(&forward, &backward)) expect_same_nan(&backward);
    }
}

static void outputs_may_stand_on_inputs(void **state)
{
    (void)state;
    static const Op ops[] = {OP_COPY, OP_ADD, OP_GELU, OP_DROPOUT, OP_FEATURE, OP_GATE};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        OneOp op = op_build((OpCase){ops[i], {3001}}), backward;
        op.in_place = true;
        expect_same("in place", &op, FIELD_SCAN, 4);
        if (ops[i] != OP_GELU) continue;
        assert_true(backward_of(&op, &backward));
        backward.in_place = true;
        expect_same("gelu backward in place", &backward, FIELD_SCAN, 4);
    }
}

static void gradients_may_be_unwanted(void **state)
{
    (void)state;
    OneOp forward = op_build((OpCase){OP_FEATURE, {301}}), backward;
    for (int k = 0; k < 2; k++) {
        assert_true(backward_of(&forward, &backward));
        backward.out[k].absent = true;
        OneOpResult got = test_run(gpu, &backward);
        OneOpResult expected = test_run(test_device(true), &backward);
        test_close("feature backward", got.out[1 - k], expected.out[1 - k], 301, 4, false);
    }
}

static void raise_by_4(Operand *operand)
{
    for (int64_t i = 0; i < operand_elements(operand); i++)
        operand->value[i] = (double)(float)(operand->value[i] + 4);
}

/* The means of numbers that are all near 4 stay within an element's bound, however many. */
static void long_means_do_not_drift(void **state)
{
    (void)state;
    enum { LONG = 20011 };
    const OpCase cases[] = {{OP_CAUSAL_MEAN, {1, LONG, 3}},
                            {OP_CAUSAL_MEAN_STREAM, {2, LONG, 3, 70001}}};
    for (int i = 0; i < 2; i++) {
        OneOp op = op_build(cases[i]), backward;
        raise_by_4(&op.in[0]);
        expect_same("long mean", &op, FIELD_SCAN, 1);
        if (!backward_of(&op, &backward)) continue;
        raise_by_4(&backward.in[0]);
        expect_same("long mean backward", &backward, FIELD_SCAN, 1);
    }
}

/* ---- the head and the optimizer ---- */

/* Of equal largest logits, lanes apart or near, the lowest index is the one that was predicted. */
static void ties_go_to_the_lowest_index(void **state)
{
    (void)state;
    enum { RIVALS = 5, WORDS = 2111, INNER = 3 };
    static const int rival[RIVALS] = {517, 518, 773, 1541, 2110};
    OneOp op = op_build((OpCase){OP_HEAD_LOSS, {RIVALS + 2, INNER, WORDS}});
    for (int64_t i = 0; i < operand_elements(&op.in[0]); i++) op.in[0].value[i] = 1;
    for (int first = 0; first < RIVALS; first++) {
        for (int64_t i = 0; i < WORDS * INNER; i++) op.in[1].value[i] = 0;
        for (int k = first; k < RIVALS; k++)
            for (int i = 0; i < INNER; i++) op.in[1].value[rival[k] * INNER + i] = 1;
        for (int r = 0; r < RIVALS; r++) op.in[2].value[r] = rival[r];
        op.in[2].value[RIVALS] = 0;
        op.in[2].value[RIVALS + 1] = -100;
        OneOpResult got = test_run(gpu, &op);
        assert_true(got.out[1][0] == op.out[1].value[0] + RIVALS + 1);
        assert_true(got.out[1][1] == op.out[1].value[1] + 1);
    }
}

/* A row that is no number makes the loss none, and the gradients of the other rows stay theirs. */
static void bad_rows_of_the_head_show(void **state)
{
    (void)state;
    enum { ROWS_HERE = 6, INNER = 7, BAD = 4 };
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    OneOp op = op_build((OpCase){OP_HEAD_LOSS, {ROWS_HERE, INNER, 301}});
    OneOpResult right = test_run(gpu, &op);
    for (int i = 0; i < 3; i++) {
        op.in[0].value[BAD * INNER + i] = bad[i];
        OneOpResult got = test_run(gpu, &op);
        assert_true(isnan(got.out[0][0]));
        for (int64_t k = 0; k < ROWS_HERE * INNER; k++)
            assert_true(k / INNER == BAD ? isnan(got.out[2][k]) : got.out[2][k] == right.out[2][k]);
    }
}

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

/* Numbers that are not finite are counted, and show in the sum; the count ends at the largest int.
 */
static void bad_numbers_are_counted(void **state)
{
    (void)state;
    OneOp op = op_build((OpCase){OP_SQUARE_SUM, {50021, 7}});
    OneOpResult got = test_run(gpu, &op);
    assert_true(isnan(got.out[0][0]) && got.out[1][0] == op.out[1].value[0] + 7);
    op.out[1].value[0] = INT32_MAX - 3;
    got = test_run(gpu, &op);
    assert_true(got.out[1][0] == INT32_MAX);
}

/* Segments of all lengths, gaps between them, empty ones, several in a group's share and several
 * shares in one; with and without clipping, and after bad numbers, when only gradients change. */
static void segments_step_by_their_own_rules(void **state)
{
    (void)state;
    static const OpCase of[] = {
        {OP_ADAMW, {40009, 5, 64, 0}}, {OP_ADAMW, {5003, 4003, 64, 0}}, {OP_ADAMW, {1, 1, 0, 0}},
        {OP_ADAMW, {9001, 3, 640, 0}}, {OP_ADAMW, {9001, 31, 64, 1}},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        OneOp op = op_build(of[i]);
        expect_same("adamw", &op, FIELD_SCAN, 1);
        int64_t n = of[i].size[0];
        OneOpResult got = test_run(gpu, &op);
        for (int k = 0; k < 4 && of[i].size[3]; k++)
            for (int64_t e = 0; e < n; e++)
                assert_true(got.out[k][e] == op.out[k].value[e] || (k == 1 && got.out[k][e] == 0));
    }
}

/* ---- refusals ---- */

static void what_is_missing_is_said(void **state)
{
    (void)state;
    OneOp op = long_field(FIELD_FFT, 3, 1, 1, 1 << 27);
    Graph *graph = graph_create();
    TensorId in[6], out[2] = {NO_TENSOR, NO_TENSOR};
    for (int k = 0; k < op.n_in; k++)
        in[k] = graph_activation(graph, "input", op.in[k].dtype, op.in[k].shape);
    graph_append(graph, &(NodeParams){.op = op.op,
                                      .params = op.params,
                                      .in = in,
                                      .n_in = op.n_in,
                                      .out = out,
                                      .n_out = op.n_out});
    test_ok(graph_status(graph));
    const char *why = NULL;
    assert_false(gpu->backend->supports(gpu, graph, &graph->nodes[0], &why));
    assert_non_null(strstr(why, "too long"));
    graph_destroy(graph);
}

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

/* ---- the program ---- */

enum { SKIPPED = 77 };

static int open_gpu(const char *name)
{
    const Backend *backend = backend_find(name);
    if (!backend) {
        print_message("skipped: this build has no backend %s\n", name);
        return SKIPPED;
    }
    int count = 0;
    if (backend->list(NULL, 0, &count) || count == 0) {
        print_message("skipped: %s\n", wf_error_message());
        return SKIPPED;
    }
    if (backend->open(0, &gpu)) {
        print_error("%s\n", wf_error_message());
        return 1;
    }
    print_message("%s (%s)\n", gpu->info.name, gpu->info.driver);
    return 0;
}

/* ---- attention ---- */

enum { ATTENDED = 300, ATTENTION_ROW = 10, ATTENDED_ELEMENTS = ATTENDED * ATTENTION_ROW };

/* What attention of [1, ATTENDED, 2, 5] gives: y, streamed y, dq. */
typedef struct Attended {
    double *y, *streamed, *dq;
} Attended;

static Attended attend(double *q, double *k, double *v, double *dy)
{
    Shape shape = SHAPE(1, ATTENDED, 2, ATTENTION_ROW / 2), lse = SHAPE(1, 2, ATTENDED);
    double position = 0;
    OneOp whole = {.op = OP_ATTENTION,
                   .n_in = 3,
                   .in = {{.shape = shape, .value = q},
                          {.shape = shape, .value = k},
                          {.shape = shape, .value = v}},
                   .n_out = 2,
                   .out = {{.shape = shape}, {.shape = lse}}};
    OneOpResult forward = test_run(gpu, &whole);
    OneOp stream = whole;
    stream.op = OP_ATTENTION_STREAM;
    stream.n_in = 4;
    stream.in[3] = (Operand){.dtype = DTYPE_I32, .shape = SHAPE(1), .value = &position};
    stream.n_out = 3;
    stream.out[1] = stream.out[2] = (Operand){.shape = shape};
    OneOp backward = {.op = OP_ATTENTION_BACKWARD,
                      .n_in = 6,
                      .in = {{.shape = shape, .value = dy},
                             whole.in[0],
                             whole.in[1],
                             whole.in[2],
                             {.shape = shape, .value = forward.out[0]},
                             {.shape = lse, .value = forward.out[1]}},
                      .n_out = 3,
                      .out = {{.shape = shape}, {.shape = shape}, {.shape = shape}}};
    return (Attended){forward.out[0], test_run(gpu, &stream).out[0],
                      test_run(gpu, &backward).out[0]};
}

/* Nothing a token holds, not even NaN, moves a bit of the tokens before it, nor another head's. */
static void later_tokens_do_not_show(void **state)
{
    (void)state;
    static const int at[] = {1, 63, 64, 149, 256, 299};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        double *in[4];
        for (int k = 0; k < 4; k++) in[k] = test_normal((uint64_t)k, ATTENDED_ELEMENTS, 1);
        Attended before = attend(in[0], in[1], in[2], in[3]);
        for (int k = 0; k < 4; k++) in[k][at[i] * ATTENTION_ROW + 5 + k] = NAN; /* of head 1 */
        Attended after = attend(in[0], in[1], in[2], in[3]);
        const double *old[] = {before.y, before.streamed, before.dq};
        const double *new[] = {after.y, after.streamed, after.dq};
        for (int e = 0; e < 3 * ATTENDED_ELEMENTS; e++) {
            int which = e / ATTENDED_ELEMENTS, element = e % ATTENDED_ELEMENTS;
            bool reached = element / ATTENTION_ROW >= at[i] && element % ATTENTION_ROW >= 5;
            assert_true(isnan(new[which][element]) == reached);
            if (!reached)
                assert_memory_equal(&new[which][element], &old[which][element], sizeof(double));
        }
        test_release(NULL);
    }
}

static void sixteen_bits_round_as_everywhere(void **state)
{
    (void)state;
    for (DType dtype = DTYPE_F16; dtype <= DTYPE_BF16; dtype++)
        if (gpu->limits.dtype_size[dtype]) assert_device_rounds(gpu, dtype);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        print_error("usage: %s vulkan|opencl\n", argv[0]);
        return 2;
    }
    int closed = open_gpu(argv[1]);
    if (closed) return closed;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_op_is_right, test_release),
        cmocka_unit_test_teardown(every_op_is_ordered, test_release),
        cmocka_unit_test_teardown(a_plan_is_replayed_with_scan, test_release),
        cmocka_unit_test_teardown(a_plan_is_replayed_with_fft, test_release),
        cmocka_unit_test_teardown(nodes_run_one_by_one, test_release),
        cmocka_unit_test_teardown(runs_queue_up, test_release),
        cmocka_unit_test_teardown(large_products_are_right, test_release),
        cmocka_unit_test_teardown(long_scans_do_not_drift, test_release),
        cmocka_unit_test_teardown(small_norms_are_exact, test_release),
        cmocka_unit_test_teardown(long_transforms_are_right, test_release),
        cmocka_unit_test_teardown(gated_kernels_are_right, test_release),
        cmocka_unit_test_teardown(tails_keep_their_digits, test_release),
        cmocka_unit_test_teardown(a_nan_is_kept, test_release),
        cmocka_unit_test_teardown(outputs_may_stand_on_inputs, test_release),
        cmocka_unit_test_teardown(gradients_may_be_unwanted, test_release),
        cmocka_unit_test_teardown(long_means_do_not_drift, test_release),
        cmocka_unit_test_teardown(ties_go_to_the_lowest_index, test_release),
        cmocka_unit_test_teardown(bad_rows_of_the_head_show, test_release),
        cmocka_unit_test_teardown(chunks_of_the_head_share_workspace, test_release),
        cmocka_unit_test_teardown(bad_numbers_are_counted, test_release),
        cmocka_unit_test_teardown(segments_step_by_their_own_rules, test_release),
        cmocka_unit_test_teardown(later_tokens_do_not_show, test_release),
        cmocka_unit_test_teardown(sixteen_bits_round_as_everywhere, test_release),
        cmocka_unit_test_teardown(what_is_missing_is_said, test_release),
        cmocka_unit_test_teardown(errors_are_statuses, test_release),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_close_devices();
    gpu->backend->close(gpu);
    return failed;
}
