#include "cli/check_report.h"

#include "base/text.h"
#include "cli/common.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *verdict_name(CheckVerdict verdict)
{
    static const char *const names[] = {"ok", "FAIL", "missing"};
    return names[verdict];
}

/* ---- text ---- */

void print_result(const CheckResult *result, bool timed)
{
    printf("%-8s%-44s", verdict_name(result->verdict), result->name);
    if (result->verdict == CHECK_MISSING) {
        printf(" %s\n", result->detail);
        return;
    }
    printf(" error %8.2e  bound %8.2e", result->error, result->bound);
    if (timed) printf("  %10.1f us", 1e6 * result->seconds);
    printf("  %s\n", result->detail ? result->detail : "");
}

/* Notes an op, once, of which something is missing. */
static void note_missing(Text *missing, const char *name)
{
    char op[64];
    snprintf(op, sizeof op, " %.*s,", (int)strcspn(name, " "), name);
    if (missing->data && strstr(missing->data, op)) return;
    text_append(missing, "%s", op);
}

void print_totals(const CheckedDevice *device)
{
    const CheckTotals *totals = &device->totals;
    Text missing = {0};
    printf("\n%s (%s): %d ok, %d failed, %d missing\n", device->id, device->name, totals->passed,
           totals->failed, totals->missing);
    for (int i = 0; i < device->n_cases; i++)
        if (device->cases[i].verdict == CHECK_MISSING)
            note_missing(&missing, device->cases[i].name);
    if (missing.data) printf("cases missing of:%.*s\n", (int)missing.length - 1, missing.data);
    text_destroy(&missing);
}

/* A bar would end the cell. */
static void print_cell(const char *text)
{
    for (; *text; text++) putchar(*text == '|' ? '/' : *text);
}

static void print_row(const CheckedDevice *device)
{
    printf("| %s", device->id);
    if (*device->name) printf(" ");
    print_cell(device->name);
    printf(" | ");
    if (device->problem) {
        printf("%s: ", device->absent ? "absent" : "FAILED");
        print_cell(device->problem);
        printf(" | | | | | | |\n");
        return;
    }
    print_cell(device->driver);
    printf(" | %d | %d | %d | %.2f |", device->totals.passed, device->totals.failed,
           device->totals.missing, device->worst);
    if (device->training >= 0)
        printf(" %.1e |", device->training);
    else
        printf(" |");
    printf(" %.1f |\n", device->seconds);
}

void print_table(const CheckRecord *record)
{
    puts("| device | driver | ok | failed | missing | worst share of a bound | training's worst "
         "relative deviation | seconds |\n|---|---|---|---|---|---|---|---|");
    for (int i = 0; i < record->count; i++) print_row(&record->devices[i]);
}

/* ---- JSON ---- */

/* JSON has no infinities: what is beyond measure is null. */
static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *cases_json(const CheckedDevice *device, bool timed)
{
    json_t *cases = json_array();
    for (int i = 0; i < device->n_cases; i++) {
        const CheckedCase *this = &device->cases[i];
        json_t *error = this->verdict == CHECK_MISSING ? json_null() : number_json(this->error);
        json_t *line = json_pack("{s:s, s:s, s:o, s:f, s:s, s:f}", "case", this->name, "verdict",
                                 verdict_name(this->verdict), "error", error, "bound", this->bound,
                                 "detail", this->detail, "elapsed_seconds", this->elapsed);
        if (timed) json_object_set_new(line, "seconds", json_real(this->seconds));
        json_array_append_new(cases, line);
    }
    return cases;
}

/* A driver's name may hold anything. */
static json_t *text_json(const char *text)
{
    return json_stringn_nocheck(text, utf8_check(text, strlen(text)));
}

static json_t *device_json(const CheckedDevice *device, bool timed)
{
    json_t *training = device->training < 0 ? json_null() : number_json(device->training);
    json_t *object =
        json_pack("{s:s, s:o, s:o, s:i, s:i, s:i, s:o, s:o, s:f}", "device", device->id, "name",
                  text_json(device->name), "driver", text_json(device->driver), "passed",
                  device->totals.passed, "failed", device->totals.failed, "missing",
                  device->totals.missing, "worst_share_of_a_bound", number_json(device->worst),
                  "training_deviation", training, "elapsed_seconds", device->seconds);
    if (object && device->problem)
        json_object_set_new(object, device->absent ? "absent" : "problem",
                            text_json(device->problem));
    if (object) json_object_set_new(object, "cases", cases_json(device, timed));
    return object;
}

static json_t *record_json(const CheckRecord *record, bool timed)
{
    json_t *devices = json_array();
    for (int i = 0; i < record->count; i++)
        json_array_append_new(devices, device_json(&record->devices[i], timed));
    return json_pack("{s:b, s:o}", "nothing_failed", record_nothing_failed(record), "devices",
                     devices);
}

wf_status check_write_json(const char *path, const CheckRecord *record, bool all, bool timed)
{
    json_t *root = all ? record_json(record, timed) : device_json(&record->devices[0], timed);
    return json_write(path, root);
}
