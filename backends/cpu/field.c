/* The field ops: which evaluator runs, with which inputs and which scratch. */
#include "backends/cpu/field.h"

#include <limits.h>
#include <string.h>

#include "backends/cpu/field_convolve.h"
#include "backends/cpu/field_scan.h"

/* A field whose deposit u is the node's input `u`; u.shape [B, N, H, d]. */
static Field field_of(const Graph *graph, const Node *node, int u)
{
    Shape shape = graph->tensors[node->in[u]].shape;
    return (Field){.params = node->params.field,
                   .batch = shape.dim[0],
                   .tokens = shape.dim[1],
                   .heads = shape.dim[2],
                   .width = shape.dim[3]};
}

/* The same with the inputs that follow u: frequency, damping, phase, cell, fraction. */
static Field field_given(const CpuCall *call, int u)
{
    Field field = field_of(call->graph, call->node, u);
    field.frequency = call->in[u + 1];
    field.damping = call->in[u + 2];
    field.phase = call->in[u + 3];
    field.cell = call->in[u + 4];
    field.fraction = call->in[u + 5];
    return field;
}

static bool has_input(const Node *node, int k)
{
    return k < node->n_in && node->in[k] != NO_TENSOR;
}

/* ---- convolution by samples of the kernel: fft and direct, gated or not ---- */

typedef struct Convolver {
    bool fft, gated;
    int64_t wave_cells; /* G where the gate needs the whole kernel, else the cells reached */
    Pole *poles;
    Complex *waves; /* [H, wave_cells] */
    GateWork gate;
    ConvolveWork work;
    Kernels kernels;
    double *dkernels;       /* [B, H, reach] */
    KernelMoments *moments; /* [B, H] */
} Convolver;

static Convolver convolver_carve(Carve *carve, const Field *field, bool gated, bool backward)
{
    const FieldParams *p = &field->params;
    const int64_t rows = field->batch * field->heads, longest_transform = INT_MAX / 4;
    Convolver c = {.fft = p->evaluator == FIELD_FFT && p->reach <= longest_transform,
                   .gated = gated,
                   .wave_cells = gated ? p->cells : p->reach};
    c.poles = CARVE(carve, Pole, field->heads);
    c.waves = CARVE(carve, Complex, field->heads * c.wave_cells);
    if (gated) c.gate = gate_carve(carve, field);
    c.kernels.sample_stride = gated ? field->heads * p->reach : 0;
    c.kernels.value = CARVE(carve, double, (gated ? rows : field->heads) * p->reach);
    c.work = c.fft ? fft_carve(carve, field) : direct_carve(carve, field);
    if (backward) {
        c.dkernels = CARVE(carve, double, rows * p->reach);
        c.moments = CARVE(carve, KernelMoments, rows);
    }
    return c;
}

static void convolver_prepare(const Convolver *c, const Field *field, const real *gate)
{
    const int64_t reach = field->params.reach;
    field_poles_plain(field, c->poles);
    field_waves(field, c->poles, c->wave_cells, c->waves);
    if (c->gated) {
        gate_prepare(&c->gate, field, c->waves);
        gate_kernels(&c->gate, field, gate, reach, c->kernels.value);
    } else {
        for (int64_t i = 0; i < field->heads * reach; i++) c->kernels.value[i] = c->waves[i].re;
    }
}

static void convolve_forward(const CpuCall *call, const Field *field)
{
    Carve carve = {.base = call->workspace};
    Convolver c = convolver_carve(&carve, field, call->in[6] != NULL, false);
    convolver_prepare(&c, field, call->in[6]);
    Convolution conv = {.kernels = c.kernels,
                        .u = call->in[0],
                        .r = call->out[0],
                        .add = call_accumulates(call, 0)};
    (c.fft ? fft_forward : direct_forward)(&c.work, field, &conv);
    memset(call->out[1], 0, (size_t)shape_elements(call_out_shape(call, 1)) * sizeof(real));
}

static void kernel_backward(const CpuCall *call, const Field *field, const Convolver *c)
{
    const int64_t reach = field->params.reach, rows = field->batch * field->heads;
    if (c->gated) {
        spectral_gate_backward(&c->gate, field,
                               &(GateGradient){.gate = call->in[8],
                                               .waves = c->waves,
                                               .dkernels = c->dkernels,
                                               .cells = reach,
                                               .dgate = call->out[4],
                                               .add = call_accumulates(call, 4),
                                               .moments = c->moments});
        return;
    }
#pragma omp parallel for schedule(static) if (worth_threads(rows * reach))
    for (int64_t i = 0; i < rows; i++)
        c->moments[i] =
            kernel_moments(c->waves + i % field->heads * reach, c->dkernels + i * reach, reach);
}

static void convolve_backward(const CpuCall *call, const Field *field)
{
    Carve carve = {.base = call->workspace};
    Convolver c = convolver_carve(&carve, field, call->in[8] != NULL, true);
    convolver_prepare(&c, field, call->in[8]);
    Convolution conv = {.kernels = c.kernels,
                        .u = call->in[1],
                        .dr = call->in[0],
                        .du = call->out[0],
                        .add = call_accumulates(call, 0),
                        .dkernels = c.dkernels};
    (c.fft ? fft_backward : direct_backward)(&c.work, field, &conv);
    kernel_backward(call, field, &c);
    for (int64_t h = 0; h < field->heads; h++) {
        KernelMoments sum = {{0, 0}, {0, 0}};
        for (int64_t b = 0; b < field->batch; b++) {
            KernelMoments m = c.moments[b * field->heads + h];
            sum.plain = complex_add(sum.plain, m.plain);
            sum.weighted = complex_add(sum.weighted, m.weighted);
        }
        field_pole_gradient(&c.poles[h], sum, h, call->out[1], call->out[2], call->out[3]);
    }
}

