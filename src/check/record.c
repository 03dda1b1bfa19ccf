#include "check/record.h"

#include "base/array.h"
#include "check/training.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy_text(CheckRecord *record, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy) memcpy(copy, text, size);
    record->failed |= !copy;
    return copy;
}

/* Room for one more; notes where there is none. */
static bool reserve(CheckRecord *record, void **items, int count, int *capacity, size_t size)
{
    bool room = array_reserve(items, count, capacity, size);
    record->failed |= !room;
    return room;
}

static CheckedDevice *last(const CheckRecord *record)
{
    return record->count ? &record->devices[record->count - 1] : NULL;
}

CheckedDevice *record_device(CheckRecord *record, const char *id)
{
    if (!reserve(record, (void **)&record->devices, record->count, &record->capacity,
                 sizeof *record->devices))
        return NULL;
    CheckedDevice *device = &record->devices[record->count++];
    *device = (CheckedDevice){.training = -1};
    snprintf(device->id, sizeof device->id, "%s", id);
    return device;
}

static void count(CheckedDevice *device, const CheckResult *result)
{
    device->totals.passed += result->verdict == CHECK_OK;
    device->totals.failed += result->verdict == CHECK_FAILED;
    device->totals.missing += result->verdict == CHECK_MISSING;
    if (result->verdict == CHECK_MISSING || result->bound <= 0) return;
    double share = result->error / result->bound;
    if (check_is_training(result->name)) {
        if (result->error > device->training) device->training = result->error;
    } else if (share > device->worst) {
        device->worst = share;
    }
}

void record_case(CheckRecord *record, const CheckResult *result)
{
    CheckedDevice *device = last(record);
    if (!device) return;
    count(device, result);
    if (!reserve(record, (void **)&device->cases, device->n_cases, &device->capacity,
                 sizeof *device->cases))
        return;
    CheckedCase *line = &device->cases[device->n_cases];
    *line = (CheckedCase){
        .name = copy_text(record, result->name),
        .detail = copy_text(record, result->detail ? result->detail : ""),
        .verdict = result->verdict,
        .error = result->error,
        .bound = result->bound,
        .seconds = result->seconds,
        .elapsed = result->elapsed,
    };
    if (line->name && line->detail) {
        device->n_cases++;
        return;
    }
    free(line->name);
    free(line->detail);
}

void record_problem(CheckRecord *record, const char *problem)
{
    CheckedDevice *device = last(record);
    if (!device) return;
    free(device->problem);
    device->problem = copy_text(record, problem);
}

bool record_nothing_failed(const CheckRecord *record)
{
    for (int i = 0; i < record->count; i++) {
        const CheckedDevice *device = &record->devices[i];
        if (device->totals.failed || (device->problem && !device->absent)) return false;
    }
    return true;
}

void record_destroy(CheckRecord *record)
{
    for (int i = 0; i < record->count; i++) {
        CheckedDevice *device = &record->devices[i];
        for (int k = 0; k < device->n_cases; k++) {
            free(device->cases[k].name);
            free(device->cases[k].detail);
        }
        free(device->cases);
        free(device->problem);
    }
    free(record->devices);
    *record = (CheckRecord){0};
}
