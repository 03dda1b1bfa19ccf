/* What several subcommands share. */
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include "base/status.h"
#include "cli/options.h"
#include "wavefield/config.h"
#include "wavefield/device.h"
#include "wavefield/model.h"

#include <jansson.h>

extern const Subcommand command_devices, command_info, command_train, command_eval,
    command_generate, command_logits, command_check, command_bench, command_tokenize, command_plot,
    command_tune;

/* All of them, NULL-terminated, in the order of help (commands.c). */
extern const Subcommand *const commands[];

/* Rows of option tables that mean the same everywhere. */
#define OPTION_DEVICE(values)                                                                      \
    OPTION(values, device, "device", WORD, "NAME", "auto",                                         \
           "what to compute on; see wavefield devices", .names = NAMES_DEVICE,                     \
           CHOICES("auto", "cpu[:n]", "vulkan[:n]", "opencl[:n]", "cuda[:n]"))
#define OPTION_CONFIG(values)                                                                      \
    OPTION(values, config, "config", TEXT, "PRESET|FILE", NULL, "a preset, or a config.json",      \
           .names = NAMES_PRESET)
#define EVALUATORS CHOICES("auto", "scan", "fft", "direct")
#define OPTION_MODEL(values)                                                                       \
    OPTION_REQUIRED(values, model, "model", TEXT, "DIR",                                           \
                    "a model's folder, or a training folder: its finished model, before that its " \
                    "newest checkpoint; OUT/best of a training is its best",                       \
                    .names = NAMES_FOLDER)
#define OPTION_EVALUATOR(values)                                                                   \
    OPTION(values, evaluator, "evaluator", WORD, "NAME", "auto", "how the field propagates",       \
           EVALUATORS)
#define PRECISIONS CHOICES("f32", "f16", "bf16")
#define OPTION_PRECISION(values)                                                                   \
    OPTION(values, precision, "precision", WORD, "TYPE", "f32",                                    \
           "how activations and the weights of products are stored; sums are f32 always",          \
           PRECISIONS)
#define OPTION_SET(values)                                                                         \
    OPTION(values, set, "set", LIST, "KEY=VALUE ...", NULL, "change keys of the configuration")

/* The exit status for a status; of a failure, prints the message first. */
int finish(const char *command, wf_status status);

/* wf_device_open(); prints a warning where the device's tuning cannot be used. */
wf_status device_open(const char *command, const char *name, wf_device **out);

/* The backends for GPUs by name, NULL-terminated, those that are not in this build among them. */
extern const char *const gpu_backends[];

/* Why a backend has no device here; NULL: it has one. Until the thread's next failure. */
const char *backend_absence(const char *name);

/* A preset or file, with its changes. */
wf_status config_open(const char *preset_or_file, const TextList *set, wf_config **out);

/* The count, or the largest int where that is less. */
int count_int(int64_t count);

/* A whole-numbered key of a configuration. */
int64_t config_integer(const wf_config *config, const char *key);

/* A model folder, or the newest checkpoint of a training folder that holds no finished model;
 * `precision` as in wf_model_set_precision(). */
wf_status model_open(wf_device *device, const char *folder, const char *precision, wf_model **out);

/* Writes an object (NULL: out of memory) to a file, whole, and releases it. */
wf_status json_write(const char *path, json_t *root);

/* "1.23 GiB"; returns `text`. */
const char *bytes_print(int64_t bytes, char *text, size_t size);
#define BYTES_TEXT(bytes) bytes_print((bytes), (char[32]){0}, 32)

/* "1,234,567"; returns `text`. */
const char *count_print(int64_t count, char *text, size_t size);
#define COUNT_TEXT(count) count_print((count), (char[32]){0}, 32)

#endif
