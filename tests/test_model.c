/* Models: created, saved, loaded, refused; and what their logits must not depend on. */
#include "backends/backend.h"
#include "base/files.h"
#include "base/rng.h"
#include "model/model.h"
#include "tensor/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/wavefield-test-model-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    const char *names[] = {"config.json", "model.safetensors", "tokenizer.json"};
    return (int)folder_remove(folder, names, 3);
}

static wf_device *cpu(void)
{
    static wf_device *device;
    if (!device) assert_int_equal(wf_device_open("cpu", &device), WF_OK);
    return device;
}

static wf_config *tiny(const char *const *settings)
{
    static const char *const shape[] = {
        "embedding_dim=12", "num_layers=2",   "num_heads=3",   "ffn_dim=20",
        "field_size=33",    "max_seq_len=17", "vocab_size=11", "interference_interval=2"};
    wf_config *config;
    assert_int_equal(wf_config_create("demo", &config), WF_OK);
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        assert_int_equal(wf_config_set(config, shape[i]), WF_OK);
    for (; settings && *settings; settings++)
        assert_int_equal(wf_config_set(config, *settings), WF_OK);
    return config;
}
#define TINY(...) tiny((const char *const[]){__VA_ARGS__, NULL})

static wf_model *create(wf_config *config)
{
    wf_model *model;
    assert_int_equal(wf_model_create(cpu(), config, 7, &model), WF_OK);
    wf_config_destroy(config);
    return model;
}

/* ---- a file written by hand: the model's tensors, each as `edit` wants it ---- */

typedef struct Entry {
    char name[128];
    FileDType dtype;
    Shape shape;
} Entry;

typedef bool (*Edit)(Entry *entry); /* false: leave the tensor out */

/* Writes the parameters of `model` through `edit`, and then `extra` (of the embedding's values). */
static void write_file(const wf_model *model, Edit edit, const Entry *extra)
{
    char *path = path_join(folder, "model.safetensors");
    SafeTensorsWriter *writer;
    assert_int_equal(safetensors_writer_create(&writer), WF_OK);
    int n = model->parameters.count;
    Entry *entries = calloc((size_t)n + 1, sizeof *entries);
    bool *kept = calloc((size_t)n + 1, sizeof *kept);
    for (int i = 0; i <= n; i++) {
        if (i < n) {
            entries[i] = (Entry){.dtype = FILE_F32, .shape = model->parameters.items[i].shape};
            strcpy(entries[i].name, model->parameters.items[i].name);
            kept[i] = !edit || edit(&entries[i]);
        } else if (extra) {
            entries[i] = *extra;
            kept[i] = true;
        }
        if (kept[i])
            safetensors_writer_declare(writer, entries[i].name, entries[i].dtype, entries[i].shape);
    }
    assert_int_equal(safetensors_writer_begin(writer, path), WF_OK);
    for (int i = 0; i <= n; i++) {
        if (!kept[i]) continue;
        int64_t has = shape_elements(model->parameters.items[i < n ? i : 0].shape);
        int64_t wants = shape_elements(entries[i].shape);
        float *values = calloc((size_t)int64_max(has, wants) + 1, sizeof *values);
        sequence_read(&model->values, i < n ? i : 0, values);
        safetensors_writer_write(writer, values, (size_t)wants * sizeof *values);
        free(values);
    }
    assert_int_equal(safetensors_writer_commit(writer), WF_OK);
    safetensors_writer_destroy(writer);
    free(entries);
    free(kept);
    free(path);
}

static void expect_refusal(wf_status status, const char *part)
{
    wf_model *model = NULL;
    assert_int_equal(wf_model_load(cpu(), folder, &model), status);
    if (!strstr(wf_error_message(), part))
        fail_msg("expected \"%s\" in: %s", part, wf_error_message());
}

static void assert_same_parameters(const wf_model *a, const wf_model *b)
{
    assert_int_equal(a->parameters.count, b->parameters.count);
    for (int i = 0; i < a->parameters.count; i++) {
        int64_t n = shape_elements(a->parameters.items[i].shape);
        float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
        assert_int_equal(wf_model_read(a, a->parameters.items[i].name, x), WF_OK);
        assert_int_equal(wf_model_read(b, b->parameters.items[i].name, y), WF_OK);
        assert_memory_equal(x, y, (size_t)n * sizeof *x);
        free(x);
        free(y);
    }
}

/* ---- tests ---- */

static void mixers_load_as_saved(void **state)
{
    (void)state;
    static const char *const mixers[] = {"mixer=attention", "mixer=attention,wave"};
    for (int i = 0; i < 2; i++) {
        wf_model *model = create(TINY(mixers[i])), *loaded;
        assert_int_equal(wf_model_save(model, folder), WF_OK);
        assert_int_equal(wf_model_load(cpu(), folder, &loaded), WF_OK);
        assert_same_parameters(model, loaded);
        static const int32_t tokens[] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
        float a[11 * 11], b[11 * 11];
        assert_int_equal(wf_model_logits(model, tokens, 1, 11, NULL, a), WF_OK);
        assert_int_equal(wf_model_logits(loaded, tokens, 1, 11, NULL, b), WF_OK);
        assert_memory_equal(a, b, sizeof a);
        wf_model_destroy(loaded);
        wf_model_destroy(model);
    }
}

