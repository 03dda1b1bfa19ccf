/* Lowering of the field: the token scan in chunks, or transforms of the whole field.
 *
 * Scan, forward: each chunk on its own from rest (its end state), the ends joined into every
 * chunk's carry, each chunk again from its carry. Backward the same in reverse for the adjoint,
 * then one pass that has both states. Fft: rows of cells, two channels each, as many at a time as
 * the device's transforms may hold. */
#include "backends/gpu/lower.h"

#include <float.h>

_Static_assert(FIELD_CHUNK == 64, "shaders/field_*.comp count 64 tokens a chunk");

typedef struct Field {
    FieldParams params;
    int64_t batch, tokens, heads, width, chunks, channels;
    Place frequency, damping, phase, cell, fraction;
    Place head; /* [H, 3] float4 */
} Field;

static Place take(Lowering *l, int64_t count, int64_t element)
{
    return lower_scratch(l, count * element);
}

/* Inputs `first` … are frequency, damping, phase, cell, fraction; also makes the heads' records. */
static Field begin_field(Lowering *l, Shape u, int first)
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
               .cell = lower_in(l, first + 3),
               .fraction = lower_in(l, first + 4)};
    f.head = take(l, f.heads * 3, 16);
    lower_dispatch(l, KERNEL_FIELD_HEADS, GROUPS(f.heads, 1, 1),
                   BUFFERS(f.frequency, f.damping, f.phase, f.head),
                   SCALARS(field_heads, .cells = (uint32_t)f.params.cells,
                           .dc = f.params.norm == KERNEL_NORM_DC,
                           .damping_limit =
                               f.params.damping_limit < FLT_MAX ? f.params.damping_limit : FLT_MAX),
                   60.0 * (double)f.heads * (double)f.params.cells);
    return f;
}

static bool runs_here(Lowering *l, int gate)
{
    if (lower_has_in(l, gate)) lower_refuse(l, "gated kernels are not yet on this backend");
    if (l->node->params.field.evaluator == FIELD_DIRECT)
        lower_refuse(l, "the direct evaluator is not yet on this backend: choose scan or fft");
    return !l->refusal;
}

static void fill_zero(Lowering *l, Place place)
{
    lower_dispatch(l, KERNEL_FILL, lower_groups_over(l, KERNEL_FILL, place.size / 4),
                   BUFFERS(place), SCALARS(fill, .n = (uint32_t)(place.size / 4)), 0);
}

/* ---- scan ---- */

typedef struct Scan {
    Place step; /* [H, N] float4 */
    Place span; /* [H, C] float4 */
    int64_t tiles;
} Scan;

