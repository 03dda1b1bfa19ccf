/* Whole models on a GPU backend: test_gpu_training vulkan|opencl.
 *
 * What the CPU trains, evaluates, saves, streams and generates, the device does too. Device 0 of
 * the backend. Exit code 77, a skip, where this build or machine has none. */
#include "backends/backend.h"
#include "base/text.h"
#include "generate/decoder.h"
#include "train/evaluate.h"
#include "wavefield/generate.h"

#include "tests/gpu_support.h"
#include "tests/scratch.h"
#include "tests/train_fixture.h"

#include <float.h>
#include <math.h>
#include <unistd.h>

static wf_device *cpu, *exact; /* exact: in double precision */

static const char *const V4[] = {"version=4",      "dropout=0.1", "max_seq_len=65",
                                 "field_size=161", "num_heads=3", NULL};
static const char *const GATED[] = {"version=4",      "dropout=0.1",        "max_seq_len=65",
                                    "field_size=161", "spectral_gate=true", NULL};
static const char *const V35[] = {"version=3.5", "dropout=0.1", "max_seq_len=65", "field_size=193",
                                  NULL};
static const char *const HYBRID[] = {"version=4",      "dropout=0.1",          "max_seq_len=65",
                                     "field_size=161", "mixer=attention,wave", NULL};
static const char *const *const KINDS[] = {V4, GATED, V35, HYBRID};
static const char *const KIND_NAMES[] = {"v4", "v4 gated", "v3.5", "v4 hybrid"};
enum { N_KINDS = sizeof KINDS / sizeof *KINDS, TOKENS = 64 };

static Fixture open_on(wf_device *device, const char *const *kind)
{
    return fixture_open(device, kind,
                        wf_trainer_params(.batch_size = 1, .sequence_length = TOKENS, .steps = 50,
                                          .learning_rate = 5e-3, .warmup = 5));
}

static double step(Fixture *f)
{
    wf_step_stats stats;
    must(wf_trainer_step(f->trainer, &stats));
    return stats.loss;
}

static void expect_loss(const char *what, int64_t at, double got, double expected, double bound)
{
    if (!(fabs(got - expected) <= bound * expected))
        fail_msg("%s, step %lld: loss %.9g, on the CPU %.9g", what, (long long)at, got, expected);
}

/* ---- training ---- */

static void losses_are_those_of_the_cpu(void **state)
{
    (void)state;
    static const int steps[N_KINDS] = {20, 4, 4, 4};
    for (int kind = 0; kind < N_KINDS; kind++) {
        Fixture there = open_on(cpu, KINDS[kind]), here = open_on(gpu, KINDS[kind]);
        double first = 0, last = 0;
        for (int i = 1; i <= steps[kind]; i++) {
            last = step(&there);
            expect_loss(KIND_NAMES[kind], i, step(&here), last, 1e-3);
            if (i == 1) first = last;
        }
        if (kind == 0) assert_true(last < first - 0.2); /* there was something to follow */
        wf_evaluation expected, got;
        must(wf_trainer_evaluate(there.trainer, &expected));
        must(wf_trainer_evaluate(here.trainer, &got));
        expect_loss(KIND_NAMES[kind], -1, got.loss, expected.loss, 1e-3);
        assert_int_equal(got.tokens, expected.tokens);
        fixture_close(&there);
        fixture_close(&here);
    }
}

/* Two runs, and one that goes on from half-way once more, have the same bits. */
static void runs_are_repeatable(void **state)
{
    (void)state;
    static const int halves[N_KINDS] = {5, 2, 2, 2};
    for (int kind = 0; kind < N_KINDS; kind++) {
        Fixture once = open_on(gpu, KINDS[kind]), again = open_on(gpu, KINDS[kind]);
        int half = halves[kind];
        char saved[96];
        snprintf(saved, sizeof saved, "%s/step-%08d", folder, half);
        for (int i = 1; i <= 2 * half; i++) {
            assert_true(step(&once) == step(&again));
            if (i == half) must(wf_trainer_save(once.trainer, folder, 0));
        }
        assert_same_training(once.trainer, again.trainer);
        must(wf_trainer_resume(once.trainer, saved));
        for (int i = 0; i < half; i++) step(&once);
        assert_same_training(once.trainer, again.trainer);
        fixture_close(&once);
        fixture_close(&again);
    }
}

