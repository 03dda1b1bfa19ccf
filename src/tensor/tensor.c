#include "tensor/tensor.h"

#include <stdio.h>

const char *dtype_name(DType dtype)
{
    static const char *const names[DTYPE_COUNT] = {
        [DTYPE_REAL] = "f32", [DTYPE_I32] = "i32", [DTYPE_F16] = "f16", [DTYPE_BF16] = "bf16"};
    return names[dtype];
}

Shape shape_make(const int64_t *dim, int rank)
{
    Shape shape = {.rank = rank};
    for (int i = 0; i < rank && i < SHAPE_MAX_RANK; i++) shape.dim[i] = dim[i];
    return shape;
}

int64_t shape_elements(Shape shape)
{
    int64_t n = 1;
    for (int i = 0; i < shape.rank; i++) n *= shape.dim[i];
    return n;
}

bool shape_equal(Shape a, Shape b)
{
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i]) return false;
    return true;
}

int64_t shape_rows(Shape shape)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < shape.rank; i++) n *= shape.dim[i];
    return n;
}

int64_t shape_width(Shape shape)
{
    return shape.rank ? shape.dim[shape.rank - 1] : 1;
}

const char *shape_print(Shape shape, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < shape.rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? ", " : "",
                                 (long long)shape.dim[i]);
    if (used < size) snprintf(text + used, size - used, "]");
    return text;
}
