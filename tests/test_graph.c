/* Plans and hazards, without any device: random graphs are planned, and their memory is then played
 * through unit by unit, so that a place given away too early is seen. */
#include "base/rng.h"
#include "graph/autodiff.h"
#include "graph/hazards.h"
#include "graph/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { UNIT = 64 }; /* bytes; the alignment of the plans below */

static const Limits LIMITS = {.alignment = UNIT, .dtype_size = {4, 4}};

static TensorId unary(Graph *graph, Op op, TensorId x)
{
    TensorId out = NO_TENSOR;
    graph_append(graph, &(NodeParams){.op = op, .in = &x, .n_in = 1, .out = &out, .n_out = 1});
    return out;
}

static TensorId binary(Graph *graph, Op op, TensorId a, TensorId b)
{
    TensorId out = NO_TENSOR;
    graph_append(
        graph,
        &(NodeParams){.op = op, .in = (TensorId[]){a, b}, .n_in = 2, .out = &out, .n_out = 1});
    return out;
}

/* A random mixture of elementwise ops over tensors [4, n] and views of them, ending in one output
 * that depends on a parameter, and its gradient graph. */
static Graph *random_graph(Rng *rng, Region *region)
{
    enum { TENSORS = 24 };
    Graph *graph = graph_create();
    int64_t n = 1 + (int64_t)rng_below(rng, 300);
    int64_t bytes = round_up(16 * n, UNIT);
    *region = (Region){.name = "parameters", .size = 3 * bytes};
    TensorId gradient = graph_external(graph, "gradient", DTYPE_REAL, SHAPE(4, n), region, 0);
    TensorId seed = graph_external(graph, "seed", DTYPE_REAL, SHAPE(4, n), region, bytes);
    TensorId live[TENSORS];
    live[0] = graph_parameter(graph, "p", DTYPE_REAL, SHAPE(4, n), region, 2 * bytes, gradient);
    bool segments = rng_below(rng, 2) == 0; /* of recomputation */
    for (int i = 1; i < TENSORS; i++) {
        if (segments && rng_below(rng, 5) == 0) graph_segment_begin(graph);
        if (segments && rng_below(rng, 9) == 0) graph_segment_end(graph);
        TensorId a = live[rng_below(rng, (uint64_t)i)], b = live[rng_below(rng, (uint64_t)i)];
        switch (rng_below(rng, 5)) {
        case 0: live[i] = unary(graph, OP_GELU, a); break;
        case 1: live[i] = binary(graph, OP_ADD, a, b); break;
        case 2: live[i] = binary(graph, OP_GATE, a, b); break;
        case 3: live[i] = unary(graph, OP_COPY, a); break;
        default: {
            TensorId planes = binary(graph, OP_FEATURE, a, b);
            TensorId low = graph_view(graph, planes, SHAPE(2, n), 0);
            TensorId high = graph_view(graph, planes, SHAPE(2, n), 2 * n);
            live[i] = graph_activation(graph, "halves", DTYPE_REAL, SHAPE(4, n));
            for (int half = 0; half < 2; half++) {
                TensorId to = graph_view(graph, live[i], SHAPE(2, n), half * 2 * n);
                TensorId in[] = {half ? low : high, low};
                graph_append(
                    graph,
                    &(NodeParams){.op = OP_GATE, .in = in, .n_in = 2, .out = &to, .n_out = 1});
            }
        }
        }
    }
    assert_int_equal(graph_status(graph), WF_OK);
    assert_int_equal(graph_backward(graph, live[TENSORS - 1], seed), WF_OK);
    return graph;
}

/* ---- playing a plan through ---- */

typedef struct Memory {
    TensorId **unit; /* [slab][unit]: the tensor whose current content lies there */
} Memory;

static TensorId root_of(const Graph *graph, TensorId id)
{
    TensorId base = graph->tensors[id].base;
    return base == NO_TENSOR ? id : base;
}

