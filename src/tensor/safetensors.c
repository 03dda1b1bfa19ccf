#include "tensor/safetensors.h"

#include "base/files.h"
#include "base/named.h"
#include "tensor/half.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_SIZE = 8, HEADER_LIMIT = 100 * 1000 * 1000 };

static const char METADATA[] = "__metadata__";

static const struct {
    const char *name;
    int64_t size;
} dtypes[FILE_DTYPE_COUNT] = {
    [FILE_BOOL] = {"BOOL", 1},       [FILE_U8] = {"U8", 1},
    [FILE_I8] = {"I8", 1},           [FILE_F8_E5M2] = {"F8_E5M2", 1},
    [FILE_F8_E4M3] = {"F8_E4M3", 1}, [FILE_F8_E8M0] = {"F8_E8M0", 1},
    [FILE_I16] = {"I16", 2},         [FILE_U16] = {"U16", 2},
    [FILE_F16] = {"F16", 2},         [FILE_BF16] = {"BF16", 2},
    [FILE_I32] = {"I32", 4},         [FILE_U32] = {"U32", 4},
    [FILE_F32] = {"F32", 4},         [FILE_I64] = {"I64", 8},
    [FILE_U64] = {"U64", 8},         [FILE_F64] = {"F64", 8},
    [FILE_C64] = {"C64", 8},
};

const char *file_dtype_name(FileDType dtype)
{
    return dtypes[dtype].name;
}

int64_t file_dtype_size(FileDType dtype)
{
    return dtypes[dtype].size;
}

/* ---- reading ---- */

typedef struct Entry {
    FileTensor tensor;
    int64_t begin, end; /* bytes of data, as the header says */
} Entry;

struct SafeTensors {
    char *path;
    FileMap map;
    json_t *header; /* owns the names */
    Entry *entries; /* in the order of their bytes */
    int count;
    Named *by_name;  /* of entries, sorted */
    int64_t n_bytes; /* of data, after the header */
};

/* The product of the axes, or -1 if it exceeds int64. */
static int64_t checked_elements(Shape shape)
{
    int64_t n = 1;
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] && n > INT64_MAX / shape.dim[i]) return -1;
        n *= shape.dim[i];
    }
    return n;
}

static wf_status parse_dtype(const char *path, const char *name, const json_t *value,
                             FileDType *dtype)
{
    const char *text = json_string_value(value);
    for (int i = 0; text && i < FILE_DTYPE_COUNT; i++) {
        if (strcmp(text, dtypes[i].name) != 0) continue;
        *dtype = (FileDType)i;
        return WF_OK;
    }
    return fail(WF_ERROR_FORMAT, "%s: tensor %s: unknown dtype \"%s\"", path, name,
                text ? text : "");
}

static wf_status parse_shape(const char *path, const char *name, const json_t *value, Shape *shape)
{
    if (!json_is_array(value))
        return fail(WF_ERROR_FORMAT, "%s: tensor %s: has no shape", path, name);
    size_t rank = json_array_size(value);
    if (rank > SHAPE_MAX_RANK)
        return fail(WF_ERROR_FORMAT, "%s: tensor %s: has %zu axes, expected at most %d", path, name,
                    rank, SHAPE_MAX_RANK);
    shape->rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *axis = json_array_get(value, i);
        if (!json_is_integer(axis) || json_integer_value(axis) < 0)
            return fail(WF_ERROR_FORMAT, "%s: tensor %s: axis %zu is not a size", path, name, i);
        shape->dim[i] = json_integer_value(axis);
    }
    return WF_OK;
}

static wf_status parse_offsets(const char *path, const char *name, const json_t *value,
                               int64_t n_bytes, Entry *entry)
{
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return fail(WF_ERROR_FORMAT, "%s: tensor %s: data_offsets are not two integers", path,
                    name);
    entry->begin = json_integer_value(begin);
    entry->end = json_integer_value(end);
    if (entry->begin < 0 || entry->begin > entry->end || entry->end > n_bytes)
        return fail(WF_ERROR_FORMAT,
                    "%s: tensor %s: data_offsets [%lld, %lld] are outside the file's %lld bytes of "
                    "data",
                    path, name, (long long)entry->begin, (long long)entry->end, (long long)n_bytes);
    return WF_OK;
}

