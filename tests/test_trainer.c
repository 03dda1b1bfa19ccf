/* Training: it learns, it is repeatable to the bit, and what goes wrong is said and undone. */
#include "train/evaluate.h"

#include "tests/train_fixture.h"

#include <math.h>
#include <unistd.h>

static const char *program_path;

/* ---- learning ---- */

static void learns(const char *const *settings)
{
    enum { STEPS = 200 };
    Fixture f = fixture_on_cpu(settings, wf_trainer_params(.batch_size = 4, .steps = STEPS,
                                                           .learning_rate = 2e-2, .warmup = 10));
    wf_evaluation before, after;
    wf_step_stats stats;
    must(wf_trainer_evaluate(f.trainer, &before));
    for (int step = 1; step <= STEPS; step++) {
        must(wf_trainer_step(f.trainer, &stats));
        assert_int_equal(stats.step, step);
        assert_int_equal(stats.tokens, 4 * 17);
        assert_true(stats.gradient_norm > 0 && isfinite(stats.gradient_norm));
    }
    must(wf_trainer_evaluate(f.trainer, &after));
    /* An untrained model knows nothing: ln 11 nats, and up to half a nat for the logits of about
     * normal(1) it starts with; the data's own entropy is 0.62. */
    assert_true(before.loss > log(FIXTURE_VOCABULARY) - 0.1);
    assert_true(before.loss < log(FIXTURE_VOCABULARY) + 0.7);
    assert_true(after.loss < 1);
    assert_true(after.accuracy > 0.7);
    wf_progress progress;
    wf_trainer_progress(f.trainer, &progress);
    assert_int_equal(progress.step, STEPS);
    assert_int_equal(progress.tokens, STEPS * 4 * 17);
    assert_int_equal(progress.best_step, STEPS);
    assert_true(progress.best_loss == after.loss);
    fixture_close(&f);
}

static void version_4_learns(void **state)
{
    (void)state;
    learns(SETTINGS("version=4"));
}

static void version_35_learns(void **state)
{
    (void)state;
    learns(SETTINGS("version=3.5", "field_size=50"));
}

/* ---- gradient accumulation (sums: test_accumulation.c) ---- */

/* Each micro-batch of a step has dropout masks of its own: the same tokens twice, then, are not
 * twice the same loss. */
static void micro_batches_have_their_own_masks(void **state)
{
    (void)state;
    Fixture f = fixture_on_cpu(SETTINGS("dropout=0.5"),
                               wf_trainer_params(.batch_size = 1, .accumulation = 2));
    Pass *pass = &f.trainer->programs.accumulate;
    TallyValues sums[3];
    int32_t token[17], target[17], order[17];
    for (int i = 0; i < 17; i++) token[i] = target[i] = order[i] = 0;
    for (int i = 0; i < 17; i++) order[i] = i;
    const uint32_t key[3] = {8, 9, 8};
    for (int i = 0; i < 3; i++) {
        PassBatch batch = {token, target, order, {1, key[i]}, 1};
        must(pass_load(pass, &batch));
        must(tally_clear(&pass->tally));
        must(pass_run(pass));
        must(tally_read(&pass->tally, &sums[i]));
    }
    assert_true(sums[0].loss != sums[1].loss);
    assert_true(sums[0].loss == sums[2].loss);
    fixture_close(&f);
}

/* ---- repeatability ---- */

