/* Lowering of softmax attention: blocks of 64 queries that walk over blocks of 64 keys. Where the
 * blocks alone would leave the device idle their keys are cut into slices, joined afterwards. */
#include "backends/gpu/lower.h"

#include <math.h>

enum {
    BLOCK = 64,      /* tokens, as in shaders/attention.h */
    FEW_QUERIES = 8, /* up to here a block of queries would be mostly empty */
    MOST_SLICES = 64
};

/* A kernel's forms, by the channels that one group holds. Wider heads go in tiles of 128, which
 * each make the scores anew. */
typedef struct Form {
    KernelId attention, few, gradient;
    int64_t channels;
} Form;

typedef struct Attention {
    int64_t batch, tokens, heads, width; /* of the queries */
    int64_t kept;                        /* keys, at most */
    int64_t blocks;                      /* of queries */
    int64_t tiles;                       /* of channels, a group each */
    int64_t row, elements;               /* H·d, B·N·H·d */
    Form form;
    float scale;
} Attention;

static Form choose_form(int64_t width)
{
    static const Form forms[] = {
        {KERNEL_ATTENTION_32, KERNEL_ATTENTION_FEW_32, KERNEL_ATTENTION_GRADIENT_32, 32},
        {KERNEL_ATTENTION_64, KERNEL_ATTENTION_FEW_64, KERNEL_ATTENTION_GRADIENT_64, 64},
        {KERNEL_ATTENTION_128, KERNEL_ATTENTION_FEW_128, KERNEL_ATTENTION_GRADIENT_128, 128},
    };
    int i = 0;
    while (i < 2 && width > forms[i].channels) i++;
    return forms[i];
}

static Attention attention_of(Shape q, int64_t kept)
{
    Form form = choose_form(q.dim[3]);
    return (Attention){.batch = q.dim[0],
                       .tokens = q.dim[1],
                       .heads = q.dim[2],
                       .width = q.dim[3],
                       .kept = kept,
                       .blocks = ceil_div(q.dim[1], BLOCK),
                       .tiles = ceil_div(q.dim[3], form.channels),
                       .row = q.dim[2] * q.dim[3],
                       .elements = shape_elements(q),
                       .form = form,
                       .scale = (float)(1 / sqrt((double)q.dim[3]))};
}

/* What the slices of keys leave for the join; empty where there is one only. */
typedef struct Slices {
    int64_t count;
    Place partial, state;
} Slices;

/* As many as keep the device busy beside `groups` others, none of fewer than `least` keys. */
static Slices begin_slices(Lowering *l, const Attention *a, int64_t groups, int64_t least)
{
    int64_t wanted = ceil_div(2 * l->limits->busy_groups, groups);
    int64_t most = int64_min(MOST_SLICES, ceil_div(a->kept, least));
    return (Slices){.count = int64_max(1, int64_min(wanted, most))};
}

static void make_room(Lowering *l, const Attention *a, Slices *slices)
{
    slices->partial = lower_scratch(l, 4 * a->elements * slices->count);
    slices->state = lower_scratch(l, 8 * a->elements / a->width * slices->count);
}

static void join_slices(Lowering *l, const Attention *a, const Slices *slices, Place y, Place lse)
{
    lower_dispatch(l, KERNEL_ATTENTION_JOIN,
                   lower_groups_over(l, KERNEL_ATTENTION_JOIN, a->elements),
                   BUFFERS(slices->partial, slices->state, y, lse),
                   SCALARS(attention_join, .n = (uint32_t)a->elements,
                           .tokens = (uint32_t)a->tokens, .heads = (uint32_t)a->heads,
                           .width = (uint32_t)a->width, .slices = (uint32_t)slices->count,
                           .has_lse = lse.size > 0, .accumulate = lower_accumulates(l, 0)),
                   0);
}

/* Multiplications and additions of one product of all queries with all keys that they see. */
static double product_cost(const Attention *a, double keys)
{
    return 2 * (double)a->elements * keys;
}

/* Blocks of queries over `keys` and `values`, from `position` on where there is one. */
static void attend(Lowering *l, const Attention *a, Place keys, Place values, Place position,
                   Place lse)
{
    bool continued = position.size > 0;
    int64_t groups = a->batch * a->heads * a->blocks * a->tiles;
    Slices slices = begin_slices(l, a, groups, 4 * BLOCK);
    bool direct = slices.count == 1;
    if (!direct) make_room(l, a, &slices);
    Place y = lower_out(l, 0);
    double seen = continued ? (double)a->kept : 0.5 * (double)a->kept;
    lower_dispatch(
        l, a->form.attention, GROUPS(a->batch * a->heads, a->blocks, a->tiles * slices.count),
        BUFFERS(lower_in(l, 0), keys, values, position, direct ? y : (Place){0},
                direct ? lse : (Place){0}, slices.partial, slices.state),
        SCALARS(attention_64, .tokens = (uint32_t)a->tokens, .kept = (uint32_t)a->kept,
                .heads = (uint32_t)a->heads, .width = (uint32_t)a->width,
                .slices = (uint32_t)slices.count, .tiles = (uint32_t)a->tiles,
                .continued = continued, .accumulate = lower_accumulates(l, 0), .scale = a->scale),
        2 * product_cost(a, seen));
    if (!direct) join_slices(l, a, &slices, y, lse);
}

/* The floor is q, k, v read and y written once, 4·B·N·D floats. Each block of 64 queries reads all
 * keys and values before it, and its queries again with each of their blocks: from caches, at 2/3
 * of a float for each 64 multiplications. */
