/* Lowering of the field by convolution: rows of cells, two channels of a head in one complex row
 * (spec §2, "FFT"), as many at a time as the device's transforms may hold.
 *
 * Tokens are scattered onto rows, rows convolved with their kernel, tokens read off them. FFT
 * convolves by transforms of 2·reach points and more; direct by summation over the cells, for
 * tests. A head's rows share one kernel, or, gated, those of each plane (a head of a sample);
 * planes, and so kernels, are numbered head·batch + sample, and rows follow them.
 *
 * A forward moves each row of cells six times through memory: written by the scatter, read and
 * written by both transforms and the filter between them, read by the gather. */
#include "backends/gpu/lower_field.h"

typedef struct Rows {
    bool direct;
    int64_t points;   /* of a row: FFT a power of two ≥ 2·reach, direct the reach */
    int64_t a_kernel; /* rows that share a kernel */
    int64_t kernels;  /* H, or H·B */
    int64_t block;    /* kernels made at a time */
    int64_t pass;     /* rows convolved at a time */
    bool gated;
    Gate gate;
    Place first;          /* [reach + 1] */
    Place kernel;         /* [block, points] complex: the kernels' spectra, direct the kernels */
    Place kernel_scratch; /* the same size */
} Rows;

/* Rows of kernels first … first+count-1. */
typedef struct Block {
    int64_t first, count, row, end;
} Block;

/* ---- transforms ---- */

static const char TOO_LONG[] = "a field too long for this device's transforms: choose scan";

int64_t rows_at_once(Lowering *l, int64_t points)
{
    int64_t most = l->limits->transform_bytes / (8 * points);
    if (most < 1) lower_refuse(l, TOO_LONG);
    return int64_max(most, 1);
}

static int64_t alignment(const Lowering *l)
{
    return int64_max(256, l->limits->alignment);
}

void rows_transform(Lowering *l, int64_t points, int64_t count, bool inverse, Place data,
                    Place scratch)
{
    int64_t most = rows_at_once(l, points), each = count;
    if (count > most) {
        int64_t aligned = 1; /* parts of so many rows start where a transform may */
        while (8 * points * aligned % alignment(l)) aligned *= 2;
        if (aligned > most) lower_refuse(l, TOO_LONG);
        each = int64_max(most / aligned, 1) * aligned;
    }
    for (int64_t row = 0; row < count; row += each) {
        int64_t rows = int64_min(each, count - row), size = 8 * rows * points;
        lower_transform(l, &(Transform){.length = points,
                                        .rows = rows,
                                        .inverse = inverse,
                                        .data = lower_part(data, 8 * row * points, size),
                                        .scratch = lower_part(scratch, 8 * row * points, size)});
    }
}

/* ---- kernels ---- */

void rows_waves(Lowering *l, const Field *f, int64_t cells, int64_t points, Place rows)
{
    Groups groups = lower_groups_over(l, KERNEL_FFT_KERNEL, points);
    groups.y = f->heads;
    lower_dispatch(l, KERNEL_FFT_KERNEL, groups, BUFFERS(f->frequency, f->phase, f->head, rows),
                   SCALARS(fft_kernel, .cells = (uint32_t)cells, .points = (uint32_t)points),
                   60.0 * (double)(f->heads * cells));
}

void rows_moments(Lowering *l, const Field *f, int64_t cells, int64_t points, Place rows,
                  float scale)
{
    Place moments = field_take(l, f->heads, 16);
    lower_dispatch(
        l, KERNEL_FFT_MOMENTS, GROUPS(f->heads, 1, 1),
        BUFFERS(f->frequency, f->head, rows, moments),
        SCALARS(fft_moments, .cells = (uint32_t)cells, .points = (uint32_t)points, .scale = scale),
        60.0 * (double)(f->heads * cells));
    field_add_gradients(l, f, moments, 1);
}