static void resumed_equals_unbroken(const char *const *settings, const char *evaluator)
{
    char folder[] = "/tmp/wavefield-test-trainer-XXXXXX";
    assert_non_null(mkdtemp(folder));
    /* 36 windows an epoch, 6 a step: the epoch turns within the run, after the checkpoint too. */
    const wf_trainer_params *params =
        wf_trainer_params(.batch_size = 3, .accumulation = 2, .steps = 20, .seed = 1ull << 63 | 77,
                          .evaluator = evaluator);
    Fixture unbroken = fixture_on_cpu(settings, params), first = fixture_on_cpu(settings, params);
    wf_step_stats expected, stats;
    wf_evaluation evaluation;
    for (int step = 0; step < 15; step++) must(wf_trainer_step(unbroken.trainer, &expected));
    for (int step = 0; step < 5; step++) must(wf_trainer_step(first.trainer, &stats));
    must(wf_trainer_evaluate(first.trainer, &evaluation));
    must(wf_trainer_save(first.trainer, folder, 1));
    unbroken.trainer->progress.best_loss = evaluation.loss;
    unbroken.trainer->progress.best_step = unbroken.trainer->progress.evaluated = 5;
    fixture_close(&first);

    wf_trainer_params saved;
    must(wf_checkpoint_settings(folder, &saved));
    Fixture second = fixture_on_cpu(settings, &saved);
    must(wf_trainer_step(second.trainer, NULL)); /* whatever it did before is forgotten */
    must(wf_trainer_resume(second.trainer, folder));
    for (int step = 5; step < 15; step++) must(wf_trainer_step(second.trainer, &stats));
    assert_memory_equal(&stats, &expected, sizeof stats);
    assert_same_training(unbroken.trainer, second.trainer);
    fixture_close(&unbroken);
    fixture_close(&second);

    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
}

static void resume_version_4(void **state)
{
    (void)state;
    resumed_equals_unbroken(SETTINGS("version=4", "dropout=0.1"), "scan");
    resumed_equals_unbroken(SETTINGS("version=4", "dropout=0.1"), "fft");
}

static void resume_version_35(void **state)
{
    (void)state;
    resumed_equals_unbroken(SETTINGS("version=3.5", "field_size=50", "dropout=0.2"), "auto");
}

static void resume_gated(void **state)
{
    (void)state;
    resumed_equals_unbroken(SETTINGS("version=4", "spectral_gate=true", "dropout=0.1"), "auto");
}

/* FNV-1a of the parameters after a few steps that are large enough to be shared among threads. */
static int print_bits(void)
{
    Fixture f =
        fixture_on_cpu(SETTINGS("version=4", "embedding_dim=96", "ffn_dim=200", "num_heads=4",
                                "max_seq_len=150", "field_size=301", "dropout=0.1"),
                       wf_trainer_params(.batch_size = 5, .accumulation = 2));
    for (int step = 0; step < 3; step++) must(wf_trainer_step(f.trainer, NULL));
    const ParameterList *parameters = &f.model->parameters;
    float *values = sequence_floats(&f.model->values, parameters);
    uint64_t hash = 0xCBF29CE484222325u;
    for (int64_t i = 0; i < parameters_elements(parameters); i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        hash = (hash ^ bits) * 0x100000001B3u;
    }
    printf("bits %016llx\n", (unsigned long long)hash);
    free(values);
    fixture_close(&f);
    return 0;
}

static void threads_do_not_change_bits(void **state)
{
    (void)state;
    char expected[64] = "";
    for (int threads = 1; threads <= 3; threads++) {
        char command[512], line[64] = "";
        snprintf(command, sizeof command, "OMP_NUM_THREADS=%d '%s' bits", threads, program_path);
        FILE *child = popen(command, "r");
        assert_non_null(child);
        assert_non_null(fgets(line, sizeof line, child));
        assert_int_equal(pclose(child), 0);
        assert_int_equal(strncmp(line, "bits ", 5), 0);
        if (threads == 1) strcpy(expected, line);
        assert_string_equal(line, expected);
    }
}

/* ---- what is not finite ---- */

/* Sets one element of a parameter; returns what it was. */
static float poke(wf_model *model, const char *name, int64_t element, float value)
{
    int i = parameters_find(&model->parameters, name);
    assert_true(i >= 0);
    float *values =
        malloc((size_t)shape_elements(model->parameters.items[i].shape) * sizeof *values);
    must(wf_model_read(model, name, values));
    float before = values[element];
    values[element] = value;
    must(wf_model_write(model, name, values));
    free(values);
    return before;
}

