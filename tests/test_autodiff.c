/* Gradients of whole random graphs against finite differences, on the double-precision device: what
 * each op's own test cannot see is how gradients meet - shared, added, passed on, through views. */
#include "backends/backend.h"
#include "base/rng.h"
#include "graph/autodiff.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 4, WIDTH = 6, ELEMENTS = ROWS * WIDTH, PARAMETERS = 3, NODES = 14 };

/* One region: the parameters, their gradients, the output's seed, then the output. */
typedef struct Fixture {
    Device *device;
    Region region;
    int64_t value[PARAMETERS], gradient[PARAMETERS], seed, output;
} Fixture;

static int open_device(void **state)
{
    Fixture *f = calloc(1, sizeof *f);
    if (backend_cpu64.open(0, &f->device)) return -1;
    f->region.name = "test";
    Shape shape = SHAPE(ROWS, WIDTH);
    const Limits *limits = &f->device->limits;
    for (int i = 0; i < PARAMETERS; i++) {
        f->value[i] = region_append(&f->region, limits, DTYPE_REAL, shape);
        f->gradient[i] = region_append(&f->region, limits, DTYPE_REAL, shape);
    }
    f->seed = region_append(&f->region, limits, DTYPE_REAL, shape);
    f->output = region_append(&f->region, limits, DTYPE_REAL, shape);
    *state = f;
    return device_allocate(f->device, &f->region);
}

static int close_device(void **state)
{
    Fixture *f = *state;
    device_release(&f->region);
    f->device->backend->close(f->device);
    free(f);
    return 0;
}

static TensorId node(Graph *graph, Op op, OpParams params, TensorId a, TensorId b)
{
    TensorId out = graph_activation(graph, "y", DTYPE_REAL, SHAPE(ROWS, WIDTH));
    graph_append(graph, &(NodeParams){.op = op,
                                      .params = params,
                                      .in = (TensorId[]){a, b},
                                      .n_in = b == NO_TENSOR ? 1 : 2,
                                      .out = &out,
                                      .n_out = 1});
    return out;
}

/* y = a·(square of b's leading elements), in a random transposition. */
static TensorId product(Graph *graph, Rng *rng, TensorId a, TensorId b)
{
    bool trans_a = rng_below(rng, 2), trans_b = rng_below(rng, 2);
    ProductParams p = {.batch = 1, .trans_a = trans_a, .trans_b = trans_b, .ld_c = WIDTH};
    p.rows = ROWS;
    p.cols = WIDTH;
    p.inner = trans_a || trans_b ? ROWS : WIDTH;
    if (!trans_a && !trans_b) { /* [4,6]·[6,6] does not fit b: multiply by its first 4 rows */
        p.inner = ROWS;
        a = graph_view(graph, a, SHAPE(ROWS, ROWS), 0);
    } else if (!trans_a) {
        p.inner = ROWS;
        a = graph_view(graph, a, SHAPE(ROWS, ROWS), 3);
    } else {
        a = graph_view(graph, a, SHAPE(ROWS, ROWS), ELEMENTS - ROWS * ROWS);
    }
    p.ld_a = ROWS;
    p.ld_b = trans_b ? ROWS : WIDTH;
    return node(graph, OP_PRODUCT, (OpParams){.product = p}, a, b);
}

static TensorId random_node(Graph *graph, Rng *rng, const TensorId *live, int n)
{
    TensorId a = live[rng_below(rng, (uint64_t)n)], b = live[rng_below(rng, (uint64_t)n)];
    switch (rng_below(rng, 8)) {
    case 0: return node(graph, OP_GELU, (OpParams){{0}}, a, NO_TENSOR);
    case 1: return node(graph, OP_GATE, (OpParams){{0}}, a, b);
    case 2: return node(graph, OP_COPY, (OpParams){{0}}, a, NO_TENSOR);
    case 3: return product(graph, rng, a, b);
    case 4: { /* the halves of a tensor, each through its own node, into one activation */
        TensorId out = graph_activation(graph, "halves", DTYPE_REAL, SHAPE(ROWS, WIDTH));
        for (int half = 0; half < 2; half++) {
            Shape shape = SHAPE(ROWS / 2, WIDTH);
            TensorId to = graph_view(graph, out, shape, half * ELEMENTS / 2);
            TensorId from[] = {graph_view(graph, a, shape, (1 - half) * ELEMENTS / 2),
                               graph_view(graph, b, shape, ELEMENTS / 4)};
            graph_append(
                graph, &(NodeParams){.op = OP_GATE, .in = from, .n_in = 2, .out = &to, .n_out = 1});
        }
        return out;
    }
    default: return node(graph, OP_ADD, (OpParams){{0}}, a, b);
    }
}

