/* Configurations: presets, config.json, overrides, and what is refused. */
#include "base/files.h"
#include "model/config.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[80];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/wavefield-test-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/config.json", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static wf_config *create(const char *preset)
{
    wf_config *config;
    assert_int_equal(wf_config_create(preset, &config), WF_OK);
    return config;
}

static void assert_key(const wf_config *config, const char *key, const char *expected)
{
    char value[64];
    assert_int_equal(wf_config_get(config, key, value, sizeof value), WF_OK);
    assert_string_equal(value, expected);
}

static void assert_message(const char *part)
{
    if (!strstr(wf_error_message(), part))
        fail_msg("\"%s\" is not in: %s", part, wf_error_message());
}

static void presets_are_those_specified(void **state)
{
    (void)state;
    static const char *const keys[] = {"version",     "embedding_dim", "num_layers",
                                       "num_heads",   "ffn_dim",       "field_size",
                                       "max_seq_len", "vocab_size",    "interference_interval",
                                       "dropout",     "residual_scale"};
    static const char *const table[][12] = {
        {"demo", "4", "128", "4", "4", "512", "256", "256", "256", "2", "0", "true"},
        {"v3.5-6m", "3.5", "256", "6", "8", "1024", "1024", "256", "256", "3", "0.1", "false"},
        {"v4-20m", "4", "384", "8", "8", "1536", "512", "512", "8000", "3", "0", "true"},
        {"v4-130m", "4", "768", "12", "12", "3072", "2048", "2048", "32000", "3", "0", "true"},
        {"v4-825m", "4", "1536", "24", "24", "6144", "2048", "2048", "16384", "4", "0", "true"},
    };
    const char *const *names = wf_config_presets();
    for (int i = 0; i < 5; i++) {
        assert_string_equal(names[i], table[i][0]);
        wf_config *config = create(names[i]);
        for (int k = 0; k < 11; k++) assert_key(config, keys[k], table[i][k + 1]);
        assert_key(config, "kernel_norm", "l1");
        assert_key(config, "spectral_gate", "false");
        assert_key(config, "allow_leaky_geometry", "false");
        assert_key(config, "cross_dim", "true");
        assert_key(config, "feature_map_depth", "2");
        assert_int_equal(wf_config_validate(config), WF_OK);
        wf_config_destroy(config);
    }
    assert_null(names[5]);
    wf_config_destroy(NULL);
}

static void training_starts_where_specified(void **state)
{
    (void)state;
    wf_config *config = create("v4-130m");
    TrainingDefaults start = config_training(config);
    assert_true(start.learning_rate == 4e-4 && start.min_learning_rate == 4e-5);
    assert_true(start.weight_decay == 0.1 && start.warmup == 1000);
    assert_true(start.qk_multiplier == 3 && start.kernel_multiplier == 10);
    wf_config_destroy(config);
    config = create("v3.5-6m");
    start = config_training(config);
    assert_true(start.learning_rate == 1e-3 && start.warmup == 200);
    assert_true(start.qk_multiplier == 1 && start.kernel_multiplier == 10);
    assert_int_equal(wf_config_set(config, "version=4"), WF_OK);
    start = config_training(config);
    assert_true(start.qk_multiplier == 3 && start.kernel_multiplier == 10);
    wf_config_destroy(config);
}

static void a_saved_configuration_loads(void **state)
{
    (void)state;
    static const char *const keys[] = {"version",    "dropout",           "kernel_norm",
                                       "cross_dim",  "spectral_gate",     "tokenizer",
                                       "num_layers", "feature_map_depth", "allow_leaky_geometry"};
    for (const char *const *name = wf_config_presets(); *name; name++) {
        wf_config *config = create(*name);
        assert_int_equal(wf_config_set(config, "num_layers=7"), WF_OK);
        assert_int_equal(wf_config_set(config, "tokenizer=char"), WF_OK);
        assert_int_equal(wf_config_save(config, path), WF_OK);
        const char *const sources[] = {path, folder};
        for (int i = 0; i < 2; i++) {
            wf_config *loaded = create(sources[i]);
            for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
                char value[64];
                wf_config_get(config, keys[k], value, sizeof value);
                assert_key(loaded, keys[k], value);
            }
            wf_config_destroy(loaded);
        }
        wf_config_destroy(config);
    }
    char *text;
    size_t size;
    assert_int_equal(file_read(path, 1 << 16, &text, &size), WF_OK);
    assert_non_null(strstr(text, "\"model_type\": \"wavefield\""));
    assert_non_null(strstr(text, "\"dropout\": 0.0"));
    free(text);
}