/* A step fails with each of these in the model, names `culprit`, and changes nothing. */
static void fails_and_recovers(const char *parameter, float value, const char *culprit)
{
    const char *const *settings = SETTINGS("version=4", "dropout=0.1");
    const wf_trainer_params *params = wf_trainer_params(.batch_size = 2, .accumulation = 2);
    Fixture good = fixture_on_cpu(settings, params), bad = fixture_on_cpu(settings, params);
    wf_step_stats stats;
    for (int step = 0; step < 2; step++) {
        must(wf_trainer_step(good.trainer, &stats));
        must(wf_trainer_step(bad.trainer, &stats));
    }
    float was = poke(bad.model, parameter, 5, value);
    for (int attempt = 0; attempt < 2; attempt++) {
        assert_int_equal(wf_trainer_step(bad.trainer, &stats), WF_ERROR_NUMERIC);
        assert_message("step 3: ");
        assert_message(culprit);
        assert_message("those of step 2");
    }
    poke(bad.model, parameter, 5, was);
    assert_same_training(good.trainer, bad.trainer);
    must(wf_trainer_step(good.trainer, &stats));
    must(wf_trainer_step(bad.trainer, &stats));
    assert_same_training(good.trainer, bad.trainer);
    fixture_close(&good);
    fixture_close(&bad);
}

static void nan_parameter_is_named(void **state)
{
    (void)state;
    fails_and_recovers("layers.1.ffn.0.weight", NAN,
                       "layers.1.ffn.0.weight: element 5 of [20, 12] is NaN");
    fails_and_recovers("norm.bias", NAN, "norm.bias: element 5 of [12] is NaN");
}

static void overflow_is_named_where_it_appears(void **state)
{
    (void)state;
    fails_and_recovers("layers.1.norm2.weight", 3e38f, "layers.1.norm2.layernorm: element ");
}

/* Every gradient is finite, their squares are not. */
static void norm_overflow_is_named(void **state)
{
    (void)state;
    fails_and_recovers("norm.weight", 1e26f,
                       "the norm of the gradients is not finite; the largest is ");
}

/* A device that once puts a NaN among the gradients, of which a second run knows nothing, or fails
 * in the middle of a step. */
static Backend counting;
static const Backend *counted;
static Region *spoiled;
static bool fails;

static wf_status spoil_run(Program *program)
{
    const double nan = NAN;
    must(counted->program_run(program));
    if (fails) return WF_ERROR_DEVICE;
    if (!spoiled) return WF_OK;
    must(device_write_doubles(spoiled, 0, &nan, 1));
    spoiled = NULL;
    return WF_OK;
}

static void an_unsteady_device_is_survived(void **state)
{
    (void)state;
    const char *const *settings = SETTINGS("version=4", "dropout=0.1");
    const wf_trainer_params *params = wf_trainer_params(.batch_size = 2);
    Fixture good = fixture_on_cpu(settings, params), bad = fixture_on_cpu(settings, params);
    must(wf_trainer_step(good.trainer, NULL));

    counted = fixture_cpu()->backend;
    counting = *counted;
    counting.program_run = spoil_run;
    fixture_cpu()->backend = &counting;
    spoiled = &bad.trainer->programs.optimizer.gradients.pages[0];
    assert_int_equal(wf_trainer_step(bad.trainer, NULL), WF_ERROR_DEVICE);
    assert_message("the device does not repeat its results");
    fails = true;
    assert_int_equal(wf_trainer_step(bad.trainer, NULL), WF_ERROR_DEVICE);
    fails = false;
    fixture_cpu()->backend = counted;

    must(wf_trainer_step(bad.trainer, NULL));
    assert_same_training(good.trainer, bad.trainer);
    fixture_close(&good);
    fixture_close(&bad);
}

/* ---- evaluation ---- */

/* Cross-entropy of every token of a span in double, from the model's logits. */
static void evaluate_reference(wf_model *model, const wf_dataset *data, TokenSpan span,
                               int64_t length, wf_evaluation *out)
{
    float *logits = malloc((size_t)(length * FIXTURE_VOCABULARY) * sizeof *logits);
    int32_t *tokens = malloc((size_t)(length + 1) * sizeof *tokens);
    double loss = 0, hits = 0;
    for (int64_t first = span.first; first < span.last; first += length) {
        int64_t n = int64_min(length, span.last - first);
        must(dataset_read(data, first - 1, n + 1, tokens));
        must(wf_model_logits(model, tokens, 1, n, "direct", logits));
        for (int64_t i = 0; i < n; i++) {
            const float *row = logits + i * FIXTURE_VOCABULARY;
            double sum = 0;
            int best = 0;
            for (int t = 0; t < FIXTURE_VOCABULARY; t++) {
                sum += exp((double)row[t]);
                if (row[t] > row[best]) best = t;
            }
            loss += log(sum) - (double)row[tokens[i + 1]];
            hits += best == tokens[i + 1];
        }
    }
    double n = (double)(span.last - span.first);
    *out =
        (wf_evaluation){.loss = loss / n, .accuracy = hits / n, .tokens = span.last - span.first};
    free(tokens);
    free(logits);
}