static wf_status parse_entry(const SafeTensors *file, const char *name, const json_t *value,
                             Entry *entry)
{
    FileTensor *tensor = &entry->tensor;
    *entry = (Entry){.tensor.name = name};
    if (!json_is_object(value))
        return fail(WF_ERROR_FORMAT, "%s: tensor %s: its entry is not a JSON object", file->path,
                    name);
    TRY(parse_dtype(file->path, name, json_object_get(value, "dtype"), &tensor->dtype));
    TRY(parse_shape(file->path, name, json_object_get(value, "shape"), &tensor->shape));
    TRY(parse_offsets(file->path, name, json_object_get(value, "data_offsets"), file->n_bytes,
                      entry));
    tensor->elements = checked_elements(tensor->shape);
    int64_t size = dtypes[tensor->dtype].size, bytes = entry->end - entry->begin;
    if (tensor->elements < 0 || tensor->elements > bytes / size || tensor->elements * size != bytes)
        return fail(WF_ERROR_FORMAT,
                    "%s: tensor %s: shape %s of %s does not take the %lld bytes its data_offsets "
                    "[%lld, %lld] span",
                    file->path, name, SHAPE_TEXT(tensor->shape), dtypes[tensor->dtype].name,
                    (long long)bytes, (long long)entry->begin, (long long)entry->end);
    return WF_OK;
}

static int compare_places(const void *a, const void *b)
{
    const Entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name);
}

/* The tensors must cover the data, each byte once. */
static wf_status check_cover(const SafeTensors *file)
{
    int64_t at = 0;
    for (int i = 0; i < file->count; i++) {
        const Entry *entry = &file->entries[i];
        if (entry->begin != at)
            return fail(WF_ERROR_FORMAT,
                        "%s: tensor %s: begins at byte %lld of the data, expected %lld (%s)",
                        file->path, entry->tensor.name, (long long)entry->begin, (long long)at,
                        entry->begin < at ? "it overlaps another" : "bytes before it are unused");
        at = entry->end;
    }
    if (at != file->n_bytes)
        return fail(WF_ERROR_FORMAT, "%s: has %lld bytes of data, its tensors take %lld",
                    file->path, (long long)file->n_bytes, (long long)at);
    return WF_OK;
}

static wf_status check_metadata(const SafeTensors *file)
{
    json_t *metadata = json_object_get(file->header, METADATA), *value;
    const char *key;
    if (!metadata) return WF_OK;
    if (!json_is_object(metadata))
        return fail(WF_ERROR_FORMAT, "%s: %s is not a JSON object", file->path, METADATA);
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return fail(WF_ERROR_FORMAT, "%s: %s: the value of %s is not a string", file->path,
                        METADATA, key);
    }
    return WF_OK;
}

static wf_status index_names(SafeTensors *file)
{
    file->by_name = calloc((size_t)file->count + 1, sizeof *file->by_name);
    if (!file->by_name) return fail(WF_ERROR_MEMORY, "%s: out of memory", file->path);
    for (int i = 0; i < file->count; i++)
        file->by_name[i] = (Named){file->entries[i].tensor.name, i};
    named_sort(file->by_name, file->count);
    return WF_OK;
}

static wf_status parse_entries(SafeTensors *file)
{
    const uint8_t *data = file->map.data + (file->map.size - (size_t)file->n_bytes);
    const char *name;
    json_t *value;
    file->entries = calloc(json_object_size(file->header) + 1, sizeof *file->entries);
    if (!file->entries) return fail(WF_ERROR_MEMORY, "%s: out of memory", file->path);
    json_object_foreach(file->header, name, value)
    {
        if (strcmp(name, METADATA) == 0) continue;
        Entry *entry = &file->entries[file->count];
        TRY(parse_entry(file, name, value, entry));
        entry->tensor.data = data + entry->begin;
        file->count++;
    }
    qsort(file->entries, (size_t)file->count, sizeof *file->entries, compare_places);
    TRY(check_cover(file));
    TRY(check_metadata(file));
    return index_names(file);
}