static void overrides(void **state)
{
    (void)state;
    wf_config *config = create("demo");
    static const char *const good[][3] = {{"field_size=4096", "field_size", "4096"},
                                          {"dropout=0.25", "dropout", "0.25"},
                                          {"dropout=0", "dropout", "0"},
                                          {"cross_dim=false", "cross_dim", "false"},
                                          {"spectral_gate=true", "spectral_gate", "true"},
                                          {"kernel_norm=dc", "kernel_norm", "dc"},
                                          {"tokenizer=", "tokenizer", ""},
                                          {"tokenizer=byte", "tokenizer", "byte"},
                                          {"version=3.5", "version", "3.5"},
                                          {"version=4", "version", "4"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(wf_config_set(config, good[i][0]), WF_OK);
        assert_key(config, good[i][1], good[i][2]);
    }
    static const char *const mixers[][2] = {
        {"mixer=attention", "attention"},
        {"mixer=wave,attention,wave,attention", "wave,attention,wave,attention"},
        {"mixer=attention,wave", "attention,wave"}, /* num_layers may yet follow */
        {"mixer=attention,attention,attention,attention", "attention"},
        {"mixer=wave", "wave"}};
    for (size_t i = 0; i < sizeof mixers / sizeof *mixers; i++) {
        assert_int_equal(wf_config_set(config, mixers[i][0]), WF_OK);
        assert_key(config, "mixer", mixers[i][1]);
    }
    static const char *const bad[][2] = {
        {"mixer=waves",
         "mixer: expected \"wave\" or \"attention\", or a list of them, one a layer, "
         "found \"waves\""},
        {"mixer=", "found \"\""},
        {"mixer=wave,", "found \"wave,\""},
        {"mixer=wave,,attention", "found \"wave,,attention\""},
        {"mixer=wave, attention", "found \"wave, attention\""},
        {"field_sise=4096", "did you mean \"field_size\"?"},
        {"field_size", "expected key=value"},
        {"=3", "expected key=value"},
        {"field_size=", "field_size: expected an integer from 2"},
        {"field_size=1", "found 1"},
        {"field_size=4096.5", "found 4096.5"},
        {"field_size=99999999999999999999", "found \"99999999999999999999\""},
        {"field_size=many", "found \"many\""},
        {"field_size=[1]", "found [1]"},
        {"dropout=1", "a number from 0 to 0.99"},
        {"dropout=nan", "found \"nan\""},
        {"cross_dim=1", "true or false"},
        {"version=5", "\"3.5\" or \"4\", found \"5\""},
        {"kernel_norm=l2", "\"l1\" or \"dc\", found \"l2\""},
        {"feature_map_depth=3", "from 1 to 2"},
        {"tokenizer=a name that is far too long to be a tokenizer's", "31 bytes"},
    };
    wf_config *before;
    assert_int_equal(wf_config_copy(config, &before), WF_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(wf_config_set(config, bad[i][0]), WF_ERROR_ARGUMENT);
        assert_message(bad[i][1]);
        assert_memory_equal(config, before, sizeof *config);
    }
    char value[8];
    assert_int_equal(wf_config_get(config, "nothing", value, sizeof value), WF_ERROR_ARGUMENT);
    wf_config_destroy(before);
    wf_config_destroy(config);
}

#define SMALL                                                                                      \
    "\"version\":\"4\",\"vocab_size\":50,\"embedding_dim\":12,\"num_layers\":2,\"num_heads\":3,"   \
    "\"ffn_dim\":20,\"field_size\":9,\"max_seq_len\":5"

static wf_status load(const char *json, wf_config **out)
{
    assert_int_equal(file_write_atomic(path, json, strlen(json)), WF_OK);
    return wf_config_create(path, out);
}

static void absent_keys_have_defaults(void **state)
{
    (void)state;
    wf_config *config;
    assert_int_equal(load("{" SMALL ",\"kernel_norm\":\"dc\"}", &config), WF_OK);
    assert_key(config, "interference_interval", "0");
    assert_key(config, "dropout", "0");
    assert_key(config, "kernel_norm", "dc");
    assert_key(config, "feature_map_depth", "2");
    assert_key(config, "cross_dim", "true");
    assert_key(config, "spectral_gate", "false");
    assert_key(config, "residual_scale", "false");
    assert_int_equal(wf_config_validate(config), WF_OK);
    wf_config_destroy(config);
}

static void a_byte_order_mark_is_passed_over(void **state)
{
    (void)state;
    wf_config *config;
    assert_int_equal(load("\xEF\xBB\xBF{" SMALL ",\"kernel_norm\":\"dc\"}", &config), WF_OK);
    assert_key(config, "vocab_size", "50");
    wf_config_destroy(config);
    assert_int_equal(load("\xEF\xBB\xBF", &config), WF_ERROR_FORMAT);
}

/* A program in a locale that writes 0,25. */
static void numbers_have_a_point_in_every_locale(void **state)
{
    (void)state;
    wf_config *config;
    char before[64], text[64];
    snprintf(before, sizeof before, "%s", setlocale(LC_NUMERIC, NULL));
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8")) skip();
    assert_int_equal(wf_config_create("demo", &config), WF_OK);
    assert_int_equal(wf_config_set(config, "dropout=0.25"), WF_OK);
    assert_int_equal(wf_config_get(config, "dropout", text, sizeof text), WF_OK);
    assert_int_equal(wf_config_set(config, "dropout=1e-7"), WF_OK);
    assert_key(config, "dropout", "1e-07");
    assert_int_equal(wf_config_set(config, "dropout=0"), WF_OK);
    assert_key(config, "dropout", "0");
    setlocale(LC_NUMERIC, before);
    wf_config_destroy(config);
    assert_string_equal(text, "0.25");
}

static void wrong_files_are_named(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{" SMALL "}", "kernel_norm"},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"num_head\":3}", "did you mean \"num_heads\"?"},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"colour\":3}", "unknown key \"colour\""},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"vocab_size\":3}", "duplicate"},
        {"{" SMALL ",\"kernel_norm\":1}", "kernel_norm: expected \"l1\" or \"dc\", found 1"},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"dropout\":\"0.1\"}", "dropout: expected a number"},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"cross_dim\":1}", "cross_dim: expected true or false"},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"interference_interval\":2.0}", "found 2.0"},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"interference_interval\":-1}", "found -1"},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"interference_interval\":null}", "found null"},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"model_type\":\"gpt2\"}", "found \"gpt2\""},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"mixer\":\"none\"}", "found \"none\""},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"mixer\":[]}", "found []"},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"mixer\":[\"wave\",1]}", "found [\"wave\", 1]"},
        {"{" SMALL ",\"kernel_norm\":\"l1\",\"mixer\":[\"wave\"]}",
         "mixer: expected one name, or one for each of 2 layers, found 1"},
        {"{" SMALL ",\"mixer\":[\"wave\",\"attention\"]}", "kernel_norm"},
        {"{\"version\":3.5}", "version: expected \"3.5\" or \"4\", found 3.5"},
        {"{\"version\":\"3.5\",\"vocab_size\":50}", "\"embedding_dim\" is missing"},
        {"[1]", "JSON object"},
        {"{", "line 1"},
        {"", "line"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wf_config *config;
        assert_int_equal(load(bad[i][0], &config), WF_ERROR_FORMAT);
        assert_message(path);
        assert_message(bad[i][1]);
    }
}