void lower_attention(Lowering *l)
{
    Shape q = lower_in_shape(l, 0);
    Attention a = attention_of(q, q.dim[1]);
    attend(l, &a, lower_in(l, 1), lower_in(l, 2), (Place){0}, lower_out(l, 1));
}

/* The floor for one query is the keys and values before it, read once, as attention_few does; what
 * its slices leave is d floats a slice of 64 keys or more. The count of slices follows from the
 * space for keys; where each begins, from the position when it runs. */
void lower_attention_stream(Lowering *l)
{
    Place keys = lower_out(l, 1), values = lower_out(l, 2), position = lower_in(l, 3);
    Attention a = attention_of(lower_in_shape(l, 0), lower_out_shape(l, 1).dim[1]);
    lower_dispatch(l, KERNEL_ATTENTION_KEEP,
                   lower_groups_over(l, KERNEL_ATTENTION_KEEP, a.elements),
                   BUFFERS(lower_in(l, 1), lower_in(l, 2), position, keys, values),
                   SCALARS(attention_keep, .n = (uint32_t)a.elements, .tokens = (uint32_t)a.tokens,
                           .kept = (uint32_t)a.kept, .row = (uint32_t)a.row),
                   0);
    if (a.tokens > FEW_QUERIES) {
        attend(l, &a, keys, values, position, (Place){0});
        return;
    }
    int64_t queries = a.batch * a.tokens * a.heads;
    Slices slices = begin_slices(l, &a, queries * a.tiles, BLOCK);
    make_room(l, &a, &slices);
    lower_dispatch(l, a.form.few, GROUPS(queries, slices.count, a.tiles),
                   BUFFERS(lower_in(l, 0), keys, values, position, slices.partial, slices.state),
                   SCALARS(attention_few_64, .tokens = (uint32_t)a.tokens, .kept = (uint32_t)a.kept,
                           .heads = (uint32_t)a.heads, .width = (uint32_t)a.width,
                           .slices = (uint32_t)slices.count, .scale = a.scale),
                   2 * product_cost(&a, (double)a.kept));
    join_slices(l, &a, &slices, lower_out(l, 0), (Place){0});
}

/* One gradient: see shaders/attention_gradient.comp for a, b, c, d and x. */
typedef struct Gradient {
    Place a, b, c, d, x;
    uint32_t owns_keys, of_values;
} Gradient;

static void lower_gradient(Lowering *l, const Attention *a, const Gradient *g, Place along, int out)
{
    int products = g->of_values ? 2 : 3;
    int64_t slices =
        begin_slices(l, a, a->batch * a->heads * a->blocks * a->tiles, 4 * BLOCK).count;
    bool direct = slices == 1;
    Place none = {0}, partial = direct ? none : lower_scratch(l, 4 * a->elements * slices);
    lower_dispatch(l, a->form.gradient, GROUPS(a->batch * a->heads, a->blocks, a->tiles * slices),
                   BUFFERS(g->a, g->b, g->c, g->d, g->x, lower_in(l, 5), along,
                           direct ? lower_out(l, out) : none, partial),
                   SCALARS(attention_gradient_64, .tokens = (uint32_t)a->tokens,
                           .heads = (uint32_t)a->heads, .width = (uint32_t)a->width,
                           .slices = (uint32_t)slices, .tiles = (uint32_t)a->tiles,
                           .owns_keys = g->owns_keys, .of_values = g->of_values,
                           .accumulate = lower_accumulates(l, out), .scale = a->scale),
                   products * product_cost(a, 0.5 * (double)a->tokens));
    if (!direct)
        lower_sum_slices(l, partial, out, a->batch * a->tokens * a->heads, slices, a->width);
}

/* The floor is five products and 8·B·N·D floats. Each gradient is a pass of its own that makes the
 * probabilities again, eight products in all: no two groups add to the same place, a group holds
 * one block of sums in registers, and the three passes may run at once. Where the blocks alone
 * would leave the device idle, the blocks that each meets are cut into slices as they are forward.
 */
void lower_attention_backward(Lowering *l)
{
    Shape shape = lower_in_shape(l, 1);
    Attention a = attention_of(shape, shape.dim[1]);
    Place dy = lower_in(l, 0), q = lower_in(l, 1), k = lower_in(l, 2), v = lower_in(l, 3);
    int64_t rows = a.elements / a.width;
    Place along = lower_scratch(l, 4 * rows);
    lower_dispatch(l, KERNEL_ATTENTION_ALONG,
                   GROUPS(int64_min(ceil_div(rows, 4), l->limits->groups[0]), 1, 1),
                   BUFFERS(dy, lower_in(l, 4), along),
                   SCALARS(attention_along, .rows = (uint32_t)rows, .tokens = (uint32_t)a.tokens,
                           .heads = (uint32_t)a.heads, .width = (uint32_t)a.width),
                   2.0 * (double)a.elements);
    const Gradient of_q = {.a = q, .b = k, .c = dy, .d = v, .x = k};
    const Gradient of_k = {.a = k, .b = q, .c = v, .d = dy, .x = q, .owns_keys = 1};
    const Gradient of_v = {.a = k, .b = q, .x = dy, .owns_keys = 1, .of_values = 1};
    lower_gradient(l, &a, &of_q, along, 0);
    lower_gradient(l, &a, &of_k, along, 1);
    lower_gradient(l, &a, &of_v, along, 2);
}
