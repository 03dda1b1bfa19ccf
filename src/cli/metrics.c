#include "cli/metrics.h"

#include "base/files.h"
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Metrics {
    char *path;
    FILE *file;
};

/* The lines of steps up to `step`; a line cut short by a crash is dropped. */
static void keep_lines(const char *data, int64_t step, Text *kept)
{
    while (*data) {
        size_t length = strcspn(data, "\n");
        json_t *line = json_loadb(data, length, 0, NULL);
        json_t *of = json_object_get(line, "step");
        if (data[length] && json_is_integer(of) && json_integer_value(of) <= step)
            text_append_bytes(kept, data, length + 1);
        json_decref(line);
        data += length + (data[length] == '\n');
    }
}

static wf_status truncate_after(const char *path, int64_t step)
{
    const size_t most = (size_t)1 << 34;
    Text kept = {0};
    char *data = NULL;
    size_t size;
    wf_status status = WF_OK;
    if (step > 0 && file_exists(path)) status = file_read(path, most, &data, &size);
    if (data) keep_lines(data, step, &kept);
    if (kept.failed) status = fail(WF_ERROR_MEMORY, "out of memory for %s", path);
    if (!status) status = file_write_atomic(path, kept.data ? kept.data : "", kept.length);
    text_destroy(&kept);
    free(data);
    return status;
}

wf_status metrics_open(const char *folder, int64_t step, Metrics **out)
{
    Metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics) metrics->path = path_join(folder, "metrics.jsonl");
    if (!metrics || !metrics->path) {
        free(metrics);
        return fail(WF_ERROR_MEMORY, "out of memory for metrics");
    }
    wf_status status = folder_make(folder);
    if (!status) status = truncate_after(metrics->path, step);
    if (!status && !(metrics->file = fopen(metrics->path, "a")))
        status = fail(WF_ERROR_IO, "%s: %s", metrics->path, strerror(errno));
    if (status) {
        metrics_close(metrics);
        return status;
    }
    *out = metrics;
    return WF_OK;
}

void metrics_close(Metrics *metrics)
{
    if (!metrics) return;
    if (metrics->file) fclose(metrics->file);
    free(metrics->path);
    free(metrics);
}

json_t *metrics_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* Takes the object. */
static wf_status append(Metrics *metrics, json_t *line)
{
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(line);
    if (!text) return fail(WF_ERROR_MEMORY, "out of memory for metrics");
    errno = 0;
    bool written = fprintf(metrics->file, "%s\n", text) > 0 && fflush(metrics->file) == 0;
    free(text);
    if (written) return WF_OK;
    return fail(WF_ERROR_IO, "%s: %s", metrics->path, strerror(errno));
}

wf_status metrics_step(Metrics *metrics, const wf_step_stats *s, double seconds)
{
    json_t *line =
        json_pack("{s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:f}", "step", (json_int_t)s->step, "loss",
                  s->loss, "accuracy", s->accuracy, "gradient_norm", s->gradient_norm,
                  "learning_rate", s->learning_rate, "tokens", (json_int_t)s->tokens,
                  "total_tokens", (json_int_t)s->total_tokens, "seconds", seconds);
    if (line && s->loss_scale != 1 &&
        json_object_set_new(line, "loss_scale", json_real(s->loss_scale))) {
        json_decref(line);
        line = NULL;
    }
    return append(metrics, line);
}

wf_status metrics_evaluation(Metrics *metrics, const wf_progress *at, const wf_evaluation *e)
{
    return append(metrics,
                  json_pack("{s:I, s:f, s:o, s:f, s:f, s:I, s:I}", "step", (json_int_t)at->step,
                            "held_out_loss", e->loss, "held_out_perplexity",
                            metrics_number(e->perplexity), "held_out_accuracy", e->accuracy,
                            "held_out_bits_per_byte", e->bits_per_byte, "held_out_tokens",
                            (json_int_t)e->tokens, "total_tokens", (json_int_t)at->tokens));
}
