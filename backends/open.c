/* The public device interface: which devices there are, and opening one by name. */
#include "backends/backend.h"
#include "wavefield/device.h"

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
static wf_status candidates_find(CandidateList *list)
{
    *list = (CandidateList){0};
    for (const Backend *const *backend = backends; *backend; backend++)
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
    to->subgroup_size = from->subgroup;
    to->half_storage = from->half_storage;
    to->half_arithmetic = from->half_arithmetic;
    to->bfloat16 = from->bfloat16;
    to->matrix_units = from->matrix;
    snprintf(to->products, sizeof to->products, "%s", from->products);
    to->library_wrong = from->library_wrong;
    to->tuned = from->tuned;
    to->tuning = from->tuning;
    to->tuning_damaged = from->tuning_damaged;
    to->reason = "";
}

wf_status wf_device_list(wf_device_info *infos, int capacity, int *count)
{
    if (!count || capacity < 0 || (capacity > 0 && !infos))
        return fail(WF_ERROR_ARGUMENT, "wf_device_list: no place for the devices");
    CandidateList list;
    TRY(candidates_find(&list));
    for (int i = 0; i < list.count && i < capacity; i++) {
        publish(&list.items[i].info, &infos[i]);
        candidate_id(&list.items[i], infos[i].id, sizeof infos[i].id);
    }
    *count = list.count;
    candidates_free(&list);
    return WF_OK;
}

static wf_status open_candidate(const Candidate *candidate, const char *reason, Device **out)
{
    TRY(candidate->backend->open(candidate->index, out));
    candidate_id(candidate, (*out)->id, sizeof(*out)->id);
    (*out)->reason = reason;
    return WF_OK;
}

static bool is_gpu(const Candidate *candidate)
{
    return candidate->info.kind == DEVICE_DISCRETE || candidate->info.kind == DEVICE_INTEGRATED;
}

/* Why the CPU is left. */
static const char *without_gpu(const CandidateList *list)
{
    bool partial = false, whole = false, software = false;
    for (int i = 0; i < list->count; i++) {
        const Candidate *candidate = &list->items[i];
        partial = partial || (is_gpu(candidate) && candidate->backend->partial);
        whole = whole || (is_gpu(candidate) && !candidate->backend->partial);
        software = software || candidate->info.kind == DEVICE_SOFTWARE;
    }
    if (whole) return "the CPU, as the GPU here cannot be opened: name it to learn why";
    if (partial) return "the CPU, as the GPU's backend has not run on a card yet: name it to try";
    if (software) return "the CPU, as the only GPU drivers here compute on the CPU themselves";
    return "the CPU, as no GPU can be used";
}

/* The first of this kind that opens. */
static wf_status open_first(const CandidateList *list, DeviceKind kind, const char *reason,
                            Device **out)
{
    wf_status status = fail(WF_ERROR_DEVICE, "this build has no backend that can run models here");
    for (int i = 0; status && i < list->count; i++) {
        const Candidate *candidate = &list->items[i];
        if (candidate->info.kind == kind && !candidate->backend->partial)
            status = open_candidate(candidate, reason, out);
    }
    return status;
}

static wf_status open_auto(Device **out)
{
    CandidateList list;
    TRY(candidates_find(&list));
    wf_status status = open_first(&list, DEVICE_DISCRETE, "a discrete GPU", out);
    if (status)
        status = open_first(&list, DEVICE_INTEGRATED,
                            "an integrated GPU, as no discrete one can be used", out);
    if (status) status = open_first(&list, DEVICE_CPU, without_gpu(&list), out);
    candidates_free(&list);
    return status;
}

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
    TRY(candidates_find(&list));
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
        status = open_candidate(candidate, "", out);
    else if (!status)
        status = no_such_device(name, list.count ? "" : wf_error_message());
    candidates_free(&list);
    return status;
}

wf_status wf_device_open(const char *name, wf_device **out)
{
    if (!out) return fail(WF_ERROR_ARGUMENT, "wf_device_open: no place for the device");
    if (!name || !strcmp(name, "auto")) return open_auto(out);
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
    info->reason = device->reason;
}
