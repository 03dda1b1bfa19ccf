/* The public device interface: which devices there are, and opening one by name. */
#include "backends/backend.h"
#include "wavefield/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Candidate {
    const Backend *backend;
    int index; /* among the backend's devices */
    DeviceInfo info;
} Candidate;

typedef struct CandidateList {
    Candidate *items;
    int count;
} CandidateList;

static void candidates_free(CandidateList *list)
{
    free(list->items);
    *list = (CandidateList){0};
}

/* Appends a backend's devices. */
static wf_status candidates_add(CandidateList *list, const Backend *backend)
{
    int capacity = 0, count = 0;
    TRY(backend->list(NULL, 0, &capacity));
    if (capacity == 0) return WF_OK;
    DeviceInfo *infos = calloc((size_t)capacity, sizeof *infos);
    Candidate *grown = realloc(list->items, (size_t)(list->count + capacity) * sizeof *list->items);
    if (grown) list->items = grown;
    wf_status status = infos && grown ? backend->list(infos, capacity, &count)
                                      : fail(WF_ERROR_MEMORY, "out of memory for a device list");
    if (count > capacity) count = capacity;
    for (int i = 0; !status && i < count; i++)
        list->items[list->count++] = (Candidate){backend, i, infos[i]};
    free(infos);
    return status;
}

/* A backend whose driver fails contributes no devices; opening one by name says why. */
static wf_status candidates_find(CandidateList *list, const Backend *const *from)
{
    *list = (CandidateList){0};
    for (const Backend *const *backend = from; *backend; backend++)
        if (candidates_add(list, *backend) == WF_ERROR_MEMORY) {
            candidates_free(list);
            return WF_ERROR_MEMORY;
        }
    return WF_OK;
}

/* "cpu" where the backend has one device by nature, else "vulkan:1". */
static void candidate_id(const Candidate *candidate, char *id, size_t size)
{
    if (candidate->info.kind == DEVICE_CPU && candidate->index == 0)
        snprintf(id, size, "%s", candidate->backend->name);
    else
        snprintf(id, size, "%s:%d", candidate->backend->name, candidate->index);
}

static wf_device_kind public_kind(DeviceKind kind)
{
    switch (kind) {
    case DEVICE_DISCRETE: return WF_DEVICE_DISCRETE;
    case DEVICE_INTEGRATED: return WF_DEVICE_INTEGRATED;
    case DEVICE_SOFTWARE: return WF_DEVICE_SOFTWARE;
    case DEVICE_CPU: break;
    }
    return WF_DEVICE_CPU;
}

static void publish(const DeviceInfo *from, wf_device_info *to)
{
    snprintf(to->name, sizeof to->name, "%s", from->name);
    snprintf(to->driver, sizeof to->driver, "%s", from->driver);
    to->kind = public_kind(from->kind);
    to->memory = from->memory;
    to->threads = from->threads;
    to->subgroup_size = from->subgroup;
    to->half_storage = from->half_storage;
    to->half_arithmetic = from->half_arithmetic;
    to->bfloat16 = from->bfloat16;
    to->matrix_units = from->matrix;
    snprintf(to->products, sizeof to->products, "%s", from->products);
    to->library_wrong = from->library_wrong;
    snprintf(to->matrices, sizeof to->matrices, "%s", from->matrices);
    to->tuned = from->tuned;
    to->tuning = from->tuning;
    to->tuning_damaged = from->tuning_damaged;
    to->reason[0] = 0;
}

wf_status wf_device_list(wf_device_info *infos, int capacity, int *count)
{
    if (!count || capacity < 0 || (capacity > 0 && !infos))
        return fail(WF_ERROR_ARGUMENT, "wf_device_list: no place for the devices");
    CandidateList list;
    TRY(candidates_find(&list, backends));
    for (int i = 0; i < list.count && i < capacity; i++) {
        publish(&list.items[i].info, &infos[i]);
        candidate_id(&list.items[i], infos[i].id, sizeof infos[i].id);
    }
    *count = list.count;
    candidates_free(&list);
    return WF_OK;
}

static wf_status open_candidate(const Candidate *candidate, Device **out)
{
    TRY(candidate->backend->open(candidate->index, out));
    candidate_id(candidate, (*out)->id, sizeof(*out)->id);
    (*out)->reason[0] = 0;
    return WF_OK;
}

/* ---- "auto" ---- */

/* Appends to a reason, which is cut where it is full. */
static void append(char *reason, const char *format, ...) PRINTF_LIKE(2, 3);
static void append(char *reason, const char *format, ...)
{
    size_t used = strlen(reason);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason + used, DEVICE_REASON - used, format, arguments);
    va_end(arguments);
}

static void pass_over(char *passed, const Candidate *candidate, const char *why)
{
    char id[32];
    candidate_id(candidate, id, sizeof id);
    append(passed, "%s%s %s", *passed ? "; " : "", id, why);
}

/* The first of this kind, in the order of the backends, that opens. Those before it are noted. */
static wf_status open_first(const CandidateList *list, DeviceKind kind, char *passed, Device **out)
{
    for (int i = 0; i < list->count; i++) {
        const Candidate *candidate = &list->items[i];
        if (candidate->info.kind != kind) continue;
        if (candidate->backend->partial) {
            pass_over(passed, candidate, "has a backend not yet proven on a card: name it to try");
        } else {
            if (!open_candidate(candidate, out)) return WF_OK;
            pass_over(passed, candidate, "cannot be opened: name it to learn why");
        }
    }
    return fail(WF_ERROR_DEVICE, "this build has no backend that can run models here");
}