/* Views need not start on a unit: the units a place touches belong to its root alone. */
static bool holds(const Memory *memory, Place place, TensorId root)
{
    for (int64_t u = place.offset / UNIT; u < ceil_div(place.offset + place.size, UNIT); u++)
        if (memory->unit[place.slab][u] != root) return false;
    return true;
}

static void claim(Memory *memory, Place place, TensorId root)
{
    for (int64_t u = place.offset / UNIT; u < ceil_div(place.offset + place.size, UNIT); u++)
        memory->unit[place.slab][u] = root;
}

/* Does the group that begins with `first` make the tensor before output k of node n? */
static bool made_before(const Graph *graph, int first, int n, int k, TensorId root)
{
    for (int m = first; m <= n; m++)
        for (int other = 0; other < (m < n ? graph->nodes[m].n_out : k); other++) {
            TensorId out = graph->nodes[m].out[other];
            if (out != NO_TENSOR && root_of(graph, out) == root) return true;
        }
    return false;
}

/* A group reads what it needs from outside, at any time until it ends; then all it made is there.
 * Returns the number of reads that found another tensor's bytes. */
static int play(const Plan *plan)
{
    const Graph *graph = plan->graph;
    Memory memory = {calloc((size_t)plan->n_slabs, sizeof(TensorId *))};
    for (int s = 0; s < plan->n_slabs; s++) {
        int64_t units = ceil_div(plan->slabs[s]->size, UNIT) + 1;
        memory.unit[s] = malloc((size_t)units * sizeof(TensorId));
        for (int64_t u = 0; u < units; u++) memory.unit[s][u] = NO_TENSOR;
    }
    for (int i = 0; i < graph->n_tensors; i++)
        if (graph->tensors[i].region && graph->tensors[i].base == NO_TENSOR)
            claim(&memory, plan->places[i], i);
    int bad = 0;
    for (int first = 0; first < graph->n_nodes; first += plan->group[first]) {
        int end = first + plan->group[first];
        for (int n = first; n < end; n++) {
            const Node *node = &graph->nodes[n];
            for (int k = -node->n_in; k < node->n_out; k++) { /* inputs, then outputs */
                TensorId id = k < 0 ? node->in[-1 - k] : node->out[k];
                if (id == NO_TENSOR || (k >= 0 && !(node->accumulate >> k & 1u))) continue;
                TensorId root = root_of(graph, id);
                if (!made_before(graph, first, n, k, root))
                    bad += !holds(&memory, plan->places[id], root);
            }
        }
        for (int n = first; n < end; n++)
            for (int k = 0; k < graph->nodes[n].n_out; k++) {
                TensorId out = graph->nodes[n].out[k];
                if (out != NO_TENSOR) claim(&memory, plan->places[out], root_of(graph, out));
            }
        for (int n = first; n < end; n++) /* no output of the group lies on another */
            for (int k = 0; k < graph->nodes[n].n_out; k++) {
                TensorId out = graph->nodes[n].out[k];
                if (out != NO_TENSOR)
                    bad += !holds(&memory, plan->places[out], root_of(graph, out));
            }
    }
    for (int s = 0; s < plan->n_slabs; s++) free(memory.unit[s]);
    free(memory.unit);
    return bad;
}

static void plans_keep_what_is_still_read(void **state)
{
    (void)state;
    Rng rng = {.seed = 11};
    for (int round = 0; round < 200; round++) {
        Region region;
        Graph *graph = random_graph(&rng, &region);
        Limits limits = LIMITS;
        if (round % 2) limits.largest_allocation = 3 * round_up(region.size / 3, UNIT);
        Plan *plan = NULL;
        assert_int_equal(plan_create(graph, &limits, NULL, &plan), WF_OK);
        assert_int_equal(play(plan), 0);
        for (int s = plan->n_external; s < plan->n_slabs; s++)
            if (limits.largest_allocation)
                assert_true(plan->slabs[s]->size <= limits.largest_allocation);
        plan_destroy(plan);
        graph_destroy(graph);
    }
}

/* ---- groups ---- */

