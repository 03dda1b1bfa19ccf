/* Lowering of the field: which evaluator runs; the token scan in chunks.
 *
 * Scan, forward: each chunk on its own from rest (its end state), the ends joined into every
 * chunk's carry, each chunk again from its carry. Backward the same in reverse for the adjoint,
 * then one pass that has both states. */
#include "backends/gpu/lower_field.h"

#include <float.h>

_Static_assert(FIELD_CHUNK == 64, "shaders/field_*.comp count 64 tokens a chunk");

Place field_take(Lowering *l, int64_t count, int64_t element)
{
    return lower_scratch(l, count * element);
}

float field_damping_limit(const FieldParams *params)
{
    return params->damping_limit < FLT_MAX ? params->damping_limit : FLT_MAX;
}

void field_heads(Lowering *l, const Field *f, Place head, Place norm)
{
    lower_dispatch(l, KERNEL_FIELD_HEADS, GROUPS(f->heads, 1, 1),
                   BUFFERS(f->frequency, f->damping, f->phase, head, norm),
                   SCALARS(field_heads, .cells = (uint32_t)f->params.cells,
                           .dc = f->params.norm == KERNEL_NORM_DC, .norm_only = norm.size > 0,
                           .damping_limit = field_damping_limit(&f->params)),
                   60.0 * (double)f->heads * (double)f->params.cells);
}

Field field_begin(Lowering *l, Shape u, int first)
{
    Field f = {.params = l->node->params.field,
               .batch = u.dim[0],
               .tokens = u.dim[1],
               .heads = u.dim[2],
               .width = u.dim[3],
               .chunks = ceil_div(u.dim[1], FIELD_CHUNK),
               .channels = u.dim[2] * u.dim[3],
               .frequency = lower_in(l, first),
               .damping = lower_in(l, first + 1),
               .phase = lower_in(l, first + 2),
               .cell = u.dim[1] > 0 ? lower_in(l, first + 3) : (Place){0},
               .fraction = u.dim[1] > 0 ? lower_in(l, first + 4) : (Place){0}};
    f.head = field_take(l, f.heads * 3, 16);
    field_heads(l, &f, f.head, (Place){0});
    return f;
}

void field_add_gradients(Lowering *l, const Field *f, Place moments, int64_t slices)
{
    lower_dispatch(l, KERNEL_FIELD_GRADIENT, lower_groups_over(l, KERNEL_FIELD_GRADIENT, f->heads),
                   BUFFERS(moments, f->head, lower_out(l, 1), lower_out(l, 2), lower_out(l, 3)),
                   SCALARS(field_gradient, .heads = (uint32_t)f->heads, .slices = (uint32_t)slices),
                   0);
}

/* ---- scan ---- */

typedef struct Scan {
    Place step; /* [H, N] float4 */
    Place span; /* [H, C] float4 */
    int64_t tiles;
} Scan;

static Scan begin_scan(Lowering *l, const Field *f)
{
    Scan scan = {.step = field_take(l, f->heads * f->tokens, 16),
                 .span = field_take(l, f->heads * f->chunks, 16),
                 .tiles = ceil_div(f->channels, gpu_kernels[KERNEL_FIELD_SCAN].threads)};
    int64_t n = f->tokens + f->chunks;
    Groups groups = lower_groups_over(l, KERNEL_FIELD_STEPS, n);
    groups.y = f->heads;
    lower_dispatch(
        l, KERNEL_FIELD_STEPS, groups,
        BUFFERS(f->frequency, f->cell, f->fraction, f->head, scan.step, scan.span),
        SCALARS(field_steps, .tokens = (uint32_t)f->tokens, .chunks = (uint32_t)f->chunks),
        400.0 * (double)(n * f->heads));
    return scan;
}

