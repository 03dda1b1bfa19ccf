/* Lowering of the spectral gate (spec §4): k' = the first samples of irfft_P(rfft_P(k)·(1+gate)),
 * and its adjoint.
 *
 * In full-spectrum terms k' = F⁻¹·diag(1+γ)·F·k with γ real and γ(P-f) = γ(f), which is its own
 * transpose: ∂L/∂k is the same filter applied to ∂L/∂k'. A head's plain kernel is transformed once,
 * and its samples' gradients, summed as spectra, once back; each plane costs one transform of P
 * points each way, which is little beside its channels' rows. */
#include "backends/gpu/lower_field.h"

int64_t gate_size(int64_t cells)
{
    for (int64_t size = 4 * cells;; size++) {
        int64_t rest = size;
        for (int64_t prime = 2; prime <= 7; prime++)
            while (rest % prime == 0) rest /= prime;
        if (rest == 1) return size;
    }
}

Gate gate_begin(Lowering *l, const Field *f, Place points, int64_t together)
{
    Gate gate = {.size = gate_size(f->params.cells), .together = together, .points = points};
    gate.spectrum = field_take(l, f->heads * gate.size, 8);
    gate.row = field_take(l, together * gate.size, 8);
    gate.scratch = field_take(l, int64_max(f->heads, together) * gate.size, 8);
    rows_waves(l, f, f->params.cells, gate.size, gate.spectrum);
    rows_transform(l, gate.size, f->heads, false, gate.spectrum, gate.scratch);
    return gate;
}

void gate_kernels(Lowering *l, const Field *f, const Gate *gate, int64_t first, int64_t count)
{
    int64_t tiles = ceil_div(gate->size, gpu_kernels[KERNEL_SPECTRAL_FILTER].threads);
    lower_dispatch(l, KERNEL_SPECTRAL_FILTER, GROUPS(tiles, count, 1),
                   BUFFERS(gate->spectrum, gate->points, gate->row),
                   SCALARS(spectral_filter, .batch = (uint32_t)f->batch,
                           .heads = (uint32_t)f->heads, .points = (uint32_t)gate->size,
                           .first_plane = (uint32_t)first, .scale = 1.0f / (float)gate->size),
                   10.0 * (double)(count * gate->size));
    rows_transform(l, gate->size, gate->together, true, gate->row, gate->scratch);
}

static void resize(Lowering *l, Place from, int64_t from_points, Place to, int64_t points,
                   int64_t cells, int64_t count, float scale)
{
    Groups groups = lower_groups_over(l, KERNEL_FFT_RESIZE, points);
    groups.y = count;
    lower_dispatch(l, KERNEL_FFT_RESIZE, groups, BUFFERS(from, to),
                   SCALARS(fft_resize, .from_points = (uint32_t)from_points,
                           .points = (uint32_t)points, .cells = (uint32_t)cells, .scale = scale),
                   0);
}

void gate_resize(Lowering *l, const Gate *gate, int64_t cells, int64_t points, Place rows)
{
    resize(l, gate->row, gate->size, rows, points, cells, gate->together, 1);
}

/* Adds the filtered spectra of planes first … first+count-1 to their heads' sums. */
static void sum_planes(Lowering *l, const Field *f, const Gate *gate, Place dspectrum,
                       int64_t first, int64_t count)
{
    int64_t first_head = first / f->batch, last_head = (first + count - 1) / f->batch;
    int64_t tiles = ceil_div(gate->size, gpu_kernels[KERNEL_SPECTRAL_SUM].threads);
    lower_dispatch(l, KERNEL_SPECTRAL_SUM, GROUPS(tiles, last_head - first_head + 1, 1),
                   BUFFERS(gate->row, gate->points, dspectrum),
                   SCALARS(spectral_sum, .batch = (uint32_t)f->batch, .heads = (uint32_t)f->heads,
                           .points = (uint32_t)gate->size, .first_plane = (uint32_t)first,
                           .planes = (uint32_t)count, .first_head = (uint32_t)first_head),
                   10.0 * (double)(count * gate->size));
}

void gate_backward(Lowering *l, const Field *f, const Gate *gate, const GateGradient *gradient,
                   int64_t first, int64_t count)
{
    resize(l, gradient->rows, gradient->points, gate->row, gate->size, f->params.reach,
           gate->together, gradient->scale);
    rows_transform(l, gate->size, gate->together, false, gate->row, gate->scratch);
    if (gradient->dgate.size > 0)
        lower_dispatch(l, KERNEL_SPECTRAL_GRADIENT, GROUPS(FIELD_GATE_POINTS, count, 1),
                       BUFFERS(gate->spectrum, gate->row, gradient->dgate),
                       SCALARS(spectral_gradient, .batch = (uint32_t)f->batch,
                               .heads = (uint32_t)f->heads, .points = (uint32_t)gate->size,
                               .first_plane = (uint32_t)first, .scale = 1.0f / (float)gate->size),
                       8.0 * (double)(count * gate->size));
    sum_planes(l, f, gate, gradient->dspectrum, first, count);
}

/* ---- the kernel alone ---- */

void lower_field_kernel(Lowering *l)
{
    const FieldParams *p = &l->node->params.field;
    Shape points = lower_in_shape(l, 3); /* [B, H, 32] */
    Field f = field_begin(l, SHAPE(points.dim[0], 0, p->heads, 1), 0);
    int64_t planes = f.heads * f.batch;
    int64_t most = int64_min(rows_at_once(l, gate_size(p->cells)), l->limits->groups[1]);
    int64_t together = ceil_div(planes, ceil_div(planes, most));
    Gate gate = gate_begin(l, &f, lower_in(l, 3), together);
    for (int64_t first = 0; first < planes; first += together) {
        int64_t count = int64_min(together, planes - first);
        gate_kernels(l, &f, &gate, first, count);
        Groups groups = lower_groups_over(l, KERNEL_SPECTRAL_SAMPLES, p->cells);
        groups.y = count;
        lower_dispatch(l, KERNEL_SPECTRAL_SAMPLES, groups, BUFFERS(gate.row, lower_out(l, 0)),
                       SCALARS(spectral_samples, .batch = (uint32_t)f.batch,
                               .heads = (uint32_t)f.heads, .points = (uint32_t)gate.size,
                               .cells = (uint32_t)p->cells, .first_plane = (uint32_t)first,
                               .accumulate = lower_accumulates(l, 0)),
                       0);
    }
}