static void names_that_are_neither_preset_nor_file(void **state)
{
    (void)state;
    wf_config *config;
    assert_int_equal(wf_config_create("v4-20", &config), WF_ERROR_ARGUMENT);
    assert_message("v4-20m");
    assert_message("did you mean");
    unlink(path);
    assert_int_equal(wf_config_create(folder, &config), WF_ERROR_IO); /* no config.json there */
    assert_message("config.json");
}

static void keys_must_fit_together(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        {"demo", "num_heads=5", NULL, "embedding_dim 128 is not a multiple of num_heads 5"},
        {"v3.5-6m", "kernel_norm=dc", NULL, "always \"l1\""},
        {"v3.5-6m", "spectral_gate=true", NULL, "version 4"},
        {"demo", "embedding_dim=3", "num_heads=1", "at least 4"},
        {"demo", "max_seq_len=258", NULL, "lower max_seq_len to 256"},
        {"demo", "max_seq_len=258", NULL, "token 255 reads cell 255, which token 256"},
        {"demo", "max_seq_len=200", NULL, "token 1 reads cell 2, which token 2"},
        {"v3.5-6m", "field_size=256", NULL, "token 254 reads cell 254, which token 255"},
        {"v3.5-6m", "field_size=510", NULL, "field_size to 511"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wf_config *config = create(cases[i][0]);
        for (int k = 1; k < 3; k++)
            if (cases[i][k]) assert_int_equal(wf_config_set(config, cases[i][k]), WF_OK);
        assert_int_equal(wf_config_validate(config), WF_ERROR_ARGUMENT);
        assert_message(cases[i][3]);
        if (strstr(cases[i][1], "max_seq_len") || strstr(cases[i][1], "field_size")) {
            assert_int_equal(wf_config_set(config, "allow_leaky_geometry=true"), WF_OK);
            assert_int_equal(wf_config_validate(config), WF_OK);
        }
        wf_config_destroy(config);
    }
    wf_config *config; /* version 4 must say its norm, wherever the version comes from */
    assert_int_equal(load("{\"version\":\"3.5\","
                          "\"vocab_size\":50,\"embedding_dim\":12,"
                          "\"num_layers\":2,\"num_heads\":3,\"ffn_dim\":20,\"field_size\":9,"
                          "\"max_seq_len\":5}",
                          &config),
                     WF_OK);
    assert_int_equal(wf_config_validate(config), WF_OK);
    assert_int_equal(wf_config_set(config, "version=4"), WF_OK);
    assert_int_equal(wf_config_validate(config), WF_ERROR_ARGUMENT);
    assert_message("kernel_norm");
    assert_int_equal(wf_config_set(config, "kernel_norm=l1"), WF_OK);
    assert_int_equal(wf_config_validate(config), WF_OK);
    wf_config_destroy(config);
}

