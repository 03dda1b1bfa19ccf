#include "train/settings.h"

#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum SettingKind {
    SETTING_INTEGER,
    SETTING_REAL,
    SETTING_FLAG,
    SETTING_SEED, /* 64 bits; a string in JSON, whose integers are signed */
    SETTING_EVALUATOR,
    SETTING_PRECISION
} SettingKind;

typedef struct Setting {
    const char *name;
    SettingKind kind;
    size_t offset;
    double least;       /* of a resolved number */
    bool free;          /* a resumed run may have another */
    const char *absent; /* what it means that a checkpoint lacks it, as JSON; NULL: none does */
} Setting;

#define AT(field) offsetof(wf_trainer_params, field)

static const Setting settings_table[] = {
    {"batch_size", SETTING_INTEGER, AT(batch_size), 1, false, NULL},
    {"sequence_length", SETTING_INTEGER, AT(sequence_length), 1, false, NULL},
    {"accumulation", SETTING_INTEGER, AT(accumulation), 1, false, NULL},
    {"steps", SETTING_INTEGER, AT(steps), 1, false, NULL},
    {"warmup", SETTING_INTEGER, AT(warmup), 0, false, NULL},
    {"learning_rate", SETTING_REAL, AT(learning_rate), 0, false, NULL},
    {"min_learning_rate", SETTING_REAL, AT(min_learning_rate), 0, false, NULL},
    {"weight_decay", SETTING_REAL, AT(weight_decay), 0, false, NULL},
    {"clip", SETTING_REAL, AT(clip), 0, false, NULL},
    {"qk_lr_mult", SETTING_REAL, AT(qk_lr_mult), 0, false, NULL},
    {"kernel_lr_mult", SETTING_REAL, AT(kernel_lr_mult), 0, false, NULL},
    {"seed", SETTING_SEED, AT(seed), 0, false, NULL},
    {"evaluator", SETTING_EVALUATOR, AT(evaluator), 0, false, NULL},
    {"precision", SETTING_PRECISION, AT(precision), 0, false, "\"f32\""},
    {"recompute", SETTING_FLAG, AT(recompute), 0, true, "false"}, /* the same bits */
    {"eval_every", SETTING_INTEGER, AT(eval_every), 0, true, "0"},
    {"patience", SETTING_INTEGER, AT(patience), 0, true, "0"},
};
enum { N_SETTINGS = sizeof settings_table / sizeof *settings_table };

static const char *const evaluators[] = {
    [FIELD_SCAN] = "scan", [FIELD_FFT] = "fft", [FIELD_DIRECT] = "direct"};
enum { N_EVALUATORS = sizeof evaluators / sizeof *evaluators };

static const void *field_of(const wf_trainer_params *settings, const Setting *setting)
{
    return (const char *)settings + setting->offset;
}

/* A value as text; returns `text`. */
static const char *value_text(const wf_trainer_params *settings, const Setting *setting, char *text,
                              size_t size)
{
    const void *field = field_of(settings, setting);
    switch (setting->kind) {
    case SETTING_INTEGER: snprintf(text, size, "%" PRId64, *(const int64_t *)field); break;
    case SETTING_REAL: snprintf(text, size, "%.17g", *(const double *)field); break;
    case SETTING_FLAG: snprintf(text, size, "%s", *(const bool *)field ? "true" : "false"); break;
    case SETTING_SEED: snprintf(text, size, "%" PRIu64, *(const uint64_t *)field); break;
    case SETTING_EVALUATOR:
    case SETTING_PRECISION: snprintf(text, size, "%s", *(const char *const *)field); break;
    }
    return text;
}
#define VALUE_TEXT(settings, setting) value_text((settings), (setting), (char[64]){0}, 64)

/* ---- defaults and checks ---- */

