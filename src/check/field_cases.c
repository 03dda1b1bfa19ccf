/* Cases of the field's ops. Tokens sit where a model's would (field/geometry.h). */
#include "check/builders.h"

#include "field/geometry.h"

#include <math.h>
#include <stdlib.h>

typedef struct FieldCase {
    int64_t batch, tokens, heads, width;
    Geometry geometry;
    OpParams params;
    TensorId u, frequency, damping, phase, cell, fraction, gate;
} FieldCase;

static bool has(const CaseGraph *graph, unsigned flag)
{
    return (graph->of->flags & flag) != 0;
}

/* Many turns a cell, as the initial frequencies of deep layers are. */
static double fill_frequency(Rng *rng, int64_t i)
{
    (void)i;
    return 40 * rng_uniform(rng);
}

/* From waves that fade over tens of cells to α beyond v4's limit. */
static double fill_damping(Rng *rng, int64_t i)
{
    (void)i;
    return 5 * rng_uniform(rng) - 3;
}

static double fill_phase(Rng *rng, int64_t i)
{
    (void)i;
    return 6 * rng_uniform(rng);
}

static double fill_norm(Rng *rng, int64_t i)
{
    (void)i;
    return 0.5 + 3 * rng_uniform(rng);
}

static double fill_gate(Rng *rng, int64_t i)
{
    (void)i;
    return 0.3 * rng_normal(rng);
}

/* Inputs "cell" and "fraction" of tokens first … first + n - 1. */
static void place_tokens(CaseGraph *graph, FieldCase *f, int64_t first, int64_t n)
{
    int32_t *cells;
    f->cell = case_ints(graph, "cell", SHAPE(n), &cells);
    f->fraction = case_input(graph, "fraction", SHAPE(n), fill_normal);
    const CaseTensor *fraction = &graph->tensors[graph->n_tensors - 1];
    if (!cells || !fraction->reals) return;
    geometry_places(&f->geometry, first, n, cells, fraction->reals);
    for (int64_t i = 0; i < n; i++) fraction->reals[i] = (double)(float)fraction->reals[i];
}

static void kernel_inputs(CaseGraph *graph, FieldCase *f)
{
    f->frequency = case_input(graph, "frequency", SHAPE(f->heads), fill_frequency);
    f->damping = case_input(graph, "damping", SHAPE(f->heads), fill_damping);
    f->phase = case_input(graph, "phase", SHAPE(f->heads), fill_phase);
}

static FieldParams field_params(const CaseGraph *graph, const FieldCase *f, int64_t reach)
{
    return (FieldParams){.heads = f->heads,
                         .width = f->width,
                         .cells = f->geometry.cells,
                         .reach = reach,
                         .norm = has(graph, CASE_DC) ? KERNEL_NORM_DC : KERNEL_NORM_L1,
                         .damping_limit = has(graph, CASE_V35) ? INFINITY : 1.5f,
                         .evaluator = graph->evaluator};
}

/* Tokens `first` on; the inputs all forms of the field share, but the places. */
static FieldCase field_case(CaseGraph *graph, int64_t first)
{
    const int64_t *size = graph->of->size;
    FieldCase f = {.batch = size[0],
                   .tokens = size[1],
                   .heads = size[2],
                   .width = size[3],
                   .geometry = {has(graph, CASE_V35) ? MODEL_V3_5 : MODEL_V4, size[4], size[5]},
                   .gate = NO_TENSOR};
    int64_t reach = geometry_reach(&f.geometry, first + f.tokens);
    f.params.field = field_params(graph, &f, reach);
    f.u = case_input(graph, "u", SHAPE(f.batch, f.tokens, f.heads, f.width), fill_normal);
    kernel_inputs(graph, &f);
    return f;
}

/* A whole sequence through the field; r, and the carry for its backward. */
static FieldCase add_field(CaseGraph *graph, TensorId *carry)
{
    FieldCase f = field_case(graph, 0);
    place_tokens(graph, &f, 0, f.tokens);
    if (has(graph, CASE_GATED))
        f.gate = case_input(graph, "gate", SHAPE(f.batch, f.heads, FIELD_GATE_POINTS), fill_gate);
    TensorId r =
        case_output(graph, "r", SHAPE(f.batch, f.tokens, f.heads, f.width), f.params.field.reach);
    /* Of use to the same device's backward only: not compared. */
    *carry = case_output(graph, "carry",
                         SHAPE(f.batch, f.heads, ceil_div(f.tokens, FIELD_CHUNK), 2, f.width), 0);
    case_node(graph, OP_FIELD, f.params,
              CASE_IDS(f.u, f.frequency, f.damping, f.phase, f.cell, f.fraction, f.gate),
              CASE_IDS(r, *carry), 0);
    return f;
}

void build_field(CaseGraph *graph)
{
    TensorId carry;
    add_field(graph, &carry);
}

void build_field_backward(CaseGraph *graph)
{
    TensorId carry;
    FieldCase f = add_field(graph, &carry);
    Shape shape = SHAPE(f.batch, f.tokens, f.heads, f.width);
    int64_t reach = f.params.field.reach, sum = f.batch * reach * f.width + f.geometry.cells;
    bool accumulate = has(graph, CASE_ACCUMULATE);
    TensorId dr = case_input(graph, "dr", shape, fill_normal);
    TensorId du = case_in_out(graph, "du", shape, accumulate ? fill_normal : NULL, reach);
    TensorId dfrequency = case_in_out(graph, "dfrequency", SHAPE(f.heads), fill_normal, sum);
    TensorId ddamping = case_in_out(graph, "ddamping", SHAPE(f.heads), fill_normal, sum);
    TensorId dphase = case_in_out(graph, "dphase", SHAPE(f.heads), fill_normal, sum);
    TensorId dgate = NO_TENSOR;
    if (f.gate != NO_TENSOR)
        dgate = case_output(graph, "dgate", SHAPE(f.batch, f.heads, FIELD_GATE_POINTS),
                            reach * f.width + f.geometry.cells);
    case_node(graph, OP_FIELD_BACKWARD, f.params,
              CASE_IDS(dr, f.u, f.frequency, f.damping, f.phase, f.cell, f.fraction, carry, f.gate),
              CASE_IDS(du, dfrequency, ddamping, dphase, dgate), accumulate ? 1 : 0);
}

