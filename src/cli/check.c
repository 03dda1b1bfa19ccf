/* wavefield check: a device against the double-precision reference; a model's strict causality. */
#include "check/check.h"
#include "base/clock.h"
#include "check/record.h"
#include "check/training.h"
#include "cli/check_report.h"
#include "cli/common.h"
#include "cli/junit.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct CheckValues {
    const char *device, *op, *model, *json, *junit, *precision;
    bool bench, all, train;
} CheckValues;

/* A run of the command. */
typedef struct CheckCommand {
    const CheckValues *values;
    CheckRecord record;
} CheckCommand;

static void report(void *context, const CheckResult *result)
{
    CheckCommand *command = context;
    print_result(result, command->values->bench);
    fflush(stdout);
    record_case(&command->record, result);
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

static wf_status check_opened(CheckCommand *command, wf_device *device)
{
    const CheckValues *v = command->values;
    CheckTotals totals; /* the record counts them too */
    CheckParams params = {.op = v->op, .bench = v->bench, .report = report, .context = command};
    TRY(model_storage(v->precision, &params.storage));
    if (v->model) return check_model(device, v->model, &params, &totals);
    TRY(check_device(device, &params, &totals));
    return v->train ? check_training(device, &params, &totals) : WF_OK;
}

/* Checks a device, whose place is the record's last. */
static wf_status check_one(CheckCommand *command, const char *name)
{
    CheckRecord *record = &command->record;
    wf_device *device;
    wf_device_info info;
    double start = clock_seconds();
    TRY(device_open("check", name, &device));
    wf_device_describe(device, &info);
    CheckedDevice *line = &record->devices[record->count - 1];
    snprintf(line->id, sizeof line->id, "%s", info.id);
    snprintf(line->name, sizeof line->name, "%s", info.name);
    snprintf(line->driver, sizeof line->driver, "%s", info.driver);
    wf_status status = check_opened(command, device);
    wf_device_close(device);
    line->seconds = clock_seconds() - start;
    if (!status) print_totals(line);
    return status;
}

/* ---- every device ---- */

static wf_status out_of_memory(void)
{
    return fail(WF_ERROR_MEMORY, "out of memory for the results");
}

/* A backend that has no device here is named, with the reason. */
static wf_status note_absent(CheckCommand *command)
{
    for (int i = 0; gpu_backends[i]; i++) {
        const char *why = backend_absence(gpu_backends[i]);
        if (!why) continue;
        CheckedDevice *line = record_device(&command->record, gpu_backends[i]);
        if (!line) return out_of_memory();
        line->absent = true;
        record_problem(&command->record, why);
    }
    return WF_OK;
}

/* One device's trouble is no reason to leave the others out. */
static wf_status check_all(CheckCommand *command)
{
    enum { MOST = 64 };
    wf_device_info infos[MOST];
    int count;
    TRY(wf_device_list(infos, MOST, &count));
    for (int i = 0; i < count && i < MOST; i++) {
        CheckedDevice *line = record_device(&command->record, infos[i].id);
        if (!line) return out_of_memory();
        printf("%s== %s: %s (%s)\n", i ? "\n" : "", infos[i].id, infos[i].name, infos[i].driver);
        if (!check_one(command, infos[i].id)) continue;
        record_problem(&command->record, wf_error_message());
        printf("\n%s could not be checked: %s\n", infos[i].id, wf_error_message());
    }
    return note_absent(command);
}

/* The device that was named; its trouble is in the reports too. */
static wf_status check_named(CheckCommand *command)
{
    CheckRecord *record = &command->record;
    const char *name = command->values->device;
    if (!record_device(record, name)) return out_of_memory();
    wf_status status = check_one(command, name);
    if (status) record_problem(record, wf_error_message());
    return status;
}

static wf_status write_reports(const CheckCommand *command)
{
    const CheckValues *v = command->values;
    if (command->record.failed) return out_of_memory();
    if (v->junit) TRY(junit_write(v->junit, &command->record));
    return v->json ? check_write_json(v->json, &command->record, v->all, v->bench) : WF_OK;
}

static wf_status check(CheckCommand *command)
{
    const CheckValues *v = command->values;
    wf_status status = v->all ? check_all(command) : check_named(command);
    if (!status && !v->model) {
        putchar('\n');
        print_table(&command->record);
    }
    if (status && v->all) return status;
    TRY(write_reports(command));
    return status ? fail(status, "%s", command->record.devices[0].problem) : WF_OK;
}

static int run(const void *values)
{
    CheckCommand command = {.values = values};
    const CheckValues *v = values;
    if (v->model && (v->op || v->bench || v->all || v->train))
        return usage_error("check", "--model takes none of --all, --train, --op and --bench");
    if (v->all && strcmp(v->device, "auto"))
        return usage_error("check", "--all checks every device: without --device");
    int status = finish("check", check(&command));
    bool passed = record_nothing_failed(&command.record);
    record_destroy(&command.record);
    return status ? status : passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const Option options[] = {
    OPTION_DEVICE(CheckValues),
    OPTION(CheckValues, all, "all", FLAG, NULL, NULL,
           "every device present, one after the other, and a table of all at the end"),
    OPTION(CheckValues, train, "train", FLAG, NULL, NULL,
           "train a small model of both versions too, and compare its losses with the CPU's"),
    OPTION(CheckValues, op, "op", TEXT, "NAME", NULL, "only cases whose name begins so"),
    OPTION(CheckValues, bench, "bench", FLAG, NULL, NULL, "time each case too"),
    OPTION_PRECISION(CheckValues),
    OPTION(CheckValues, json, "json", TEXT, "FILE", NULL, "write the results as JSON too",
           .names = NAMES_OUTPUT),
    OPTION(CheckValues, junit, "junit", TEXT, "FILE", NULL,
           "write the results as JUnit XML too, for continuous integration", .names = NAMES_OUTPUT),
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
        "With --train: 50 steps of 4 x 32 tokens; the error is the largest relative deviation of a "
        "step's loss from the CPU's (of the CPU itself: from double precision).\n"
        "With --all: software drivers are devices too; a backend without a device is listed as "
        "absent, not passed. The exit status is 1 if a case failed or a device could not be "
        "checked.\n"
        "With --model: changing a token must leave the logits of every earlier one as they were.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "Every op of a graphics card, and the time of each case:\n"
                "  wavefield check --device vulkan --bench\n"
                "Everything this machine has, for continuous integration:\n"
                "  wavefield check --all --train --junit check.xml --json check.json\n"
                "Whether a model looks ahead:\n"
                "  wavefield check --model story\n",
    .values_size = sizeof(CheckValues),
    .run = run,
};
