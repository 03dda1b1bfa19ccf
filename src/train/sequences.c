#include "train/sequences.h"

#include "tensor/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *tensor_name(const NamedSequence *named, const Parameter *parameter, char *text,
                               size_t size)
{
    snprintf(text, size, "%s%s", named->prefix, parameter->name);
    return text;
}
#define TENSOR_NAME(named, parameter) tensor_name((named), (parameter), (char[128]){0}, 128)

/* Room for the largest parameter's floats. */
static wf_status create_buffer(const ParameterList *parameters, float **out)
{
    int64_t largest = 1;
    for (int i = 0; i < parameters->count; i++)
        largest = int64_max(largest, shape_elements(parameters->items[i].shape));
    *out = malloc((size_t)largest * sizeof **out);
    if (*out) return WF_OK;
    return fail(WF_ERROR_MEMORY, "out of memory for a tensor of %lld elements", (long long)largest);
}

/* ---- writing ---- */

static wf_status declare_all(SafeTensorsWriter *writer, const ParameterList *parameters,
                             const NamedSequence *list, int count)
{
    for (int k = 0; k < count; k++)
        for (int i = 0; i < parameters->count; i++)
            TRY(safetensors_writer_declare(writer, TENSOR_NAME(&list[k], &parameters->items[i]),
                                           FILE_F32, parameters->items[i].shape));
    return WF_OK;
}

static wf_status write_all(SafeTensorsWriter *writer, const ParameterList *parameters,
                           const NamedSequence *list, int count, float *buffer)
{
    for (int k = 0; k < count; k++)
        for (int i = 0; i < parameters->count; i++) {
            size_t n = (size_t)shape_elements(parameters->items[i].shape);
            TRY(sequence_read(&list[k].sequence, i, buffer));
            TRY(safetensors_writer_write(writer, buffer, n * sizeof *buffer));
        }
    return WF_OK;
}

wf_status sequences_save(const char *path, const ParameterList *parameters,
                         const NamedSequence *list, int count)
{
    SafeTensorsWriter *writer;
    float *buffer = NULL;
    TRY(safetensors_writer_create(&writer));
    wf_status status = create_buffer(parameters, &buffer);
    if (!status) status = declare_all(writer, parameters, list, count);
    if (!status) status = safetensors_writer_begin(writer, path);
    if (!status) status = write_all(writer, parameters, list, count, buffer);
    if (!status) status = safetensors_writer_commit(writer);
    safetensors_writer_destroy(writer);
    free(buffer);
    return status;
}

/* ---- reading ---- */

static wf_status check_tensor(const SafeTensors *file, const char *path, const char *name,
                              const Parameter *parameter)
{
    const FileTensor *tensor = safetensors_find(file, name);
    if (!tensor)
        return fail(WF_ERROR_FORMAT, "%s: tensor %s %s is missing", path, name,
                    SHAPE_TEXT(parameter->shape));
    if (!shape_equal(tensor->shape, parameter->shape))
        return fail(WF_ERROR_FORMAT, "%s: tensor %s: expected shape %s, found %s", path, name,
                    SHAPE_TEXT(parameter->shape), SHAPE_TEXT(tensor->shape));
    if (tensor->dtype != FILE_F32)
        return fail(WF_ERROR_FORMAT, "%s: tensor %s: expected F32, found %s", path, name,
                    file_dtype_name(tensor->dtype));
    return WF_OK;
}

static bool is_expected(const char *name, const ParameterList *parameters,
                        const NamedSequence *list, int count)
{
    for (int k = 0; k < count; k++) {
        size_t length = strlen(list[k].prefix);
        bool begins = strncmp(name, list[k].prefix, length) == 0;
        if (begins && parameters_find(parameters, name + length) >= 0) return true;
    }
    return false;
}

static wf_status check_all(const SafeTensors *file, const char *path,
                           const ParameterList *parameters, const NamedSequence *list, int count)
{
    for (int k = 0; k < count; k++)
        for (int i = 0; i < parameters->count; i++)
            TRY(check_tensor(file, path, TENSOR_NAME(&list[k], &parameters->items[i]),
                             &parameters->items[i]));
    if (safetensors_count(file) == count * parameters->count) return WF_OK;
    for (int i = 0; i < safetensors_count(file); i++) {
        const char *name = safetensors_at(file, i)->name;
        if (!is_expected(name, parameters, list, count))
            return fail(WF_ERROR_FORMAT, "%s: the configuration has no place for tensor %s", path,
                        name);
    }
    return WF_OK;
}

static wf_status read_all(const SafeTensors *file, const ParameterList *parameters,
                          const NamedSequence *list, int count, float *buffer)
{
    for (int k = 0; k < count; k++) {
        Sequence sequence = list[k].sequence;
        for (int i = 0; i < parameters->count; i++) {
            const char *name = TENSOR_NAME(&list[k], &parameters->items[i]);
            TRY(safetensors_read_floats(file, safetensors_find(file, name), buffer));
            TRY(sequence_write(&sequence, i, buffer));
        }
    }
    return WF_OK;
}

wf_status sequences_check(const char *path, const ParameterList *parameters,
                          const NamedSequence *list, int count)
{
    SafeTensors *file;
    TRY(safetensors_open(path, &file));
    wf_status status = check_all(file, path, parameters, list, count);
    safetensors_close(file);
    return status;
}

wf_status sequences_load(const char *path, const ParameterList *parameters,
                         const NamedSequence *list, int count)
{
    SafeTensors *file;
    float *buffer = NULL;
    TRY(safetensors_open(path, &file));
    wf_status status = check_all(file, path, parameters, list, count);
    if (!status) status = create_buffer(parameters, &buffer);
    if (!status) status = read_all(file, parameters, list, count, buffer);
    free(buffer);
    safetensors_close(file);
    return status;
}