typedef enum Form { FORWARD, BACKWARD, RECOMPUTED } Form;

/* The same graph for the same seed: without gradients, with, and with segments of recomputation. */
static Graph *build(Fixture *f, uint64_t seed, Form form)
{
    Rng rng = {.seed = seed}, cuts = {.seed = seed, .stream = 2};
    Graph *graph = graph_create();
    Shape shape = SHAPE(ROWS, WIDTH);
    TensorId live[PARAMETERS + NODES];
    for (int i = 0; i < PARAMETERS; i++) {
        TensorId gradient =
            graph_external(graph, "gradient", DTYPE_REAL, shape, &f->region, f->gradient[i]);
        live[i] = graph_parameter(graph, "parameter", DTYPE_REAL, shape, &f->region, f->value[i],
                                  gradient);
    }
    for (int i = PARAMETERS; i < PARAMETERS + NODES; i++) {
        bool first = i == PARAMETERS;
        if (form == RECOMPUTED && (first || rng_below(&cuts, 12) == 0)) graph_segment_begin(graph);
        if (form == RECOMPUTED && rng_below(&cuts, 24) == 0) graph_segment_end(graph);
        live[i] = random_node(graph, &rng, live, i);
    }
    TensorId last = live[PARAMETERS + NODES - 1];
    TensorId output = graph_external(graph, "output", DTYPE_REAL, shape, &f->region, f->output);
    graph_append(graph,
                 &(NodeParams){.op = OP_COPY, .in = &last, .n_in = 1, .out = &output, .n_out = 1});
    graph_segment_end(graph);
    if (form != FORWARD) {
        TensorId given = graph_external(graph, "seed", DTYPE_REAL, shape, &f->region, f->seed);
        assert_int_equal(graph_backward(graph, last, given), WF_OK);
    }
    assert_int_equal(graph_status(graph), WF_OK);
    return graph;
}

static void random_reals(Rng *rng, double *x)
{
    for (int i = 0; i < ELEMENTS; i++) x[i] = rng_normal(rng);
}

/* Σ seed·output after a run. */
static double objective(Fixture *f, Runnable *run, const double *seed)
{
    double y[ELEMENTS], sum = 0;
    assert_int_equal(f->device->backend->program_run(run->program), WF_OK);
    assert_int_equal(device_read_doubles(&f->region, f->output, y, ELEMENTS), WF_OK);
    for (int i = 0; i < ELEMENTS; i++) sum += seed[i] * y[i];
    return sum;
}

