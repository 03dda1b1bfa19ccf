/* What the tests of training share: a tiny model, data it can learn, and comparisons of bits.
 * Includes cmocka, whose macro fail() hides the library's: other headers come before this one. */
#ifndef TESTS_TRAIN_FIXTURE_H
#define TESTS_TRAIN_FIXTURE_H

#include "base/rng.h"
#include "train/trainer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FIXTURE_VOCABULARY = 11 };

typedef struct Fixture {
    wf_device *device;
    wf_dataset *data;
    wf_model *model;
    wf_trainer *trainer;
} Fixture;

/* A step of any trainer must do. */
static inline void must(wf_status status)
{
    if (status) fprintf(stderr, "%s: %s\n", wf_status_name(status), wf_error_message());
    assert_int_equal(status, WF_OK);
}

/* The message of the last failure holds `part`. */
static inline void assert_message(const char *part)
{
    if (!strstr(wf_error_message(), part))
        fprintf(stderr, "message \"%s\" lacks \"%s\"\n", wf_error_message(), part);
    assert_non_null(strstr(wf_error_message(), part));
}

static inline wf_config *fixture_config(const char *const *settings)
{
    static const char *const shape[] = {
        "embedding_dim=12", "num_layers=2",   "num_heads=3",   "ffn_dim=20",
        "field_size=41",    "max_seq_len=17", "vocab_size=11", "interference_interval=2"};
    wf_config *config;
    must(wf_config_create("demo", &config));
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) must(wf_config_set(config, shape[i]));
    for (; settings && *settings; settings++) must(wf_config_set(config, *settings));
    return config;
}

/* Each token follows from the one before, one time in eight by chance. */
static inline wf_dataset *fixture_data(int64_t n, uint64_t seed)
{
    int32_t *tokens = malloc((size_t)n * sizeof *tokens), token = 1;
    assert_non_null(tokens);
    Rng rng = {.seed = seed};
    for (int64_t i = 0; i < n; i++) {
        bool surprise = rng_below(&rng, 8) == 0;
        token = surprise ? (int32_t)rng_below(&rng, FIXTURE_VOCABULARY)
                         : (2 * token + 3) % FIXTURE_VOCABULARY;
        tokens[i] = token;
    }
    wf_dataset *data;
    must(wf_dataset_from_tokens(tokens, n, FIXTURE_VOCABULARY, 0.1, &data));
    free(tokens);
    return data;
}

static inline Fixture fixture_open(wf_device *device, const char *const *settings,
                                   const wf_trainer_params *params)
{
    Fixture f = {.device = device, .data = fixture_data(700, 5)};
    wf_config *config = fixture_config(settings);
    must(wf_model_create(f.device, config, 3, &f.model));
    wf_config_destroy(config);
    must(wf_trainer_create(f.model, f.data, params, &f.trainer));
    return f;
}

/* Opened once a program. */
static inline wf_device *fixture_cpu(void)
{
    static wf_device *device;
    if (!device) must(wf_device_open("cpu", &device));
    return device;
}

static inline Fixture fixture_on_cpu(const char *const *settings, const wf_trainer_params *params)
{
    return fixture_open(fixture_cpu(), settings, params);
}

#define SETTINGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline void fixture_close(Fixture *f)
{
    wf_trainer_destroy(f->trainer);
    wf_model_destroy(f->model);
    wf_dataset_destroy(f->data);
}

/* All parameters' elements of a sequence, one after the other; the caller frees them. */
static inline float *sequence_floats(const Sequence *sequence, const ParameterList *parameters)
{
    int64_t at = 0;
    float *values = malloc((size_t)parameters_elements(parameters) * sizeof *values);
    assert_non_null(values);
    for (int i = 0; i < parameters->count; i++) {
        must(sequence_read(sequence, i, values + at));
        at += shape_elements(parameters->items[i].shape);
    }
    return values;
}

static inline bool same_bits(const Sequence *a, const Sequence *b, const ParameterList *parameters)
{
    float *x = sequence_floats(a, parameters), *y = sequence_floats(b, parameters);
    bool same = memcmp(x, y, (size_t)parameters_elements(parameters) * sizeof *x) == 0;
    free(x);
    free(y);
    return same;
}

/* Parameters and both moments. */
static inline void assert_same_training(const wf_trainer *a, const wf_trainer *b)
{
    const ParameterList *parameters = &a->model->parameters;
    assert_true(same_bits(&a->model->values, &b->model->values, parameters));
    assert_true(same_bits(&a->programs.optimizer.first, &b->programs.optimizer.first, parameters));
    assert_true(
        same_bits(&a->programs.optimizer.second, &b->programs.optimizer.second, parameters));
    assert_memory_equal(&a->progress, &b->progress, sizeof a->progress);
}

#endif
