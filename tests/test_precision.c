/* 16-bit storage: what is rounded how, and training with it. */
#include "train/loss_scale.h"

#include "tests/train_fixture.h"

#include "tests/rounding.h"

#include <math.h>
#include <unistd.h>

/* ---- rounding ---- */

/* Every number of the format is itself; between two neighbours it is the nearer, half-way the even.
 */
static void rounds_to_nearest(DType dtype)
{
    uint16_t infinity = dtype == DTYPE_F16 ? 0x7C00 : 0x7F80;
    for (uint32_t bits = 0; bits < infinity; bits++) {
        double here = half_as_double((uint16_t)bits, dtype);
        double next = bits + 1 < infinity ? half_as_double((uint16_t)(bits + 1), dtype)
                                          : 2 * here - half_as_double((uint16_t)(bits - 1), dtype);
        double middle = here + (next - here) / 2;
        assert_int_equal(half_to_bits(here, dtype), bits);
        assert_int_equal(half_to_bits(-here, dtype), bits | 0x8000);
        assert_int_equal(half_to_bits(middle, dtype), bits + (bits & 1));
        assert_int_equal(half_to_bits(nextafter(middle, 0), dtype), bits);
        assert_int_equal(half_to_bits(nextafter(middle, HUGE_VAL), dtype), bits + 1);
    }
    assert_int_equal(half_to_bits(HUGE_VAL, dtype), infinity);
    assert_int_equal(half_to_bits(-HUGE_VAL, dtype), infinity | 0x8000);
    assert_true(isnan(half_as_double(half_to_bits(NAN, dtype), dtype)));
    assert_int_equal(half_to_bits(0x1p-1074, dtype), 0);
}

static void numbers_round_to_nearest_even(void **state)
{
    (void)state;
    rounds_to_nearest(DTYPE_F16);
    rounds_to_nearest(DTYPE_BF16);
}

static void devices_round_alike(void **state)
{
    (void)state;
    Device *reference;
    must(backend_cpu64.open(0, &reference));
    for (DType dtype = DTYPE_F16; dtype <= DTYPE_BF16; dtype++) {
        assert_device_rounds(fixture_cpu(), dtype);
        assert_device_rounds(reference, dtype);
    }
    backend_cpu64.close(reference);
}

/* ---- types in a graph ---- */

static void types_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    Region region = {.name = "numbers"};
    Graph *graph = graph_create();
    graph->storage = DTYPE_F16;
    TensorId in[2] = {graph_external(graph, "x", DTYPE_F16, SHAPE(4), &region, 0),
                      graph_external(graph, "float", DTYPE_REAL, SHAPE(4), &region, 64)};
    TensorId out = NO_TENSOR;
    graph_append(graph, &(NodeParams){.op = OP_ADD, .in = in, .n_in = 2, .out = &out, .n_out = 1});
    assert_int_equal(graph_status(graph), WF_ERROR_ARGUMENT);
    assert_message("float (f32)");
    graph_destroy(graph);
}

/* A device that cannot store a type says so before anything is allocated. */
static void a_device_without_the_type_refuses(void **state)
{
    (void)state;
    Limits limits = fixture_cpu()->limits;
    limits.dtype_size[DTYPE_BF16] = 0;
    Region region = {.name = "numbers"};
    Graph *graph = graph_create();
    graph->storage = DTYPE_BF16;
    graph_external(graph, "x", DTYPE_BF16, SHAPE(4), &region, 0);
    Plan *plan;
    assert_int_equal(plan_create(graph, &limits, NULL, &plan), WF_ERROR_UNSUPPORTED);
    assert_message("bf16");
    graph_destroy(graph);
    wf_model *model;
    wf_config *config = fixture_config(NULL);
    must(wf_model_create(fixture_cpu(), config, 3, &model));
    assert_int_equal(wf_model_set_precision(model, "f8"), WF_ERROR_ARGUMENT);
    assert_message("\"f8\": expected f32, f16 or bf16");
    wf_model_destroy(model);
    wf_config_destroy(config);
}

/* ---- a model ---- */

