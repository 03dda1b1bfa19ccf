/* Lowering of the elementwise ops, sums over columns and LayerNorm. */
#include "backends/gpu/lower.h"

#include <string.h>

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

void lower_fill(Lowering *l)
{
    uint32_t accumulate = lower_accumulates(l, 0);
    float value = l->node->params.fill.value;
    int64_t n = shape_elements(lower_out_shape(l, 0));
    if (lower_out_type(l, 0) == DTYPE_REAL)
        lower_dispatch(
            l, KERNEL_FILL, lower_groups_over(l, KERNEL_FILL, n), BUFFERS(lower_out(l, 0)),
            SCALARS(fill, .n = (uint32_t)n, .bits = float_bits(value), .accumulate = accumulate),
            0);
    else
        lower_dispatch(
            l, KERNEL_FILL_STORED, lower_groups_over(l, KERNEL_FILL_STORED, n),
            BUFFERS(lower_out(l, 0)),
            SCALARS(fill_stored, .n = (uint32_t)n, .value = value, .accumulate = accumulate), 0);
}

/* Floats move as words; where a side is stored otherwise they are converted. All four kernels take
 * the same scalars. */
void lower_copy(Lowering *l)
{
    static const KernelId kernels[2][2] = {{KERNEL_COPY, KERNEL_NARROW},
                                           {KERNEL_WIDEN, KERNEL_COPY_STORED}};
    bool from = lower_in_type(l, 0) != DTYPE_REAL, to = lower_out_type(l, 0) != DTYPE_REAL;
    int64_t n = shape_elements(lower_out_shape(l, 0));
    lower_dispatch(l, kernels[from][to], lower_groups_over(l, kernels[from][to], n),
                   BUFFERS(lower_in(l, 0), lower_out(l, 0)),
                   SCALARS(copy, .n = (uint32_t)n, .accumulate = lower_accumulates(l, 0)), 0);
}

void lower_add(Lowering *l)
{
    int64_t n = shape_elements(lower_out_shape(l, 0));
    lower_dispatch(l, KERNEL_ADD, lower_groups_over(l, KERNEL_ADD, n),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)),
                   SCALARS(add, .n = (uint32_t)n, .accumulate = lower_accumulates(l, 0)), 0);
}

void lower_sum_slices(Lowering *l, Place partial, int k, int64_t items, int64_t slices,
                      int64_t width)
{
    bool to_real = lower_out_type(l, k) == DTYPE_REAL;
    const Place none = {0}, y = lower_out(l, k);
    lower_dispatch(l, KERNEL_SUM_SLICES, lower_groups_over(l, KERNEL_SUM_SLICES, items * width),
                   BUFFERS(partial, to_real ? none : y, to_real ? y : none),
                   SCALARS(sum_slices, .n = (uint32_t)(items * width), .width = (uint32_t)width,
                           .slices = (uint32_t)slices, .to_real = to_real,
                           .accumulate = lower_accumulates(l, k)),
                   0);
}

void lower_column_sum(Lowering *l)
{
    enum { COLUMNS = 64 /* of a group of column_slices.comp */ };
    int64_t batch = l->node->params.column_sum.batch, rows = l->node->params.column_sum.rows;
    int64_t width = l->node->params.column_sum.width;
    int64_t tiles = ceil_div(width, COLUMNS);
    int64_t slices = lower_slices(l, rows, tiles * batch);
    Place partial = lower_scratch(l, 4 * batch * slices * width);
    lower_dispatch(l, KERNEL_COLUMN_SLICES, GROUPS(tiles, slices, batch),
                   BUFFERS(lower_in(l, 0), partial),
                   SCALARS(column_slices, .rows = (uint32_t)rows, .width = (uint32_t)width,
                           .slices = (uint32_t)slices),
                   0);
    lower_sum_slices(l, partial, 0, batch, slices, width);
}

void lower_layernorm(Lowering *l)
{
    Shape x = lower_in_shape(l, 0);
    int64_t rows = shape_rows(x), width = shape_width(x);
    lower_dispatch(l, KERNEL_LAYERNORM, GROUPS(int64_min(rows, l->limits->groups[0]), 1, 1),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_out(l, 0),
                           lower_out(l, 1), lower_out(l, 2)),
                   SCALARS(layernorm, .rows = (uint32_t)rows, .width = (uint32_t)width,
                           .accumulate = lower_accumulates(l, 0)),
                   8.0 * (double)(rows * width));
}

void lower_layernorm_backward(Lowering *l)
{
    Shape x = lower_in_shape(l, 1);
    int64_t rows = shape_rows(x), width = shape_width(x);
    Place dy = lower_in(l, 0), in = lower_in(l, 1), mean = lower_in(l, 3), rstd = lower_in(l, 4);
    lower_dispatch(l, KERNEL_LAYERNORM_BACKWARD,
                   GROUPS(int64_min(rows, l->limits->groups[0]), 1, 1),
                   BUFFERS(dy, in, lower_in(l, 2), mean, rstd, lower_out(l, 0)),
                   SCALARS(layernorm_backward, .rows = (uint32_t)rows, .width = (uint32_t)width,
                           .accumulate = lower_accumulates(l, 0)),
                   14.0 * (double)(rows * width));

    int64_t tiles = ceil_div(width, gpu_kernels[KERNEL_LAYERNORM_SLICES].threads);
    int64_t slices = lower_slices(l, rows, tiles), size = 4 * slices * width;
    Place partial = lower_scratch(l, 2 * size);
    lower_dispatch(l, KERNEL_LAYERNORM_SLICES, GROUPS(tiles, slices, 1),
                   BUFFERS(dy, in, mean, rstd, partial),
                   SCALARS(layernorm_slices, .rows = (uint32_t)rows, .width = (uint32_t)width,
                           .slices = (uint32_t)slices),
                   5.0 * (double)(rows * width));
    lower_sum_slices(l, lower_part(partial, 0, size), 1, 1, slices, width);
    lower_sum_slices(l, lower_part(partial, size, size), 2, 1, slices, width);
}