/* Tokens from the middle of the sequence on, from a state as if others had gone before. */
void build_field_stream(CaseGraph *graph)
{
    int64_t first = (graph->of->size[5] - graph->of->size[1]) / 2;
    FieldCase f = field_case(graph, first);
    place_tokens(graph, &f, first, f.tokens);
    int32_t *values;
    TensorId at = case_ints(graph, "at", SHAPE(1), &values);
    if (!values) return;
    values[0] = (int32_t)geometry_at(&f.geometry, first);
    int64_t reach = f.params.field.reach;
    TensorId norm = case_input(graph, "norm", SHAPE(f.heads), fill_norm);
    TensorId r = case_output(graph, "r", SHAPE(f.batch, f.tokens, f.heads, f.width), reach);
    TensorId state =
        case_in_out(graph, "state", SHAPE(f.batch, f.heads, 2, f.width), fill_normal, reach);
    case_node(graph, OP_FIELD_STREAM, f.params,
              CASE_IDS(f.u, f.frequency, f.damping, f.phase, f.cell, f.fraction, at, norm),
              CASE_IDS(r, state), 0);
}

void build_field_norm(CaseGraph *graph)
{
    const int64_t *size = graph->of->size;
    FieldCase f = {.heads = size[0], .width = 1, .geometry = {.cells = size[1]}};
    f.params.field = field_params(graph, &f, f.geometry.cells);
    kernel_inputs(graph, &f);
    TensorId norm = case_output(graph, "norm", SHAPE(f.heads), f.geometry.cells);
    case_node(graph, OP_FIELD_NORM, f.params, CASE_IDS(f.frequency, f.damping, f.phase),
              CASE_IDS(norm), 0);
}

void build_field_recall(CaseGraph *graph)
{
    int64_t tokens = graph->of->size[5], first = (tokens - graph->of->size[1]) / 2;
    FieldCase f = field_case(graph, first);
    place_tokens(graph, &f, 0, tokens);
    TensorId kernel =
        case_input(graph, "kernel", SHAPE(f.batch, f.heads, f.geometry.cells), fill_normal);
    int32_t *values;
    TensorId position = case_ints(graph, "position", SHAPE(1), &values);
    if (!values) return;
    values[0] = (int32_t)first;
    TensorId r =
        case_output(graph, "r", SHAPE(f.batch, f.tokens, f.heads, f.width), 2 * (first + f.tokens));
    TensorId history =
        case_in_out(graph, "history", SHAPE(f.batch, tokens, f.heads, f.width), fill_normal, 1);
    case_node(graph, OP_FIELD_RECALL, f.params, CASE_IDS(f.u, kernel, f.cell, f.fraction, position),
              CASE_IDS(r, history), 0);
}

void build_field_kernel(CaseGraph *graph)
{
    const int64_t *size = graph->of->size;
    FieldCase f = {.batch = size[0], .heads = size[1], .width = 1, .geometry = {.cells = size[2]}};
    f.params.field = field_params(graph, &f, f.geometry.cells);
    kernel_inputs(graph, &f);
    TensorId gate =
        case_input(graph, "gate", SHAPE(f.batch, f.heads, FIELD_GATE_POINTS), fill_gate);
    TensorId kernel = case_output(graph, "kernel", SHAPE(f.batch, f.heads, f.geometry.cells),
                                  4 * f.geometry.cells);
    case_node(graph, OP_FIELD_KERNEL, f.params, CASE_IDS(f.frequency, f.damping, f.phase, gate),
              CASE_IDS(kernel), 0);
}

static Shape heads_shape(const CaseGraph *graph)
{
    const int64_t *size = graph->of->size;
    return SHAPE(size[0], size[1], size[2], size[3]);
}

void build_couple(CaseGraph *graph)
{
    int64_t heads = graph->of->size[2];
    TensorId r = case_input(graph, "r", heads_shape(graph), fill_normal);
    TensorId coupling = case_input(graph, "coupling", SHAPE(heads, heads), fill_normal);
    TensorId y = case_output(graph, "y", heads_shape(graph), heads);
    case_node(graph, OP_COUPLE, (OpParams){{0}}, CASE_IDS(r, coupling), CASE_IDS(y), 0);
}

void build_couple_backward(CaseGraph *graph)
{
    const int64_t *size = graph->of->size;
    int64_t heads = size[2];
    bool accumulate = has(graph, CASE_ACCUMULATE);
    TensorId dy = case_input(graph, "dy", heads_shape(graph), fill_normal);
    TensorId r = case_input(graph, "r", heads_shape(graph), fill_normal);
    TensorId coupling = case_input(graph, "coupling", SHAPE(heads, heads), fill_normal);
    TensorId dr =
        case_in_out(graph, "dr", heads_shape(graph), accumulate ? fill_normal : NULL, heads);
    TensorId dcoupling = case_in_out(graph, "dcoupling", SHAPE(heads, heads), fill_normal,
                                     size[0] * size[1] * size[3] + heads);
    case_node(graph, OP_COUPLE_BACKWARD, (OpParams){{0}}, CASE_IDS(dy, r, coupling),
              CASE_IDS(dr, dcoupling), accumulate ? 1 : 0);
}