static void evaluation_counts_every_token_once(void **state)
{
    (void)state;
    Fixture f = fixture_on_cpu(SETTINGS("version=4"), wf_trainer_params(.batch_size = 3));
    for (int step = 0; step < 5; step++) must(wf_trainer_step(f.trainer, NULL));
    wf_evaluation found, expected;
    must(wf_trainer_evaluate(f.trainer, &found));
    assert_int_equal(found.tokens, 70);
    evaluate_reference(f.model, f.data, dataset_held_out(f.data), 17, &expected);
    assert_true(fabs(found.loss - expected.loss) < 1e-5);
    assert_true(fabs(found.accuracy - expected.accuracy) < 1e-12);
    assert_true(fabs(found.perplexity - exp(found.loss)) < 1e-12);
    assert_true(found.bits_per_byte == 0);

    const int64_t lengths[] = {1, 7, 17}, batches[] = {1, 2, 5};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            must(wf_evaluate(f.model, f.data, batches[k], lengths[i], "fft", &found));
            evaluate_reference(f.model, f.data, dataset_held_out(f.data), lengths[i], &expected);
            assert_int_equal(found.tokens, expected.tokens);
            assert_true(fabs(found.loss - expected.loss) < 1e-5);
        }
    fixture_close(&f);
}

static void evaluation_of_a_whole_text(void **state)
{
    (void)state;
    char path[] = "/tmp/wavefield-test-text-XXXXXX";
    int file = mkstemp(path);
    static const char text[] = "In the beginning was the wave, and the wave was damped. é€";
    assert_int_equal(write(file, text, sizeof text - 1), sizeof text - 1);
    close(file);
    const char *const files[] = {path};
    wf_tokenizer *tokenizer;
    wf_dataset *data;
    wf_model *model;
    must(wf_tokenizer_create("byte", NULL, &tokenizer));
    must(wf_dataset_open(&(wf_dataset_params){.files = files, .n_files = 1, .tokenizer = tokenizer},
                         &data));
    wf_config *config = fixture_config(SETTINGS("vocab_size=256"));
    must(wf_model_create(fixture_cpu(), config, 3, &model));
    wf_evaluation result;
    must(wf_evaluate(model, data, 2, 5, NULL, &result));
    assert_int_equal(result.tokens, sizeof text - 2);
    /* One token a byte: bits a byte are bits a token. */
    assert_true(fabs(result.bits_per_byte - result.loss / log(2)) < 1e-12);

    wf_trainer *trainer;
    wf_evaluation nothing;
    must(wf_trainer_create(model, data, wf_trainer_params(.batch_size = 1), &trainer));
    assert_int_equal(wf_trainer_evaluate(trainer, &nothing), WF_ERROR_ARGUMENT);
    assert_message("hold out");
    wf_trainer_destroy(trainer);
    wf_model_destroy(model);
    wf_config_destroy(config);
    wf_dataset_destroy(data);
    wf_tokenizer_destroy(tokenizer);
    unlink(path);
}

/* ---- parameters ---- */

static void refuse(const wf_trainer_params *params, const char *message)
{
    Fixture f = {.data = fixture_data(700, 5)};
    wf_config *config = fixture_config(SETTINGS("version=4"));
    must(wf_model_create(fixture_cpu(), config, 3, &f.model));
    assert_int_equal(wf_trainer_create(f.model, f.data, params, &f.trainer), WF_ERROR_ARGUMENT);
    assert_message(message);
    wf_config_destroy(config);
    fixture_close(&f);
}