static void check_graph(Fixture *f, uint64_t number)
{
    Graph *forward = build(f, number, FORWARD), *both = build(f, number, BACKWARD);
    Runnable run_forward, run_both;
    assert_int_equal(runnable_create(f->device, forward, &run_forward), WF_OK);
    assert_int_equal(runnable_create(f->device, both, &run_both), WF_OK);

    Rng rng = {.seed = number, .stream = 1};
    double seed[ELEMENTS], seed_after[ELEMENTS], x[ELEMENTS], zero[ELEMENTS] = {0};
    device_poison(&f->region);
    random_reals(&rng, seed);
    device_write_doubles(&f->region, f->seed, seed, ELEMENTS);
    for (int p = 0; p < PARAMETERS; p++) {
        random_reals(&rng, x);
        device_write_doubles(&f->region, f->value[p], x, ELEMENTS);
        device_write_doubles(&f->region, f->gradient[p], zero, ELEMENTS);
    }
    assert_int_equal(f->device->backend->program_run(run_both.program), WF_OK);
    device_read_doubles(&f->region, f->seed, seed_after, ELEMENTS);
    assert_memory_equal(seed, seed_after, sizeof seed); /* the caller's gradient is not written */

    for (int p = 0; p < PARAMETERS; p++) {
        double gradient[ELEMENTS], direction[ELEMENTS], moved[ELEMENTS];
        const double step = 1e-5;
        device_read_doubles(&f->region, f->gradient[p], gradient, ELEMENTS);
        device_read_doubles(&f->region, f->value[p], x, ELEMENTS);
        random_reals(&rng, direction);
        double along = 0, size = 0, value[2];
        for (int i = 0; i < ELEMENTS; i++) {
            along += gradient[i] * direction[i];
            size += fabs(gradient[i] * direction[i]);
        }
        for (int side = 0; side < 2; side++) {
            for (int i = 0; i < ELEMENTS; i++)
                moved[i] = x[i] + (side ? -step : step) * direction[i];
            device_write_doubles(&f->region, f->value[p], moved, ELEMENTS);
            value[side] = objective(f, &run_forward, seed);
        }
        device_write_doubles(&f->region, f->value[p], x, ELEMENTS);
        double difference = (value[0] - value[1]) / (2 * step);
        double scale = fmax(size, 1e-3) + 1e-5 * fabs(value[0]);
        if (!(fabs(difference - along) <= 1e-6 * scale))
            fail_msg("graph %llu, parameter %d: gradient %.12g, difference %.12g",
                     (unsigned long long)number, p, along, difference);
    }
    runnable_destroy(&run_forward);
    runnable_destroy(&run_both);
    graph_destroy(forward);
    graph_destroy(both);
}

static void gradients_meet_correctly(void **state)
{
    for (uint64_t number = 0; number < 300; number++) check_graph(*state, number);
}

/* ---- recomputation ---- */

/* Gradients of all parameters, in memory that was NaN before. Returns the bytes of activations. */
static int64_t run_gradients(Fixture *f, Graph *graph, uint64_t number,
                             double gradient[PARAMETERS][ELEMENTS])
{
    Runnable run;
    Rng rng = {.seed = number, .stream = 1};
    double x[ELEMENTS], zero[ELEMENTS] = {0};
    assert_int_equal(runnable_create(f->device, graph, &run), WF_OK);
    for (int s = run.plan->n_external; s < run.plan->n_slabs; s++)
        assert_int_equal(device_poison(run.plan->slabs[s]), WF_OK);
    random_reals(&rng, x);
    device_write_doubles(&f->region, f->seed, x, ELEMENTS);
    for (int p = 0; p < PARAMETERS; p++) {
        random_reals(&rng, x);
        device_write_doubles(&f->region, f->value[p], x, ELEMENTS);
        device_write_doubles(&f->region, f->gradient[p], zero, ELEMENTS);
    }
    assert_int_equal(f->device->backend->program_run(run.program), WF_OK);
    assert_int_equal(hazards_check(f->device->backend->program_commands(run.program), run.plan),
                     WF_OK);
    for (int p = 0; p < PARAMETERS; p++)
        device_read_doubles(&f->region, f->gradient[p], gradient[p], ELEMENTS);
    int64_t bytes = plan_memory(run.plan);
    runnable_destroy(&run);
    return bytes;
}

/* Every copy makes something that is read. Returns how many there are. */
static int count_copies(const Graph *graph, int n_forward)
{
    int copies = 0;
    for (int n = n_forward; n < graph->n_nodes; n++) {
        const Node *node = &graph->nodes[n];
        const Tensor *out = graph_tensor(graph, node->out[0]);
        TensorId root = out->base == NO_TENSOR ? node->out[0] : out->base;
        if (strncmp(graph->tensors[root].name, "recomputed ", 11) != 0) continue;
        bool read = false;
        for (int m = n + 1; m < graph->n_nodes && !read; m++)
            for (int k = 0; k < graph->nodes[m].n_in; k++) {
                TensorId in = graph->nodes[m].in[k];
                read |= in != NO_TENSOR && (in == root || graph->tensors[in].base == root);
            }
        assert_true(read);
        copies++;
    }
    return copies;
}

