#include "cli/common.h"

#include "backends/backend.h"
#include "base/files.h"
#include "wavefield/train.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int finish(const char *command, wf_status status)
{
    fflush(stdout);
    if (!status) return EXIT_SUCCESS;
    fprintf(stderr, "wavefield %s: %s\n", command, wf_error_message());
    return EXIT_FAILURE;
}

const char *const gpu_backends[] = {"vulkan", "opencl", "cuda", NULL};

const char *backend_absence(const char *name)
{
    const Backend *backend = backend_find(name);
    int count = 0;
    if (!backend) return "not in this build";
    fail(WF_OK, "%s", ""); /* so that what is found there next is the backend's own reason */
    if (!backend->list(NULL, 0, &count) && count > 0) return NULL;
    return *wf_error_message() ? wf_error_message() : "no device";
}

wf_status device_open(const char *command, const char *name, wf_device **out)
{
    wf_device_info info;
    TRY(wf_device_open(name, out));
    wf_device_describe(*out, &info);
    if (info.library_wrong)
        fprintf(stderr, "wavefield %s: warning: %s computes products by %s\n", command, info.id,
                info.products);
    if (info.tuning_damaged)
        fprintf(
            stderr,
            "wavefield %s: warning: the tuning kept for %s is damaged, or another version's, and "
            "not used; wavefield tune makes a new one\n",
            command, info.id);
    return WF_OK;
}

wf_status config_open(const char *preset_or_file, const TextList *set, wf_config **out)
{
    TRY(wf_config_create(preset_or_file, out));
    for (int i = 0; i < set->count; i++) {
        wf_status status = wf_config_set(*out, set->items[i]);
        if (!status) continue;
        wf_config_destroy(*out);
        *out = NULL;
        return fail_within(status, "--set");
    }
    return WF_OK;
}

int count_int(int64_t count)
{
    return count < INT_MAX ? (int)count : INT_MAX;
}

int64_t config_integer(const wf_config *config, const char *key)
{
    char text[64] = "0";
    wf_config_get(config, key, text, sizeof text);
    return strtoll(text, NULL, 10);
}

static wf_status model_find(wf_device *device, const char *folder, wf_model **out)
{
    char *config = path_join(folder, "config.json"), newest[4096];
    if (!config) return fail(WF_ERROR_MEMORY, "out of memory for a path");
    bool finished = file_exists(config);
    free(config);
    if (!finished && !wf_checkpoint_latest(folder, newest, sizeof newest))
        return wf_model_load(device, newest, out);
    if (finished || !folder_exists(folder)) return wf_model_load(device, folder, out);
    return fail(WF_ERROR_IO, "%s holds neither a model (config.json) nor a checkpoint", folder);
}

wf_status model_open(wf_device *device, const char *folder, const char *precision, wf_model **out)
{
    TRY(model_find(device, folder, out));
    wf_status status = wf_model_set_precision(*out, precision);
    if (!status) return WF_OK;
    wf_model_destroy(*out);
    *out = NULL;
    return status;
}

wf_status json_write(const char *path, json_t *root)
{
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    wf_status status = text ? file_write_atomic(path, text, strlen(text))
                            : fail(WF_ERROR_MEMORY, "out of memory for %s", path);
    free(text);
    json_decref(root);
    return status;
}

const char *bytes_print(int64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1024 && unit < 4; unit++) value /= 1024;
    snprintf(text, size, unit ? "%.2f %s" : "%.0f %s", value, units[unit]);
    return text;
}

const char *count_print(int64_t count, char *text, size_t size)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)count);
    size_t used = 0;
    for (int i = 0; i < n && used + 2 < size; i++) {
        text[used++] = digits[i];
        if ((n - i - 1) % 3 == 0 && i + 1 < n && digits[i] != '-') text[used++] = ',';
    }
    text[used] = 0;
    return text;
}
