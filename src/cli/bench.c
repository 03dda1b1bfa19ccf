/* wavefield bench: the figures of docs/benchmarks.md, measured here and now. */
#include "check/measure.h"
#include "cli/common.h"

#include "base/files.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct BenchValues {
    const char *device, *figure, *json;
} BenchValues;

static void print_measurement(const MeasureRow *row, const Measurement *m)
{
    printf("%-12s %s\n%12s %.3f ms over %.3f ms = %.3f, target %.4g%s", row->name, row->title, "",
           1e3 * m->seconds, 1e3 * m->against, m->ratio, row->target,
           m->ratio <= row->target ? "" : " (missed)");
    if (m->bytes > 0)
        printf("; %.2f GB/s against %.2f GB/s", 1e-9 * m->bytes / m->seconds,
               1e-9 * m->bytes / m->against);
    putchar('\n');
    fflush(stdout);
}

static json_t *measurement_json(const MeasureRow *row, const Measurement *m)
{
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f}", "figure", row->name, "title", row->title,
                     "seconds", m->seconds, "against_seconds", m->against, "ratio", m->ratio,
                     "target", row->target);
}

static wf_status write_json(const char *path, const char *device, json_t *figures)
{
    json_t *root = json_pack("{s:s, s:O}", "device", device, "figures", figures);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    wf_status status = text ? file_write_atomic(path, text, strlen(text))
                            : fail(WF_ERROR_MEMORY, "out of memory for %s", path);
    free(text);
    json_decref(root);
    return status;
}

static wf_status measure_rows_on(wf_device *device, const BenchValues *v, json_t *figures)
{
    int measured = 0;
    for (int i = 0; i < n_measure_rows; i++) {
        const MeasureRow *row = &measure_rows[i];
        Measurement m = {0};
        if (v->figure && strcmp(v->figure, row->name)) continue;
        measured++;
        wf_status status = row->run(device, &m);
        if (status == WF_ERROR_UNSUPPORTED) {
            printf("%-12s %s\n%12s missing: %s\n", row->name, row->title, "", wf_error_message());
            continue;
        }
        TRY(status);
        print_measurement(row, &m);
        json_array_append_new(figures, measurement_json(row, &m));
    }
    if (measured) return WF_OK;
    return fail(WF_ERROR_ARGUMENT, "no figure \"%s\": field-copy, field-scan, step, decode",
                v->figure);
}

static wf_status bench(const BenchValues *v)
{
    wf_device *device;
    wf_device_info info;
    TRY(device_open("bench", v->device, &device));
    wf_device_describe(device, &info);
    printf("%s: %s (%s); medians of runs in turns\n\n", info.id, info.name, info.driver);
    fflush(stdout);
    json_t *figures = json_array();
    wf_status status = measure_rows_on(device, v, figures);
    if (!status && v->json) status = write_json(v->json, info.id, figures);
    json_decref(figures);
    wf_device_close(device);
    return status;
}

static int run(const void *values)
{
    return finish("bench", bench(values));
}

static const Option options[] = {
    OPTION_DEVICE(BenchValues),
    OPTION(BenchValues, figure, "figure", TEXT, "NAME", NULL, "only this figure",
           CHOICES("field-copy", "field-scan", "step", "decode")),
    OPTION(BenchValues, json, "json", TEXT, "FILE", NULL, "write the figures as JSON too",
           .names = NAMES_FILE),
};

const Subcommand command_bench = {
    .name = "bench",
    .summary = "measure the figures of docs/benchmarks.md",
    .details = "Each figure is a ratio of two things timed in turns in this run, so that it does "
               "not depend on how busy the machine is.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "All figures on the CPU, kept as JSON:\n"
                "  wavefield bench --device cpu --json bench.json\n",
    .values_size = sizeof(BenchValues),
    .run = run,
};
