/* A model as a folder (spec §8): config.json, model.safetensors, and tokenizer.json or
 * tokenizer.model. */
#include "model/model.h"

#include "base/files.h"
#include "model/published.h"
#include "tensor/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- saving ---- */

static wf_status declare_parameters(SafeTensorsWriter *writer, const wf_model *model)
{
    TRY(safetensors_writer_metadata(writer, "format", "pt"));
    for (int i = 0; i < model->parameters.count; i++) {
        const Parameter *parameter = &model->parameters.items[i];
        TRY(safetensors_writer_declare(writer, parameter->name, FILE_F32, parameter->shape));
    }
    return WF_OK;
}

static wf_status write_parameters(SafeTensorsWriter *writer, const wf_model *model)
{
    for (int i = 0; i < model->parameters.count; i++) {
        size_t n = (size_t)shape_elements(model->parameters.items[i].shape);
        float *values = malloc(n * sizeof *values);
        if (!values)
            return fail(WF_ERROR_MEMORY, "out of memory for %s", model->parameters.items[i].name);
        wf_status status = sequence_read(&model->values, i, values);
        if (!status) status = safetensors_writer_write(writer, values, n * sizeof *values);
        free(values);
        TRY(status);
    }
    return WF_OK;
}

wf_status model_save_parameters(const wf_model *model, const char *path)
{
    SafeTensorsWriter *writer;
    TRY(safetensors_writer_create(&writer));
    wf_status status = declare_parameters(writer, model);
    if (!status) status = safetensors_writer_begin(writer, path);
    if (!status) status = write_parameters(writer, model);
    if (!status) status = safetensors_writer_commit(writer);
    safetensors_writer_destroy(writer);
    return status;
}

wf_status wf_model_save(const wf_model *model, const char *folder)
{
    TRY(folder_make(folder));
    char *config = path_join(folder, "config.json");
    char *values = path_join(folder, "model.safetensors");
    wf_status status = config && values ? WF_OK : fail(WF_ERROR_MEMORY, "out of memory for a path");
    if (!status) status = model_save_parameters(model, values);
    if (!status && model->tokenizer) status = wf_tokenizer_save(model->tokenizer, folder);
    if (!status) status = wf_config_save(model->config, config);
    free(config);
    free(values);
    return status;
}

/* ---- loading ---- */

static bool same_shape(Shape a, Shape b)
{
    bool scalars = shape_elements(a) == 1 && shape_elements(b) == 1 && a.rank <= 1 && b.rank <= 1;
    return scalars || shape_equal(a, b);
}

/* Every tensor is matched before any is read and before the model gets memory: a small file cannot
 * claim a large model. */
typedef struct Loading {
    const char *path;
    SafeTensors *file;
    wf_model *model;
    const FileTensor **found; /* one a parameter */
    const FileTensor *tied;   /* output_projection.weight, which need not be there */
} Loading;

/* Shape and type of a file's tensor against a parameter's. */
static wf_status check_tensor(const Loading *loading, const FileTensor *tensor,
                              const Parameter *parameter)
{
    if (!same_shape(tensor->shape, parameter->shape))
        return fail(WF_ERROR_FORMAT, "%s: tensor %s: expected shape %s, found %s", loading->path,
                    tensor->name, SHAPE_TEXT(parameter->shape), SHAPE_TEXT(tensor->shape));
    if (tensor->dtype == FILE_F32 || tensor->dtype == FILE_F16 || tensor->dtype == FILE_BF16)
        return WF_OK;
    return fail(WF_ERROR_FORMAT, "%s: tensor %s: expected F32, F16 or BF16, found %s",
                loading->path, tensor->name, file_dtype_name(tensor->dtype));
}

static wf_status match_tensor(const Loading *loading, const FileTensor *tensor, int index,
                              const FileTensor **place)
{
    const Parameter *parameter = &loading->model->parameters.items[index];
    if (*place)
        return fail(WF_ERROR_FORMAT, "%s: tensor %s stands there twice, as %s", loading->path,
                    (*place)->name, tensor->name);
    *place = tensor;
    return check_tensor(loading, tensor, parameter);
}

static const char TIED[] = "output_projection.weight";

/* Before anything else: a file of another model is told apart by its names, not by the first shape
 * that does not fit. */
static wf_status check_names(const Loading *loading)
{
    const char *first = NULL;
    char plain[256];
    for (int i = 0; i < safetensors_count(loading->file); i++) {
        const char *name = safetensors_at(loading->file, i)->name;
        published_plain_name(name, plain, sizeof plain);
        if (parameters_find(&loading->model->parameters, plain) >= 0 || strcmp(plain, TIED) == 0 ||
            published_is_buffer(plain))
            continue;
        if (published_is_foreign(name)) return published_refuse(loading->path, name);
        if (!first) first = name;
    }
    return first ? published_refuse(loading->path, first) : WF_OK;
}