/* Software drivers, which are not even tried. */
static void note_software(const CandidateList *list, char *passed)
{
    for (int i = 0; i < list->count; i++)
        if (list->items[i].info.kind == DEVICE_SOFTWARE)
            pass_over(passed, &list->items[i], "computes on the CPU itself");
}

static wf_status open_best(const CandidateList *list, Device **out)
{
    static const struct {
        DeviceKind kind;
        const char *reason;
    } order[] = {
        {DEVICE_DISCRETE, "a discrete GPU"},
        {DEVICE_INTEGRATED, "an integrated GPU, as no discrete one can be used"},
        {DEVICE_CPU, "the CPU, as no GPU can be used"},
    };
    char passed[DEVICE_REASON] = "";
    wf_status status = WF_ERROR_DEVICE;
    for (size_t i = 0; i < sizeof order / sizeof *order && status; i++) {
        if (order[i].kind == DEVICE_CPU) note_software(list, passed);
        status = open_first(list, order[i].kind, passed, out);
        if (!status) append((*out)->reason, "%s%s%s", order[i].reason, *passed ? ": " : "", passed);
    }
    return status;
}

wf_status device_open_best(const Backend *const *order, Device **out)
{
    CandidateList list;
    TRY(candidates_find(&list, order));
    wf_status status = open_best(&list, out);
    candidates_free(&list);
    return status;
}

/* ---- by name ---- */

/* Splits "vulkan:1" into the backend's name and the index, -1 where none is given. */
static bool parse_name(const char *name, char *backend, size_t size, int *index)
{
    const char *colon = strchr(name, ':');
    size_t length = colon ? (size_t)(colon - name) : strlen(name);
    if (length == 0 || length >= size) return false;
    memcpy(backend, name, length);
    backend[length] = 0;
    *index = -1;
    if (!colon) return true;
    const char *digits = colon + 1;
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 6 || digits[n]) return false;
    *index = (int)strtol(digits, NULL, 10);
    return true;
}

/* "no device "vulkan:3" (why); present: cpu (…), vulkan:0 (…)". */
static wf_status no_such_device(const char *name, const char *why)
{
    char present[1024] = "", reason[512];
    snprintf(reason, sizeof reason, "%s", why);
    CandidateList list;
    TRY(candidates_find(&list, backends));
    size_t used = 0;
    for (int i = 0; i < list.count && used < sizeof present; i++) {
        char id[32];
        candidate_id(&list.items[i], id, sizeof id);
        int n = snprintf(present + used, sizeof present - used, "%s%s (%s)", i ? ", " : "", id,
                         list.items[i].info.name);
        used += n > 0 ? (size_t)n : 0;
    }
    candidates_free(&list);
    return fail(WF_ERROR_DEVICE, "no device \"%.64s\"%s%s%s; present: %s", name,
                *reason ? " (" : "", reason, *reason ? ")" : "", *present ? present : "none");
}

/* The device with this index, or without one the best kind, the first of its kind. */
static const Candidate *choose(const CandidateList *list, int index)
{
    static const int rank[] = {
        [DEVICE_DISCRETE] = 0, [DEVICE_INTEGRATED] = 1, [DEVICE_CPU] = 2, [DEVICE_SOFTWARE] = 2};
    const Candidate *best = NULL;
    for (int i = 0; i < list->count; i++) {
        const Candidate *candidate = &list->items[i];
        if (index >= 0 && candidate->index != index) continue;
        if (!best || rank[candidate->info.kind] < rank[best->info.kind]) best = candidate;
    }
    return best;
}

static wf_status open_named(const char *name, Device **out)
{
    char backend_name[32];
    int index;
    if (!parse_name(name, backend_name, sizeof backend_name, &index))
        return no_such_device(name, "a name is auto, BACKEND or BACKEND:INDEX");
    const Backend *backend = backend_find(backend_name);
    if (!backend) return no_such_device(name, "no such backend in this build");
    CandidateList list = {0};
    fail(WF_OK, "%s", ""); /* so that what is found there next is the backend's own reason */
    wf_status status = candidates_add(&list, backend);
    const Candidate *candidate = status ? NULL : choose(&list, index);
    if (candidate)
        status = open_candidate(candidate, out);
    else if (!status)
        status = no_such_device(name, list.count ? "" : wf_error_message());
    candidates_free(&list);
    return status;
}

wf_status wf_device_open(const char *name, wf_device **out)
{
    if (!out) return fail(WF_ERROR_ARGUMENT, "wf_device_open: no place for the device");
    if (!name || !strcmp(name, "auto")) return device_open_best(backends, out);
    return open_named(name, out);
}

void wf_device_close(wf_device *device)
{
    if (device) device->backend->close(device);
}

void wf_device_describe(const wf_device *device, wf_device_info *info)
{
    publish(&device->info, info);
    snprintf(info->id, sizeof info->id, "%s", device->id);
    snprintf(info->reason, sizeof info->reason, "%s", device->reason);
}
