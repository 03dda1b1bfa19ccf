/* Lowering of key norms and of the first token's ops. */
#include "backends/gpu/lower.h"

uint32_t lower_row_lanes(KernelId kernel, int64_t width)
{
    uint32_t lanes = 1;
    while (lanes < gpu_kernels[kernel].threads && 4 * lanes < width) lanes *= 2;
    return lanes;
}

Groups lower_groups_over_rows(const Lowering *l, KernelId kernel, int64_t rows, int64_t width)
{
    int64_t each = gpu_kernels[kernel].threads / lower_row_lanes(kernel, width);
    return GROUPS(int64_min(ceil_div(rows, each), l->limits->groups[0]), 1, 1);
}

void lower_rows(Lowering *l, KernelId kernel, Shape shape, const Place *buffers, int n_buffers,
                double operations)
{
    int64_t rows = shape_rows(shape), width = shape_width(shape);
    lower_dispatch(l, kernel, lower_groups_over_rows(l, kernel, rows, width), buffers, n_buffers,
                   SCALARS(key_norm, .rows = (uint32_t)rows, .width = (uint32_t)width,
                           .lanes = lower_row_lanes(kernel, width),
                           .accumulate = lower_accumulates(l, 0)),
                   operations * (double)(rows * width));
}

/* The floor, three moves of R·d: k is squared as it is read, v scaled. */
void lower_key_norm(Lowering *l)
{
    lower_rows(l, KERNEL_KEY_NORM, lower_in_shape(l, 0),
               BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)), 3);
}

/* The floor, five moves of R·d: k and du are read again while the cache holds the row. */
void lower_key_norm_backward(Lowering *l)
{
    lower_rows(
        l, KERNEL_KEY_NORM_BACKWARD, lower_in_shape(l, 1),
        BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_out(l, 0), lower_out(l, 1)),
        6);
}

/* The floor: a token of each sample, read and written. */
void lower_first_token(Lowering *l)
{
    Shape x = lower_in_shape(l, 0);
    int64_t n = x.dim[0] * x.dim[2];
    lower_dispatch(l, KERNEL_FIRST_TOKEN, lower_groups_over(l, KERNEL_FIRST_TOKEN, n),
                   BUFFERS(lower_in(l, 0), lower_out(l, 0)),
                   SCALARS(first_token, .n = (uint32_t)n, .tokens = (uint32_t)x.dim[1],
                           .width = (uint32_t)x.dim[2], .accumulate = lower_accumulates(l, 0)),
                   0);
}

/* The floor: dx is written once; where it is added to, its first tokens alone are touched. */
void lower_first_token_backward(Lowering *l)
{
    Shape dx = lower_out_shape(l, 0);
    uint32_t accumulate = lower_accumulates(l, 0);
    int64_t n = dx.dim[0] * (accumulate ? 1 : dx.dim[1]) * dx.dim[2];
    lower_dispatch(l, KERNEL_FIRST_TOKEN_BACKWARD,
                   lower_groups_over(l, KERNEL_FIRST_TOKEN_BACKWARD, n),
                   BUFFERS(lower_in(l, 0), lower_out(l, 0)),
                   SCALARS(first_token_backward, .n = (uint32_t)n, .tokens = (uint32_t)dx.dim[1],
                           .width = (uint32_t)dx.dim[2], .accumulate = accumulate),
                   0);
}
