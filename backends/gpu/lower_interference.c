/* Lowering of wave interference (spec §5): running means, cosines and the gated sum. */
#include "backends/gpu/lower.h"

/* ---- running means ---- */

typedef struct Means {
    int64_t batch, tokens, width, tiles, chunks;
    uint32_t backward, kept; /* kept: out 1 is the sum of the tokens before, in 1 their number */
} Means;

/* Chunks of at least 16 tokens, enough to fill the device several times over, for the lanes of a
 * group wait on memory; at most 1024, for the carry walks them one after the other. */
static Means means_of(const Lowering *l, uint32_t backward, uint32_t kept)
{
    Shape x = lower_in_shape(l, 0);
    Means m = {.batch = x.dim[0],
               .tokens = x.dim[1],
               .width = x.dim[2],
               .tiles = ceil_div(x.dim[2], gpu_kernels[KERNEL_CAUSAL_MEAN].threads),
               .backward = backward,
               .kept = kept};
    int64_t wanted = ceil_div(8 * l->limits->busy_groups, int64_max(m.tiles * m.batch, 1));
    int64_t chunks = int64_min(int64_min(wanted, ceil_div(m.tokens, 16)), 1024);
    m.chunks = ceil_div(m.tokens, ceil_div(m.tokens, int64_max(chunks, 1))); /* none empty */
    return m;
}

/* What each chunk starts from; 8 bytes a chunk and column. */
static Place carry_of(Lowering *l, const Means *m)
{
    int64_t elements = m->batch * m->tokens * m->width;
    Place carry = lower_scratch(l, 8 * m->batch * m->chunks * m->width);
    lower_dispatch(l, KERNEL_CAUSAL_MEAN_SLICES, GROUPS(m->tiles, m->chunks, m->batch),
                   BUFFERS(lower_in(l, 0), carry),
                   SCALARS(causal_mean_slices, .tokens = (uint32_t)m->tokens,
                           .width = (uint32_t)m->width, .chunks = (uint32_t)m->chunks,
                           .backward = m->backward),
                   8.0 * (double)elements);
    lower_dispatch(l, KERNEL_CAUSAL_MEAN_CARRY,
                   lower_groups_over(l, KERNEL_CAUSAL_MEAN_CARRY, m->batch * m->width),
                   BUFFERS(m->kept ? lower_out(l, 1) : (Place){0}, carry),
                   SCALARS(causal_mean_carry, .n = (uint32_t)(m->batch * m->width),
                           .width = (uint32_t)m->width, .chunks = (uint32_t)m->chunks,
                           .backward = m->backward, .kept = m->kept),
                   0);
    return carry;
}

/* The floor is x read and y written; where chunks run side by side x is read twice, three moves
 * instead of two, and the carry adds at most an eighth of one. */
static void lower_means(Lowering *l, uint32_t backward, uint32_t kept)
{
    Means m = means_of(l, backward, kept);
    Place carry = m.chunks > 1 ? carry_of(l, &m) : (Place){0};
    lower_dispatch(l, KERNEL_CAUSAL_MEAN, GROUPS(m.tiles, m.chunks, m.batch),
                   BUFFERS(lower_in(l, 0), carry, kept ? lower_in(l, 1) : (Place){0},
                           kept ? lower_out(l, 1) : (Place){0}, lower_out(l, 0)),
                   SCALARS(causal_mean, .tokens = (uint32_t)m.tokens, .width = (uint32_t)m.width,
                           .chunks = (uint32_t)m.chunks, .backward = backward, .kept = kept,
                           .accumulate = lower_accumulates(l, 0)),
                   12.0 * (double)(m.batch * m.tokens * m.width));
}

void lower_causal_mean(Lowering *l)
{
    lower_means(l, 0, 0);
}

void lower_causal_mean_backward(Lowering *l)
{
    lower_means(l, 1, 0);
}

void lower_causal_mean_stream(Lowering *l)
{
    lower_means(l, 0, 1);
}

/* ---- cosines ---- */

/* The floor: both operands read once. */
void lower_cosine(Lowering *l)
{
    lower_rows(l, KERNEL_COSINE, lower_in_shape(l, 0),
               BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_out(l, 0)), 6);
}

/* The floor, four moves of R·W: a and b are read again while the cache holds the row. */
void lower_cosine_backward(Lowering *l)
{
    lower_rows(
        l, KERNEL_COSINE_BACKWARD, lower_in_shape(l, 1),
        BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_out(l, 0), lower_out(l, 1)),
        12);
}

/* ---- the gated sum ---- */

/* The floor, four moves of R·D. A row's weight is computed at each of its elements: cheaper than to
 * share it. */
void lower_interfere(Lowering *l)
{
    Shape x = lower_in_shape(l, 0);
    int64_t n = shape_elements(x);
    lower_dispatch(l, KERNEL_INTERFERE, lower_groups_over(l, KERNEL_INTERFERE, n),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_in(l, 3),
                           lower_in(l, 4), lower_out(l, 0)),
                   SCALARS(interfere, .n = (uint32_t)n, .width = (uint32_t)shape_width(x),
                           .accumulate = lower_accumulates(l, 0)),
                   60.0 * (double)n);
}

/* The floor, five moves of R·D: everything is read once. */
void lower_interfere_backward(Lowering *l)
{
    int64_t rows = shape_rows(lower_in_shape(l, 1)), width = shape_width(lower_in_shape(l, 1));
    Place temperature = lower_in(l, 4);
    Groups groups = lower_groups_over_rows(l, KERNEL_INTERFERE_BACKWARD, rows, width);
    groups.x = int64_min(groups.x, 8 * l->limits->busy_groups); /* each leaves a number to sum */
    Place partial = lower_scratch(l, 4 * groups.x);
    lower_dispatch(l, KERNEL_INTERFERE_BACKWARD, groups,
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_in(l, 3),
                           temperature, lower_out(l, 0), lower_out(l, 1), lower_out(l, 2), partial),
                   SCALARS(interfere_backward, .rows = (uint32_t)rows, .width = (uint32_t)width,
                           .lanes = lower_row_lanes(KERNEL_INTERFERE_BACKWARD, width),
                           .accumulate = lower_accumulates(l, 0)),
                   60.0 * (double)(rows * width));
    lower_dispatch(l, KERNEL_INTERFERE_TEMPERATURE, GROUPS(1, 1, 1),
                   BUFFERS(partial, temperature, lower_out(l, 3)),
                   SCALARS(interfere_temperature, .count = (uint32_t)groups.x), 0);
}
