/* Lowering of the gradient's norm and of AdamW. */
#include "backends/gpu/lower.h"

/* Moves the floor: x once. Each lane adds up at least 8 elements; the groups are as many as the
 * device wants, and few enough for one group to add up. */
void lower_square_sum(Lowering *l)
{
    int64_t n = shape_elements(lower_in_shape(l, 0));
    int64_t groups = ceil_div(n, (int64_t)8 * gpu_kernels[KERNEL_SQUARE_SLICES].threads);
    groups = int64_min(groups, int64_min(4 * l->limits->busy_groups, 4096));
    groups = int64_min(groups, l->limits->groups[0]);
    Place square = lower_scratch(l, 4 * groups), count = lower_scratch(l, 4 * groups);
    lower_dispatch(l, KERNEL_SQUARE_SLICES, GROUPS(groups, 1, 1),
                   BUFFERS(lower_in(l, 0), square, count), SCALARS(square_slices, .n = (uint32_t)n),
                   8.0 * (double)n);
    lower_dispatch(l, KERNEL_SQUARE_SUM, GROUPS(1, 1, 1),
                   BUFFERS(square, count, lower_out(l, 0), lower_out(l, 1)),
                   SCALARS(square_sum, .slices = (uint32_t)groups), 0);
}

_Static_assert(RECORD_LEARNING_RATE == 0 && RECORD_CLIP == 1 && RECORD_BETA1 == 2 &&
                   RECORD_BETA2 == 3 && RECORD_CORRECTION1 == 4 && RECORD_CORRECTION2 == 5 &&
                   RECORD_EPSILON == 6 && RECORD_DECAY == 7 && RECORD_SCALE == 8,
               "the places where adamw.comp reads the record");

/* Moves the floor: value, gradient and both moments, each read and written once. */
void lower_adamw(Lowering *l)
{
    enum { TILE = 1024 }; /* elements of a group at a time */
    int64_t n = shape_elements(lower_out_shape(l, 0)), segments = lower_in_shape(l, 0).dim[0];
    int64_t groups = int64_min(ceil_div(n, TILE), l->limits->groups[0]);
    lower_dispatch(l, KERNEL_ADAMW, GROUPS(groups, 1, 1),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_in(l, 3),
                           lower_in(l, 4), lower_out(l, 0), lower_out(l, 1), lower_out(l, 2),
                           lower_out(l, 3)),
                   SCALARS(adamw, .n = (uint32_t)n, .segments = (uint32_t)segments, .tile = TILE),
                   15.0 * (double)n);
}