static void fill_defaults(wf_trainer_params *s, const Config *config)
{
    TrainingDefaults defaults = config_training(config);
    if (s->batch_size == 0) s->batch_size = 8;
    if (s->sequence_length == 0) s->sequence_length = config->max_seq_len;
    if (s->accumulation == 0) s->accumulation = 1;
    if (s->steps == 0) s->steps = 1000;
    if (s->warmup == -1)
        s->warmup = config->preset[0] ? int64_min(defaults.warmup, s->steps / 5) : s->steps / 20;
    if (s->min_learning_rate < 0)
        s->min_learning_rate =
            s->learning_rate == 0 ? defaults.min_learning_rate : s->learning_rate / 10;
    if (s->learning_rate == 0) s->learning_rate = defaults.learning_rate;
    if (s->weight_decay < 0) s->weight_decay = defaults.weight_decay;
    if (s->clip < 0) s->clip = 1;
    if (s->qk_lr_mult == 0) s->qk_lr_mult = defaults.qk_multiplier;
    if (s->kernel_lr_mult == 0) s->kernel_lr_mult = defaults.kernel_multiplier;
}

static bool in_range(const wf_trainer_params *s, const Setting *setting)
{
    const void *field = field_of(s, setting);
    if (setting->kind == SETTING_INTEGER) return (double)*(const int64_t *)field >= setting->least;
    double value = *(const double *)field;
    return isfinite(value) && value >= setting->least;
}

static wf_status check_numbers(const wf_trainer_params *s)
{
    for (int i = 0; i < N_SETTINGS; i++) {
        const Setting *setting = &settings_table[i];
        if (setting->kind != SETTING_INTEGER && setting->kind != SETTING_REAL) continue;
        if (!in_range(s, setting))
            return fail(WF_ERROR_ARGUMENT, "%s: expected a number from %g on, found %s",
                        setting->name, setting->least, VALUE_TEXT(s, setting));
    }
    if (s->min_learning_rate > s->learning_rate)
        return fail(WF_ERROR_ARGUMENT,
                    "min_learning_rate: expected at most the learning_rate %g, found %g",
                    s->learning_rate, s->min_learning_rate);
    return WF_OK;
}

/* Tokens of a step are counted in 32 bits on the device. */
static wf_status check_sizes(const wf_trainer_params *s, const Config *config)
{
    if (s->sequence_length > config->max_seq_len)
        return fail(WF_ERROR_ARGUMENT,
                    "sequence_length: expected at most max_seq_len %lld, found %lld",
                    (long long)config->max_seq_len, (long long)s->sequence_length);
    if (s->batch_size > INT32_MAX / s->sequence_length ||
        s->accumulation > INT32_MAX / (s->batch_size * s->sequence_length))
        return fail(WF_ERROR_ARGUMENT,
                    "a step of %lld × %lld sequences of %lld tokens: expected at most %d tokens",
                    (long long)s->accumulation, (long long)s->batch_size,
                    (long long)s->sequence_length, INT32_MAX);
    return WF_OK;
}

wf_status settings_resolve(const wf_trainer_params *params, const Config *config,
                           wf_trainer_params *out)
{
    FieldEvaluator evaluator;
    DType storage;
    wf_trainer_params settings = *params;
    fill_defaults(&settings, config);
    TRY(check_numbers(&settings));
    TRY(check_sizes(&settings, config));
    TRY(model_evaluator(config, settings.evaluator, &evaluator));
    TRY(model_storage(settings.precision, &storage));
    settings.evaluator = evaluators[evaluator];
    settings.precision = dtype_name(storage);
    *out = settings;
    return WF_OK;
}

Schedule settings_schedule(const wf_trainer_params *settings)
{
    return (Schedule){
        .peak = settings->learning_rate,
        .minimum = settings->min_learning_rate,
        .warmup = settings->warmup,
        .steps = settings->steps,
    };
}

/* ---- in a checkpoint ---- */