/* What one device wrote, the other goes on from as the writer itself does. */
static void crosses(wf_device *from, wf_device *to, const char *const *kind, const char *what)
{
    Fixture writer = open_on(from, kind), reader = open_on(to, kind);
    for (int i = 1; i <= 3; i++) step(&writer);
    must(wf_trainer_save(writer.trainer, folder, 1));
    must(wf_trainer_resume(reader.trainer, folder));
    assert_same_training(reader.trainer, writer.trainer);
    for (int i = 4; i <= 6; i++) {
        double expected = step(&writer);
        expect_loss(what, i, step(&reader), expected, i == 4 ? 1e-6 : 1e-4);
    }
    fixture_close(&writer);
    fixture_close(&reader);
}

static void checkpoints_cross_devices(void **state)
{
    (void)state;
    for (int kind = 0; kind < N_KINDS; kind++) {
        crosses(gpu, cpu, KINDS[kind], KIND_NAMES[kind]);
        crosses(cpu, gpu, KINDS[kind], KIND_NAMES[kind]);
    }
}

/* Sets one element of a parameter of 12; returns what it was. */
static float poke(wf_model *model, const char *name, float value)
{
    float values[12], before;
    must(wf_model_read(model, name, values));
    before = values[5];
    values[5] = value;
    must(wf_model_write(model, name, values));
    return before;
}

/* What is not finite fails the step, is named as on the CPU, and changes nothing. */
static void bad_numbers_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *parameter;
        float value;
        const char *culprit;
    } bad[] = {{"norm.bias", NAN, "norm.bias: element 5 of [12] is NaN"},
               {"layers.1.norm2.weight", 3e38f, "layers.1.norm2.layernorm: element "},
               {"norm.weight", 1e26f, "the norm of the gradients is not finite"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Fixture good = open_on(gpu, V4), f = open_on(gpu, V4);
        assert_true(step(&good) == step(&f));
        float was = poke(f.model, bad[i].parameter, bad[i].value);
        assert_int_equal(wf_trainer_step(f.trainer, NULL), WF_ERROR_NUMERIC);
        assert_message("step 2: ");
        assert_message(bad[i].culprit);
        poke(f.model, bad[i].parameter, was);
        assert_same_training(good.trainer, f.trainer);
        assert_true(step(&good) == step(&f));
        assert_same_training(good.trainer, f.trainer);
        fixture_close(&good);
        fixture_close(&f);
    }
}

/* ---- inference ---- */

/* Initial values have gates at rest and identities; noise sets every path going. */
static wf_model *stirred(wf_device *device, const char *const *kind)
{
    Rng rng = {.seed = 3};
    wf_model *model;
    wf_config *config = fixture_config(kind);
    must(wf_model_create(device, config, 1, &model));
    wf_config_destroy(config);
    for (int i = 0; i < wf_model_parameter_count(model); i++) {
        wf_parameter_info info;
        must(wf_model_parameter(model, i, &info));
        float *values = malloc((size_t)info.elements * sizeof *values);
        assert_non_null(values);
        must(wf_model_read(model, info.name, values));
        for (int64_t k = 0; k < info.elements; k++) values[k] += (float)(0.2 * rng_normal(&rng));
        must(wf_model_write(model, info.name, values));
        free(values);
    }
    return model;
}

enum { BATCH = 2, LENGTH = 65, ROW = FIXTURE_VOCABULARY, LOGITS = BATCH * LENGTH * ROW };