/* A node's gate is its input `gate`; each row is convolved `signals` at once. */
static Rows begin_rows(Lowering *l, const Field *f, int gate, int64_t signals)
{
    int64_t reach = f->params.reach, pairs = ceil_div(f->width, 2);
    Rows rows = {
        .direct = f->params.evaluator == FIELD_DIRECT, .points = 2, .gated = lower_has_in(l, gate)};
    while (rows.points < 2 * reach || 8 * rows.points % alignment(l)) rows.points *= 2;
    if (rows.direct) rows.points = reach;
    rows.kernels = rows.gated ? f->heads * f->batch : f->heads;
    rows.a_kernel = rows.gated ? pairs : f->batch * pairs;

    int64_t most = int64_max(((int64_t)16 << 20) / rows.points, signals);
    if (!rows.direct) most = rows_at_once(l, signals * rows.points) * signals;
    most = int64_min(most, signals * l->limits->groups[1]);
    rows.block = rows.kernels;
    if (rows.gated) {
        int64_t planes = rows_at_once(l, int64_max(gate_size(f->params.cells), rows.points));
        planes = int64_min(planes, l->limits->groups[1]);
        rows.block = ceil_div(rows.kernels, ceil_div(rows.kernels, planes));
    }
    int64_t in_block = rows.block * rows.a_kernel;
    rows.pass = ceil_div(in_block, ceil_div(in_block, most / signals));

    rows.first = field_take(l, reach + 1, 4);
    rows.kernel = field_take(l, rows.block * rows.points, 8);
    rows.kernel_scratch = field_take(l, rows.block * rows.points, 8);
    lower_dispatch(l, KERNEL_FFT_CELLS, lower_groups_over(l, KERNEL_FFT_CELLS, reach + 1),
                   BUFFERS(f->cell, rows.first),
                   SCALARS(fft_cells, .tokens = (uint32_t)f->tokens, .cells = (uint32_t)reach), 0);
    if (rows.gated) rows.gate = gate_begin(l, f, lower_in(l, gate), rows.block);
    return rows;
}

static Block block_from(const Rows *rows, int64_t first)
{
    int64_t count = int64_min(rows->block, rows->kernels - first);
    return (Block){first, count, first * rows->a_kernel, (first + count) * rows->a_kernel};
}

static void make_kernels(Lowering *l, const Field *f, const Rows *rows, Block block)
{
    if (rows->gated) {
        gate_kernels(l, f, &rows->gate, block.first, block.count);
        gate_resize(l, &rows->gate, f->params.reach, rows->points, rows->kernel);
    } else {
        rows_waves(l, f, f->params.reach, rows->points, rows->kernel);
    }
    if (!rows->direct)
        rows_transform(l, rows->points, rows->block, false, rows->kernel, rows->kernel_scratch);
}

/* ---- one pass over rows of a block: `row` … row+pass-1, those past the block's end idle ---- */

static void scatter(Lowering *l, const Field *f, const Rows *rows, Block block, int64_t row,
                    Place u, Place data)
{
    lower_dispatch(l, KERNEL_FFT_SCATTER,
                   GROUPS(ceil_div(rows->points, 32), ceil_div(rows->pass, 8), 1),
                   BUFFERS(u, f->fraction, rows->first, data),
                   SCALARS(fft_scatter, .batch = (uint32_t)f->batch, .tokens = (uint32_t)f->tokens,
                           .heads = (uint32_t)f->heads, .width = (uint32_t)f->width,
                           .cells = (uint32_t)f->params.reach, .points = (uint32_t)rows->points,
                           .first_row = (uint32_t)row, .rows = (uint32_t)rows->pass,
                           .all_rows = (uint32_t)block.end),
                   0);
}

