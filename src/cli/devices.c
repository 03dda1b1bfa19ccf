/* wavefield devices: what can be named after --device. */
#include "cli/common.h"

#include <stdio.h>

enum { MOST = 64 };

typedef struct DevicesValues {
    bool names;
    const char *json;
} DevicesValues;

typedef struct Devices {
    wf_device_info infos[MOST];
    int count;
} Devices;

static const char *kind_name(wf_device_kind kind)
{
    switch (kind) {
    case WF_DEVICE_CPU: return "CPU";
    case WF_DEVICE_DISCRETE: return "discrete GPU";
    case WF_DEVICE_INTEGRATED: return "integrated GPU";
    case WF_DEVICE_SOFTWARE: return "software";
    }
    return "";
}

static wf_status describe_auto(wf_device_info *info)
{
    wf_device *device;
    TRY(wf_device_open("auto", &device));
    wf_device_describe(device, info);
    wf_device_close(device);
    return WF_OK;
}

static wf_status find_devices(Devices *found)
{
    TRY(wf_device_list(found->infos, MOST, &found->count));
    if (found->count > MOST) found->count = MOST;
    return WF_OK;
}

/* "subgroups of 32, half storage and arithmetic, bfloat16 arithmetic, matrix units". */
static void print_computing(const wf_device_info *info)
{
    const char *halves = info->half_storage && info->half_arithmetic ? "half storage and arithmetic"
                         : info->half_storage                        ? "half storage"
                         : info->half_arithmetic                     ? "half arithmetic"
                                                                     : "no half";
    printf("%37s", "");
    if (info->subgroup_size > 0) printf("subgroups of %d, ", info->subgroup_size);
    printf("%s, %sbfloat16 arithmetic, %smatrix units\n", halves, info->bfloat16 ? "" : "no ",
           info->matrix_units ? "" : "no ");
    if (info->products[0]) printf("%37sproducts by %s\n", "", info->products);
    if (info->matrices[0]) printf("%37smatrix units: %s\n", "", info->matrices);
    if (info->tuning_damaged)
        printf(
            "%37sdamaged tuning, or another version's, not used: wavefield tune makes a new one\n",
            "");
    else if (info->tuned)
        printf("%37stuned for %d classes of products (%016llx)\n", "", info->tuned,
               (unsigned long long)info->tuning);
    else if (info->kind != WF_DEVICE_SOFTWARE)
        printf("%37snot tuned: wavefield tune --device %s\n", "", info->id);
}

static void print_device(const wf_device_info *info)
{
    printf("%-10s %-15s %10s  %s (%s)\n", info->id, kind_name(info->kind),
           info->memory > 0 ? BYTES_TEXT(info->memory) : "", info->name, info->driver);
    if (info->kind != WF_DEVICE_CPU)
        print_computing(info);
    else
        printf("%37s%d thread%s\n", "", info->threads, info->threads == 1 ? "" : "s");
}

static json_t *device_json(const wf_device_info *info)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:b, s:b, s:b, s:b, s:s, s:s, s:i, s:b}",
                     "id", info->id, "kind", kind_name(info->kind), "name", info->name, "driver",
                     info->driver, "memory", (json_int_t)info->memory, "threads", info->threads,
                     "subgroup_size", info->subgroup_size, "half_storage", info->half_storage,
                     "half_arithmetic", info->half_arithmetic, "bfloat16", info->bfloat16,
                     "matrix_units", info->matrix_units, "matrices", info->matrices, "products",
                     info->products, "tuned", info->tuned, "tuning_damaged", info->tuning_damaged);
}

static wf_status write_json(const char *path, const Devices *found, const wf_device_info *chosen)
{
    json_t *devices = json_array();
    for (int i = 0; i < found->count; i++)
        json_array_append_new(devices, device_json(&found->infos[i]));
    json_t *root = json_pack("{s:s, s:s, s:o}", "auto", chosen->id, "reason", chosen->reason,
                             "devices", devices);
    return json_write(path, root);
}

static wf_status list_devices(const char *json)
{
    Devices found;
    TRY(find_devices(&found));
    for (int i = 0; i < found.count; i++) print_device(&found.infos[i]);
    for (int i = 0; gpu_backends[i]; i++) {
        const char *why = backend_absence(gpu_backends[i]);
        if (why) printf("%-10s absent: %s\n", gpu_backends[i], why);
    }
    wf_device_info chosen;
    TRY(describe_auto(&chosen));
    printf("\nauto is %s: %s\n", chosen.id, chosen.reason);
    return json ? write_json(json, &found, &chosen) : WF_OK;
}

static wf_status list_names(void)
{
    Devices found;
    TRY(find_devices(&found));
    puts("auto");
    for (int i = 0; i < found.count; i++) puts(found.infos[i].id);
    return WF_OK;
}

static int run(const void *values)
{
    const DevicesValues *v = values;
    return finish("devices", v->names ? list_names() : list_devices(v->json));
}

static const Option options[] = {
    OPTION(DevicesValues, names, "names", FLAG, NULL, NULL,
           "print only what --device takes, a name a line"),
    OPTION(DevicesValues, json, "json", TEXT, "FILE", NULL, "write the list as JSON too",
           .names = NAMES_OUTPUT),
};

const Subcommand command_devices = {
    .name = "devices",
    .summary = "list the devices present",
    .details = "Each with its kind, memory, name and driver; of GPUs what they compute with beside "
               "floats, as the driver says; a backend without a device is absent, and why. auto "
               "takes a discrete GPU, else an integrated one, else the CPU; GPU "
               "drivers that compute on the CPU are software, and used only when named.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "What can be given to --device here:\n"
                "  wavefield devices\n",
    .values_size = sizeof(DevicesValues),
    .run = run,
};