/* Of the first n tokens of each sequence. */
static void expect_logits(const char *what, const char *kind, const float *got,
                          const float *expected, int64_t n)
{
    double largest = 0, error = 0;
    for (int i = 0; i < LOGITS; i++) {
        if (i / ROW % LENGTH >= n) continue;
        double off = fabs((double)got[i] - (double)expected[i]);
        largest = fmax(largest, fabs((double)expected[i]));
        if (!(off <= error)) error = isnan(off) ? HUGE_VAL : off;
    }
    if (!(error <= 5e-5 * largest))
        fail_msg("%s by %s: a logit is off by %.3g of the largest", kind, what, error / largest);
}

/* The decoder's, n tokens fed in pieces. */
static void stream(wf_model *model, const int32_t *tokens, int64_t n, int64_t piece, float *logits)
{
    wf_decoder *decoder;
    int32_t part[BATCH * LENGTH];
    float found[LOGITS];
    for (int i = 0; i < LOGITS; i++) logits[i] = NAN;
    must(wf_decoder_create(model, BATCH, &decoder));
    for (int64_t done = 0; done < n; done += piece) {
        if (piece > n - done) piece = n - done;
        for (int64_t b = 0; b < BATCH; b++)
            memcpy(part + b * piece, tokens + b * LENGTH + done, (size_t)piece * sizeof *part);
        must(wf_decoder_feed(decoder, part, piece, NULL, found));
        for (int64_t b = 0; b < BATCH; b++)
            memcpy(logits + (b * LENGTH + done) * ROW, found + b * piece * ROW,
                   (size_t)(piece * ROW) * sizeof *logits);
    }
    wf_decoder_destroy(decoder);
}

static void logits_are_exact(void **state)
{
    (void)state;
    int32_t tokens[BATCH * LENGTH];
    Rng rng = {.seed = 8};
    for (int i = 0; i < BATCH * LENGTH; i++) tokens[i] = (int32_t)rng_below(&rng, ROW);
    for (int kind = 0; kind < N_KINDS; kind++) {
        static float expected[LOGITS], got[LOGITS];
        const char *name = KIND_NAMES[kind];
        wf_model *reference = stirred(exact, KINDS[kind]), *model = stirred(gpu, KINDS[kind]);
        must(wf_model_logits(reference, tokens, BATCH, LENGTH, "direct", expected));
        must(wf_model_logits(model, tokens, BATCH, LENGTH, "fft", got));
        expect_logits("fft", name, got, expected, LENGTH);
        if (KINDS[kind] != GATED) {
            must(wf_model_logits(model, tokens, BATCH, LENGTH, "scan", got));
            expect_logits("scan", name, got, expected, LENGTH);
        }
        stream(model, tokens, LENGTH, LENGTH, got); /* as 64 and 1 */
        expect_logits("the decoder, in chunks", name, got, expected, LENGTH);
        stream(model, tokens, 20, 1, got);
        expect_logits("the decoder, token by token", name, got, expected, 20);
        wf_model_destroy(reference);
        wf_model_destroy(model);
    }
}

static int collect(void *context, const char *text, size_t length)
{
    text_append_bytes(context, text, length);
    return 0;
}

static char *continuation(wf_device *device, const char *path)
{
    wf_model *model;
    Text text = {0};
    must(wf_model_load(device, path, &model));
    must(wf_generate(model, wf_generate_params(.prompt = "defgij", .max_tokens = 50,
                                               .emit = collect, .context = &text)));
    wf_model_destroy(model);
    assert_non_null(text.data);
    return text.data;
}

/* A model that has learned which token follows which writes the same text everywhere. */
static void generation_is_that_of_the_cpu(void **state)
{
    (void)state;
    char letters[80];
    wf_tokenizer *tokenizer;
    snprintf(letters, sizeof letters, "%s/letters.txt", folder);
    FILE *file = fopen(letters, "w");
    assert_non_null(file);
    fputs("abcdefghijk", file);
    assert_int_equal(fclose(file), 0);
    must(wf_tokenizer_create(
        "char", &(wf_tokenizer_params){.files = (const char *[]){letters}, .n_files = 1},
        &tokenizer));
    Fixture f = fixture_open(cpu, V4,
                             wf_trainer_params(.batch_size = 4, .sequence_length = 16, .steps = 100,
                                               .learning_rate = 2e-2, .warmup = 5));
    must(wf_model_set_tokenizer(f.model, tokenizer));
    for (int i = 0; i < 100; i++) step(&f);
    must(wf_model_save(f.model, folder));
    fixture_close(&f);

    char *expected = continuation(cpu, folder), *text = continuation(gpu, folder);
    assert_int_equal(strlen(text), 50);
    assert_string_equal(text, expected);
    int right = 0;
    for (int i = 1; i < 50; i++)
        right += text[i] - 'a' == (2 * (text[i - 1] - 'a') + 3) % FIXTURE_VOCABULARY;
    assert_true(right > 40);
    free(text);
    free(expected);
}

