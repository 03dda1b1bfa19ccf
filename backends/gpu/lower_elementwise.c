/* Lowering of the activation functions, gates and dropout. Each moves what it must and no more: an
 * element of every input read once, of every output written once. Their arithmetic, at most some
 * hundred operations an element, is what a GPU does while it moves ten bytes. */
#include "backends/gpu/lower.h"

#include <math.h>

static int64_t elements(const Lowering *l)
{
    return shape_elements(lower_in_shape(l, 0));
}

void lower_gelu(Lowering *l)
{
    int64_t n = elements(l);
    lower_dispatch(l, KERNEL_GELU, lower_groups_over(l, KERNEL_GELU, n),
                   BUFFERS(lower_in(l, 0), lower_out(l, 0)),
                   SCALARS(gelu, .n = (uint32_t)n, .accumulate = lower_accumulates(l, 0)),
                   50.0 * (double)n);
}

void lower_gelu_backward(Lowering *l)
{
    int64_t n = elements(l);
    lower_dispatch(l, KERNEL_GELU_BACKWARD, lower_groups_over(l, KERNEL_GELU_BACKWARD, n),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)),
                   SCALARS(gelu_backward, .n = (uint32_t)n, .accumulate = lower_accumulates(l, 0)),
                   50.0 * (double)n);
}

void lower_feature(Lowering *l)
{
    int64_t n = elements(l);
    lower_dispatch(l, KERNEL_FEATURE, lower_groups_over(l, KERNEL_FEATURE, n),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)),
                   SCALARS(feature, .n = (uint32_t)n, .accumulate = lower_accumulates(l, 0)), 0);
}

void lower_feature_backward(Lowering *l)
{
    int64_t n = elements(l);
    lower_dispatch(
        l, KERNEL_FEATURE_BACKWARD, lower_groups_over(l, KERNEL_FEATURE_BACKWARD, n),
        BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_out(l, 0), lower_out(l, 1)),
        SCALARS(feature_backward, .n = (uint32_t)n, .has_dp = lower_has_out(l, 0),
                .has_dv = lower_has_out(l, 1), .accumulate = lower_accumulates(l, 0)),
        0);
}

void lower_gate(Lowering *l)
{
    int64_t n = elements(l);
    lower_dispatch(l, KERNEL_GATE, lower_groups_over(l, KERNEL_GATE, n),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)),
                   SCALARS(gate, .n = (uint32_t)n, .accumulate = lower_accumulates(l, 0)),
                   30.0 * (double)n);
}

void lower_gate_backward(Lowering *l)
{
    int64_t n = elements(l);
    lower_dispatch(
        l, KERNEL_GATE_BACKWARD, lower_groups_over(l, KERNEL_GATE_BACKWARD, n),
        BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_out(l, 0), lower_out(l, 1)),
        SCALARS(gate_backward, .n = (uint32_t)n, .accumulate = lower_accumulates(l, 0)),
        60.0 * (double)n);
}

/* Fewer than 2^31 elements (lower_dispatch), so the counter's upper word is 0. */
void lower_dropout(Lowering *l)
{
    int64_t n = elements(l);
    double p = (double)l->node->params.dropout.p;
    lower_dispatch(l, KERNEL_DROPOUT, lower_groups_over(l, KERNEL_DROPOUT, n),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)),
                   SCALARS(dropout, .n = (uint32_t)n, .stream = l->node->params.dropout.stream,
                           .least = (uint32_t)fmin(ceil(p * 0x1p32), 0xffffffff),
                           .scale = (float)(1 / (1 - p)), .accumulate = lower_accumulates(l, 0)),
                   60.0 * (double)n);
}