static wf_status parse_header(SafeTensors *file)
{
    uint64_t length = 0, size = file->map.size;
    if (size < LENGTH_SIZE)
        return fail(WF_ERROR_FORMAT, "%s: has %llu bytes, too few for a safetensors file",
                    file->path, (unsigned long long)size);
    for (int i = 0; i < LENGTH_SIZE; i++) length |= (uint64_t)file->map.data[i] << 8 * i;
    if (length > HEADER_LIMIT || length > size - LENGTH_SIZE)
        return fail(
            WF_ERROR_FORMAT,
            "%s: says its header has %llu bytes, expected at most %llu: not a safetensors "
            "file, or cut short",
            file->path, (unsigned long long)length,
            (unsigned long long)(length > HEADER_LIMIT ? HEADER_LIMIT : size - LENGTH_SIZE));
    json_error_t error;
    file->header = json_loadb((const char *)file->map.data + LENGTH_SIZE, (size_t)length,
                              JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(file->header))
        return fail(WF_ERROR_FORMAT, "%s: its header is not a JSON object: %s", file->path,
                    file->header ? "another kind of value" : error.text);
    file->n_bytes = (int64_t)(size - LENGTH_SIZE - length);
    return parse_entries(file);
}

wf_status safetensors_open(const char *path, SafeTensors **out)
{
    SafeTensors *file = calloc(1, sizeof *file);
    char *copy = strdup(path);
    if (!file || !copy) {
        free(file);
        free(copy);
        return fail(WF_ERROR_MEMORY, "%s: out of memory", path);
    }
    file->path = copy;
    wf_status status = file_map(path, &file->map);
    if (!status) status = parse_header(file);
    if (status) {
        safetensors_close(file);
        return status;
    }
    *out = file;
    return WF_OK;
}

void safetensors_close(SafeTensors *file)
{
    if (!file) return;
    json_decref(file->header);
    file_unmap(&file->map);
    free(file->entries);
    free(file->by_name);
    free(file->path);
    free(file);
}

int safetensors_count(const SafeTensors *file)
{
    return file->count;
}

const FileTensor *safetensors_at(const SafeTensors *file, int index)
{
    return &file->entries[index].tensor;
}

const FileTensor *safetensors_find(const SafeTensors *file, const char *name)
{
    int index = named_find(file->by_name, file->count, name);
    return index < 0 ? NULL : &file->entries[index].tensor;
}

const char *safetensors_metadata(const SafeTensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, METADATA), key));
}

static uint32_t word(const uint8_t *bytes, int size)
{
    uint32_t value = 0;
    for (int i = 0; i < size; i++) value |= (uint32_t)bytes[i] << 8 * i;
    return value;
}

wf_status safetensors_read_floats(const SafeTensors *file, const FileTensor *tensor, float *out)
{
    const uint8_t *data = tensor->data;
    switch (tensor->dtype) {
    case FILE_F32:
        for (int64_t i = 0; i < tensor->elements; i++)
            out[i] = float_from_bits(word(data + 4 * i, 4));
        return WF_OK;
    case FILE_F16:
        for (int64_t i = 0; i < tensor->elements; i++)
            out[i] = float_from_f16((uint16_t)word(data + 2 * i, 2));
        return WF_OK;
    case FILE_BF16:
        for (int64_t i = 0; i < tensor->elements; i++)
            out[i] = float_from_bf16((uint16_t)word(data + 2 * i, 2));
        return WF_OK;
    default:
        return fail(WF_ERROR_FORMAT, "%s: tensor %s: expected F32, F16 or BF16, found %s",
                    file->path, tensor->name, dtypes[tensor->dtype].name);
    }
}

/* ---- writing ---- */

struct SafeTensorsWriter {
    json_t *header;
    int64_t declared, written; /* bytes of data */
    FileWriter *file;          /* NULL before begin and after commit */
    char *path;
};

static wf_status writer_memory(void)
{
    return fail(WF_ERROR_MEMORY, "out of memory for a safetensors header");
}

wf_status safetensors_writer_create(SafeTensorsWriter **out)
{
    SafeTensorsWriter *writer = calloc(1, sizeof *writer);
    if (writer) writer->header = json_object();
    if (!writer || !writer->header) {
        free(writer);
        return writer_memory();
    }
    *out = writer;
    return WF_OK;
}

static json_t *entry_json(FileDType dtype, Shape shape, int64_t begin, int64_t end)
{
    json_t *axes = json_array();
    for (int i = 0; i < shape.rank; i++)
        if (json_array_append_new(axes, json_integer(shape.dim[i]))) {
            json_decref(axes);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[dtype].name, "shape", axes,
                     "data_offsets", (json_int_t)begin, (json_int_t)end);
}

