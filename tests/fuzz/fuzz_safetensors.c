/* A safetensors file: everything in it is read, written anew and compared. */
#include "fuzz.h"
#include "tensor/safetensors.h"

#include <stdlib.h>
#include <string.h>

static size_t tensor_bytes(const FileTensor *tensor)
{
    return (size_t)(tensor->elements * file_dtype_size(tensor->dtype));
}

/* Every byte of it is there, and as floats where it has that form. */
static void check_tensor(const SafeTensors *file, const FileTensor *tensor)
{
    REQUIRE(safetensors_find(file, tensor->name) == tensor);
    REQUIRE(shape_elements(tensor->shape) == tensor->elements && tensor->elements >= 0);
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < tensor_bytes(tensor); i++) sum = (uint8_t)(sum + tensor->data[i]);
    bool floats =
        tensor->dtype == FILE_F32 || tensor->dtype == FILE_F16 || tensor->dtype == FILE_BF16;
    float *values = malloc((size_t)tensor->elements * sizeof *values + 1);
    REQUIRE(values);
    REQUIRE(fuzz_ok(safetensors_read_floats(file, tensor, values)) == floats);
    free(values);
}

static void write_again(const SafeTensors *file, const char *path)
{
    SafeTensorsWriter *writer;
    MUST(safetensors_writer_create(&writer));
    for (int i = 0; i < safetensors_count(file); i++) {
        const FileTensor *tensor = safetensors_at(file, i);
        MUST(safetensors_writer_declare(writer, tensor->name, tensor->dtype, tensor->shape));
    }
    MUST(safetensors_writer_begin(writer, path));
    for (int i = 0; i < safetensors_count(file); i++) {
        const FileTensor *tensor = safetensors_at(file, i);
        MUST(safetensors_writer_write(writer, tensor->data, tensor_bytes(tensor)));
    }
    MUST(safetensors_writer_commit(writer));
    safetensors_writer_destroy(writer);
}

static void compare(const SafeTensors *a, const SafeTensors *b)
{
    REQUIRE(safetensors_count(a) == safetensors_count(b));
    for (int i = 0; i < safetensors_count(a); i++) {
        const FileTensor *x = safetensors_at(a, i), *y = safetensors_find(b, x->name);
        REQUIRE(y && x->dtype == y->dtype && shape_equal(x->shape, y->shape));
        REQUIRE(memcmp(x->data, y->data, tensor_bytes(x)) == 0);
    }
}

bool fuzz_one(const uint8_t *data, size_t size)
{
    SafeTensors *file, *again;
    const char *path = fuzz_write("file", (Part){data, size});
    if (!fuzz_ok(safetensors_open(path, &file))) return false;
    for (int i = 0; i < safetensors_count(file); i++) check_tensor(file, safetensors_at(file, i));
    safetensors_metadata(file, "format");
    REQUIRE(!safetensors_find(file, "__metadata__"));
    write_again(file, fuzz_path("again"));
    MUST(safetensors_open(fuzz_path("again"), &again));
    compare(file, again);
    safetensors_close(again);
    safetensors_close(file);
    return true;
}
