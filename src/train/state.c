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

/* ---- writing ---- */

static json_t *state_to_json(const TrainingState *state)
{
    char fingerprint[32], tuning[32];
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, state->fingerprint);
    snprintf(tuning, sizeof tuning, "%016" PRIx64, state->tuning);
    const wf_progress *progress = &state->progress;
    return json_pack(
        "{s:i, s:I, s:I, s:I, s:{s:f, s:I, s:I}, s:{s:f, s:I}, s:{s:s, s:I, s:I}, s:s, s:o}",
        "format", FORMAT, "step", (json_int_t)progress->step, "tokens",
        (json_int_t)progress->tokens, "evaluated", (json_int_t)progress->evaluated, "best", "loss",
        progress->best_loss, "step", (json_int_t)progress->best_step, "since",
        (json_int_t)progress->since_best, "loss_scale", "scale", state->loss_scale.scale, "good",
        (json_int_t)state->loss_scale.good, "data", "fingerprint", fingerprint, "epoch",
        (json_int_t)state->cursor.epoch, "position", (json_int_t)state->cursor.position, "tuning",
        tuning, "settings", settings_to_json(&state->settings));
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

static wf_status read_count(const json_t *object, const char *key, const char *path, int64_t *out)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return fail(WF_ERROR_FORMAT, "%s: %s: expected a count, found %s", path, key,
                    value ? "something else" : "nothing");
    *out = json_integer_value(value);
    if (*out <= LARGEST_COUNT) return WF_OK;
    return fail(WF_ERROR_FORMAT, "%s: %s: expected a count of at most %lld, found %lld", path, key,
                (long long)LARGEST_COUNT, (long long)*out);
}

/* One that earlier versions did not write. */
static wf_status read_new_count(const json_t *object, const char *key, const char *path,
                                int64_t *out)
{
    *out = 0;
    return json_object_get(object, key) ? read_count(object, key, path, out) : WF_OK;
}

static wf_status read_best(const json_t *best, const char *path, wf_progress *progress)
{
    const json_t *loss = json_object_get(best, "loss");
    if (!json_is_number(loss) || json_number_value(loss) < 0)
        return fail(WF_ERROR_FORMAT, "%s: best: loss: expected a number of 0 or more", path);
    progress->best_loss = json_number_value(loss);
    TRY(read_new_count(best, "since", path, &progress->since_best));
    return read_count(best, "step", path, &progress->best_step);
}

/* Only f16 has one, and earlier versions wrote none. */
static wf_status read_loss_scale(const json_t *object, const char *path, TrainingState *state)
{
    const json_t *scale = json_object_get(object, "scale");
    DType storage;
    TRY(model_storage(state->settings.precision, &storage));
    state->loss_scale = loss_scale_first(storage);
    if (!object) return WF_OK;
    int exponent;
    double value = json_number_value(scale);
    bool power = isfinite(value) && frexp(value, &exponent) == 0.5 && value >= 1 && value <= 0x1p60;
    if (!power || (storage != DTYPE_F16 && value != 1))
        return fail(WF_ERROR_FORMAT, "%s: loss_scale: scale: expected %s, found %g", path,
                    storage == DTYPE_F16 ? "a power of two from 1 on" : "1", value);
    state->loss_scale.scale = value;
    return read_count(object, "good", path, &state->loss_scale.good);
}

static wf_status read_hash(const json_t *value, const char *key, const char *path, uint64_t *out)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return fail(WF_ERROR_FORMAT, "%s: %s: expected 16 hexadecimal digits", path, key);
    *out = strtoull(text, NULL, 16);
    return WF_OK;
}

/* Earlier versions wrote none. */
static wf_status read_tuning(const json_t *value, const char *path, TrainingState *state)
{
    return value ? read_hash(value, "tuning", path, &state->tuning) : WF_OK;
}

static wf_status read_data(const json_t *data, const char *path, TrainingState *state)
{
    TRY(read_hash(json_object_get(data, "fingerprint"), "data: fingerprint", path,
                  &state->fingerprint));
    TRY(read_count(data, "epoch", path, &state->cursor.epoch));
    return read_count(data, "position", path, &state->cursor.position);
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
    int64_t format = 0;
    *state = (TrainingState){0};
    TRY(read_count(object, "format", path, &format));
    if (format != FORMAT)
        return fail(WF_ERROR_UNSUPPORTED, "%s: format %lld, expected %d", path, (long long)format,
                    FORMAT);
    TRY(read_count(object, "step", path, &state->progress.step));
    TRY(read_count(object, "tokens", path, &state->progress.tokens));
    TRY(read_new_count(object, "evaluated", path, &state->progress.evaluated));
    TRY(read_best(json_object_get(object, "best"), path, &state->progress));
    TRY(check_steps(&state->progress, path));
    TRY(read_data(json_object_get(object, "data"), path, state));
    TRY(read_tuning(json_object_get(object, "tuning"), path, state));
    TRY(settings_from_json(json_object_get(object, "settings"), path, &state->settings));
    TRY(read_loss_scale(json_object_get(object, "loss_scale"), path, state));
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