static void gather(Lowering *l, const Field *f, const Rows *rows, Block block, int64_t row,
                   Place data, Place r)
{
    lower_dispatch(l, KERNEL_FFT_GATHER,
                   GROUPS(ceil_div(f->tokens, 32), ceil_div(rows->pass, 8), 1),
                   BUFFERS(data, f->cell, f->fraction, r),
                   SCALARS(fft_gather, .batch = (uint32_t)f->batch, .tokens = (uint32_t)f->tokens,
                           .heads = (uint32_t)f->heads, .width = (uint32_t)f->width,
                           .points = (uint32_t)rows->points, .first_row = (uint32_t)row,
                           .rows = (uint32_t)rows->pass, .all_rows = (uint32_t)block.end,
                           .accumulate = lower_accumulates(l, 0)),
                   0);
}

static int64_t rows_left(const Rows *rows, Block block, int64_t row)
{
    return int64_min(rows->pass, block.end - row);
}

/* Multiplies spectra by their kernels', or by the conjugates of these. */
static void filter(Lowering *l, const Rows *rows, Block block, int64_t row, Place data,
                   uint32_t conjugate)
{
    int64_t count = rows_left(rows, block, row);
    int64_t tiles = ceil_div(rows->points, gpu_kernels[KERNEL_FFT_FILTER].threads);
    lower_dispatch(l, KERNEL_FFT_FILTER, GROUPS(tiles, count, 1), BUFFERS(rows->kernel, data),
                   SCALARS(fft_filter, .points = (uint32_t)rows->points,
                           .first_row = (uint32_t)(row - block.row), .rows = (uint32_t)count,
                           .rows_a_head = (uint32_t)rows->a_kernel,
                           .scale = 1.0f / (float)rows->points, .conjugate = conjugate),
                   8.0 * (double)(rows->points * count));
}

/* Convolves rows of cells by summation: `to` from `data`. */
static void sum_cells(Lowering *l, const Rows *rows, Block block, int64_t row, Place data, Place to,
                      uint32_t adjoint)
{
    int64_t count = rows_left(rows, block, row);
    int64_t tiles = ceil_div(rows->points, gpu_kernels[KERNEL_DIRECT_CONVOLVE].threads);
    lower_dispatch(l, KERNEL_DIRECT_CONVOLVE, GROUPS(tiles, count, 1),
                   BUFFERS(rows->kernel, data, to),
                   SCALARS(direct_convolve, .points = (uint32_t)rows->points,
                           .first_row = (uint32_t)(row - block.row),
                           .rows_a_head = (uint32_t)rows->a_kernel, .adjoint = adjoint),
                   10.0 * (double)count * (double)rows->points * (double)rows->points);
}

/* Adds what these rows say to ∂L/∂k, or its spectra. data: the deposits' rows, then the gradients'.
 */
static void correlate(Lowering *l, const Rows *rows, Block block, int64_t row, Place data,
                      Place gradient)
{
    KernelId kernel = rows->direct ? KERNEL_DIRECT_CORRELATE : KERNEL_FFT_CORRELATE;
    int64_t count = rows_left(rows, block, row);
    int64_t first_kernel = (row - block.row) / rows->a_kernel;
    int64_t last_kernel = (row - block.row + count - 1) / rows->a_kernel;
    int64_t tiles = ceil_div(rows->points, gpu_kernels[kernel].threads);
    double work = 8.0 * (double)(rows->points * count);
    _Static_assert(sizeof(direct_correlate_scalars) == sizeof(fft_correlate_scalars),
                   "both kernels take the same scalars");
    lower_dispatch(l, kernel, GROUPS(tiles, last_kernel - first_kernel + 1, 1),
                   BUFFERS(data, gradient),
                   SCALARS(fft_correlate, .points = (uint32_t)rows->points,
                           .first_head = (uint32_t)first_kernel,
                           .first_row = (uint32_t)(row - block.row), .rows = (uint32_t)count,
                           .pitch = (uint32_t)rows->pass, .rows_a_head = (uint32_t)rows->a_kernel),
                   rows->direct ? work * (double)rows->points : work);
}

/* ---- all of it ---- */

