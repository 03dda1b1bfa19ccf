/* Nodes that a GPU backend runs as one: test_gpu_fuse vulkan|opencl, on device 0 of the backend.
 *
 * Exit code 77, a skip, where this build or machine has none. */
#include "tests/support.h"

#include "backends/gpu/lower.h"
#include "check/run.h"

#include "tests/train_fixture.h"

static Device *gpu;
static GpuLibrary *library; /* of the device, which is used without it but where a test says so */

static GpuLimits *limits(void)
{
    return gpu->backend->gpu_limits(gpu);
}

/* ---- bits ---- */

static Outputs run_case(const CheckCase *of, DType storage, bool apart)
{
    Outputs outputs = {0};
    limits()->apart = apart;
    test_ok(case_run(&(CaseRun){.of = of, .device = gpu, .storage = storage}, &outputs));
    limits()->apart = false;
    return outputs;
}

static void expect_same_bits(const CheckCase *of, DType storage)
{
    char name[128];
    Outputs fused = run_case(of, storage, false), apart = run_case(of, storage, true);
    const char *different = outputs_differ(&fused, &apart);
    if (different)
        fail_msg("%s, %s: %s is not what the nodes give one by one",
                 case_name(of, name, sizeof name), dtype_name(storage), different);
    outputs_destroy(&fused);
    outputs_destroy(&apart);
}

static bool is_follower(const CheckCase *of)
{
    return (of->flags & CASE_FOLLOWS) != 0;
}

/* Waves alone, and gated kernels among attention. */
static bool is_model(const CheckCase *of)
{
    bool gated = (of->flags & CASE_GATED) && (of->flags & CASE_HYBRID);
    return of->model && ((of->flags == 0 && of->evaluator == FIELD_SCAN) || gated);
}

static void expect_cases(bool (*chosen)(const CheckCase *), DType storage)
{
    int count = 0;
    if (gpu->limits.dtype_size[storage] == 0) return;
    for (int i = 0; i < n_check_cases; i++) {
        if (!chosen(&check_cases[i])) continue;
        expect_same_bits(&check_cases[i], storage);
        count++;
    }
    assert_true(count > 0);
}

static void followers_change_no_bits(void **state)
{
    (void)state;
    for (DType storage = DTYPE_REAL; storage < DTYPE_COUNT; storage++)
        if (dtype_is_real(storage)) expect_cases(is_follower, storage);
}

/* An aligned one, and an odd one whose product is kept. */
static bool fills_tiles(const CheckCase *of)
{
    bool sizes = of->size[0] == 132 || of->size[0] == 67;
    return is_follower(of) && sizes && (of->op == OP_GELU || of->op == OP_ADD);
}

static void nor_do_they_in_any_tile(void **state)
{
    (void)state;
    for (int tile = TILE_16X64; tile < TILE_COUNT; tile++)
        for (int splits = 1; splits <= 3; splits += 2) {
            gpu_limits_tuning(limits())->forced = (ProductChoice){(uint8_t)tile, (uint8_t)splits};
            expect_cases(fills_tiles, DTYPE_REAL);
        }
    gpu_limits_tuning(limits())->forced = (ProductChoice){TILE_RULE, 0};
}

/* Losses, gradients, logits, and logits streamed. */
static void models_keep_their_bits(void **state)
{
    (void)state;
    expect_cases(is_model, DTYPE_REAL);
}

static bool is_wave_model(const CheckCase *of)
{
    return of->model && of->flags == 0 && of->evaluator == FIELD_SCAN;
}

static void so_do_models_of_16_bits(void **state)
{
    (void)state;
    expect_cases(is_wave_model, DTYPE_F16);
}

/* Recomputed nodes have other neighbours than those they repeat. */
static void recomputing_keeps_bits(void **state)
{
    (void)state;
    const char *precision = gpu->limits.dtype_size[DTYPE_F16] ? "f16" : "f32";
    static const char *const v4[] = {"version=4", NULL};
    static const char *const v35[] = {"version=3.5", "dropout=0.1", NULL};
    static const char *const *const kinds[] = {v4, v35};
    for (int kind = 0; kind < 2; kind++) {
        Fixture f[3]; /* as it is, recomputing, node by node */
        for (int i = 0; i < 3; i++) {
            limits()->apart = i == 2;
            f[i] = fixture_open(
                gpu, kinds[kind],
                wf_trainer_params(.batch_size = 2, .precision = precision, .recompute = i == 1));
            for (int step = 0; step < 2; step++) {
                wf_step_stats stats;
                must(wf_trainer_step(f[i].trainer, &stats));
            }
            limits()->apart = false;
        }
        assert_same_training(f[0].trainer, f[1].trainer);
        assert_same_training(f[0].trainer, f[2].trainer);
        for (int i = 0; i < 3; i++) fixture_close(&f[i]);
    }
}

