/* wavefield bench: the figures of docs/benchmarks.md, measured here and now. */
#include "check/measure.h"
#include "check/rates.h"
#include "cli/common.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct BenchValues {
    const char *device, *figure, *json, *preset, *precision;
    TextList set;
    int64_t batch_size, sequence_length;
    bool quick;
} BenchValues;

/* A run of the command. */
typedef struct BenchCommand {
    const BenchValues *values;
    wf_device_info info;
    wf_config *config;
    bool quick;
    json_t *figures, *rates;
    bool begun; /* the table of rates */
} BenchCommand;

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

/* ---- rates: a table in Markdown ---- */

static const char *rate_print(const Rate *rate, char *text, size_t size)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
    double value = rate->per_run / rate->seconds;
    int prefix = 0;
    bool plain = !strcmp(rate->unit, "tokens/s");
    for (; !plain && value >= 1000 && prefix < 5; prefix++) value /= 1000;
    snprintf(text, size, "%.*f %s%s", plain && value >= 1000 ? 0 : 2, value, prefixes[prefix],
             rate->unit);
    return text;
}

static void print_rate(BenchCommand *command, const Rate *rate)
{
    char text[64];
    if (!command->begun)
        puts("\n| figure | of | time | rate | floor | times the floor | memory planned |\n"
             "|---|---|---|---|---|---|---|");
    command->begun = true;
    printf("| %s | %s | ", rate->figure, rate->title);
    if (rate->seconds <= 0) {
        printf("missing: %s | | | | |\n", rate->why);
        fflush(stdout);
        return;
    }
    printf("%.3f ms | %s | ", 1e3 * rate->seconds, rate_print(rate, text, sizeof text));
    if (rate->floor > 0)
        printf("%.3f ms | %.2f | ", 1e3 * rate->floor, rate->seconds / rate->floor);
    else
        printf("| | ");
    printf("%s |\n", rate->memory > 0 ? BYTES_TEXT(rate->memory) : "");
    fflush(stdout);
}

static void report_rate(void *context, const Rate *rate)
{
    BenchCommand *command = context;
    print_rate(command, rate);
    json_t *line = json_pack("{s:s, s:s}", "figure", rate->figure, "of", rate->title);
    if (rate->seconds <= 0) {
        json_object_set_new(line, "missing", json_string(rate->why));
    } else {
        json_object_set_new(line, "seconds", json_real(rate->seconds));
        json_object_set_new(line, "per_second", json_real(rate->per_run / rate->seconds));
        json_object_set_new(line, "unit", json_string(rate->unit));
    }
    if (rate->seconds > 0 && rate->floor > 0) {
        json_object_set_new(line, "floor_seconds", json_real(rate->floor));
        json_object_set_new(line, "times_the_floor", json_real(rate->seconds / rate->floor));
    }
    if (rate->memory > 0) json_object_set_new(line, "memory_planned", json_integer(rate->memory));
    json_array_append_new(command->rates, line);
}

static bool is_rate(const char *figure)
{
    for (const char *const *name = rate_figures; *name; name++)
        if (!strcmp(*name, figure)) return true;
    return false;
}

static wf_status measure_rates_on(wf_device *device, BenchCommand *command)
{
    const BenchValues *v = command->values;
    const char *preset = v->preset ? v->preset : command->quick ? "demo" : "v4-130m";
    RateParams params = {
        .figure = v->figure,
        .name = preset,
        .batch = v->batch_size > 0 ? v->batch_size : 0,
        .tokens = v->sequence_length > 0 ? v->sequence_length : 0,
        .quick = command->quick,
        .report = report_rate,
        .context = command,
    };
    TRY(model_storage(v->precision, &params.storage));
    TRY(config_open(preset, &v->set, &command->config));
    TRY(wf_config_validate(command->config));
    params.config = command->config;
    if (params.tokens > params.config->max_seq_len)
        return fail(WF_ERROR_ARGUMENT,
                    "--sequence-length %lld is more than max_seq_len %lld: --set max_seq_len=… "
                    "field_size=…",
                    (long long)params.tokens, (long long)params.config->max_seq_len);
    return measure_rates(device, &params);
}

/* ---- ratios of two things on one device ---- */

static wf_status measure_ratios_on(wf_device *device, BenchCommand *command)
{
    const BenchValues *v = command->values;
    for (int i = 0; i < n_measure_rows; i++) {
        const MeasureRow *row = &measure_rows[i];
        Measurement m = {0};
        if (v->figure && strcmp(v->figure, row->name)) continue;
        wf_status status = row->run(device, &m);
        if (status == WF_ERROR_UNSUPPORTED) {
            printf("%-12s %s\n%12s missing: %s\n", row->name, row->title, "", wf_error_message());
            continue;
        }
        TRY(status);
        print_measurement(row, &m);
        json_array_append_new(command->figures, measurement_json(row, &m));
    }
    return WF_OK;
}