/* Logits follow the values that are written, and are near those in float32. */
static void logits_are_near(void **state)
{
    (void)state;
    enum { N = 17, V = FIXTURE_VOCABULARY };
    static const struct {
        const char *name;
        double bound;
    } precisions[] = {{"f16", 0.02}, {"bf16", 0.15}};
    int32_t tokens[N];
    for (int i = 0; i < N; i++) tokens[i] = i * 7 % V;
    float exact[N * V], near[N * V], after[N * V];
    wf_config *config = fixture_config(NULL);
    wf_model *model;
    must(wf_model_create(fixture_cpu(), config, 3, &model));
    must(wf_model_logits(model, tokens, 1, N, NULL, exact));
    for (int p = 0; p < 2; p++) {
        must(wf_model_set_precision(model, precisions[p].name));
        assert_string_equal(wf_model_precision(model), precisions[p].name);
        must(wf_model_logits(model, tokens, 1, N, NULL, near));
        double largest = 0;
        for (int i = 0; i < N * V; i++) largest = fmax(largest, fabs((double)(near[i] - exact[i])));
        assert_true(largest > 0 && largest < precisions[p].bound);

        float table[V * 12], before;
        must(wf_model_read(model, "token_embedding.weight", table));
        before = table[0];
        table[0] += 1;
        must(wf_model_write(model, "token_embedding.weight", table));
        must(wf_model_logits(model, tokens, 1, N, NULL, after));
        assert_memory_not_equal(near, after, sizeof near);
        table[0] = before;
        must(wf_model_write(model, "token_embedding.weight", table));
    }
    must(wf_model_set_precision(model, NULL));
    must(wf_model_logits(model, tokens, 1, N, NULL, near));
    assert_memory_equal(near, exact, sizeof near);
    wf_model_destroy(model);
    wf_config_destroy(config);
}

/* ---- training ---- */

static void train(const char *precision, double *losses, int steps)
{
    Fixture f = fixture_open(fixture_cpu(), NULL,
                             wf_trainer_params(.batch_size = 4, .steps = steps, .warmup = 10,
                                               .learning_rate = 2e-2, .precision = precision));
    wf_step_stats stats;
    for (int step = 0; step < steps; step++) {
        must(wf_trainer_step(f.trainer, &stats));
        losses[step] = stats.loss;
    }
    fixture_close(&f);
}

static double mean(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return sum / n;
}

/* The same batches: the curves lie together at first, and end as low. */
static void curves_are_near(void **state)
{
    (void)state;
    enum { STEPS = 200, LAST = 50 };
    double exact[STEPS], near[STEPS];
    static const struct {
        const char *name;
        double at_first, at_last;
    } precisions[] = {{"f16", 0.002, 0.04}, {"bf16", 0.02, 0.06}};
    train("f32", exact, STEPS);
    for (int p = 0; p < 2; p++) {
        train(precisions[p].name, near, STEPS);
        for (int step = 0; step < 10; step++)
            assert_true(fabs(near[step] / exact[step] - 1) < precisions[p].at_first);
        double difference = mean(near + STEPS - LAST, LAST) - mean(exact + STEPS - LAST, LAST);
        assert_true(difference < precisions[p].at_last);
        assert_true(near[STEPS - 1] < 1.2);
    }
}

/* A scale that overflows is halved until the step is done, and it is the step that would have been.
 */
static void an_overflow_costs_no_step(void **state)
{
    (void)state;
    const wf_trainer_params *params =
        wf_trainer_params(.batch_size = 4, .steps = 10, .precision = "f16");
    Fixture plain = fixture_open(fixture_cpu(), NULL, params),
            huge = fixture_open(fixture_cpu(), NULL, params);
    huge.trainer->loss_scale.scale = 0x1p40;
    wf_step_stats a, b;
    must(wf_trainer_step(plain.trainer, &a));
    must(wf_trainer_step(huge.trainer, &b));
    assert_true(a.loss_scale == 65536);
    assert_true(b.loss_scale < 0x1p40 && b.loss_scale >= 65536);
    assert_true(a.loss == b.loss);
    assert_true(fabs(b.gradient_norm / a.gradient_norm - 1) < 0.01);
    assert_int_equal(b.step, 1);
    fixture_close(&plain);
    fixture_close(&huge);
}

