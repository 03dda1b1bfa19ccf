/* wavefield check: a device against the double-precision reference; a model's strict causality. */
#include "check/check.h"
#include "cli/common.h"
#include "model/model.h"

#include "base/files.h"
#include "base/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct CheckValues {
    const char *device, *op, *model, *json, *precision;
    bool bench;
} CheckValues;

typedef struct CheckOutput {
    bool bench;
    json_t *cases; /* NULL: not wanted */
    Text missing;  /* names of ops: " gelu, dropout," */
} CheckOutput;

static const char *verdict_name(CheckVerdict verdict)
{
    static const char *const names[] = {"ok", "FAIL", "missing"};
    return names[verdict];
}

static void print_result(const CheckOutput *output, const CheckResult *result)
{
    printf("%-8s%-44s", verdict_name(result->verdict), result->name);
    if (result->verdict == CHECK_MISSING) {
        printf(" %s\n", result->detail);
        return;
    }
    printf(" error %8.2e  bound %8.2e", result->error, result->bound);
    if (output->bench) printf("  %10.1f us", 1e6 * result->seconds);
    printf("  %s\n", result->detail ? result->detail : "");
}

/* Notes an op, once, of which something is missing. */
static void note_missing(CheckOutput *output, const char *name)
{
    char op[64];
    snprintf(op, sizeof op, " %.*s,", (int)strcspn(name, " "), name);
    if (output->missing.data && strstr(output->missing.data, op)) return;
    text_append(&output->missing, "%s", op);
}

static void report(void *context, const CheckResult *result)
{
    CheckOutput *output = context;
    print_result(output, result);
    if (result->verdict == CHECK_MISSING) note_missing(output, result->name);
    if (!output->cases) return;
    /* JSON has no infinities: an error beyond measure is null. */
    bool measured = result->verdict != CHECK_MISSING && result->error < 1e300;
    json_t *error = measured ? json_real(result->error) : json_null();
    json_t *line = json_pack("{s:s, s:s, s:o, s:f, s:s}", "case", result->name, "verdict",
                             verdict_name(result->verdict), "error", error, "bound", result->bound,
                             "detail", result->detail ? result->detail : "");
    if (output->bench) json_object_set_new(line, "seconds", json_real(result->seconds));
    json_array_append_new(output->cases, line);
}

static wf_status write_json(const char *path, const CheckOutput *output, const CheckTotals *totals,
                            const char *device)
{
    json_t *root =
        json_pack("{s:s, s:i, s:i, s:i, s:O}", "device", device, "passed", totals->passed, "failed",
                  totals->failed, "missing", totals->missing, "cases", output->cases);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    wf_status status = text ? file_write_atomic(path, text, strlen(text))
                            : fail(WF_ERROR_MEMORY, "out of memory for %s", path);
    free(text);
    json_decref(root);
    return status;
}

static wf_status check_model(wf_device *device, const char *folder, const CheckParams *params,
                             CheckTotals *totals)
{
    wf_model *model;
    TRY(model_open(device, folder, dtype_name(params->storage), &model));
    wf_status status = check_causality(model, params, totals);
    wf_model_destroy(model);
    return status;
}

static wf_status check(const CheckValues *v, CheckTotals *totals)
{
    wf_device *device;
    wf_device_info info;
    TRY(device_open("check", v->device, &device));
    wf_device_describe(device, &info);
    CheckOutput output = {.bench = v->bench, .cases = v->json ? json_array() : NULL};
    CheckParams params = {.op = v->op, .bench = v->bench, .report = report, .context = &output};
    wf_status status = model_storage(v->precision, &params.storage);
    if (!status)
        status = v->model ? check_model(device, v->model, &params, totals)
                          : check_device(device, &params, totals);
    if (!status)
        printf("\n%s (%s): %d ok, %d failed, %d missing\n", info.id, info.name, totals->passed,
               totals->failed, totals->missing);
    if (!status && output.missing.data)
        printf("cases missing of:%.*s\n", (int)output.missing.length - 1, output.missing.data);
    if (!status && v->json) status = write_json(v->json, &output, totals, info.id);
    json_decref(output.cases);
    text_destroy(&output.missing);
    wf_device_close(device);
    return status;
}

static int run(const void *values)
{
    const CheckValues *v = values;
    if (v->model && (v->op || v->bench))
        return usage_error("check", "--model takes neither --op nor --bench");
    CheckTotals totals = {0};
    int status = finish("check", check(v, &totals));
    return status ? status : totals.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const Option options[] = {
    OPTION_DEVICE(CheckValues),
    OPTION(CheckValues, op, "op", TEXT, "NAME", NULL, "only cases whose name begins so"),
    OPTION(CheckValues, bench, "bench", FLAG, NULL, NULL, "time each case too"),
    OPTION_PRECISION(CheckValues),
    OPTION(CheckValues, json, "json", TEXT, "FILE", NULL, "write the results as JSON too",
           .names = NAMES_FILE),
    OPTION(CheckValues, model, "model", TEXT, "DIR", NULL,
           "check this model's strict causality instead", .names = NAMES_FOLDER),
};

const Subcommand command_check = {
    .name = "check",
    .summary = "compare a device with the reference; prove a model causal",
    .details =
        "Every op, evaluator and a tiny model of both versions run on the device and in double "
        "precision. An error is an output's largest deviation over the root mean square of what "
        "it should be; what a device cannot run is missing, not passed.\n"
        "With --model: changing a token must leave the logits of every earlier one as they were.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "Every op of a graphics card, and the time of each case:\n"
                "  wavefield check --device vulkan --bench\n"
                "Whether a model looks ahead:\n"
                "  wavefield check --model story\n",
    .values_size = sizeof(CheckValues),
    .run = run,
};
