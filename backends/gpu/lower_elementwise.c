/* Lowering of the activation functions, gates and dropout. Each moves what it must and no more: an
 * element of every input read once, of every output written once. Their arithmetic, at most some
 * hundred operations an element, is what a GPU does while it moves ten bytes. */
#include "backends/gpu/lower.h"

#include <math.h>

/* A kernel of one element at a time, of so many operations each; scalars as gelu has. */
static void each_element(Lowering *l, KernelId kernel, const Place *buffers, int n_buffers,
                         double operations)
{
    int64_t n = shape_elements(lower_in_shape(l, 0));
    lower_dispatch(l, kernel, lower_groups_over(l, kernel, n), buffers, n_buffers,
                   SCALARS(gelu, .n = (uint32_t)n, .accumulate = lower_accumulates(l, 0)),
                   operations * (double)n);
}

void lower_gelu(Lowering *l)
{
    each_element(l, KERNEL_GELU, BUFFERS(lower_in(l, 0), lower_out(l, 0)), 50);
}

void lower_gelu_backward(Lowering *l)
{
    each_element(l, KERNEL_GELU_BACKWARD, BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)),
                 50);
}

void lower_feature(Lowering *l)
{
    each_element(l, KERNEL_FEATURE, BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)), 3);
}

void lower_feature_backward(Lowering *l)
{
    int64_t n = shape_elements(lower_in_shape(l, 0));
    lower_dispatch(
        l, KERNEL_FEATURE_BACKWARD, lower_groups_over(l, KERNEL_FEATURE_BACKWARD, n),
        BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_out(l, 0), lower_out(l, 1)),
        SCALARS(feature_backward, .n = (uint32_t)n, .has_dp = lower_has_out(l, 0),
                .has_dv = lower_has_out(l, 1), .accumulate = lower_accumulates(l, 0)),
        4.0 * (double)n);
}

void lower_gate(Lowering *l)
{
    each_element(l, KERNEL_GATE, BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)), 30);
}

void lower_gate_backward(Lowering *l)
{
    each_element(
        l, KERNEL_GATE_BACKWARD,
        BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_out(l, 0), lower_out(l, 1)),
        60);
}

/* Fewer than 2^31 elements (lower_dispatch), so the counter's upper word is 0. */
void lower_dropout(Lowering *l)
{
    int64_t n = shape_elements(lower_in_shape(l, 0));
    double p = (double)l->node->params.dropout.p;
    lower_dispatch(l, KERNEL_DROPOUT, lower_groups_over(l, KERNEL_DROPOUT, n),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)),
                   SCALARS(dropout, .n = (uint32_t)n, .stream = l->node->params.dropout.stream,
                           .least = (uint32_t)fmin(ceil(p * 0x1p32), 0xffffffff),
                           .scale = (float)(1 / (1 - p)), .accumulate = lower_accumulates(l, 0)),
                   60.0 * (double)n);
}