/* ---- what is fused ---- */

/* An op of the product of [ROWS, COLS], that and all else in one region. */
enum { ROWS = 20, COLS = 24, INNER = 12 };

typedef struct Pair {
    Graph *graph;
    Region region;
    ProductParams product;
    TensorId a, b, c, x, y;
} Pair;

static TensorId pair_tensor(Pair *pair, Shape shape)
{
    int64_t offset = region_append(&pair->region, &gpu->limits, DTYPE_REAL, shape);
    return graph_external(pair->graph, "value", DTYPE_REAL, shape, &pair->region, offset);
}

static Pair pair_create(void)
{
    Pair pair = {.graph = graph_create(),
                 .region = {.name = "values"},
                 .product = product_packed(ROWS, COLS, INNER, false, true)};
    pair.a = pair_tensor(&pair, SHAPE(ROWS, INNER));
    pair.b = pair_tensor(&pair, SHAPE(COLS, INNER));
    pair.x = pair_tensor(&pair, SHAPE(ROWS, COLS));
    pair.y = pair_tensor(&pair, SHAPE(ROWS, COLS));
    pair.c = graph_activation(pair.graph, "c", DTYPE_REAL, SHAPE(ROWS, COLS));
    return pair;
}

static void pair_node(Pair *pair, Op op, OpParams params, TensorId a, TensorId b, TensorId out,
                      uint32_t accumulate)
{
    TensorId in[] = {a, b, NO_TENSOR};
    graph_append(pair->graph, &(NodeParams){.op = op,
                                            .params = params,
                                            .in = in,
                                            .n_in = op == OP_PRODUCT ? 3 : 2,
                                            .out = &out,
                                            .n_out = 1,
                                            .accumulate = accumulate});
}

static void pair_multiply(Pair *pair, uint32_t accumulate)
{
    pair_node(pair, OP_PRODUCT, (OpParams){.product = pair->product}, pair->a, pair->b, pair->c,
              accumulate);
}

static void pair_follow(Pair *pair, Op op, TensorId a, TensorId b, TensorId out)
{
    pair_node(pair, op, (OpParams){{0}}, a, b, out, 0);
}

/* Ends the pair; how many nodes its product leads. */
static int group_of(Pair *pair)
{
    test_ok(graph_status(pair->graph));
    int count = gpu->backend->fuse(gpu, pair->graph, 0);
    assert_int_equal(gpu->backend->fuse(gpu, pair->graph, pair->graph->n_nodes - 1), 1);
    limits()->apart = true;
    assert_int_equal(gpu->backend->fuse(gpu, pair->graph, 0), 1);
    limits()->apart = false;
    graph_destroy(pair->graph);
    return count;
}

static void products_and_followers_go_together(void **state)
{
    (void)state;
    for (int second = 0; second < 2; second++) {
        Pair pair = pair_create();
        pair_multiply(&pair, 0);
        pair_follow(&pair, OP_GATE, second ? pair.x : pair.c, second ? pair.c : pair.x, pair.y);
        assert_int_equal(group_of(&pair), 2);
    }
    Pair stands = pair_create(); /* on x, as the planner lets it */
    pair_multiply(&stands, 0);
    pair_follow(&stands, OP_ADD, stands.x, stands.c, stands.x);
    assert_int_equal(group_of(&stands), 2);
    Pair seen = pair_create(); /* through a view of all of it */
    pair_multiply(&seen, 0);
    TensorId flat = graph_view(seen.graph, seen.c, SHAPE(ROWS * COLS), 0);
    TensorId x = graph_view(seen.graph, seen.x, SHAPE(ROWS * COLS), 0);
    TensorId y = graph_view(seen.graph, seen.y, SHAPE(ROWS * COLS), 0);
    pair_follow(&seen, OP_GATE, flat, x, y);
    assert_int_equal(group_of(&seen), 2);
}

