#include "train/state.h"

#include "base/files.h"
#include "model/model.h"
#include "train/settings.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, SIZE_LIMIT = 1 << 20 };

/* Beyond any run; sums of counts and products with a step's batches stay far from overflow. */
static const int64_t LARGEST_COUNT = (int64_t)1 << 53;

static wf_status out_of_memory(const char *path)
{
    return fail(WF_ERROR_MEMORY, "%s: out of memory", path);
}

/* ---- the keys ---- */

typedef enum KeyKind {
    KEY_COUNT,
    KEY_LOSS,
    KEY_SCALE, /* a power of two; 0: what a run of its precision begins with */
    KEY_HASH,  /* 16 hexadecimal digits */
    KEY_TEXT   /* what computed_by_text() takes */
} KeyKind;

typedef struct Key {
    const char *object; /* that holds it; NULL: the file's own */
    const char *name;
    KeyKind kind;
    size_t offset;
    const char
        *absent; /* what it means that an earlier version wrote none, as JSON; NULL: all did */
} Key;

#define AT(field) offsetof(TrainingState, field)

static const Key keys[] = {
    {NULL, "step", KEY_COUNT, AT(progress.step), NULL},
    {NULL, "tokens", KEY_COUNT, AT(progress.tokens), NULL},
    {NULL, "evaluated", KEY_COUNT, AT(progress.evaluated), "0"},
    {"best", "loss", KEY_LOSS, AT(progress.best_loss), NULL},
    {"best", "step", KEY_COUNT, AT(progress.best_step), NULL},
    {"best", "since", KEY_COUNT, AT(progress.since_best), "0"},
    {"loss_scale", "scale", KEY_SCALE, AT(loss_scale.scale), "0"},
    {"loss_scale", "good", KEY_COUNT, AT(loss_scale.good), "0"},
    {"data", "fingerprint", KEY_HASH, AT(fingerprint), NULL},
    {"data", "epoch", KEY_COUNT, AT(cursor.epoch), NULL},
    {"data", "position", KEY_COUNT, AT(cursor.position), NULL},
    {NULL, "device", KEY_TEXT, AT(computed_by.device), "\"\""},
    {NULL, "driver", KEY_TEXT, AT(computed_by.driver), "\"\""},
    {NULL, "products", KEY_TEXT, AT(computed_by.products), "\"\""},
    {NULL, "tuning", KEY_HASH, AT(computed_by.tuning), "\"0000000000000000\""},
};
enum { N_KEYS = sizeof keys / sizeof *keys };

/* ---- writing ---- */

static json_t *key_to_json(const TrainingState *state, const Key *key)
{
    const void *field = (const char *)state + key->offset;
    char text[32];
    switch (key->kind) {
    case KEY_COUNT: return json_integer(*(const int64_t *)field);
    case KEY_LOSS:
    case KEY_SCALE: return json_real(*(const double *)field);
    case KEY_TEXT: return json_string(field);
    case KEY_HASH: break;
    }
    snprintf(text, sizeof text, "%016" PRIx64, *(const uint64_t *)field);
    return json_string(text);
}

/* Takes the value. False: out of memory. */
static bool put(json_t *root, const Key *key, json_t *value)
{
    json_t *object = key->object ? json_object_get(root, key->object) : root;
    if (!object && !json_object_set_new(root, key->object, json_object()))
        object = json_object_get(root, key->object);
    return json_object_set_new(object, key->name, value) == 0;
}

static json_t *state_to_json(const TrainingState *state)
{
    json_t *root = json_pack("{s:i}", "format", FORMAT);
    bool made = root != NULL;
    for (int i = 0; i < N_KEYS && made; i++)
        made = put(root, &keys[i], key_to_json(state, &keys[i]));
    made = made && !json_object_set_new(root, "settings", settings_to_json(&state->settings));
    if (made) return root;
    json_decref(root);
    return NULL;
}

wf_status state_save(const TrainingState *state, const char *path)
{
    json_t *object = state_to_json(state);
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    wf_status status = text ? file_write_atomic(path, text, strlen(text)) : out_of_memory(path);
    free(text);
    json_decref(object);
    return status;
}

/* ---- reading ---- */

/* "state.json: best: step: expected a count, found nothing" */
static wf_status fail_key(const char *path, const Key *key, const char *expected,
                          const json_t *found)
{
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) : NULL;
    fail(WF_ERROR_FORMAT, "%s: %s%s%s: expected %s, found %.100s", path,
         key->object ? key->object : "", key->object ? ": " : "", key->name, expected,
         text ? text : "nothing");
    free(text);
    return WF_ERROR_FORMAT;
}

