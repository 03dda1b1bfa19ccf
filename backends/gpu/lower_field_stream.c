/* Lowering of the field continued token by token.
 *
 * A stream keeps one complex number a channel, and each of its calls is one dispatch, whatever the
 * position and the number of tokens: every channel on its own walk. A call of one token moves a few
 * kilobytes, so that only how long dispatches take counts.
 *
 * A recall reads the deposits kept so far, [position, H·d] of each sample, once for every 8 new
 * tokens. The position is known on the device only: groups are cut for all M positions, and share
 * out those there are. */
#include "backends/gpu/lower_field.h"

void lower_field_norm(Lowering *l)
{
    const FieldParams *p = &l->node->params.field;
    const Field f = {.params = *p,
                     .heads = p->heads,
                     .frequency = lower_in(l, 0),
                     .damping = lower_in(l, 1),
                     .phase = lower_in(l, 2)};
    field_heads(l, &f, (Place){0}, lower_out(l, 0));
}

void lower_field_stream(Lowering *l)
{
    const FieldParams *p = &l->node->params.field;
    Shape u = lower_in_shape(l, 0);
    int64_t batch = u.dim[0], tokens = u.dim[1], heads = u.dim[2], width = u.dim[3];
    int64_t tiles = ceil_div(width, gpu_kernels[KERNEL_FIELD_STREAM].threads);
    lower_dispatch(l, KERNEL_FIELD_STREAM, GROUPS(tiles, heads, batch),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_in(l, 3),
                           lower_in(l, 4), lower_in(l, 5), lower_in(l, 6), lower_in(l, 7),
                           lower_out(l, 0), lower_out(l, 1)),
                   SCALARS(field_stream, .tokens = (uint32_t)tokens, .heads = (uint32_t)heads,
                           .width = (uint32_t)width, .accumulate = lower_accumulates(l, 0),
                           .damping_limit = field_damping_limit(p)),
                   40.0 * (double)(batch * tokens) * (double)(heads * width));
}

void lower_field_recall(Lowering *l)
{
    enum { TILE = 8 }; /* tokens that a group of field_recall.comp has */
    Shape u = lower_in_shape(l, 0), history = lower_out_shape(l, 1);
    int64_t batch = u.dim[0], tokens = u.dim[1], heads = u.dim[2], width = u.dim[3];
    int64_t row = heads * width, kept = history.dim[1];
    Place kernel = lower_in(l, 1), cell = lower_in(l, 2), fraction = lower_in(l, 3);
    Place position = lower_in(l, 4), deposits = lower_out(l, 1);
    Groups groups = lower_groups_over(l, KERNEL_FIELD_KEEP, tokens * row);
    groups.y = batch;
    lower_dispatch(l, KERNEL_FIELD_KEEP, groups, BUFFERS(lower_in(l, 0), position, deposits),
                   SCALARS(field_keep, .tokens = (uint32_t)tokens, .kept = (uint32_t)kept,
                           .row = (uint32_t)row),
                   0);

    int64_t tiles = heads * ceil_div(width, gpu_kernels[KERNEL_FIELD_RECALL].threads);
    int64_t blocks = ceil_div(tokens, TILE);
    int64_t slices = lower_slices(l, kept, tiles * blocks * batch);
    Place partial = lower_scratch(l, 4 * batch * tokens * slices * row);
    lower_dispatch(l, KERNEL_FIELD_RECALL, GROUPS(tiles, blocks * slices, batch),
                   BUFFERS(deposits, kernel, cell, fraction, position, partial),
                   SCALARS(field_recall, .tokens = (uint32_t)tokens, .heads = (uint32_t)heads,
                           .width = (uint32_t)width, .cells = (uint32_t)l->node->params.field.cells,
                           .kept = (uint32_t)kept, .slices = (uint32_t)slices),
                   2.0 * (double)(batch * tokens) * (double)kept * (double)row);
    lower_sum_slices(l, partial, 0, batch * tokens, slices, row);
}