/* A list in the file where layers differ, a word where they do not; the same on the way back. */
static void mixers_are_saved_and_load(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"mixer=attention", "attention", "\"mixer\": \"attention\""},
        {"mixer=wave,attention,attention,wave", "wave,attention,attention,wave", "\"mixer\": ["},
        {"mixer=wave,wave,wave,wave", "wave", "\"mixer\": \"wave\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wf_config *config = create("demo");
        assert_int_equal(wf_config_set(config, cases[i][0]), WF_OK);
        assert_int_equal(wf_config_validate(config), WF_OK);
        assert_int_equal(wf_config_save(config, path), WF_OK);
        wf_config *loaded = create(path);
        assert_key(loaded, "mixer", cases[i][1]);
        char *first = config_print(config), *second = config_print(loaded);
        assert_string_equal(first, second);
        assert_non_null(strstr(first, cases[i][2]));
        free(first);
        free(second);
        wf_config_destroy(config);
        wf_config_destroy(loaded);
    }
    char cut[8];
    wf_config *config = create("demo");
    assert_int_equal(wf_config_set(config, "mixer=wave,attention,wave,wave"), WF_OK);
    assert_int_equal(wf_config_get(config, "mixer", cut, sizeof cut), WF_OK);
    assert_string_equal(cut, "wave,at");
    assert_int_equal(wf_config_set(config, "num_layers=3"), WF_OK);
    assert_int_equal(wf_config_validate(config), WF_ERROR_ARGUMENT);
    assert_message("one for each of 3 layers, found 4");
    wf_config_destroy(config);
}

/* Without a wave the keys of the field need not be there, and where they are nobody minds them. */
static void attention_needs_no_field(void **state)
{
    (void)state;
    wf_config *config;
    assert_int_equal(load("{\"version\":\"4\",\"vocab_size\":50,\"embedding_dim\":12,"
                          "\"num_layers\":2,\"num_heads\":3,\"ffn_dim\":20,\"max_seq_len\":5,"
                          "\"mixer\":[\"attention\",\"attention\"]}",
                          &config),
                     WF_OK);
    assert_int_equal(wf_config_validate(config), WF_OK);
    assert_key(config, "mixer", "attention");
    assert_int_equal(wf_config_save(config, path), WF_OK);
    wf_config *loaded = create(path);
    char *first = config_print(config), *second = config_print(loaded);
    assert_string_equal(first, second);
    assert_null(strstr(first, "field_size"));
    free(first);
    free(second);
    wf_config_destroy(loaded);
    assert_int_equal(wf_config_set(config, "mixer=attention,wave"), WF_OK);
    assert_int_equal(wf_config_validate(config), WF_ERROR_ARGUMENT);
    assert_message("kernel_norm");
    assert_int_equal(wf_config_set(config, "kernel_norm=l1"), WF_OK);
    assert_int_equal(wf_config_validate(config), WF_ERROR_ARGUMENT);
    assert_message("\"field_size\" is missing");
    assert_int_equal(wf_config_set(config, "field_size=9"), WF_OK);
    assert_int_equal(wf_config_validate(config), WF_OK);
    wf_config_destroy(config);

    static const char *const unminded[] = {"mixer=attention", "spectral_gate=true",
                                           "kernel_norm=dc", "field_size=3"};
    config = create("v3.5-6m");
    for (int i = 0; i < 4; i++) assert_int_equal(wf_config_set(config, unminded[i]), WF_OK);
    assert_int_equal(wf_config_validate(config), WF_OK);
    assert_int_equal(wf_config_set(config, "mixer=wave"), WF_OK);
    assert_int_equal(wf_config_validate(config), WF_ERROR_ARGUMENT);
    wf_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_are_those_specified),
        cmocka_unit_test(training_starts_where_specified),
        cmocka_unit_test(a_saved_configuration_loads),
        cmocka_unit_test(overrides),
        cmocka_unit_test(absent_keys_have_defaults),
        cmocka_unit_test(a_byte_order_mark_is_passed_over),
        cmocka_unit_test(numbers_have_a_point_in_every_locale),
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(keys_must_fit_together),
        cmocka_unit_test(mixers_are_saved_and_load),
        cmocka_unit_test(attention_needs_no_field),
        cmocka_unit_test(names_that_are_neither_preset_nor_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