static void refuses_bad_parameters(void **state)
{
    (void)state;
    refuse(wf_trainer_params(.batch_size = -1),
           "batch_size: expected a number from 1 on, found -1");
    refuse(wf_trainer_params(.sequence_length = 18),
           "sequence_length: expected at most max_seq_len");
    refuse(wf_trainer_params(.accumulation = 1ll << 40), "expected at most 2147483647 tokens");
    refuse(wf_trainer_params(.learning_rate = NAN), "learning_rate: ");
    refuse(wf_trainer_params(.learning_rate = -1e-3), "learning_rate: ");
    refuse(wf_trainer_params(.learning_rate = 1e-3, .min_learning_rate = 1e-2),
           "min_learning_rate: ");
    refuse(wf_trainer_params(.evaluator = "magic"), "evaluator \"magic\"");
}

static void refuses_other_tokens(void **state)
{
    (void)state;
    Fixture f = {.data = fixture_data(700, 5)};
    wf_config *config = fixture_config(SETTINGS("vocab_size=10"));
    must(wf_model_create(fixture_cpu(), config, 3, &f.model));
    assert_int_equal(wf_trainer_create(f.model, f.data, wf_trainer_params(.seed = 1), &f.trainer),
                     WF_ERROR_ARGUMENT);
    assert_message("vocab_size is 10");
    wf_evaluation result;
    assert_int_equal(wf_evaluate(f.model, f.data, 1, 0, NULL, &result), WF_ERROR_ARGUMENT);
    wf_config_destroy(config);
    fixture_close(&f);
}

static void refuses_patience_that_cannot_run_out(void **state)
{
    (void)state;
    int32_t tokens[100] = {0};
    Fixture f = {0};
    wf_config *config = fixture_config(NULL);
    must(wf_dataset_from_tokens(tokens, 100, FIXTURE_VOCABULARY, 0, &f.data));
    must(wf_model_create(fixture_cpu(), config, 3, &f.model));
    assert_int_equal(wf_trainer_create(f.model, f.data,
                                       wf_trainer_params(.eval_every = 2, .patience = 3),
                                       &f.trainer),
                     WF_ERROR_ARGUMENT);
    assert_message("patience: expected 0, as the data holds nothing out to evaluate on, found 3");
    must(wf_trainer_create(f.model, f.data, wf_trainer_params(.eval_every = 2), &f.trainer));
    wf_config_destroy(config);
    fixture_close(&f);
}

static void fills_in_defaults(void **state)
{
    (void)state;
    Fixture f = fixture_on_cpu(SETTINGS("version=4"), wf_trainer_params(.steps = 50));
    wf_trainer_params s;
    wf_trainer_settings(f.trainer, &s);
    assert_int_equal(s.batch_size, 8);
    assert_int_equal(s.sequence_length, 17);
    assert_int_equal(s.accumulation, 1);
    assert_int_equal(s.warmup, 10); /* the demo preset's 100 are more than a fifth of the steps */
    assert_true(s.learning_rate == 2e-3 && s.min_learning_rate == 2e-4);
    assert_true(s.weight_decay == 0.1 && s.clip == 1);
    assert_true(s.qk_lr_mult == 3 && s.kernel_lr_mult == 10);
    assert_string_equal(s.evaluator, "scan");
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    program_path = argv[0];
    if (argc > 1 && strcmp(argv[1], "bits") == 0) return print_bits();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_4_learns),
        cmocka_unit_test(version_35_learns),
        cmocka_unit_test(micro_batches_have_their_own_masks),
        cmocka_unit_test(resume_version_4),
        cmocka_unit_test(resume_version_35),
        cmocka_unit_test(resume_gated),
        cmocka_unit_test(threads_do_not_change_bits),
        cmocka_unit_test(nan_parameter_is_named),
        cmocka_unit_test(overflow_is_named_where_it_appears),
        cmocka_unit_test(norm_overflow_is_named),
        cmocka_unit_test(an_unsteady_device_is_survived),
        cmocka_unit_test(evaluation_counts_every_token_once),
        cmocka_unit_test(evaluation_of_a_whole_text),
        cmocka_unit_test(refuses_bad_parameters),
        cmocka_unit_test(refuses_other_tokens),
        cmocka_unit_test(refuses_patience_that_cannot_run_out),
        cmocka_unit_test(fills_in_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