/* Groups of one to four nodes, drawn from the seed and the node. */
static int fuse_at_random(void *context, const Graph *graph, int first)
{
    Rng rng = {.seed = *(const uint64_t *)context, .stream = (uint64_t)first};
    int most = graph->n_nodes - first;
    return 1 + (int)rng_below(&rng, (uint64_t)(most < 4 ? most : 4));
}

/* The groups whose nodes touch the tensor's bytes: the first and the last; and whether one reads.
 */
static void groups_of(const Plan *plan, TensorId root, int *begin, int *end, bool *read)
{
    const Graph *graph = plan->graph;
    *begin = *end = -1;
    *read = false;
    for (int n = 0, leader = 0; n < graph->n_nodes; n++) {
        if (plan->group[n] > 0) leader = n;
        const Node *node = &graph->nodes[n];
        for (int k = 0; k < node->n_in + node->n_out; k++) {
            TensorId id = k < node->n_in ? node->in[k] : node->out[k - node->n_in];
            if (id == NO_TENSOR || root_of(graph, id) != root) continue;
            if (*begin < 0) *begin = leader;
            *end = leader;
            *read |= k < node->n_in;
        }
    }
}

/* What lives in one group has no place, nor have its views; all else has one. */
static void expect_places(const Plan *plan)
{
    const Graph *graph = plan->graph;
    for (int i = 0; i < graph->n_tensors; i++) {
        int begin, end;
        bool read, external = graph->tensors[root_of(graph, i)].region != NULL;
        groups_of(plan, root_of(graph, i), &begin, &end, &read);
        if (begin < 0) continue;
        bool passed_on = !external && read && begin == end && plan->group[begin] > 1;
        assert_true((plan->places[i].size == 0) == passed_on);
    }
}

static void groups_keep_what_is_still_read(void **state)
{
    (void)state;
    Rng rng = {.seed = 14};
    int64_t whole = 0, grouped = 0;
    for (uint64_t round = 0; round < 200; round++) {
        Region region;
        Graph *graph = random_graph(&rng, &region);
        PlanQueries queries = {.context = &round, .fuse = fuse_at_random};
        Plan *plan = NULL, *apart = NULL;
        assert_int_equal(plan_create(graph, &LIMITS, &queries, &plan), WF_OK);
        assert_int_equal(plan_create(graph, &LIMITS, NULL, &apart), WF_OK);
        assert_int_equal(play(plan), 0);
        expect_places(plan);
        CommandList list = {0};
        assert_int_equal(commands_from_plan(&list, plan), WF_OK);
        assert_true(list.n_commands < graph->n_nodes);
        for (int c = 0; c < list.n_commands; c++)
            assert_true(plan->group[list.commands[c].node] > 0);
        assert_int_equal(hazards_derive(&list), WF_OK);
        assert_int_equal(hazards_check(&list, plan), WF_OK);
        commands_free(&list);
        grouped += plan_memory(plan);
        whole += plan_memory(apart);
        plan_destroy(plan);
        plan_destroy(apart);
        graph_destroy(graph);
    }
    assert_true(grouped < 2 * whole); /* lives are longer, tensors fewer */
}

/* The nodes that OneGroup names are one group, all others apart. */
typedef struct OneGroup {
    int first, count;
} OneGroup;

static int fuse_one_group(void *context, const Graph *graph, int first)
{
    const OneGroup *group = context;
    (void)graph;
    return first == group->first ? group->count : 1;
}

static int64_t bytes_by_nodes(void *context, const Graph *graph, int first, int count)
{
    (void)context;
    (void)graph;
    return 100 * first + count;
}

static Plan *plan_group(const Graph *graph, OneGroup group)
{
    Plan *plan = NULL;
    PlanQueries queries = {.context = &group, .fuse = fuse_one_group, .workspace = bytes_by_nodes};
    assert_int_equal(plan_create(graph, &LIMITS, &queries, &plan), WF_OK);
    assert_int_equal(play(plan), 0);
    return plan;
}

static bool same_place(const Plan *plan, TensorId a, TensorId b)
{
    return plan->places[a].slab == plan->places[b].slab &&
           plan->places[a].offset == plan->places[b].offset;
}