static void recomputed_gradients_are_the_same_bits(void **state)
{
    Fixture *f = *state;
    int copies = 0;
    for (uint64_t number = 0; number < 300; number++) {
        double kept[PARAMETERS][ELEMENTS], made_again[PARAMETERS][ELEMENTS];
        Graph *forward = build(f, number, FORWARD);
        Graph *plain = build(f, number, BACKWARD), *lean = build(f, number, RECOMPUTED);
        run_gradients(f, plain, number, kept);
        run_gradients(f, lean, number, made_again);
        assert_memory_equal(kept, made_again, sizeof kept);
        assert_int_equal(count_copies(plain, forward->n_nodes), 0);
        copies += count_copies(lean, forward->n_nodes);
        graph_destroy(forward);
        graph_destroy(plain);
        graph_destroy(lean);
    }
    assert_true(copies > 300);
}

/* A chain of segments keeps one tensor each, whatever its length, and what one segment holds. */
static void a_chain_keeps_what_crosses(void **state)
{
    Fixture *f = *state;
    enum { SEGMENTS = 10, LINKS = 10 };
    int64_t bytes[2];
    double gradient[2][PARAMETERS][ELEMENTS];
    for (int lean = 0; lean < 2; lean++) {
        Graph *graph = graph_create();
        Shape shape = SHAPE(ROWS, WIDTH);
        TensorId to =
            graph_external(graph, "gradient", DTYPE_REAL, shape, &f->region, f->gradient[0]);
        TensorId x =
            graph_parameter(graph, "parameter", DTYPE_REAL, shape, &f->region, f->value[0], to);
        TensorId seed = graph_external(graph, "seed", DTYPE_REAL, shape, &f->region, f->seed);
        for (int segment = 0; segment < SEGMENTS; segment++) {
            if (lean) graph_segment_begin(graph);
            for (int i = 0; i < LINKS; i++) x = node(graph, OP_GELU, (OpParams){{0}}, x, NO_TENSOR);
        }
        assert_int_equal(graph_backward(graph, x, seed), WF_OK);
        bytes[lean] = run_gradients(f, graph, 7, gradient[lean]);
        graph_destroy(graph);
    }
    assert_memory_equal(gradient[0][0], gradient[1][0], sizeof gradient[0][0]);
    int64_t one = ELEMENTS * (int64_t)sizeof(double);
    one = round_up(one, f->device->limits.alignment);
    assert_true(bytes[0] >= (SEGMENTS * LINKS - 1) * one);
    assert_true(bytes[1] <= (SEGMENTS + LINKS + 2) * one);
}

/* What a segment cannot repeat is refused by name or kept. */
static void what_cannot_be_repeated(void **state)
{
    Fixture *f = *state;
    Shape shape = SHAPE(ROWS, WIDTH);
    for (int again = 0; again < 2; again++) {
        Graph *graph = graph_create();
        TensorId to =
            graph_external(graph, "gradient", DTYPE_REAL, shape, &f->region, f->gradient[0]);
        TensorId p =
            graph_parameter(graph, "parameter", DTYPE_REAL, shape, &f->region, f->value[0], to);
        TensorId seed = graph_external(graph, "seed", DTYPE_REAL, shape, &f->region, f->seed);
        TensorId out = graph_external(graph, "out", DTYPE_REAL, shape, &f->region, f->output);
        graph_segment_begin(graph);
        TensorId x = node(graph, OP_GELU, (OpParams){{0}}, p, NO_TENSOR);
        TensorId y = node(graph, OP_GELU, (OpParams){{0}}, x, NO_TENSOR);
        TensorId to_write = again ? x : out;
        graph_append(graph, &(NodeParams){.op = OP_COPY,
                                          .in = (TensorId[]){y},
                                          .n_in = 1,
                                          .out = &to_write,
                                          .n_out = 1,
                                          .accumulate = again});
        int n_forward = graph->n_nodes;
        wf_status status = graph_backward(graph, y, seed);
        assert_int_equal(status, again ? WF_ERROR_UNSUPPORTED : WF_OK);
        if (again) assert_non_null(strstr(wf_error_message(), "after it was read"));
        for (int n = n_forward; n < graph->n_nodes && !again; n++)
            for (int k = 0; k < graph->nodes[n].n_out; k++)
                assert_int_not_equal(graph->nodes[n].out[k], out);
        graph_destroy(graph);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_meet_correctly),
        cmocka_unit_test(recomputed_gradients_are_the_same_bits),
        cmocka_unit_test(a_chain_keeps_what_crosses),
        cmocka_unit_test(what_cannot_be_repeated),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