/* Every chunk's carry, from the deposits u or, backward, from the gradients dr. */
static void scan_carries(Lowering *l, const Field *f, const Scan *scan, Place u, Place carry,
                         uint32_t backward)
{
    double work = 20.0 * (double)f->batch * (double)f->tokens * (double)f->channels;
    lower_dispatch(l, KERNEL_FIELD_LOCAL, GROUPS(scan->tiles, f->chunks - 1, f->batch),
                   BUFFERS(u, f->fraction, f->head, scan->step, carry),
                   SCALARS(field_local, .tokens = (uint32_t)f->tokens, .heads = (uint32_t)f->heads,
                           .width = (uint32_t)f->width, .chunks = (uint32_t)f->chunks,
                           .backward = backward),
                   work);
    lower_dispatch(l, KERNEL_FIELD_CARRY, GROUPS(scan->tiles, 1, f->batch),
                   BUFFERS(scan->span, carry),
                   SCALARS(field_carry, .heads = (uint32_t)f->heads, .width = (uint32_t)f->width,
                           .chunks = (uint32_t)f->chunks, .backward = backward),
                   work / FIELD_CHUNK);
}

static void scan_forward(Lowering *l, const Field *f)
{
    Scan scan = begin_scan(l, f);
    Place u = lower_in(l, 0), carry = lower_out(l, 1);
    scan_carries(l, f, &scan, u, carry, 0);
    lower_dispatch(l, KERNEL_FIELD_SCAN, GROUPS(scan.tiles, f->chunks, f->batch),
                   BUFFERS(u, f->fraction, f->head, scan.step, carry, lower_out(l, 0)),
                   SCALARS(field_scan, .tokens = (uint32_t)f->tokens, .heads = (uint32_t)f->heads,
                           .width = (uint32_t)f->width, .chunks = (uint32_t)f->chunks,
                           .accumulate = lower_accumulates(l, 0)),
                   30.0 * (double)f->batch * (double)f->tokens * (double)f->channels);
}

static void scan_backward(Lowering *l, const Field *f)
{
    Scan scan = begin_scan(l, f);
    Place dr = lower_in(l, 0), u = lower_in(l, 1), carry = lower_in(l, 7);
    Place ahead = field_take(l, 2 * f->batch * f->chunks * f->channels, 4);
    scan_carries(l, f, &scan, dr, ahead, 1);
    int64_t rows = f->batch * f->chunks;
    Place partial = field_take(l, rows * f->channels, 16);
    lower_dispatch(l, KERNEL_FIELD_SCAN_BACKWARD, GROUPS(scan.tiles, f->chunks, f->batch),
                   BUFFERS(dr, u, f->cell, f->fraction, f->head, scan.step, carry, ahead,
                           lower_out(l, 0), partial),
                   SCALARS(field_scan_backward, .tokens = (uint32_t)f->tokens,
                           .heads = (uint32_t)f->heads, .width = (uint32_t)f->width,
                           .chunks = (uint32_t)f->chunks, .accumulate = lower_accumulates(l, 0)),
                   100.0 * (double)f->batch * (double)f->tokens * (double)f->channels);
    int64_t slices = lower_slices(l, rows, f->heads);
    Place moments = field_take(l, f->heads * slices, 16);
    lower_dispatch(l, KERNEL_FIELD_MOMENTS, GROUPS(f->heads, slices, 1), BUFFERS(partial, moments),
                   SCALARS(field_moments, .rows = (uint32_t)rows, .heads = (uint32_t)f->heads,
                           .width = (uint32_t)f->width, .slices = (uint32_t)slices),
                   10.0 * (double)rows * (double)f->channels);
    field_add_gradients(l, f, moments, slices);
}

/* ---- the ops ---- */

void lower_field(Lowering *l)
{
    Field f = field_begin(l, lower_in_shape(l, 0), 1);
    if (f.params.evaluator == FIELD_SCAN)
        scan_forward(l, &f);
    else
        rows_forward(l, &f);
}

void lower_field_backward(Lowering *l)
{
    Field f = field_begin(l, lower_in_shape(l, 1), 2);
    if (f.params.evaluator == FIELD_SCAN)
        scan_backward(l, &f);
    else
        rows_backward(l, &f);
}