/* x = p; c = gelu(of x, or of p); y = x + a view of c; where wanted c is read once more. */
typedef struct Residual {
    Graph *graph;
    Region region;
    TensorId x, c, view, y;
} Residual;

static void residual_create(Residual *this, bool of_x, bool again)
{
    *this = (Residual){.graph = graph_create(), .region = {.name = "p", .size = 4096}};
    TensorId p = graph_external(this->graph, "p", DTYPE_REAL, SHAPE(2, 128), &this->region, 0);
    this->x = unary(this->graph, OP_COPY, p);
    this->c = unary(this->graph, OP_GELU, of_x ? this->x : p);
    this->view = graph_view(this->graph, this->c, SHAPE(2, 128), 0);
    this->y = binary(this->graph, OP_ADD, this->x, this->view);
    if (again) unary(this->graph, OP_COPY, this->c);
    unary(this->graph, OP_COPY, this->y);
    assert_int_equal(graph_status(this->graph), WF_OK);
}

static void what_a_group_passes_on_has_no_place(void **state)
{
    (void)state;
    for (int again = 0; again <= 1; again++) {
        Residual r;
        residual_create(&r, false, again);
        Plan *plan = plan_group(r.graph, (OneGroup){1, 2});
        assert_true((plan->places[r.c].size > 0) == again);
        assert_true((plan->places[r.view].size > 0) == again);
        assert_true(plan->places[r.y].size > 0);
        assert_int_equal(plan->group[1], 2);
        assert_int_equal(plan->group[2], 0);
        assert_int_equal(plan->workspace[1].size, 102);
        assert_int_equal(plan->workspace[2].size, 0);
        plan_destroy(plan);
        plan = plan_group(r.graph, (OneGroup){-1, 1});
        assert_true(plan->places[r.c].size > 0);
        assert_int_equal(plan->workspace[2].size, 201);
        plan_destroy(plan);
        graph_destroy(r.graph);
    }
}

/* The sum stands on x; but not where the other node of its group reads x at the same time. */
static void a_group_overwrites_what_one_node_reads_alone(void **state)
{
    (void)state;
    for (int of_x = 0; of_x <= 1; of_x++) {
        Residual r;
        residual_create(&r, of_x, false);
        Plan *plan = plan_group(r.graph, (OneGroup){1, 2});
        assert_true(same_place(plan, r.x, r.y) != of_x);
        plan_destroy(plan);
        plan = plan_group(r.graph, (OneGroup){-1, 1});
        assert_true(same_place(plan, r.x, r.y));
        plan_destroy(plan);
        graph_destroy(r.graph);
    }
}

/* What nobody reads may be what the caller wants. */
static void a_result_nobody_reads_is_kept(void **state)
{
    (void)state;
    Residual r;
    residual_create(&r, false, false);
    Plan *plan = plan_group(r.graph, (OneGroup){2, 2}); /* the sum and its copy */
    assert_int_equal(plan->places[r.y].size, 0);
    assert_true(plan->places[r.graph->nodes[3].out[0]].size > 0);
    plan_destroy(plan);
    graph_destroy(r.graph);
}

static void a_group_beyond_the_graph_is_refused(void **state)
{
    (void)state;
    Residual r;
    residual_create(&r, false, false);
    for (int count = 0; count <= 3; count += 3) {
        OneGroup group = {2, count};
        PlanQueries queries = {.context = &group, .fuse = fuse_one_group};
        Plan *plan = NULL;
        assert_int_equal(plan_create(r.graph, &LIMITS, &queries, &plan), WF_ERROR_ARGUMENT);
        assert_non_null(strstr(wf_error_message(), "from add on"));
    }
    graph_destroy(r.graph);
}

static void a_place_given_away_too_early_is_seen(void **state)
{
    (void)state;
    Rng rng = {.seed = 12};
    Region region;
    Graph *graph = random_graph(&rng, &region);
    Plan *plan = NULL;
    assert_int_equal(plan_create(graph, &LIMITS, NULL, &plan), WF_OK);
    Place common = {.slab = plan->n_external, .offset = 0};
    for (int i = 0; i < graph->n_tensors; i++)
        if (!graph->tensors[i].region && graph->tensors[i].base == NO_TENSOR) {
            common.size = plan->places[i].size;
            plan->places[i] = common;
        }
    assert_int_not_equal(play(plan), 0);
    plan_destroy(plan);
    graph_destroy(graph);
}

