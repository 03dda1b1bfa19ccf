/* Lowering of the coupling of heads.
 *
 * What must move is r and y; backward dy and r, and dr. Forward reads x once for every 8 heads that
 * are made of it, backward dy and r once more so: all but the first from cache, since the groups of
 * one place run together. The softmax of [H, H] and its way back are a few microseconds. */
#include "backends/gpu/lower.h"

typedef struct Couple {
    int64_t tokens, heads, width;
    Place shares; /* [H, H] */
} Couple;

enum { TILE = 8 }; /* heads that a thread of couple.comp and couple_slices.comp has */

static Couple begin_couple(Lowering *l, Shape shape, Place coupling)
{
    Couple c = {.tokens = shape.dim[0] * shape.dim[1],
                .heads = shape.dim[2],
                .width = shape.dim[3],
                .shares = lower_scratch(l, 4 * shape.dim[2] * shape.dim[2])};
    lower_dispatch(l, KERNEL_COUPLE_SHARES, GROUPS(c.heads, 1, 1), BUFFERS(coupling, c.shares),
                   SCALARS(couple_shares, .heads = (uint32_t)c.heads),
                   30.0 * (double)(c.heads * c.heads));
    return c;
}

/* y[a] = Σ_b m(a,b)·x[b], m the shares or their transpose. */
static void mix(Lowering *l, const Couple *c, Place x, Place y, bool transposed)
{
    uint32_t heads = (uint32_t)c->heads;
    Groups groups = lower_groups_over(l, KERNEL_COUPLE, ceil_div(c->tokens, 4) * c->width);
    groups.y = ceil_div(c->heads, TILE);
    lower_dispatch(l, KERNEL_COUPLE, groups, BUFFERS(x, c->shares, y),
                   SCALARS(couple, .tokens = (uint32_t)c->tokens, .heads = heads,
                           .width = (uint32_t)c->width, .row = transposed ? 1 : heads,
                           .column = transposed ? heads : 1, .accumulate = lower_accumulates(l, 0)),
                   2.0 * (double)c->tokens * (double)c->width * (double)(c->heads * c->heads));
}

void lower_couple(Lowering *l)
{
    Couple c = begin_couple(l, lower_in_shape(l, 0), lower_in(l, 1));
    mix(l, &c, lower_in(l, 0), lower_out(l, 0), false);
}

void lower_couple_backward(Lowering *l)
{
    Couple c = begin_couple(l, lower_in_shape(l, 1), lower_in(l, 2));
    Place dy = lower_in(l, 0), r = lower_in(l, 1);
    mix(l, &c, dy, lower_out(l, 0), true);

    int64_t square = c.heads * c.heads;
    int64_t tiles = ceil_div(c.heads, TILE) * ceil_div(c.heads, TILE);
    int64_t slices = lower_slices(l, c.tokens, tiles);
    Place partial = lower_scratch(l, 4 * slices * square);
    lower_dispatch(l, KERNEL_COUPLE_SLICES, GROUPS(tiles, slices, 1), BUFFERS(dy, r, partial),
                   SCALARS(couple_slices, .tokens = (uint32_t)c.tokens, .heads = (uint32_t)c.heads,
                           .width = (uint32_t)c.width, .slices = (uint32_t)slices),
                   2.0 * (double)c.tokens * (double)c.width * (double)square);
    lower_dispatch(l, KERNEL_COUPLE_GRADIENT, GROUPS(c.heads, 1, 1),
                   BUFFERS(c.shares, partial, lower_out(l, 1)),
                   SCALARS(couple_gradient, .heads = (uint32_t)c.heads, .slices = (uint32_t)slices),
                   5.0 * (double)square);
}