/* ---- the ops ---- */

int64_t CPU_NAME(field_workspace)(const Graph *graph, const Node *node)
{
    Field field = field_of(graph, node, 0);
    if (field.params.evaluator == FIELD_SCAN) return scan_forward_bytes(&field);
    Carve carve = {0};
    convolver_carve(&carve, &field, has_input(node, 6), false);
    return carve.used;
}

void CPU_NAME(field)(const CpuCall *call)
{
    Field field = field_given(call, 0);
    if (field.params.evaluator != FIELD_SCAN) {
        convolve_forward(call, &field);
        return;
    }
    scan_forward(call->workspace, &field,
                 &(ScanForward){.u = call->in[0],
                                .r = call->out[0],
                                .add = call_accumulates(call, 0),
                                .carry = call->out[1]});
}

int64_t CPU_NAME(field_backward_workspace)(const Graph *graph, const Node *node)
{
    Field field = field_of(graph, node, 1);
    if (field.params.evaluator == FIELD_SCAN) return scan_backward_bytes(&field);
    Carve carve = {0};
    convolver_carve(&carve, &field, has_input(node, 8), true);
    return carve.used;
}

void CPU_NAME(field_backward)(const CpuCall *call)
{
    Field field = field_given(call, 1);
    if (field.params.evaluator != FIELD_SCAN) {
        convolve_backward(call, &field);
        return;
    }
    scan_backward(call->workspace, &field,
                  &(ScanBackward){.dr = call->in[0],
                                  .u = call->in[1],
                                  .carry = call->in[7],
                                  .du = call->out[0],
                                  .add = call_accumulates(call, 0),
                                  .dfrequency = call->out[1],
                                  .ddamping = call->out[2],
                                  .dphase = call->out[3]});
}

int64_t CPU_NAME(field_norm_workspace)(const Graph *graph, const Node *node)
{
    (void)graph;
    Carve carve = {0};
    CARVE(&carve, Pole, node->params.field.heads);
    return carve.used;
}

void CPU_NAME(field_norm)(const CpuCall *call)
{
    const FieldParams *p = &call->node->params.field;
    const Field field = {.params = *p,
                         .heads = p->heads,
                         .frequency = call->in[0],
                         .damping = call->in[1],
                         .phase = call->in[2]};
    Carve carve = {.base = call->workspace};
    Pole *poles = CARVE(&carve, Pole, p->heads);
    real *norm = call->out[0];
    field_poles(&field, poles);
    for (int64_t h = 0; h < p->heads; h++) norm[h] = (real)poles[h].norm;
}

int64_t CPU_NAME(field_stream_workspace)(const Graph *graph, const Node *node)
{
    Field field = field_of(graph, node, 0);
    return scan_forward_bytes(&field);
}

void CPU_NAME(field_stream)(const CpuCall *call)
{
    Field field = field_given(call, 0);
    field.norm = call->in[7];
    scan_forward(call->workspace, &field,
                 &(ScanForward){.u = call->in[0],
                                .r = call->out[0],
                                .add = call_accumulates(call, 0),
                                .state = call->out[1],
                                .at = *(const int32_t *)call->in[6]});
}

/* ---- the gated kernel alone ---- */

/* in: frequency, damping, phase, gate [B, H, 32] */
static Field kernel_field(const Graph *graph, const Node *node)
{
    return (Field){.params = node->params.field,
                   .batch = graph->tensors[node->in[3]].shape.dim[0],
                   .heads = node->params.field.heads};
}

typedef struct KernelWork {
    Pole *poles;
    Complex *waves;  /* [H, G] */
    double *kernels; /* [B, H, G] */
    GateWork gate;
} KernelWork;

static KernelWork kernel_carve(Carve *carve, const Field *field)
{
    const int64_t waves = field->heads * field->params.cells;
    KernelWork work;
    work.poles = CARVE(carve, Pole, field->heads);
    work.waves = CARVE(carve, Complex, waves);
    work.kernels = CARVE(carve, double, field->batch *waves);
    work.gate = gate_carve(carve, field);
    return work;
}

int64_t CPU_NAME(field_kernel_workspace)(const Graph *graph, const Node *node)
{
    Field field = kernel_field(graph, node);
    Carve carve = {0};
    kernel_carve(&carve, &field);
    return carve.used;
}

void CPU_NAME(field_kernel)(const CpuCall *call)
{
    Field field = kernel_field(call->graph, call->node);
    field.frequency = call->in[0];
    field.damping = call->in[1];
    field.phase = call->in[2];
    const int64_t cells = field.params.cells;
    Carve carve = {.base = call->workspace};
    KernelWork work = kernel_carve(&carve, &field);
    field_poles_plain(&field, work.poles);
    field_waves(&field, work.poles, cells, work.waves);
    gate_prepare(&work.gate, &field, work.waves);
    gate_kernels(&work.gate, &field, call->in[3], cells, work.kernels);
    real *kernel = call->out[0];
    for (int64_t i = 0; i < field.batch * field.heads * cells; i++)
        kernel[i] = (real)work.kernels[i];
}