static wf_status match_tensors(Loading *loading)
{
    const ParameterList *parameters = &loading->model->parameters;
    char plain[256];
    TRY(check_names(loading));
    for (int i = 0; i < safetensors_count(loading->file); i++) {
        const FileTensor *tensor = safetensors_at(loading->file, i);
        published_plain_name(tensor->name, plain, sizeof plain);
        int index = parameters_find(parameters, plain);
        if (index >= 0)
            TRY(match_tensor(loading, tensor, index, &loading->found[index]));
        else if (strcmp(plain, TIED) == 0)
            TRY(match_tensor(loading, tensor, 0, &loading->tied)); /* of the embedding's shape */
    }
    for (int i = 0; i < parameters->count; i++)
        if (!loading->found[i])
            return fail(WF_ERROR_FORMAT, "%s: tensor %s %s is missing%s", loading->path,
                        parameters->items[i].name, SHAPE_TEXT(parameters->items[i].shape),
                        published_why_missing(parameters->items[i].name));
    return WF_OK;
}

static wf_status read_tensor(const Loading *loading, const FileTensor *tensor, float **values)
{
    *values = malloc((size_t)tensor->elements * sizeof **values);
    if (!*values) return fail(WF_ERROR_MEMORY, "out of memory for %s", tensor->name);
    return safetensors_read_floats(loading->file, tensor, *values);
}

/* `output_projection.weight` may be present and equals the embedding (spec §1). */
static wf_status check_tied(const Loading *loading)
{
    const FileTensor *tied = loading->tied;
    if (!tied) return WF_OK;
    float *a = NULL, *b = NULL;
    wf_status status = read_tensor(loading, tied, &a);
    if (!status) status = read_tensor(loading, loading->found[0], &b);
    if (!status && memcmp(a, b, (size_t)tied->elements * sizeof *a) != 0)
        status =
            fail(WF_ERROR_UNSUPPORTED,
                 "%s: %s differs from token_embedding.weight: the head is tied to the embedding",
                 loading->path, tied->name);
    free(a);
    free(b);
    return status;
}

static wf_status read_tensors(Loading *loading)
{
    for (int i = 0; i < loading->model->parameters.count; i++) {
        float *values;
        wf_status status = read_tensor(loading, loading->found[i], &values);
        if (!status) status = sequence_write(&loading->model->values, i, values);
        free(values);
        TRY(status);
    }
    return check_tied(loading);
}

/* Gives the model's parameters memory, and the file's values. */
static wf_status load_parameters(wf_model *model, const char *path)
{
    Loading loading = {.path = path, .model = model};
    TRY(safetensors_open(path, &loading.file));
    loading.found = calloc((size_t)model->parameters.count, sizeof *loading.found);
    wf_status status = loading.found ? match_tensors(&loading)
                                     : fail(WF_ERROR_MEMORY, "out of memory for %s", path);
    if (!status) status = sequence_allocate(&model->values, model->device);
    if (!status) status = read_tensors(&loading);
    free(loading.found);
    safetensors_close(loading.file);
    return status;
}

/* The folder's tokenizer, if it has one. */
static wf_status load_tokenizer(wf_model *model, const char *folder)
{
    char *json = path_join(folder, "tokenizer.json"), *file = path_join(folder, "tokenizer.model");
    wf_tokenizer *tokenizer = NULL;
    wf_status status = json && file ? WF_OK : fail(WF_ERROR_MEMORY, "out of memory for a path");
    bool present = !status && (file_exists(json) || file_exists(file));
    free(json);
    free(file);
    if (!present) return status;
    TRY(wf_tokenizer_load(folder, &tokenizer));
    status = wf_model_set_tokenizer(model, tokenizer);
    if (!status) return WF_OK;
    wf_tokenizer_destroy(tokenizer);
    return fail_within(status, "%s", folder);
}

static wf_status load_folder(wf_device *device, const char *folder, const char *config_path,
                             const char *values_path, wf_model **out)
{
    wf_config *config;
    TRY(wf_config_create(config_path, &config));
    wf_model *model = NULL;
    wf_status status = model_outline(device, config, &model);
    wf_config_destroy(config);
    if (status) return fail_within(status, "%s", config_path);
    status = load_parameters(model, values_path);
    if (!status) status = load_tokenizer(model, folder);
    if (status) {
        wf_model_destroy(model);
        return status;
    }
    *out = model;
    return WF_OK;
}

wf_status wf_model_load(wf_device *device, const char *folder, wf_model **out)
{
    if (!folder_exists(folder))
        return fail(WF_ERROR_IO,
                    "%s: no such folder; a model is a folder with config.json and "
                    "model.safetensors",
                    folder);
    char *config = path_join(folder, "config.json");
    char *values = path_join(folder, "model.safetensors");
    wf_status status = WF_OK;
    if (!config || !values)
        status = fail(WF_ERROR_MEMORY, "out of memory for a path");
    else if (!file_exists(config))
        status = fail(WF_ERROR_IO, "%s: no such file: not a model folder", config);
    else
        status = load_folder(device, folder, config, values, out);
    free(config);
    free(values);
    return status;
}