static Scan begin_scan(Lowering *l, const Field *f)
{
    Scan scan = {.step = take(l, f->heads * f->tokens, 16),
                 .span = take(l, f->heads * f->chunks, 16),
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

static void add_gradients(Lowering *l, const Field *f, Place moments, int64_t slices)
{
    lower_dispatch(l, KERNEL_FIELD_GRADIENT, lower_groups_over(l, KERNEL_FIELD_GRADIENT, f->heads),
                   BUFFERS(moments, f->head, lower_out(l, 1), lower_out(l, 2), lower_out(l, 3)),
                   SCALARS(field_gradient, .heads = (uint32_t)f->heads, .slices = (uint32_t)slices),
                   0);
}

static void scan_backward(Lowering *l, const Field *f)
{
    Scan scan = begin_scan(l, f);
    Place dr = lower_in(l, 0), u = lower_in(l, 1), carry = lower_in(l, 7);
    Place ahead = take(l, 2 * f->batch * f->chunks * f->channels, 4);
    scan_carries(l, f, &scan, dr, ahead, 1);
    int64_t rows = f->batch * f->chunks;
    Place partial = take(l, rows * f->channels, 16);
    lower_dispatch(l, KERNEL_FIELD_SCAN_BACKWARD, GROUPS(scan.tiles, f->chunks, f->batch),
                   BUFFERS(dr, u, f->cell, f->fraction, f->head, scan.step, carry, ahead,
                           lower_out(l, 0), partial),
                   SCALARS(field_scan_backward, .tokens = (uint32_t)f->tokens,
                           .heads = (uint32_t)f->heads, .width = (uint32_t)f->width,
                           .chunks = (uint32_t)f->chunks, .accumulate = lower_accumulates(l, 0)),
                   100.0 * (double)f->batch * (double)f->tokens * (double)f->channels);
    int64_t slices = lower_slices(l, rows, f->heads);
    Place moments = take(l, f->heads * slices, 16);
    lower_dispatch(l, KERNEL_FIELD_MOMENTS, GROUPS(f->heads, slices, 1), BUFFERS(partial, moments),
                   SCALARS(field_moments, .rows = (uint32_t)rows, .heads = (uint32_t)f->heads,
                           .width = (uint32_t)f->width, .slices = (uint32_t)slices),
                   10.0 * (double)rows * (double)f->channels);
    add_gradients(l, f, moments, slices);
}

/* ---- fft ---- */

typedef struct Rows {
    int64_t points;      /* a transform's length, a power of two ≥ 2·reach */
    int64_t a_head, all; /* rows of a head, and of all */
    int64_t pass;        /* rows of one pass over the device's transforms */
    Place first;         /* [reach + 1] */
    Place kernel;        /* [H, points] complex: the kernels' spectra */
    Place kernel_scratch;
} Rows;

static void transform_rows(Lowering *l, const Rows *rows, int64_t count, bool inverse, Place data,
                           Place scratch)
{
    lower_transform(l, &(Transform){.length = rows->points,
                                    .rows = count,
                                    .inverse = inverse,
                                    .data = data,
                                    .scratch = scratch});
}

/* Rows in passes of equal size, `signals` transforms of each row at once; and the kernels'
 * spectra. */
static Rows begin_rows(Lowering *l, const Field *f, int64_t signals)
{
    Rows rows = {.points = 8, .a_head = f->batch * ceil_div(f->width, 2)};
    while (rows.points < 2 * f->params.reach) rows.points *= 2;
    rows.all = f->heads * rows.a_head;
    int64_t most =
        int64_min(l->limits->transform_bytes / (8 * rows.points), signals * l->limits->groups[1]);
    if (most < signals || most < f->heads) {
        lower_refuse(l, "a field too long for this device's transforms: choose scan");
        most = int64_max(signals, f->heads);
    }
    rows.pass = ceil_div(rows.all, ceil_div(rows.all, most / signals));
    rows.first = take(l, f->params.reach + 1, 4);
    rows.kernel = take(l, f->heads * rows.points, 8);
    rows.kernel_scratch = take(l, f->heads * rows.points, 8);
    lower_dispatch(
        l, KERNEL_FFT_CELLS, lower_groups_over(l, KERNEL_FFT_CELLS, f->params.reach + 1),
        BUFFERS(f->cell, rows.first),
        SCALARS(fft_cells, .tokens = (uint32_t)f->tokens, .cells = (uint32_t)f->params.reach), 0);
    Groups groups = lower_groups_over(l, KERNEL_FFT_KERNEL, rows.points);
    groups.y = f->heads;
    lower_dispatch(
        l, KERNEL_FFT_KERNEL, groups, BUFFERS(f->frequency, f->phase, f->head, rows.kernel),
        SCALARS(fft_kernel, .cells = (uint32_t)f->params.reach, .points = (uint32_t)rows.points),
        60.0 * (double)(f->heads * f->params.reach));
    transform_rows(l, &rows, f->heads, false, rows.kernel, rows.kernel_scratch);
    return rows;
}

static void scatter(Lowering *l, const Field *f, const Rows *rows, int64_t first_row, Place u,
                    Place data)
{
    lower_dispatch(l, KERNEL_FFT_SCATTER,
                   GROUPS(ceil_div(rows->points, 32), ceil_div(rows->pass, 8), 1),
                   BUFFERS(u, f->fraction, rows->first, data),
                   SCALARS(fft_scatter, .batch = (uint32_t)f->batch, .tokens = (uint32_t)f->tokens,
                           .heads = (uint32_t)f->heads, .width = (uint32_t)f->width,
                           .cells = (uint32_t)f->params.reach, .points = (uint32_t)rows->points,
                           .first_row = (uint32_t)first_row, .rows = (uint32_t)rows->pass,
                           .all_rows = (uint32_t)rows->all),
                   0);
}

static void filter(Lowering *l, const Rows *rows, int64_t first_row, int64_t count, Place data,
                   uint32_t conjugate)
{
    int64_t tiles = ceil_div(rows->points, gpu_kernels[KERNEL_FFT_FILTER].threads);
    lower_dispatch(l, KERNEL_FFT_FILTER, GROUPS(tiles, count, 1), BUFFERS(rows->kernel, data),
                   SCALARS(fft_filter, .points = (uint32_t)rows->points,
                           .first_row = (uint32_t)first_row, .rows = (uint32_t)count,
                           .rows_a_head = (uint32_t)rows->a_head,
                           .scale = 1.0f / (float)rows->points, .conjugate = conjugate),
                   8.0 * (double)(rows->points * count));
}

static void gather(Lowering *l, const Field *f, const Rows *rows, int64_t first_row, Place data,
                   Place r)
{
    lower_dispatch(l, KERNEL_FFT_GATHER,
                   GROUPS(ceil_div(f->tokens, 32), ceil_div(rows->pass, 8), 1),
                   BUFFERS(data, f->cell, f->fraction, r),
                   SCALARS(fft_gather, .batch = (uint32_t)f->batch, .tokens = (uint32_t)f->tokens,
                           .heads = (uint32_t)f->heads, .width = (uint32_t)f->width,
                           .points = (uint32_t)rows->points, .first_row = (uint32_t)first_row,
                           .rows = (uint32_t)rows->pass, .all_rows = (uint32_t)rows->all,
                           .accumulate = lower_accumulates(l, 0)),
                   0);
}

static void fft_forward(Lowering *l, const Field *f)
{
    Rows rows = begin_rows(l, f, 1);
    Place data = take(l, rows.pass * rows.points, 8), scratch = take(l, rows.pass * rows.points, 8);
    for (int64_t row = 0; row < rows.all; row += rows.pass) {
        scatter(l, f, &rows, row, lower_in(l, 0), data);
        transform_rows(l, &rows, rows.pass, false, data, scratch);
        filter(l, &rows, row, int64_min(rows.pass, rows.all - row), data, 0);
        transform_rows(l, &rows, rows.pass, true, data, scratch);
        gather(l, f, &rows, row, data, lower_out(l, 0));
    }
    fill_zero(l, lower_out(l, 1));
}

/* Adds what these rows say to the spectra of ∂L/∂k. data: W's rows, then V's. */
static void correlate(Lowering *l, const Rows *rows, int64_t first_row, Place data, Place gradient)
{
    int64_t count = int64_min(rows->pass, rows->all - first_row);
    int64_t first_head = first_row / rows->a_head;
    int64_t last_head = (first_row + count - 1) / rows->a_head;
    int64_t tiles = ceil_div(rows->points, gpu_kernels[KERNEL_FFT_CORRELATE].threads);
    lower_dispatch(l, KERNEL_FFT_CORRELATE, GROUPS(tiles, last_head - first_head + 1, 1),
                   BUFFERS(data, gradient),
                   SCALARS(fft_correlate, .points = (uint32_t)rows->points,
                           .first_head = (uint32_t)first_head, .first_row = (uint32_t)first_row,
                           .rows = (uint32_t)count, .pitch = (uint32_t)rows->pass,
                           .rows_a_head = (uint32_t)rows->a_head),
                   8.0 * (double)(rows->points * count));
}

static void fft_backward(Lowering *l, const Field *f)
{
    Rows rows = begin_rows(l, f, 2);
    int64_t size = 8 * rows.pass * rows.points;
    Place both = lower_scratch(l, 2 * size), scratch = lower_scratch(l, 2 * size);
    Place deposit = lower_part(both, 0, size), gradient = lower_part(both, size, size);
    Place dkernel = take(l, f->heads * rows.points, 8);
    for (int64_t row = 0; row < rows.all; row += rows.pass) {
        scatter(l, f, &rows, row, lower_in(l, 1), deposit);
        scatter(l, f, &rows, row, lower_in(l, 0), gradient);
        transform_rows(l, &rows, 2 * rows.pass, false, both, scratch);
        correlate(l, &rows, row, both, dkernel);
        filter(l, &rows, row, int64_min(rows.pass, rows.all - row), gradient, 1);
        transform_rows(l, &rows, 2 * rows.pass, true, both, scratch);
        gather(l, f, &rows, row, gradient, lower_out(l, 0));
    }
    transform_rows(l, &rows, f->heads, true, dkernel, rows.kernel_scratch);
    Place moments = take(l, f->heads, 16);
    lower_dispatch(
        l, KERNEL_FFT_MOMENTS, GROUPS(f->heads, 1, 1),
        BUFFERS(f->frequency, f->head, dkernel, moments),
        SCALARS(fft_moments, .cells = (uint32_t)f->params.reach, .points = (uint32_t)rows.points),
        60.0 * (double)(f->heads * f->params.reach));
    add_gradients(l, f, moments, 1);
}

/* ---- the ops ---- */

void lower_field(Lowering *l)
{
    if (!runs_here(l, 6)) return;
    Field f = begin_field(l, lower_in_shape(l, 0), 1);
    if (f.params.evaluator == FIELD_SCAN)
        scan_forward(l, &f);
    else
        fft_forward(l, &f);
}

void lower_field_backward(Lowering *l)
{
    if (!runs_here(l, 8)) return;
    Field f = begin_field(l, lower_in_shape(l, 1), 2);
    if (f.params.evaluator == FIELD_SCAN)
        scan_backward(l, &f);
    else
        fft_backward(l, &f);
}