static void places_are_reused(void **state)
{
    (void)state;
    Graph *graph = graph_create();
    Region region = {.name = "x", .size = 4096};
    TensorId x = graph_external(graph, "x", DTYPE_REAL, SHAPE(1024), &region, 0);
    for (int i = 0; i < 50; i++) x = unary(graph, OP_GELU, x);
    Plan *plan = NULL;
    assert_int_equal(plan_create(graph, &LIMITS, NULL, &plan), WF_OK);
    assert_int_equal(plan_memory(plan), 4096); /* every link stands on the one before */
    plan_destroy(plan);
    graph_destroy(graph);
}

/* ---- hazards ---- */

static void every_barrier_is_needed_and_enough(void **state)
{
    (void)state;
    Rng rng = {.seed = 13};
    for (int round = 0; round < 100; round++) {
        Region region;
        Graph *graph = random_graph(&rng, &region);
        Plan *plan = NULL;
        assert_int_equal(plan_create(graph, &LIMITS, NULL, &plan), WF_OK);
        CommandList list = {0};
        assert_int_equal(commands_from_plan(&list, plan), WF_OK);
        assert_int_equal(hazards_derive(&list), WF_OK);
        assert_int_equal(hazards_check(&list, plan), WF_OK);
        int barriers = 0;
        for (int c = 0; c < list.n_commands; c++) {
            if (!list.commands[c].barrier) continue;
            barriers++;
            list.commands[c].barrier = false;
            assert_int_equal(hazards_check(&list, plan), WF_ERROR_DEVICE);
            list.commands[c].barrier = true;
        }
        assert_true(barriers > 0);
        commands_free(&list);
        plan_destroy(plan);
        graph_destroy(graph);
    }
}

static void unrelated_commands_need_no_barrier(void **state)
{
    (void)state;
    Graph *graph = graph_create();
    Region region = {.name = "x", .size = 1 << 16};
    for (int i = 0; i < 8; i++)
        unary(graph, OP_GELU,
              graph_external(graph, "x", DTYPE_REAL, SHAPE(100), &region, i * 4096));
    Plan *plan = NULL;
    Limits apart = LIMITS;
    assert_int_equal(plan_create(graph, &apart, NULL, &plan), WF_OK);
    for (int n = 0; n < graph->n_nodes; n++) /* outputs on bytes of their own */
        plan->places[graph->nodes[n].out[0]] =
            (Place){.slab = plan->n_external, .offset = n * 4096, .size = 400};
    CommandList list = {0};
    assert_int_equal(commands_from_plan(&list, plan), WF_OK);
    assert_int_equal(hazards_derive(&list), WF_OK);
    for (int c = 0; c < list.n_commands; c++) assert_false(list.commands[c].barrier);
    commands_free(&list);
    plan_destroy(plan);
    graph_destroy(graph);
}

/* ---- errors ---- */

static void a_wrong_shape_is_named(void **state)
{
    (void)state;
    Graph *graph = graph_create();
    Region region = {.name = "x", .size = 4096};
    graph_scope(graph, "layers.3.ffn");
    TensorId a = graph_external(graph, "a", DTYPE_REAL, SHAPE(4, 5), &region, 0);
    TensorId b = graph_external(graph, "b", DTYPE_REAL, SHAPE(4, 6), &region, 1024);
    assert_int_equal(binary(graph, OP_ADD, a, b), NO_TENSOR);
    assert_int_equal(graph_status(graph), WF_ERROR_ARGUMENT);
    assert_non_null(strstr(wf_error_message(), "layers.3.ffn: add expects [4, 5]"));
    assert_non_null(strstr(wf_error_message(), "[4, 6] (b)"));
    assert_int_equal(unary(graph, OP_GELU, a), NO_TENSOR); /* the failure is sticky */
    graph_destroy(graph);
}