static void what_is_saved_loads(void **state)
{
    (void)state;
    wf_model *model = create(TINY("spectral_gate=true")), *loaded;
    wf_tokenizer *tokenizer;
    assert_int_equal(wf_tokenizer_create("byte", NULL, &tokenizer), WF_OK);
    assert_int_equal(wf_model_set_tokenizer(model, tokenizer), WF_ERROR_ARGUMENT); /* 256 > 11 */
    wf_tokenizer_destroy(tokenizer);
    assert_int_equal(wf_model_save(model, folder), WF_OK);
    assert_int_equal(wf_model_load(cpu(), folder, &loaded), WF_OK);
    assert_same_parameters(model, loaded);
    wf_model_destroy(loaded);
    wf_model_destroy(model);
}

static void a_tokenizer_given_again_stays(void **state)
{
    (void)state;
    wf_model *model = create(TINY("vocab_size=256"));
    wf_tokenizer *tokenizer;
    assert_int_equal(wf_tokenizer_create("byte", NULL, &tokenizer), WF_OK);
    for (int i = 0; i < 2; i++) assert_int_equal(wf_model_set_tokenizer(model, tokenizer), WF_OK);
    assert_string_equal(wf_tokenizer_type(wf_model_tokenizer(model)), "byte");
    wf_model_destroy(model);
}

static bool without_norm(Entry *entry)
{
    return strcmp(entry->name, "layers.1.norm2.bias") != 0;
}

static bool wrong_shape(Entry *entry)
{
    if (strcmp(entry->name, "layers.0.attention.out_proj.weight") == 0)
        entry->shape = SHAPE(12, 13);
    return true;
}

static bool wrong_type(Entry *entry)
{
    if (strcmp(entry->name, "norm.bias") == 0) entry->dtype = FILE_I32;
    return true;
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    wf_model *model = create(tiny(NULL));
    assert_int_equal(wf_model_save(model, folder), WF_OK);
    write_file(model, without_norm, NULL);
    expect_refusal(WF_ERROR_FORMAT, "tensor layers.1.norm2.bias [12] is missing");
    write_file(model, wrong_shape, NULL);
    expect_refusal(WF_ERROR_FORMAT,
                   "layers.0.attention.out_proj.weight: expected shape [12, 12], found [12, 13]");
    write_file(model, wrong_type, NULL);
    expect_refusal(WF_ERROR_FORMAT, "norm.bias: expected F32, F16 or BF16, found I32");
    Entry extra = {"layers.0.attention.extra", FILE_F32, SHAPE(2)};
    write_file(model, NULL, &extra);
    expect_refusal(WF_ERROR_FORMAT, "no place for tensor layers.0.attention.extra");
    wf_model_destroy(model);
}

static void logits_are_causal_and_equal_by_every_evaluator(void **state)
{
    (void)state;
    enum { N = 17, V = 11 };
    Rng rng = {.seed = 3};
    int32_t tokens[2 * N];
    for (int i = 0; i < 2 * N; i++) tokens[i] = (int32_t)rng_below(&rng, V);
    static const char *const evaluators[] = {"scan", "direct", "fft"};
    wf_model *model = create(tiny(NULL));
    float first[2 * N * V], again[2 * N * V];
    assert_int_equal(wf_model_logits(model, tokens, 2, N, "scan", first), WF_OK);
    for (int e = 0; e < 3; e++) {
        assert_int_equal(wf_model_logits(model, tokens, 2, N, evaluators[e], again), WF_OK);
        for (int i = 0; i < 2 * N * V; i++) assert_float_equal(first[i], again[i], 1e-5f);
    }
    for (int j = 1; j < N; j++) { /* bit-equal before the token that changes */
        int32_t changed[2 * N];
        memcpy(changed, tokens, sizeof changed);
        changed[j] = (changed[j] + 1) % V;
        assert_int_equal(wf_model_logits(model, changed, 2, N, "scan", again), WF_OK);
        assert_memory_equal(first, again, (size_t)(j * V) * sizeof(float));
        assert_memory_not_equal(first + j * V, again + j * V, V * sizeof(float));
    }
    wf_model_destroy(model);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    wf_model *model = create(TINY("spectral_gate=true"));
    float logits[18 * 11];
    int32_t tokens[18] = {0};
    assert_int_equal(wf_model_logits(model, tokens, 1, 18, NULL, logits), WF_ERROR_ARGUMENT);
    assert_non_null(strstr(wf_error_message(), "max_seq_len 17"));
    assert_int_equal(wf_model_logits(model, tokens, 1, 3, "scan", logits), WF_ERROR_UNSUPPORTED);
    assert_int_equal(wf_model_logits(model, tokens, 1, 3, "sacn", logits), WF_ERROR_ARGUMENT);
    tokens[2] = 11;
    assert_int_equal(wf_model_logits(model, tokens, 1, 3, NULL, logits), WF_ERROR_ARGUMENT);
    assert_non_null(strstr(wf_error_message(), "token 2 is 11"));
    wf_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_loads),
        cmocka_unit_test(a_tokenizer_given_again_stays),
        cmocka_unit_test(mixers_load_as_saved),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(logits_are_causal_and_equal_by_every_evaluator),
        cmocka_unit_test(bad_requests_are_refused),
    };
    int failed = cmocka_run_group_tests(tests, make_folder, remove_folder);
    wf_device_close(cpu());
    return failed;
}