void rows_forward(Lowering *l, const Field *f)
{
    Rows rows = begin_rows(l, f, 6, 1);
    Place data = field_take(l, rows.pass * rows.points, 8);
    Place scratch = field_take(l, rows.pass * rows.points, 8);
    for (int64_t first = 0; first < rows.kernels; first += rows.block) {
        Block block = block_from(&rows, first);
        make_kernels(l, f, &rows, block);
        for (int64_t row = block.row; row < block.end; row += rows.pass) {
            scatter(l, f, &rows, block, row, lower_in(l, 0), data);
            if (rows.direct) {
                sum_cells(l, &rows, block, row, data, scratch, 0);
            } else {
                rows_transform(l, rows.points, rows.pass, false, data, scratch);
                filter(l, &rows, block, row, data, 0);
                rows_transform(l, rows.points, rows.pass, true, data, scratch);
            }
            gather(l, f, &rows, block, row, rows.direct ? scratch : data, lower_out(l, 0));
        }
    }
    Place carry = lower_out(l, 1); /* of the scan only */
    lower_dispatch(l, KERNEL_FILL, lower_groups_over(l, KERNEL_FILL, carry.size / 4),
                   BUFFERS(carry), SCALARS(fill, .n = (uint32_t)(carry.size / 4)), 0);
}

/* du of a block, and ∂L/∂k of its kernels [block, points], times points unless direct. */
static void backward_block(Lowering *l, const Field *f, const Rows *rows, Block block, Place both,
                           Place scratch, Place dkernel)
{
    int64_t size = 8 * rows->pass * rows->points;
    Place deposit = lower_part(both, 0, size), gradient = lower_part(both, size, size);
    Place part = lower_part(scratch, 0, size);
    for (int64_t row = block.row; row < block.end; row += rows->pass) {
        scatter(l, f, rows, block, row, lower_in(l, 1), deposit);
        scatter(l, f, rows, block, row, lower_in(l, 0), gradient);
        if (!rows->direct) rows_transform(l, rows->points, 2 * rows->pass, false, both, scratch);
        correlate(l, rows, block, row, both, dkernel);
        if (rows->direct) {
            sum_cells(l, rows, block, row, gradient, part, 1);
        } else {
            filter(l, rows, block, row, gradient, 1);
            rows_transform(l, rows->points, rows->pass, true, gradient, part);
        }
        gather(l, f, rows, block, row, rows->direct ? part : gradient, lower_out(l, 0));
    }
    if (!rows->direct)
        rows_transform(l, rows->points, rows->block, true, dkernel, rows->kernel_scratch);
}

void rows_backward(Lowering *l, const Field *f)
{
    Rows rows = begin_rows(l, f, 8, 2);
    int64_t pair = 2 * rows.pass * rows.points;
    Place both = field_take(l, pair, 8), scratch = field_take(l, pair, 8);
    Place dkernel = field_take(l, rows.block * rows.points, 8);
    float scale = rows.direct ? 1.0f : 1.0f / (float)rows.points;
    GateGradient onward = {
        .rows = dkernel, .points = rows.points, .scale = scale, .dgate = lower_out(l, 4)};
    if (rows.gated) onward.dspectrum = field_take(l, f->heads * rows.gate.size, 8);
    for (int64_t first = 0; first < rows.kernels; first += rows.block) {
        Block block = block_from(&rows, first);
        make_kernels(l, f, &rows, block);
        backward_block(l, f, &rows, block, both, scratch, dkernel);
        if (rows.gated) gate_backward(l, f, &rows.gate, &onward, block.first, block.count);
    }
    if (rows.gated) {
        int64_t size = rows.gate.size;
        rows_transform(l, size, f->heads, true, onward.dspectrum, rows.gate.scratch);
        rows_moments(l, f, f->params.cells, size, onward.dspectrum, 1.0f / (float)size);
    } else {
        rows_moments(l, f, f->params.reach, rows.points, dkernel, scale);
    }
}