static void what_would_overwrite_is_left_apart(void **state)
{
    (void)state;
    Pair twice = pair_create(); /* c is both operands */
    pair_multiply(&twice, 0);
    pair_follow(&twice, OP_GATE, twice.c, twice.c, twice.y);
    assert_int_equal(group_of(&twice), 1);
    Pair other = pair_create(); /* the op is of something else */
    pair_multiply(&other, 0);
    pair_follow(&other, OP_ADD, other.x, other.x, other.y);
    assert_int_equal(group_of(&other), 1);
    Pair added = pair_create(); /* c is added to */
    added.c = pair_tensor(&added, SHAPE(ROWS, COLS));
    pair_multiply(&added, 1);
    pair_follow(&added, OP_ADD, added.x, added.c, added.y);
    assert_int_equal(group_of(&added), 1);
    Pair operand = pair_create(); /* y stands on A */
    operand.a = graph_view(operand.graph, operand.y, SHAPE(ROWS, INNER), 0);
    pair_multiply(&operand, 0);
    pair_follow(&operand, OP_ADD, operand.x, operand.c, operand.y);
    assert_int_equal(group_of(&operand), 1);
    Pair shifted = pair_create(); /* and x beside y: others read what one has overwritten */
    TensorId wide = pair_tensor(&shifted, SHAPE(ROWS + 1, COLS));
    pair_multiply(&shifted, 0);
    pair_follow(&shifted, OP_ADD, graph_view(shifted.graph, wide, SHAPE(ROWS, COLS), 0), shifted.c,
                graph_view(shifted.graph, wide, SHAPE(ROWS, COLS), COLS));
    assert_int_equal(group_of(&shifted), 1);
    Pair part = pair_create(); /* the op is of a part of c */
    pair_multiply(&part, 0);
    pair_follow(&part, OP_ADD, graph_view(part.graph, part.c, SHAPE(ROWS / 2, COLS), 0),
                graph_view(part.graph, part.x, SHAPE(ROWS / 2, COLS), 0),
                graph_view(part.graph, part.y, SHAPE(ROWS / 2, COLS), 0));
    assert_int_equal(group_of(&part), 1);
    Pair gaps = pair_create(); /* c has gaps */
    gaps.product.cols = COLS - 1;
    pair_multiply(&gaps, 0);
    pair_follow(&gaps, OP_ADD, gaps.x, gaps.c, gaps.y);
    assert_int_equal(group_of(&gaps), 1);
}

/* Where a library computes the product nothing is fused to it. */
static void a_librarys_products_are_left_apart(void **state)
{
    (void)state;
    Pair pair = pair_create();
    pair_multiply(&pair, 0);
    pair_follow(&pair, OP_ADD, pair.x, pair.c, pair.y);
    limits()->library = library;
    bool taken = library && lower_library_takes(limits(), &pair.product, DTYPE_REAL) &&
                 lower_library_wanted(limits(), &pair.product, (ProductChoice){0});
    int count = group_of(&pair);
    limits()->library = NULL;
    assert_int_equal(count, taken ? 1 : 2);
}

/* A group is given the workspace of its product's splits, once. */
static void a_group_has_its_products_workspace(void **state)
{
    (void)state;
    enum { SPLITS = 3 };
    Pair pair = pair_create();
    pair.product.inner = 10 * INNER;
    pair.product.ld_a = pair.product.ld_b = 10 * INNER;
    pair.a = pair_tensor(&pair, SHAPE(ROWS, 10 * INNER));
    pair.b = pair_tensor(&pair, SHAPE(COLS, 10 * INNER));
    pair_multiply(&pair, 0);
    pair_follow(&pair, OP_ADD, pair.x, pair.c, pair.y);
    test_ok(graph_status(pair.graph));
    gpu_limits_tuning(limits())->forced = (ProductChoice){TILE_64X64, SPLITS};
    int64_t alone = gpu->backend->workspace(gpu, pair.graph, 0, 1);
    assert_true(alone >= 4 * SPLITS * ROWS * COLS);
    assert_int_equal(gpu->backend->workspace(gpu, pair.graph, 0, 2), alone);
    Plan *plan;
    test_ok(device_plan_create(gpu, pair.graph, &plan));
    gpu_limits_tuning(limits())->forced = (ProductChoice){TILE_RULE, 0};
    assert_int_equal(plan->group[0], 2);
    assert_int_equal(plan->workspace[0].size, alone);
    assert_int_equal(plan->places[pair.c].size, 0);
    assert_int_equal(plan_memory(plan), alone);
    plan_destroy(plan);
    graph_destroy(pair.graph);
}

/* ---- the program ---- */

int main(int argc, char **argv)
{
    if (argc != 2) {
        print_error("usage: %s vulkan|opencl\n", argv[0]);
        return 2;
    }
    int closed = test_open(argv[1], &gpu);
    if (closed) return closed;
    library = limits()->library;
    limits()->library = NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(followers_change_no_bits),
        cmocka_unit_test(nor_do_they_in_any_tile),
        cmocka_unit_test(models_keep_their_bits),
        cmocka_unit_test(so_do_models_of_16_bits),
        cmocka_unit_test(recomputing_keeps_bits),
        cmocka_unit_test(products_and_followers_go_together),
        cmocka_unit_test(what_would_overwrite_is_left_apart),
        cmocka_unit_test(a_librarys_products_are_left_apart),
        cmocka_unit_test(a_group_has_its_products_workspace),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_close_devices();
    limits()->library = library;
    gpu->backend->close(gpu);
    return failed;
}
