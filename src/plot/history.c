#include "plot/history.h"

#include "base/array.h"
#include "base/files.h"

#include <jansson.h>
#include <limits.h>
#include <string.h>

/* Where a line stands, for messages. */
typedef struct Line {
    const char *path;
    int64_t number;
    json_t *object;
} Line;

static const char *kind_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING: return "a string";
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_NULL: return "null";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    default: return "a number";
    }
}

static wf_status read_real(const Line *line, const char *key, double *out)
{
    const json_t *value = json_object_get(line->object, key);
    if (!value)
        return fail(WF_ERROR_FORMAT, "%s: line %lld has no key \"%s\"", line->path,
                    (long long)line->number, key);
    if (!json_is_number(value))
        return fail(WF_ERROR_FORMAT, "%s: line %lld: \"%s\": expected a number, found %s",
                    line->path, (long long)line->number, key, kind_name(value));
    *out = json_number_value(value);
    if (*out >= 0) return WF_OK;
    return fail(WF_ERROR_FORMAT, "%s: line %lld: \"%s\": expected 0 or more, found %g", line->path,
                (long long)line->number, key, *out);
}

static wf_status read_step(const Line *line, int64_t *out)
{
    const json_t *value = json_object_get(line->object, "step");
    if (!value)
        return fail(WF_ERROR_FORMAT, "%s: line %lld has no key \"step\"", line->path,
                    (long long)line->number);
    if (!json_is_integer(value) || json_integer_value(value) < 1)
        return fail(WF_ERROR_FORMAT,
                    "%s: line %lld: \"step\": expected a whole number of 1 or more, found %s%.17g",
                    line->path, (long long)line->number,
                    json_is_number(value) ? "" : kind_name(value), json_number_value(value));
    *out = json_integer_value(value);
    return WF_OK;
}

static wf_status fail_order(const Line *line, int64_t step, int64_t before)
{
    return fail(WF_ERROR_FORMAT, "%s: line %lld: \"step\": expected more than %lld, found %lld",
                line->path, (long long)line->number, (long long)before, (long long)step);
}

static wf_status out_of_memory(const Line *line)
{
    return fail(WF_ERROR_MEMORY, "%s: out of memory for line %lld", line->path,
                (long long)line->number);
}

static wf_status add_step(History *history, const Line *line)
{
    HistoryStep step;
    TRY(read_step(line, &step.step));
    TRY(read_real(line, "loss", &step.loss));
    TRY(read_real(line, "accuracy", &step.accuracy));
    TRY(read_real(line, "gradient_norm", &step.gradient_norm));
    TRY(read_real(line, "learning_rate", &step.learning_rate));
    TRY(read_real(line, "tokens", &step.tokens));
    TRY(read_real(line, "seconds", &step.seconds));
    int n = history->n_steps;
    if (n > 0 && history->steps[n - 1].step >= step.step)
        return fail_order(line, step.step, history->steps[n - 1].step);
    if (n == INT_MAX / 2 ||
        !array_reserve((void **)&history->steps, n, &history->step_capacity, sizeof step))
        return out_of_memory(line);
    history->steps[history->n_steps++] = step;
    return WF_OK;
}

static wf_status add_evaluation(History *history, const Line *line)
{
    HistoryEvaluation evaluation;
    TRY(read_step(line, &evaluation.step));
    TRY(read_real(line, "held_out_loss", &evaluation.loss));
    TRY(read_real(line, "held_out_accuracy", &evaluation.accuracy));
    int n = history->n_evaluations;
    if (n > 0 && history->evaluations[n - 1].step >= evaluation.step)
        return fail_order(line, evaluation.step, history->evaluations[n - 1].step);
    if (n == INT_MAX / 2 || !array_reserve((void **)&history->evaluations, n,
                                           &history->evaluation_capacity, sizeof evaluation))
        return out_of_memory(line);
    history->evaluations[history->n_evaluations++] = evaluation;
    return WF_OK;
}

/* Keys beyond those read are let be: a later version may write more. */
static wf_status add_line(History *history, const Line *line)
{
    if (!json_is_object(line->object))
        return fail(WF_ERROR_FORMAT, "%s: line %lld: expected an object, found %s", line->path,
                    (long long)line->number, kind_name(line->object));
    if (json_object_get(line->object, "held_out_loss")) return add_evaluation(history, line);
    return add_step(history, line);
}

static wf_status read_lines(const char *path, const char *data, size_t size, History *history)
{
    Line line = {.path = path};
    for (size_t at = 0, length; at < size; at += length + 1) {
        const char *end = memchr(data + at, '\n', size - at);
        length = end ? (size_t)(end - data) - at : size - at;
        line.number++;
        json_error_t error;
        line.object = json_loadb(data + at, length, JSON_REJECT_DUPLICATES, &error);
        if (!line.object && !end) {
            history->unfinished = line.number;
            return WF_OK;
        }
        if (!line.object)
            return fail(WF_ERROR_FORMAT, "%s: line %lld is no JSON: %s", path,
                        (long long)line.number, error.text);
        wf_status status = add_line(history, &line);
        json_decref(line.object);
        TRY(status);
    }
    return WF_OK;
}

wf_status history_read(const char *path, History *out)
{
    const size_t most = (size_t)1 << 34;
    History history = {0};
    char *data;
    size_t size;
    TRY(file_read(path, most, &data, &size));
    wf_status status = read_lines(path, data, size, &history);
    free(data);
    if (status) {
        history_destroy(&history);
        return status;
    }
    *out = history;
    return WF_OK;
}

void history_destroy(History *history)
{
    free(history->steps);
    free(history->evaluations);
    *history = (History){0};
}