static json_t *value_to_json(const wf_trainer_params *settings, const Setting *setting)
{
    const void *field = field_of(settings, setting);
    if (setting->kind == SETTING_INTEGER) return json_integer(*(const int64_t *)field);
    if (setting->kind == SETTING_REAL) return json_real(*(const double *)field);
    if (setting->kind == SETTING_FLAG) return json_boolean(*(const bool *)field);
    return json_string(VALUE_TEXT(settings, setting));
}

json_t *settings_to_json(const wf_trainer_params *settings)
{
    json_t *object = json_object();
    for (int i = 0; i < N_SETTINGS && object; i++) {
        const Setting *setting = &settings_table[i];
        if (!json_object_set_new(object, setting->name, value_to_json(settings, setting))) continue;
        json_decref(object);
        object = NULL;
    }
    return object;
}

static bool seed_from_text(const char *text, uint64_t *seed)
{
    char canonical[32];
    *seed = strtoull(text, NULL, 10);
    snprintf(canonical, sizeof canonical, "%" PRIu64, *seed);
    return strcmp(text, canonical) == 0;
}

static bool evaluator_from_text(const char *text, const char **evaluator)
{
    for (int i = 0; i < N_EVALUATORS; i++)
        if (strcmp(text, evaluators[i]) == 0) *evaluator = evaluators[i];
    return *evaluator != NULL;
}

static bool precision_from_text(const char *text, const char **precision)
{
    DType storage;
    if (model_storage(text, &storage)) return false;
    *precision = dtype_name(storage);
    return true;
}

static bool value_from_json(const json_t *value, const Setting *setting, wf_trainer_params *out)
{
    void *field = (char *)out + setting->offset;
    switch (setting->kind) {
    case SETTING_INTEGER:
        if (!json_is_integer(value)) return false;
        *(int64_t *)field = json_integer_value(value);
        return in_range(out, setting);
    case SETTING_REAL:
        if (!json_is_number(value)) return false;
        *(double *)field = json_number_value(value);
        return in_range(out, setting);
    case SETTING_FLAG: *(bool *)field = json_is_true(value); return json_is_boolean(value);
    case SETTING_SEED:
        return json_is_string(value) && seed_from_text(json_string_value(value), field);
    case SETTING_EVALUATOR:
        return json_is_string(value) && evaluator_from_text(json_string_value(value), field);
    case SETTING_PRECISION:
        return json_is_string(value) && precision_from_text(json_string_value(value), field);
    }
    return false;
}

json_t *settings_value(const json_t *object, const char *key, const char *absent)
{
    json_t *value = json_object_get(object, key);
    if (value) return json_incref(value);
    return absent ? json_loads(absent, JSON_DECODE_ANY, NULL) : NULL;
}

wf_status settings_from_json(const json_t *object, const char *file, wf_trainer_params *out)
{
    *out = (wf_trainer_params){0};
    for (int i = 0; i < N_SETTINGS; i++) {
        const Setting *setting = &settings_table[i];
        json_t *value = settings_value(object, setting->name, setting->absent);
        bool present = value != NULL, read = value && value_from_json(value, setting, out);
        json_decref(value);
        if (!read)
            return fail(WF_ERROR_FORMAT, "%s: settings: %s is %s", file, setting->name,
                        present ? "not a value it can have" : "missing");
    }
    return WF_OK;
}

wf_status settings_compare(const wf_trainer_params *settings, const wf_trainer_params *other,
                           const char *file)
{
    for (int i = 0; i < N_SETTINGS; i++) {
        const Setting *setting = &settings_table[i];
        if (setting->free) continue;
        const char *here = VALUE_TEXT(settings, setting), *there = VALUE_TEXT(other, setting);
        if (strcmp(here, there) != 0)
            return fail(WF_ERROR_ARGUMENT, "%s: was trained with %s = %s, this trainer has %s",
                        file, setting->name, there, here);
    }
    return WF_OK;
}