static wf_status write_json(const char *path, const BenchCommand *command, const char *problem)
{
    char date[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_t *root = json_pack("{s:s, s:s, s:s, s:i, s:s, s:b, s:O, s:O}", "device", command->info.id,
                             "name", command->info.name, "driver", command->info.driver, "threads",
                             command->info.threads, "date", date, "quick", command->quick,
                             "figures", command->figures, "rates", command->rates);
    if (*problem) json_object_set_new(root, "problem", json_string(problem));
    return json_write(path, root);
}

/* A device that computes on the CPU has a CPU's speed: its sizes are small. The ratios have targets
 * for the CPU, and their sizes are fixed. */
static wf_status bench_on(wf_device *device, BenchCommand *command)
{
    const BenchValues *v = command->values;
    wf_device_info *info = &command->info;
    wf_device_describe(device, info);
    bool cpu = info->kind == WF_DEVICE_CPU;
    command->quick = v->quick || cpu || info->kind == WF_DEVICE_SOFTWARE;
    printf("%s: %s (%s)", info->id, info->name, info->driver);
    if (info->threads) printf(", %d thread%s", info->threads, info->threads == 1 ? "" : "s");
    printf("; medians%s\n\n", command->quick ? "; small sizes" : "");
    fflush(stdout);
    if (v->figure ? !is_rate(v->figure) : cpu && !v->quick) TRY(measure_ratios_on(device, command));
    if (!v->figure || is_rate(v->figure)) TRY(measure_rates_on(device, command));
    return WF_OK;
}

/* What was measured before something failed is written too. */
static wf_status write_what_there_is(const BenchCommand *command, wf_status status)
{
    const char *path = command->values->json;
    size_t measured = json_array_size(command->figures) + json_array_size(command->rates);
    if (!path || (status && !measured)) return status;
    char problem[1024];
    snprintf(problem, sizeof problem, "%s", status ? wf_error_message() : "");
    TRY(write_json(path, command, problem));
    return status ? fail(status, "%s", problem) : WF_OK;
}

static wf_status bench(const BenchValues *v)
{
    wf_device *device;
    TRY(device_open("bench", v->device, &device));
    BenchCommand command = {.values = v, .figures = json_array(), .rates = json_array()};
    wf_status status = write_what_there_is(&command, bench_on(device, &command));
    json_decref(command.figures);
    json_decref(command.rates);
    wf_config_destroy(command.config);
    wf_device_close(device);
    return status;
}

static int run(const void *values)
{
    return finish("bench", bench(values));
}

static const Option options[] = {
    OPTION_DEVICE(BenchValues),
    OPTION(BenchValues, figure, "figure", WORD, "NAME", NULL, "only this figure",
           CHOICES("field-copy", "field-scan", "step", "ahead", "decode", "copy", "product",
                   "field", "training", "generation", "model")),
    OPTION(BenchValues, preset, "preset", TEXT, "PRESET|FILE", NULL,
           "whose training and generation is measured (default: v4-130m, of small sizes demo)",
           .names = NAMES_PRESET),
    OPTION_SET(BenchValues),
    OPTION(BenchValues, batch_size, "batch-size", COUNT, "N", NULL,
           "of training (default: 8, less where memory or time is short)"),
    OPTION(BenchValues, sequence_length, "sequence-length", COUNT, "N", NULL,
           "of training (default: max_seq_len, at most 2048)"),
    OPTION_PRECISION(BenchValues),
    OPTION(BenchValues, quick, "quick", FLAG, NULL, NULL,
           "small sizes, and no ratios; a device that computes on the CPU has small sizes anyway"),
    OPTION(BenchValues, json, "json", TEXT, "FILE", NULL, "write the figures as JSON too",
           .names = NAMES_OUTPUT),
};

const Subcommand command_bench = {
    .name = "bench",
    .summary = "measure the figures of docs/benchmarks.md",
    .details =
        "Ratios (field-copy, field-scan, step, ahead, decode) are of two things timed in turns in "
        "this "
        "run, so that they do not depend on how busy the machine is; they are for the CPU, and "
        "measured elsewhere when named.\n"
        "Rates (copy, product, field, training, generation) stand beside a floor: the bytes that "
        "must move at the measured rate of a copy, the operations at the best measured rate of a "
        "product; what fits into a cache may be faster. Products are measured in every type the "
        "device stores. model is training and generation together. Positions of "
        "generation that the preset has no place for are measured on a longer field.\n",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "All figures on the CPU, kept as JSON:\n"
                "  wavefield bench --device cpu --json bench.json\n"
                "A graphics card, with a large model:\n"
                "  wavefield bench --device vulkan --preset v4-825m --batch-size 4\n",
    .values_size = sizeof(BenchValues),
    .run = run,
};