/* ---- barriers ---- */

enum { TRIED = 12 }; /* of the barriers of a program */

static void decoders_are_ordered(wf_model *model)
{
    enum { N = 577 };
    int32_t tokens[N] = {0};
    static float last[FIXTURE_VOCABULARY], all[N * FIXTURE_VOCABULARY];
    wf_decoder *decoder;
    must(wf_decoder_create(model, 1, &decoder));
    for (int round = 0; round < 2; round++) {
        must(wf_decoder_reset(decoder));
        must(wf_decoder_feed(decoder, tokens, N, round ? NULL : last, round ? all : NULL));
    }
    int seen = 0;
    for (int chunk = 0; chunk < DECODER_CHUNKS; chunk++)
        for (int start = 0; start < 2; start++)
            for (int head = 0; head < DECODER_HEADS; head++) {
                const ChunkProgram *program = &decoder->programs[chunk][start][head];
                if (!program->graph) continue;
                assert_true(test_ordered(program->run.program, TRIED) > 0);
                seen++;
            }
    assert_true(seen >= 5);
    wf_decoder_destroy(decoder);
}

static void programs_are_ordered(void **state)
{
    (void)state;
    for (int kind = 0; kind < N_KINDS; kind++) {
        const char *settings[12];
        int n = 0;
        for (; KINDS[kind][n]; n++) settings[n] = KINDS[kind][n];
        settings[n++] = "max_seq_len=600"; /* all chunks of a decoder */
        settings[n++] = "field_size=1801";
        settings[n] = NULL;
        for (int recompute = 0; recompute < (kind == 0 ? 2 : 1); recompute++) {
            Fixture f = fixture_open(
                gpu, settings,
                wf_trainer_params(.batch_size = 2, .sequence_length = 17, .recompute = recompute));
            assert_true(test_ordered(f.trainer->programs.accumulate.program, TRIED) > 0);
            assert_true(test_ordered(f.trainer->programs.evaluate.program, TRIED) > 0);
            assert_true(test_ordered(f.trainer->programs.optimizer.program, TRIED) > 0);
            if (!recompute) decoders_are_ordered(f.model);
            fixture_close(&f);
        }
    }
}

/* Device 0 of the backend; else the exit code. */
static int open_devices(const char *backend)
{
    char name[32];
    snprintf(name, sizeof name, "%s:0", backend);
    if (wf_device_open(name, &gpu)) {
        print_message("skipped: %s\n", wf_error_message());
        return 77;
    }
    return wf_device_open("cpu", &cpu) || backend_cpu64.open(0, &exact);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        print_error("usage: %s vulkan|opencl\n", argv[0]);
        return 2;
    }
    int closed = open_devices(argv[1]);
    if (closed) return closed;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_the_cpu),
        cmocka_unit_test_setup_teardown(runs_are_repeatable, folder_set_up, folder_tear_down),
        cmocka_unit_test_setup_teardown(checkpoints_cross_devices, folder_set_up, folder_tear_down),
        cmocka_unit_test(bad_numbers_are_named),
        cmocka_unit_test(logits_are_exact),
        cmocka_unit_test_setup_teardown(generation_is_that_of_the_cpu, folder_set_up,
                                        folder_tear_down),
        cmocka_unit_test_teardown(programs_are_ordered, test_release),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    wf_device_close(gpu);
    wf_device_close(cpu);
    wf_device_close(exact);
    return failed;
}
