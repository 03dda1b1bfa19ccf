/* wavefield devices: what can be named after --device. */
#include "cli/common.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct DevicesValues {
    bool names;
} DevicesValues;

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

static wf_status chosen_id(char *id, size_t size, const char **reason)
{
    wf_device *device;
    wf_device_info info;
    TRY(wf_device_open("auto", &device));
    wf_device_describe(device, &info);
    snprintf(id, size, "%s", info.id);
    *reason = info.reason;
    wf_device_close(device);
    return WF_OK;
}

static wf_status list_devices(void)
{
    enum { MOST = 64 };
    wf_device_info infos[MOST];
    int count;
    TRY(wf_device_list(infos, MOST, &count));
    for (int i = 0; i < count && i < MOST; i++)
        printf("%-10s %-15s %10s  %s (%s)\n", infos[i].id, kind_name(infos[i].kind),
               infos[i].memory > 0 ? BYTES_TEXT(infos[i].memory) : "", infos[i].name,
               infos[i].driver);
    char id[32];
    const char *reason;
    TRY(chosen_id(id, sizeof id, &reason));
    printf("\nauto is %s: %s\n", id, reason);
    return WF_OK;
}

static wf_status list_names(void)
{
    enum { MOST = 64 };
    wf_device_info infos[MOST];
    int count;
    TRY(wf_device_list(infos, MOST, &count));
    puts("auto");
    for (int i = 0; i < count && i < MOST; i++) puts(infos[i].id);
    return WF_OK;
}

static int run(const void *values)
{
    const DevicesValues *v = values;
    return finish("devices", v->names ? list_names() : list_devices());
}

static const Option options[] = {
    OPTION(DevicesValues, names, "names", FLAG, NULL, NULL,
           "print only what --device takes, a name a line"),
};

const Subcommand command_devices = {
    .name = "devices",
    .summary = "list the devices present",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "What can be given to --device here:\n"
                "  wavefield devices\n",
    .values_size = sizeof(DevicesValues),
    .run = run,
};
