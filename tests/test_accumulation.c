/* Gradient accumulation is a larger batch, to rounding: the same sequences, the same weight for
 * every target, the same parameters after several steps. */
#include "backends/backend.h"
#include "train/trainer.h"

#include "tests/support.h"
#include "tests/train_fixture.h"

enum { SEQUENCES = 8, TOKENS = 17, STEPS = 4 };
/* AdamW moves an element whose gradient is almost nothing by the sign of its rounding: a small rate
 * keeps such elements within the bound of the values. */
static const double RATE = 2e-4;

/* Numbers summed on the way to a gradient of the fixture's model: as src/check/model_cases.c. */
static int64_t terms_of(const Config *config)
{
    int64_t layer = 4 * config->embedding_dim + config->ffn_dim + config->field_size;
    return 2 * (config->num_layers * layer + config->vocab_size) + SEQUENCES * TOKENS;
}

/* Parameter `i` of a sequence. */
static double *read_parameter(const wf_model *model, const Sequence *sequence, int i)
{
    int64_t n = shape_elements(model->parameters.items[i].shape);
    double *values = test_memory((size_t)n * sizeof *values);
    Region *page = &sequence->pages[sequence->layout->segments[i].page];
    must(device_read_doubles(page, sequence_offset(sequence, i), values, n));
    return values;
}

static void compare(const Fixture *a, const Sequence *x, const Fixture *b, const Sequence *y,
                    int64_t terms, bool as_double)
{
    const ParameterList *parameters = &a->model->parameters;
    for (int i = 0; i < parameters->count; i++) {
        double *got = read_parameter(a->model, x, i), *expected = read_parameter(b->model, y, i);
        test_close(parameters->items[i].name, got, expected,
                   shape_elements(parameters->items[i].shape), terms, as_double);
    }
}

/* ---- whole steps ---- */

/* The last micro-batch of the small one is the end of the large one's. */
static void assert_same_sequences(const Fixture *small, const Fixture *large, int64_t batch)
{
    const wf_trainer *a = small->trainer, *b = large->trainer;
    int64_t from = (SEQUENCES - batch) * TOKENS;
    size_t size = (size_t)(batch * TOKENS) * sizeof *a->token;
    assert_memory_equal(a->token, b->token + from, size);
    assert_memory_equal(a->target, b->target + from, size);
    assert_memory_equal(&a->batches->cursor, &b->batches->cursor, sizeof a->batches->cursor);
}

/* `magnified`: how many times more terms the stepped values may be off by than the gradients. */
static void steps_are_the_same(bool as_double, const char *const *settings, int64_t batch,
                               int64_t magnified)
{
    Fixture small =
        fixture_open(test_device(as_double), settings,
                     wf_trainer_params(.batch_size = batch, .accumulation = SEQUENCES / batch,
                                       .warmup = 0, .learning_rate = RATE));
    Fixture large = fixture_open(
        test_device(as_double), settings,
        wf_trainer_params(.batch_size = SEQUENCES, .warmup = 0, .learning_rate = RATE));
    for (int step = 1; step <= STEPS; step++) {
        int64_t terms = step * terms_of(small.model->config);
        wf_step_stats a, b;
        must(wf_trainer_step(small.trainer, &a));
        must(wf_trainer_step(large.trainer, &b));
        assert_same_sequences(&small, &large, batch);
        assert_int_equal(a.tokens, b.tokens);
        test_close("loss", &a.loss, &b.loss, 1, terms, as_double);
        test_close("accuracy", &a.accuracy, &b.accuracy, 1, 1, as_double);
        test_close("gradient norm", &a.gradient_norm, &b.gradient_norm, 1, terms, as_double);
        if (step == 1) /* afterwards the parameters' own differences come in */
            compare(&small, &small.trainer->programs.optimizer.first, &large,
                    &large.trainer->programs.optimizer.first, terms, as_double);
        compare(&small, &small.model->values, &large, &large.model->values, magnified * terms,
                as_double);
    }
    fixture_close(&small);
    fixture_close(&large);
}

static void accumulation_is_a_larger_batch(void **state)
{
    (void)state;
    /* The quotient of the moments has the gradients' error twice: four times the terms. A gate's
     * gradients differ so much in size that the small ones, which count for as much as their
     * neighbours there, bring more of it. */
    enum { QUOTIENT = 4, SMALL_GRADIENTS = 64 };
    for (int as_double = 0; as_double < 2; as_double++) {
        steps_are_the_same(as_double, SETTINGS("version=4"), 2, QUOTIENT);
        steps_are_the_same(as_double, SETTINGS("version=4"), 1, QUOTIENT);
        steps_are_the_same(as_double, SETTINGS("version=3.5", "field_size=50"), 2, QUOTIENT);
    }
    steps_are_the_same(false, SETTINGS("version=4", "spectral_gate=true"), 4, SMALL_GRADIENTS);
}

/* ---- targets that do not count ---- */

/* Gradients of all sequences, `batch` at a time: into the optimizer's. */
static void run_passes(Fixture *f, int64_t batch, const int32_t *token, const int32_t *target,
                       int64_t counted)
{
    Pass *pass = &f->trainer->programs.accumulate;
    int32_t order[SEQUENCES * TOKENS];
    must(tally_clear(&pass->tally));
    for (int64_t at = 0; at < SEQUENCES * TOKENS; at += batch * TOKENS) {
        must(token_order(token + at, batch * TOKENS, FIXTURE_VOCABULARY, order));
        must(pass_load(pass, &(PassBatch){.token = token + at,
                                          .target = target + at,
                                          .order = order,
                                          .seed = 1 / (double)counted}));
        must(pass_run(pass));
    }
    TallyValues sum;
    must(tally_read(&pass->tally, &sum));
    assert_int_equal(sum.targets, counted);
}

/* Sequence i counts only its first i+1 targets: micro-batches of very different weight. */
static void every_target_weighs_the_same(void **state)
{
    (void)state;
    int32_t token[SEQUENCES * TOKENS], target[SEQUENCES * TOKENS];
    int64_t counted = 0;
    Rng rng = {.seed = 4};
    for (int i = 0; i < SEQUENCES * TOKENS; i++) {
        bool counts = i % TOKENS <= i / TOKENS;
        token[i] = (int32_t)rng_below(&rng, FIXTURE_VOCABULARY);
        target[i] = counts ? (int32_t)rng_below(&rng, FIXTURE_VOCABULARY) : TARGET_NONE;
        counted += counts;
    }
    for (int as_double = 0; as_double < 2; as_double++) {
        const char *const *settings = SETTINGS("version=4");
        Fixture small = fixture_open(test_device(as_double), settings,
                                     wf_trainer_params(.batch_size = 2, .accumulation = 4));
        Fixture large = fixture_open(test_device(as_double), settings,
                                     wf_trainer_params(.batch_size = SEQUENCES));
        run_passes(&small, 2, token, target, counted);
        run_passes(&large, SEQUENCES, token, target, counted);
        compare(&small, &small.trainer->programs.optimizer.gradients, &large,
                &large.trainer->programs.optimizer.gradients, terms_of(small.model->config),
                as_double);
        fixture_close(&small);
        fixture_close(&large);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(accumulation_is_a_larger_batch, test_release),
        cmocka_unit_test_teardown(every_target_weighs_the_same, test_release),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_close_devices();
    return failed;
}
