/* Element types and shapes. */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DTYPE_REAL is the arithmetic type of the device: float everywhere but on the double-precision
 * reference device, where it is double. DTYPE_F16 (IEEE binary16) and DTYPE_BF16 (bfloat16) are
 * ways to store a real: every op computes with reals and rounds what it stores, to nearest, ties to
 * even. A device states its sizes in Limits.dtype_size. */
typedef enum DType { DTYPE_REAL, DTYPE_I32, DTYPE_F16, DTYPE_BF16, DTYPE_COUNT } DType;

static inline bool dtype_is_real(DType dtype)
{
    return dtype != DTYPE_I32;
}
const char *dtype_name(DType dtype); /* "f32", "i32", "f16", "bf16" */

enum { SHAPE_MAX_RANK = 5 };

/* Row-major; the last axis is contiguous. Rank 0 is a scalar of one element. */
typedef struct Shape {
    int rank;
    int64_t dim[SHAPE_MAX_RANK];
} Shape;

/* SHAPE(batch, tokens, width) */
#define SHAPE(...)                                                                                 \
    shape_make((const int64_t[]){__VA_ARGS__},                                                     \
               (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

Shape shape_make(const int64_t *dim, int rank);
int64_t shape_elements(Shape shape);
bool shape_equal(Shape a, Shape b);

/* Elements of all axes but the last, and of the last: the shape as [rows, width]. */
int64_t shape_rows(Shape shape);
int64_t shape_width(Shape shape);

/* "[2, 3, 4]"; returns `text`. */
const char *shape_print(Shape shape, char *text, size_t size);
#define SHAPE_TEXT(shape) shape_print((shape), (char[128]){0}, 128)

static inline int64_t int64_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
static inline int64_t int64_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}
static inline int64_t round_up(int64_t a, int64_t multiple)
{
    return ceil_div(a, multiple) * multiple;
}

#endif
