/* Safetensors files: 8 bytes of header length, a JSON header, the tensors' bytes; little-endian.
 *
 * A file is read through a memory map. Opening it checks everything a later read relies on: the
 * header's length and JSON, every name once, every dtype known, every shape against its bytes, the
 * tensors one after the other from the first byte of data to the last. */
#ifndef TENSOR_SAFETENSORS_H
#define TENSOR_SAFETENSORS_H

#include "base/status.h"
#include "tensor/tensor.h"

typedef enum FileDType {
    FILE_BOOL,
    FILE_U8,
    FILE_I8,
    FILE_F8_E5M2,
    FILE_F8_E4M3,
    FILE_F8_E8M0,
    FILE_I16,
    FILE_U16,
    FILE_F16,
    FILE_BF16,
    FILE_I32,
    FILE_U32,
    FILE_F32,
    FILE_I64,
    FILE_U64,
    FILE_F64,
    FILE_C64,
    FILE_DTYPE_COUNT
} FileDType;

const char *file_dtype_name(FileDType dtype); /* "F32" */
int64_t file_dtype_size(FileDType dtype);     /* bytes an element */

/* ---- reading ---- */

typedef struct FileTensor {
    const char *name;
    FileDType dtype;
    Shape shape;         /* no axis is negative; any axis may be 0 */
    int64_t elements;    /* of shape */
    const uint8_t *data; /* in the map, of any alignment */
} FileTensor;

typedef struct SafeTensors SafeTensors;

wf_status safetensors_open(const char *path, SafeTensors **out);
void safetensors_close(SafeTensors *file); /* NULL is allowed */

/* Tensors in the order of their bytes in the file; owned by the file. */
int safetensors_count(const SafeTensors *file);
const FileTensor *safetensors_at(const SafeTensors *file, int index);
const FileTensor *safetensors_find(const SafeTensors *file, const char *name); /* NULL: none */

/* A value of the file's "__metadata__", or NULL. */
const char *safetensors_metadata(const SafeTensors *file, const char *key);

/* All elements of an F32, F16 or BF16 tensor as floats. */
wf_status safetensors_read_floats(const SafeTensors *file, const FileTensor *tensor, float *out);

/* ---- writing ---- */

/* Tensors are declared first, in the order they are to stand in the file; then the file is begun
 * and their bytes follow in that order. The same declarations and bytes give the same file. */
typedef struct SafeTensorsWriter SafeTensorsWriter;

wf_status safetensors_writer_create(SafeTensorsWriter **out);
wf_status safetensors_writer_declare(SafeTensorsWriter *writer, const char *name, FileDType dtype,
                                     Shape shape);
wf_status safetensors_writer_metadata(SafeTensorsWriter *writer, const char *key,
                                      const char *value);
/* Starts a file that will replace `path` when committed. Nothing is declared after this. */
wf_status safetensors_writer_begin(SafeTensorsWriter *writer, const char *path);
/* The next bytes of the tensors' data, little-endian; tensors need not be whole. */
wf_status safetensors_writer_write(SafeTensorsWriter *writer, const void *data, size_t size);
/* Puts the file in place; WF_ERROR_ARGUMENT unless every declared byte was written. The writer is
 * freed by safetensors_writer_destroy(), which before a commit leaves no trace of the file. */
wf_status safetensors_writer_commit(SafeTensorsWriter *writer);
void safetensors_writer_destroy(SafeTensorsWriter *writer); /* NULL is allowed */

#endif