static bool is_scale(double value)
{
    int exponent;
    bool power = frexp(value, &exponent) == 0.5 && value >= 1 && value <= 0x1p60;
    return value == 0 || power;
}

static bool is_hash(const char *text)
{
    return text && strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16;
}

static wf_status key_from_json(const json_t *value, const Key *key, const char *path,
                               TrainingState *state)
{
    void *field = (char *)state + key->offset;
    int64_t count = json_integer_value(value);
    double number = json_number_value(value);
    switch (key->kind) {
    case KEY_COUNT:
        *(int64_t *)field = count;
        if (json_is_integer(value) && count >= 0 && count <= LARGEST_COUNT) return WF_OK;
        return fail_key(path, key, "a count of at most 2^53", value);
    case KEY_LOSS:
        *(double *)field = number;
        if (json_is_number(value) && number >= 0) return WF_OK;
        return fail_key(path, key, "a number of 0 or more", value);
    case KEY_SCALE:
        *(double *)field = number;
        if (json_is_number(value) && is_scale(number)) return WF_OK;
        return fail_key(path, key, "a power of two from 1 on", value);
    case KEY_HASH:
        if (!is_hash(json_string_value(value)))
            return fail_key(path, key, "16 hexadecimal digits", value);
        *(uint64_t *)field = strtoull(json_string_value(value), NULL, 16);
        return WF_OK;
    case KEY_TEXT:
        if (!json_is_string(value)) return fail_key(path, key, "a text", value);
        computed_by_text(field, json_string_value(value));
        return WF_OK;
    }
    return WF_OK;
}

static wf_status read_key(const json_t *root, const Key *key, const char *path,
                          TrainingState *state)
{
    const json_t *object = key->object ? json_object_get(root, key->object) : root;
    json_t *value = settings_value(object, key->name, key->absent);
    wf_status status = key_from_json(value, key, path, state);
    json_decref(value);
    return status;
}

/* Only f16 has one. */
static wf_status check_loss_scale(TrainingState *state, const char *path)
{
    DType storage;
    LossScale *found = &state->loss_scale;
    TRY(model_storage(state->settings.precision, &storage));
    if (found->scale == 0) *found = loss_scale_first(storage);
    if (found->scale == 1 || storage == DTYPE_F16) return WF_OK;
    return fail(WF_ERROR_FORMAT, "%s: loss_scale: scale: expected 1, found %g", path, found->scale);
}

/* Nothing was evaluated after steps that are still to come. */
static wf_status check_steps(const wf_progress *progress, const char *path)
{
    if (progress->evaluated <= progress->step && progress->best_step <= progress->step)
        return WF_OK;
    return fail(WF_ERROR_FORMAT, "%s: evaluated after step %lld and best after step %lld of %lld",
                path, (long long)progress->evaluated, (long long)progress->best_step,
                (long long)progress->step);
}

static wf_status state_from_json(const json_t *object, const char *path, TrainingState *state)
{
    const json_t *format = json_object_get(object, "format");
    *state = (TrainingState){0};
    if (!json_is_integer(format))
        return fail(WF_ERROR_FORMAT, "%s: format: expected %d, found %s", path, FORMAT,
                    format ? "something else" : "nothing");
    if (json_integer_value(format) != FORMAT)
        return fail(WF_ERROR_UNSUPPORTED, "%s: format %lld, expected %d", path,
                    (long long)json_integer_value(format), FORMAT);
    for (int i = 0; i < N_KEYS; i++) TRY(read_key(object, &keys[i], path, state));
    TRY(check_steps(&state->progress, path));
    TRY(settings_from_json(json_object_get(object, "settings"), path, &state->settings));
    TRY(check_loss_scale(state, path));
    state->progress.steps = state->settings.steps;
    state->cursor.seed = state->settings.seed;
    return WF_OK;
}

wf_status state_load(const char *path, TrainingState *state)
{
    char *text;
    size_t size;
    json_error_t error;
    TRY(file_read(path, SIZE_LIMIT, &text, &size));
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    wf_status status = object
                           ? state_from_json(object, path, state)
                           : fail(WF_ERROR_FORMAT, "%s: line %d: %s", path, error.line, error.text);
    json_decref(object);
    free(text);
    return status;
}