static void a_view_stays_inside(void **state)
{
    (void)state;
    Graph *graph = graph_create();
    Region region = {.name = "x", .size = 4096};
    TensorId a = graph_external(graph, "a", DTYPE_REAL, SHAPE(4, 5), &region, 0);
    assert_int_equal(graph_view(graph, a, SHAPE(3, 5), 6), NO_TENSOR);
    assert_int_equal(graph_status(graph), WF_ERROR_ARGUMENT);
    graph_destroy(graph);
}

static void an_external_tensor_stays_in_its_region(void **state)
{
    (void)state;
    Graph *graph = graph_create();
    Region region = {.name = "small", .size = 64};
    unary(graph, OP_GELU, graph_external(graph, "x", DTYPE_REAL, SHAPE(17), &region, 0));
    Plan *plan = NULL;
    assert_int_equal(plan_create(graph, &LIMITS, NULL, &plan), WF_ERROR_ARGUMENT);
    assert_non_null(strstr(wf_error_message(), "small"));
    graph_destroy(graph);
}

static void reading_the_unwritten_is_refused(void **state)
{
    (void)state;
    Graph *graph = graph_create();
    unary(graph, OP_GELU, graph_activation(graph, "ghost", DTYPE_REAL, SHAPE(3)));
    Plan *plan = NULL;
    assert_int_equal(plan_create(graph, &LIMITS, NULL, &plan), WF_ERROR_ARGUMENT);
    assert_non_null(strstr(wf_error_message(), "ghost"));
    graph_destroy(graph);
}

static bool refuse_gelu(void *context, const Graph *graph, const Node *node)
{
    (void)context;
    (void)graph;
    return node->op != OP_GELU;
}

static void an_unsupported_op_is_named(void **state)
{
    (void)state;
    Graph *graph = graph_create();
    Region region = {.name = "x", .size = 64};
    graph_scope(graph, "layers.0.ffn");
    unary(graph, OP_GELU, graph_external(graph, "x", DTYPE_REAL, SHAPE(3), &region, 0));
    Plan *plan = NULL;
    PlanQueries queries = {.supports = refuse_gelu};
    assert_int_equal(plan_create(graph, &LIMITS, &queries, &plan), WF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(wf_error_message(), "layers.0.ffn: this device cannot run gelu"));
    graph_destroy(graph);
}

static void a_tensor_beyond_the_largest_allocation_is_refused(void **state)
{
    (void)state;
    Graph *graph = graph_create();
    Region region = {.name = "x", .size = 4096};
    unary(graph, OP_GELU, graph_external(graph, "x", DTYPE_REAL, SHAPE(1024), &region, 0));
    Limits limits = LIMITS;
    limits.largest_allocation = 2048;
    Plan *plan = NULL;
    assert_int_equal(plan_create(graph, &limits, NULL, &plan), WF_ERROR_MEMORY);
    graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_keep_what_is_still_read),
        cmocka_unit_test(groups_keep_what_is_still_read),
        cmocka_unit_test(what_a_group_passes_on_has_no_place),
        cmocka_unit_test(a_group_overwrites_what_one_node_reads_alone),
        cmocka_unit_test(a_result_nobody_reads_is_kept),
        cmocka_unit_test(a_group_beyond_the_graph_is_refused),
        cmocka_unit_test(a_place_given_away_too_early_is_seen),
        cmocka_unit_test(places_are_reused),
        cmocka_unit_test(every_barrier_is_needed_and_enough),
        cmocka_unit_test(unrelated_commands_need_no_barrier),
        cmocka_unit_test(a_wrong_shape_is_named),
        cmocka_unit_test(a_view_stays_inside),
        cmocka_unit_test(an_external_tensor_stays_in_its_region),
        cmocka_unit_test(reading_the_unwritten_is_refused),
        cmocka_unit_test(an_unsupported_op_is_named),
        cmocka_unit_test(a_tensor_beyond_the_largest_allocation_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