/* What no scale helps is a failure with a name, and changes nothing. */
static void what_is_not_finite_is_named(void **state)
{
    (void)state;
    Fixture f =
        fixture_open(fixture_cpu(), NULL, wf_trainer_params(.batch_size = 4, .precision = "f16"));
    float bias[12] = {INFINITY};
    must(wf_model_write(f.model, "layers.0.norm1.bias", bias));
    assert_int_equal(wf_trainer_step(f.trainer, NULL), WF_ERROR_NUMERIC);
    assert_message("step 1: layers.0.norm1.bias");
    assert_true(f.trainer->loss_scale.scale == 65536);
    fixture_close(&f);
}

static void resumed_equals_unbroken(void **state)
{
    (void)state;
    char folder[] = "/tmp/wavefield-test-precision-XXXXXX";
    assert_non_null(mkdtemp(folder));
    const wf_trainer_params *params = wf_trainer_params(.batch_size = 3, .accumulation = 2,
                                                        .steps = 20, .precision = "f16", .seed = 5);
    Fixture unbroken = fixture_open(fixture_cpu(), NULL, params),
            first = fixture_open(fixture_cpu(), NULL, params);
    unbroken.trainer->loss_scale.scale = first.trainer->loss_scale.scale = 0x1p30;
    for (int step = 0; step < 12; step++) must(wf_trainer_step(unbroken.trainer, NULL));
    for (int step = 0; step < 5; step++) must(wf_trainer_step(first.trainer, NULL));
    must(wf_trainer_save(first.trainer, folder, 1));
    fixture_close(&first);

    wf_trainer_params saved;
    must(wf_checkpoint_settings(folder, &saved));
    assert_string_equal(saved.precision, "f16");
    Fixture second = fixture_open(fixture_cpu(), NULL, &saved);
    must(wf_trainer_resume(second.trainer, folder));
    for (int step = 5; step < 12; step++) must(wf_trainer_step(second.trainer, NULL));
    assert_same_training(second.trainer, unbroken.trainer);
    assert_true(second.trainer->loss_scale.scale == unbroken.trainer->loss_scale.scale);
    assert_int_equal(second.trainer->loss_scale.good, unbroken.trainer->loss_scale.good);

    Fixture other =
        fixture_open(fixture_cpu(), NULL,
                     wf_trainer_params(.batch_size = 3, .accumulation = 2, .steps = 20, .seed = 5));
    assert_int_equal(wf_trainer_resume(other.trainer, folder), WF_ERROR_ARGUMENT);
    assert_message("precision = f16, this trainer has f32");
    fixture_close(&other);
    fixture_close(&second);
    fixture_close(&unbroken);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static void a_scale_grows_and_shrinks(void **state)
{
    (void)state;
    LossScale scale = loss_scale_first(DTYPE_F16);
    for (int i = 0; i < 1000; i++) loss_scale_good(&scale, DTYPE_F16);
    assert_true(scale.scale == 2 * 65536);
    for (int i = 0; i < 100000; i++) loss_scale_good(&scale, DTYPE_F16);
    assert_true(scale.scale == 0x1p24);
    int halvings = 0;
    while (loss_scale_overflow(&scale)) halvings++;
    assert_int_equal(halvings, 24);
    assert_true(scale.scale == 1);
    LossScale none = loss_scale_first(DTYPE_BF16);
    for (int i = 0; i < 5000; i++) loss_scale_good(&none, DTYPE_BF16);
    assert_true(none.scale == 1);
    assert_false(loss_scale_overflow(&none));
}

static int close_device(void **state)
{
    (void)state;
    wf_device_close(fixture_cpu());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_round_to_nearest_even),
        cmocka_unit_test(devices_round_alike),
        cmocka_unit_test(types_that_do_not_fit_are_refused),
        cmocka_unit_test(a_device_without_the_type_refuses),
        cmocka_unit_test(logits_are_near),
        cmocka_unit_test(curves_are_near),
        cmocka_unit_test(an_overflow_costs_no_step),
        cmocka_unit_test(what_is_not_finite_is_named),
        cmocka_unit_test(resumed_equals_unbroken),
        cmocka_unit_test(a_scale_grows_and_shrinks),
    };
    return cmocka_run_group_tests(tests, NULL, close_device);
}