wf_status safetensors_writer_declare(SafeTensorsWriter *writer, const char *name, FileDType dtype,
                                     Shape shape)
{
    if (writer->path)
        return fail(WF_ERROR_ARGUMENT, "tensor %s: declared after %s was begun", name,
                    writer->path);
    if (json_object_get(writer->header, name) || strcmp(name, METADATA) == 0)
        return fail(WF_ERROR_ARGUMENT, "tensor %s: declared twice", name);
    int64_t elements = checked_elements(shape), size = dtypes[dtype].size;
    if (elements < 0 || elements > (INT64_MAX - writer->declared) / size)
        return fail(WF_ERROR_ARGUMENT, "tensor %s: shape %s is too large for a file", name,
                    SHAPE_TEXT(shape));
    int64_t end = writer->declared + elements * size;
    if (json_object_set_new(writer->header, name, entry_json(dtype, shape, writer->declared, end)))
        return fail(WF_ERROR_ARGUMENT, "tensor %s: its name is not UTF-8, or out of memory", name);
    writer->declared = end;
    return WF_OK;
}

wf_status safetensors_writer_metadata(SafeTensorsWriter *writer, const char *key, const char *value)
{
    json_t *metadata = json_object_get(writer->header, METADATA);
    if (!metadata) {
        if (json_object_set_new(writer->header, METADATA, json_object())) return writer_memory();
        metadata = json_object_get(writer->header, METADATA);
    }
    return json_object_set_new(metadata, key, json_string(value)) ? writer_memory() : WF_OK;
}

/* The header, padded with spaces so that the data starts on a multiple of 8 bytes. */
static wf_status write_header(SafeTensorsWriter *writer, const char *json, size_t length)
{
    size_t padded = (length + 7) / 8 * 8;
    uint8_t prefix[LENGTH_SIZE];
    for (int i = 0; i < LENGTH_SIZE; i++) prefix[i] = (uint8_t)((uint64_t)padded >> 8 * i);
    TRY(file_writer_create(writer->path, (int64_t)padded + LENGTH_SIZE + writer->declared,
                           &writer->file));
    TRY(file_writer_write(writer->file, prefix, sizeof prefix));
    TRY(file_writer_write(writer->file, json, length));
    return file_writer_write(writer->file, "       ", padded - length);
}

wf_status safetensors_writer_begin(SafeTensorsWriter *writer, const char *path)
{
    char *json = json_dumps(writer->header, JSON_COMPACT);
    free(writer->path);
    writer->path = strdup(path);
    wf_status status = WF_OK;
    if (!json || !writer->path)
        status = writer_memory();
    else if (strlen(json) > HEADER_LIMIT - 8)
        status = fail(WF_ERROR_ARGUMENT, "%s: its header would have %zu bytes, at most %d allowed",
                      path, strlen(json), HEADER_LIMIT);
    else
        status = write_header(writer, json, strlen(json));
    free(json);
    return status;
}

wf_status safetensors_writer_write(SafeTensorsWriter *writer, const void *data, size_t size)
{
    if (!writer->file)
        return fail(WF_ERROR_ARGUMENT, "tensor data before a safetensors file was begun");
    if ((uint64_t)size > (uint64_t)(writer->declared - writer->written))
        return fail(WF_ERROR_ARGUMENT, "%s: more data than the %lld bytes of its tensors",
                    writer->path, (long long)writer->declared);
    TRY(file_writer_write(writer->file, data, size));
    writer->written += (int64_t)size;
    return WF_OK;
}

wf_status safetensors_writer_commit(SafeTensorsWriter *writer)
{
    if (!writer->file || writer->written != writer->declared)
        return fail(WF_ERROR_ARGUMENT, "%s: %lld of the %lld bytes of its tensors were written",
                    writer->path ? writer->path : "safetensors", (long long)writer->written,
                    (long long)writer->declared);
    FileWriter *file = writer->file;
    writer->file = NULL;
    return file_writer_commit(file);
}

void safetensors_writer_destroy(SafeTensorsWriter *writer)
{
    if (!writer) return;
    file_writer_discard(writer->file);
    json_decref(writer->header);
    free(writer->path);
    free(writer);
}
