/* The field ops of the CPU backend, in every build: against the specification written out in long
 * double, against finite differences, and against each other. */
#include "backends/cpu/cpu.h"
#include "field/geometry.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include <cmocka.h>

/* ---- the builds under test ---- */

#define DECLARE(variant, op)                                                                       \
    void variant##op(const CpuCall *call);                                                         \
    int64_t variant##op##_workspace(const Graph *graph, const Node *node);
#define DECLARE_BUILD(variant)                                                                     \
    DECLARE(variant, field)                                                                        \
    DECLARE(variant, field_backward)                                                               \
    DECLARE(variant, field_stream) DECLARE(variant, field_kernel) DECLARE(variant, field_recall)
DECLARE_BUILD(cpu32_)
DECLARE_BUILD(cpu64_)

typedef struct OpUnderTest {
    CpuOp run;
    int64_t (*workspace)(const Graph *graph, const Node *node);
} OpUnderTest;

typedef struct Build {
    const char *name;
    bool is_double;
    double epsilon; /* of its real type */
    OpUnderTest field, backward, stream, kernel, recall;
} Build;

#define OP(variant, op)                                                                            \
    {                                                                                              \
        variant##op, variant##op##_workspace                                                       \
    }
#define BUILD(label, is_double, epsilon, variant)                                                  \
    {                                                                                              \
        label, is_double, epsilon, OP(variant, field), OP(variant, field_backward),                \
            OP(variant, field_stream), OP(variant, field_kernel), OP(variant, field_recall)        \
    }
static const Build double_build = BUILD("double", true, 0x1p-52, cpu64_);
static const Build float_build = BUILD("float", false, 0x1p-23, cpu32_);
static const Build *const builds[] = {&double_build, &float_build};
enum { BUILDS = 2 };

static const char *const evaluator_name[] = {"scan", "fft", "direct"};

/* ---- arrays: doubles on this side, the build's reals on the other ---- */

typedef struct Array {
    double *value;
    int64_t count;
} Array;

static Array array_of(int64_t count)
{
    Array a = {calloc((size_t)int64_max(count, 1), sizeof(double)), count};
    assert_non_null(a.value);
    return a;
}

static Array array_copy(Array from)
{
    Array a = array_of(from.count);
    memcpy(a.value, from.value, (size_t)from.count * sizeof(double));
    return a;
}

static uint64_t random_state = 1;

/* Uniform in (-1, 1), a float's worth of bits. */
static double random_value(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(random_state >> 40) + 0.5) * 0x1p-23 - 1;
}

static Array array_random(int64_t count)
{
    Array a = array_of(count);
    for (int64_t i = 0; i < count; i++) a.value[i] = (double)(float)random_value();
    return a;
}

static double rms(const double *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += x[i] * x[i];
    return sqrt(sum / (double)int64_max(count, 1));
}

/* The largest difference, in units of epsilon·√length·RMS(expected); NaN counts as infinite. */
static double error_of(const double *got, const double *expected, int64_t count, double epsilon,
                       int64_t length)
{
    double unit = epsilon * sqrt((double)length) * rms(expected, count), worst = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs(got[i] - expected[i]);
        if (!(difference <= worst * unit)) worst = isnan(difference) ? INFINITY : difference / unit;
        if (difference == 0) continue;
    }
    return worst;
}

/* The one bound: every comparison must come within C epsilon·√length of the RMS. */
enum { C = 8 };

static void expect_close(const char *what, const Build *build, Array got, Array expected,
                         int64_t length)
{
    double error = error_of(got.value, expected.value, expected.count, build->epsilon, length);
    if (getenv("WAVEFIELD_TEST_VERBOSE"))
        print_message("%-40s %-6s %7.3f\n", what, build->name, error);
    if (!(error <= C)) fail_msg("%s (%s): off by %g of at most %d", what, build->name, error, C);
    Array wrong = array_copy(expected); /* the check sees one element wrong by ten bounds */
    int64_t at = expected.count / 2;
    wrong.value[at] +=
        10 * C * build->epsilon * sqrt((double)length) * rms(expected.value, expected.count);
    if (rms(expected.value, expected.count) > 0)
        assert_true(error_of(wrong.value, expected.value, expected.count, build->epsilon, length) >
                    C);
    free(wrong.value);
}

/* ---- a field to test ---- */

typedef struct Setup {
    int64_t B, N, H, d;
    ModelVersion version;
    int64_t G, M;
    KernelNorm norm;
    double limit; /* of α; INFINITY: none */
    bool gated, leaky;
    double damping; /* centre of the raw dampings */
} Setup;

typedef struct Case {
    Setup setup;
    FieldParams params;
    Array u, dr, frequency, damping, phase, gate, fraction;
    int32_t *cell; /* [M] */
} Case;

static Case case_create(Setup s)
{
    Geometry geometry = {s.version, s.G, s.M};
    assert_true(s.N <= s.M);
    assert_true(s.leaky || geometry_causal(&geometry, NULL));
    Case c = {.setup = s};
    c.params = (FieldParams){.heads = s.H,
                             .width = s.d,
                             .cells = s.G,
                             .reach = geometry_reach(&geometry, s.N),
                             .norm = s.norm,
                             .damping_limit = (float)s.limit};
    c.cell = malloc((size_t)s.M * sizeof *c.cell);
    assert_non_null(c.cell);
    c.fraction = array_of(s.M);
    geometry_places(&geometry, 0, s.M, c.cell, c.fraction.value);
    for (int64_t i = 0; i < s.M; i++) c.fraction.value[i] = (double)(float)c.fraction.value[i];
    c.u = array_random(s.B * s.N * s.H * s.d);
    c.dr = array_random(s.B * s.N * s.H * s.d);
    c.gate = s.gated ? array_random(s.B * s.H * FIELD_GATE_POINTS) : (Array){0};
    c.frequency = array_of(s.H);
    c.damping = array_of(s.H);
    c.phase = array_of(s.H);
    for (int64_t h = 0; h < s.H; h++) {
        double part = (double)h / (double)int64_max(s.H - 1, 1);
        c.frequency.value[h] = (double)(float)(0.3 + 3.7 * part + 0.01 * random_value());
        c.damping.value[h] = (double)(float)(s.damping + 3 * part + 0.01 * random_value());
        c.phase.value[h] = (double)(float)(-1.2 + 2.8 * part);
    }
    return c;
}

static void case_destroy(Case *c)
{
    free(c->cell);
    Array *arrays[] = {&c->u,     &c->dr,   &c->frequency, &c->damping,
                       &c->phase, &c->gate, &c->fraction};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) free(arrays[k]->value);
}

static const char *case_text(const Setup *s)
{
    static char text[128];
    snprintf(text, sizeof text, "B%d N%d H%d d%d v%s G%d M%d %s%s%s", (int)s->B, (int)s->N,
             (int)s->H, (int)s->d, s->version == MODEL_V4 ? "4" : "3.5", (int)s->G, (int)s->M,
             s->norm == KERNEL_NORM_L1 ? "l1" : "dc", s->gated ? " gated" : "",
             s->leaky ? " leaky" : "");
    return text;
}

/* ---- running one op: a graph of one node over memory of its own ---- */

typedef struct Call {
    const Build *build;
    Graph graph;
    Node node;
    Tensor tensors[NODE_MAX_IN + NODE_MAX_OUT];
    CpuCall call;
    void *memory[NODE_MAX_IN + NODE_MAX_OUT + 1];
    int n_memory;
} Call;

static void *call_memory(Call *call, int64_t bytes)
{
    void *memory = aligned_alloc(64, (size_t)round_up(int64_max(bytes, 1), 64));
    assert_non_null(memory);
    memset(memory, 0xff, (size_t)round_up(int64_max(bytes, 1), 64)); /* NaN */
    call->memory[call->n_memory++] = memory;
    return memory;
}

static void to_reals(const Build *build, const double *from, int64_t count, void *to)
{
    for (int64_t i = 0; i < count; i++)
        if (build->is_double)
            ((double *)to)[i] = from[i];
        else
            ((float *)to)[i] = (float)from[i];
}

static void from_reals(const Build *build, const void *from, int64_t count, double *to)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = build->is_double ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

static void *call_tensor(Call *call, Shape shape, DType dtype, const void *value)
{
    int64_t count = shape_elements(shape);
    int64_t size = dtype == DTYPE_I32 || !call->build->is_double ? 4 : 8;
    void *memory = call_memory(call, count * size);
    call->tensors[call->graph.n_tensors++] = (Tensor){.shape = shape, .dtype = dtype};
    if (value && dtype == DTYPE_I32) memcpy(memory, value, (size_t)count * 4);
    if (value && dtype == DTYPE_REAL) to_reals(call->build, value, count, memory);
    return memory;
}

/* An absent input has no value. */
static void call_in(Call *call, Shape shape, DType dtype, const void *value)
{
    int k = call->node.n_in++;
    call->node.in[k] = value ? call->graph.n_tensors : NO_TENSOR;
    call->call.in[k] = value ? call_tensor(call, shape, dtype, value) : NULL;
}

/* Poisoned where it has no value. */
static void call_out(Call *call, Shape shape, const double *value)
{
    int k = call->node.n_out++;
    call->node.out[k] = call->graph.n_tensors;
    call->call.out[k] = call_tensor(call, shape, DTYPE_REAL, value);
}

static void call_run(Call *call, const OpUnderTest *op)
{
    call->graph.tensors = call->tensors;
    call->call.graph = &call->graph;
    call->call.node = &call->node;
    int64_t bytes = op->workspace(&call->graph, &call->node);
    char *workspace = call_memory(call, bytes + 64);
    call->call.workspace = workspace;
    op->run(&call->call);
    for (int i = 0; i < 64; i++) assert_int_equal((unsigned char)workspace[bytes + i], 0xff);
}

static Array call_result(const Call *call, int k)
{
    Array result = array_of(shape_elements(call->tensors[call->node.out[k]].shape));
    from_reals(call->build, call->call.out[k], result.count, result.value);
    return result;
}

static void call_free(Call *call)
{
    for (int k = 0; k < call->n_memory; k++) free(call->memory[k]);
}

/* ---- the ops ---- */

static Shape shape_u(const Setup *s)
{
    return SHAPE(s->B, s->N, s->H, s->d);
}

static Shape shape_carry(const Setup *s)
{
    return SHAPE(s->B, s->H, ceil_div(s->N, FIELD_CHUNK), 2, s->d);
}

static Shape shape_gate(const Setup *s)
{
    return SHAPE(s->B, s->H, FIELD_GATE_POINTS);
}

static void call_kernel_inputs(Call *call, const Case *c)
{
    call_in(call, SHAPE(c->setup.H), DTYPE_REAL, c->frequency.value);
    call_in(call, SHAPE(c->setup.H), DTYPE_REAL, c->damping.value);
    call_in(call, SHAPE(c->setup.H), DTYPE_REAL, c->phase.value);
}

/* r and, where asked, the carry. */
static Array run_field(const Build *build, const Case *c, FieldEvaluator evaluator, Array *carry)
{
    const Setup *s = &c->setup;
    Call call = {.build = build, .node = {.op = OP_FIELD}};
    call.node.params.field = c->params;
    call.node.params.field.evaluator = evaluator;
    call_in(&call, shape_u(s), DTYPE_REAL, c->u.value);
    call_kernel_inputs(&call, c);
    call_in(&call, SHAPE(s->N), DTYPE_I32, c->cell);
    call_in(&call, SHAPE(s->N), DTYPE_REAL, c->fraction.value);
    call_in(&call, shape_gate(s), DTYPE_REAL, c->gate.value);
    call_out(&call, shape_u(s), NULL);
    call_out(&call, shape_carry(s), NULL);
    call_run(&call, &build->field);
    Array r = call_result(&call, 0);
    if (carry) *carry = call_result(&call, 1);
    call_free(&call);
    return r;
}

enum { GRADIENTS = 5 }; /* u, frequency, damping, phase, gate */
static const char *const gradient_name[GRADIENTS] = {"du", "dfrequency", "ddamping", "dphase",
                                                     "dgate"};

/* Gradients of Σ r·dr. += outputs start from `start`, and the others too where `accumulate`. */
static void run_backward(const Build *build, const Case *c, FieldEvaluator evaluator,
                         bool accumulate, double start, Array out[GRADIENTS])
{
    const Setup *s = &c->setup;
    Array carry, r = run_field(build, c, evaluator, &carry);
    Call call = {.build = build, .node = {.op = OP_FIELD_BACKWARD}};
    call.node.params.field = c->params;
    call.node.params.field.evaluator = evaluator;
    call.node.accumulate = accumulate ? 1u | 1u << 4 : 0;
    call_in(&call, shape_u(s), DTYPE_REAL, c->dr.value);
    call_in(&call, shape_u(s), DTYPE_REAL, c->u.value);
    call_kernel_inputs(&call, c);
    call_in(&call, SHAPE(s->N), DTYPE_I32, c->cell);
    call_in(&call, SHAPE(s->N), DTYPE_REAL, c->fraction.value);
    call_in(&call, shape_carry(s), DTYPE_REAL, carry.value);
    call_in(&call, shape_gate(s), DTYPE_REAL, c->gate.value);
    Array begin = array_of(int64_max(c->u.count, c->gate.count));
    for (int64_t i = 0; i < begin.count; i++) begin.value[i] = start;
    call_out(&call, shape_u(s), accumulate ? begin.value : NULL);
    for (int k = 1; k < 4; k++) call_out(&call, SHAPE(s->H), begin.value);
    if (s->gated) call_out(&call, shape_gate(s), accumulate ? begin.value : NULL);
    call_run(&call, &build->backward);
    for (int k = 0; k < GRADIENTS; k++)
        out[k] = k < call.node.n_out ? call_result(&call, k) : array_of(0);
    call_free(&call);
    free(begin.value);
    free(r.value);
    free(carry.value);
}

static void free_all(Array *arrays, int count)
{
    for (int k = 0; k < count; k++) free(arrays[k].value);
}

/* ---- the specification, written out in long double ---- */

/* k[t] of head h (§2). */
static long double *specified_kernel(const Case *c, int64_t h)
{
    const int64_t G = c->setup.G;
    long double *k = malloc((size_t)G * sizeof *k), l1 = 0, dc = 0;
    assert_non_null(k);
    long double alpha = log1pl(expl((long double)c->damping.value[h]));
    alpha = fminl(alpha, (long double)c->params.damping_limit);
    for (int64_t t = 0; t < G; t++) {
        k[t] = expl(-alpha * t) *
               cosl((long double)c->frequency.value[h] * t + (long double)c->phase.value[h]);
        l1 += fabsl(k[t]);
        dc += k[t];
    }
    long double Z =
        c->params.norm == KERNEL_NORM_L1 ? fmaxl(l1, 1e-8L) : fmaxl(fabsl(2 * dc), 1e-8L) / 2;
    for (int64_t t = 0; t < G; t++) k[t] /= Z;
    return k;
}

/* k' of sample b (§4): both transforms as sums over the half spectrum. */
static void specified_gate(const Case *c, int64_t b, int64_t h, long double *k)
{
    const int64_t G = c->setup.G;
    const double *points = c->gate.value + (b * c->setup.H + h) * FIELD_GATE_POINTS;
    int64_t P = 4 * G;
    for (;; P++) {
        int64_t rest = P;
        for (int64_t p = 2; p <= 7; p++)
            while (rest % p == 0) rest /= p;
        if (rest == 1) break;
    }
    const int64_t bins = P / 2 + 1;
    long double *gated = calloc((size_t)G, sizeof *gated);
    assert_non_null(gated);
    for (int64_t f = 0; f < bins; f++) {
        long double re = 0, im = 0, turn = 2 * acosl(-1.0L) * f / P;
        for (int64_t t = 0; t < G; t++) {
            re += k[t] * cosl(turn * t);
            im -= k[t] * sinl(turn * t);
        }
        long double x = (long double)f * (FIELD_GATE_POINTS - 1) / (bins - 1);
        int64_t j = int64_min((int64_t)x, FIELD_GATE_POINTS - 2);
        long double gain = 1 + (1 - (x - j)) * points[j] + (x - j) * points[j + 1];
        long double both = f == 0 || 2 * f == P ? 1 : 2;
        for (int64_t t = 0; t < G; t++)
            gated[t] += both * gain * (re * cosl(turn * t) - im * sinl(turn * t)) / P;
    }
    memcpy(k, gated, (size_t)G * sizeof *k);
    free(gated);
}

/* Scatter, propagate, gather (§2), channel by channel. */
static Array specified_field(const Case *c)
{
    const Setup *s = &c->setup;
    const int64_t row = s->H * s->d;
    Array r = array_of(s->B * s->N * row);
    long double *X = malloc((size_t)s->G * sizeof *X), *Y = malloc((size_t)s->G * sizeof *Y);
    assert_true(X && Y);
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t h = 0; h < s->H; h++) {
            long double *k = specified_kernel(c, h);
            if (s->gated) specified_gate(c, b, h, k);
            for (int64_t channel = h * s->d; channel < (h + 1) * s->d; channel++) {
                const double *u = c->u.value + b * s->N * row + channel;
                memset(X, 0, (size_t)s->G * sizeof *X);
                for (int64_t i = 0; i < s->N; i++) {
                    double f = c->fraction.value[i];
                    X[c->cell[i]] += (1 - f) * (long double)u[i * row];
                    if (f > 0) X[c->cell[i] + 1] += f * (long double)u[i * row];
                }
                for (int64_t i = 0; i < s->N; i++) {
                    double f = c->fraction.value[i];
                    int64_t last = c->cell[i] + (f > 0);
                    for (int64_t g = c->cell[i]; g <= last; g++) {
                        Y[g] = 0;
                        for (int64_t from = 0; from <= g; from++)
                            if (X[from] != 0) Y[g] += k[g - from] * X[from];
                    }
                    long double sum = (1 - f) * Y[c->cell[i]] + (f > 0 ? f * Y[last] : 0);
                    r.value[(b * s->N + i) * row + channel] = (double)sum;
                }
            }
            free(k);
        }
    free(X);
    free(Y);
    return r;
}

/* ---- tests ---- */

#define L1 KERNEL_NORM_L1
#define DC KERNEL_NORM_DC

static const Setup setups[] = {
    /* B, N, H, d, version, G, M, norm, limit, gated, leaky, damping */
    {2, 9, 3, 5, MODEL_V4, 9, 9, L1, 1.5, false, false, -2},
    {1, 1, 1, 1, MODEL_V4, 2, 1, L1, INFINITY, false, false, -2},
    {1, 1, 1, 1, MODEL_V3_5, 2, 1, DC, INFINITY, false, false, 0},
    {3, 70, 2, 17, MODEL_V4, 106, 71, DC, 1.5, false, false, -3},   /* s = 3/2, N < M */
    {1, 131, 1, 64, MODEL_V4, 196, 131, L1, 1.5, false, false, -4}, /* s = 3/2 */
    {2, 65, 2, 3, MODEL_V3_5, 260, 65, L1, INFINITY, false, false, -3},
    {1, 200, 2, 48, MODEL_V3_5, 1024, 256, L1, INFINITY, false, false, -3},
    {1, 16, 2, 5, MODEL_V4, 5001, 16, DC, 1.5, false, false, -6}, /* mostly empty cells */
    {2, 64, 4, 16, MODEL_V4, 200, 64, L1, 0.3, false, false, 0},  /* clamped damping */
    {2, 33, 2, 5, MODEL_V3_5, 33, 33, L1, INFINITY, false, true, -2},
    {1, 40, 2, 7, MODEL_V4, 50, 40, DC, 1.5, false, true, -2},
    {2, 13, 2, 3, MODEL_V4, 13, 13, L1, 1.5, true, false, -2},
    {2, 26, 3, 4, MODEL_V4, 26, 26, DC, 1.5, true, false, -2}, /* P = 105, odd */
    {1, 20, 1, 5, MODEL_V4, 31, 21, L1, 1.5, true, false, -1}, /* s = 3/2 */
    {2, 17, 2, 3, MODEL_V3_5, 17, 17, L1, INFINITY, true, true, -2},
};
enum { SETUPS = sizeof setups / sizeof *setups };

static bool runs(const Setup *s, FieldEvaluator evaluator)
{
    return evaluator != FIELD_SCAN || (!s->gated && !s->leaky);
}

static void every_evaluator_follows_the_specification(void **state)
{
    (void)state;
    for (int k = 0; k < SETUPS; k++) {
        Case c = case_create(setups[k]);
        Array expected = specified_field(&c);
        for (int b = 0; b < BUILDS; b++)
            for (FieldEvaluator e = FIELD_SCAN; e <= FIELD_DIRECT; e++) {
                if (!runs(&c.setup, e)) continue;
                char what[160];
                snprintf(what, sizeof what, "%s %s", evaluator_name[e], case_text(&c.setup));
                Array r = run_field(builds[b], &c, e, NULL);
                expect_close(what, builds[b], r, expected, c.params.reach);
                free(r.value);
            }
        free(expected.value);
        case_destroy(&c);
    }
}

static double loss_of(const Case *c, FieldEvaluator evaluator)
{
    Array r = run_field(&double_build, c, evaluator, NULL);
    double sum = 0;
    for (int64_t i = 0; i < r.count; i++) sum += r.value[i] * c->dr.value[i];
    free(r.value);
    return sum;
}

/* Central differences of a few elements of an input. The step is small because l1's Z has a kink
 * wherever a sample of the kernel changes its sign. */
static void expect_slopes(const Case *c, FieldEvaluator e, Array *input, Array gradient,
                          const char *name)
{
    const double step = 0x1p-22;
    int64_t stride = int64_max(input->count / 7, 1);
    double scale = rms(gradient.value, gradient.count);
    for (int64_t i = 0; i < input->count; i += stride) {
        double x = input->value[i], side[2];
        for (int k = 0; k < 2; k++) {
            input->value[i] = k ? x + step : x - step;
            side[k] = loss_of(c, e);
        }
        input->value[i] = x;
        double slope = (side[1] - side[0]) / (2 * step);
        double error = fabs(slope - gradient.value[i]) / fmax(scale, 1e-3);
        if (!(error <= 1e-6))
            fail_msg("%s %s %s[%d]: %.12g, by differences %.12g", evaluator_name[e],
                     case_text(&c->setup), name, (int)i, gradient.value[i], slope);
    }
}

static void gradients_match_finite_differences(void **state)
{
    (void)state;
    for (int k = 0; k < SETUPS; k++)
        for (FieldEvaluator e = FIELD_SCAN; e <= FIELD_DIRECT; e++) {
            if (!runs(&setups[k], e) || e == FIELD_FFT) continue;
            Case c = case_create(setups[k]);
            Array gradient[GRADIENTS],
                *input[GRADIENTS] = {&c.u, &c.frequency, &c.damping, &c.phase, &c.gate};
            run_backward(&double_build, &c, e, false, 0, gradient);
            for (int i = 0; i < GRADIENTS; i++)
                if (input[i]->count) expect_slopes(&c, e, input[i], gradient[i], gradient_name[i]);
            if (c.params.damping_limit < 1)
                for (int64_t h = 0; h < c.setup.H; h++) assert_true(gradient[2].value[h] == 0);
            free_all(gradient, GRADIENTS);
            case_destroy(&c);
        }
}

/* Every evaluator and build against the direct sum in double. */
static void gradients_agree(void **state)
{
    (void)state;
    for (int k = 0; k < SETUPS; k++) {
        Case c = case_create(setups[k]);
        const Setup *s = &c.setup;
        Array expected[GRADIENTS], got[GRADIENTS];
        run_backward(&double_build, &c, FIELD_DIRECT, false, 0, expected);
        for (int b = 0; b < BUILDS; b++)
            for (FieldEvaluator e = FIELD_SCAN; e <= FIELD_DIRECT; e++) {
                if (!runs(s, e)) continue;
                run_backward(builds[b], &c, e, false, 0, got);
                for (int i = 0; i < GRADIENTS; i++) {
                    char what[160];
                    snprintf(what, sizeof what, "%s %s %s", gradient_name[i], evaluator_name[e],
                             case_text(s));
                    int64_t length = i == 0 ? c.params.reach : s->B * s->d * c.params.reach;
                    if (expected[i].count)
                        expect_close(what, builds[b], got[i], expected[i], length);
                }
                free_all(got, GRADIENTS);
            }
        free_all(expected, GRADIENTS);
        case_destroy(&c);
    }
}

static void gradients_accumulate(void **state)
{
    (void)state;
    const int chosen[] = {3, 12};
    for (int k = 0; k < 2; k++)
        for (FieldEvaluator e = FIELD_SCAN; e <= FIELD_DIRECT; e++) {
            Case c = case_create(setups[chosen[k]]);
            Array plain[GRADIENTS], onto[GRADIENTS];
            if (runs(&c.setup, e)) {
                run_backward(&double_build, &c, e, false, 0, plain);
                run_backward(&double_build, &c, e, true, 0.5, onto);
                for (int i = 0; i < GRADIENTS; i++)
                    for (int64_t j = 0; j < plain[i].count; j++)
                        assert_true(fabs(onto[i].value[j] - plain[i].value[j] - 0.5) < 1e-13);
                free_all(plain, GRADIENTS);
                free_all(onto, GRADIENTS);
            }
            case_destroy(&c);
        }
}

/* Whatever follows token j leaves r before it bit-equal. */
static void outputs_ignore_what_follows(void **state)
{
    (void)state;
    for (int k = 0; k < SETUPS; k++) {
        if (setups[k].leaky) continue;
        Case c = case_create(setups[k]);
        const Setup *s = &c.setup;
        const int64_t row = s->H * s->d;
        for (int build = 0; build < BUILDS; build++)
            for (FieldEvaluator e = FIELD_SCAN; e <= FIELD_DIRECT; e++) {
                if (!runs(s, e) || e == FIELD_FFT || s->gated) continue;
                Array before = run_field(builds[build], &c, e, NULL);
                for (int64_t j = s->N - 1; j >= 0; j -= int64_max(s->N / 5, 1)) {
                    for (int64_t b = 0; b < s->B; b++)
                        for (int64_t i = j * row; i < s->N * row; i++)
                            c.u.value[b * s->N * row + i] += 1;
                    Array after = run_field(builds[build], &c, e, NULL);
                    for (int64_t b = 0; b < s->B; b++) {
                        const double *old = before.value + b * s->N * row;
                        const double *new = after.value + b * s->N *row;
                        assert_memory_equal(old, new, (size_t)(j * row) * sizeof(double));
                        assert_true(old[j * row] != new[j * row]);
                    }
                    free(after.value);
                }
                free(before.value);
            }
        case_destroy(&c);
    }
}

/* ---- continuation ---- */

/* Rows n … n+count-1 of x [B, N, row]. */
static Array rows_of(Array x, int64_t B, int64_t N, int64_t row, int64_t n, int64_t count)
{
    Array part = array_of(B * count * row);
    for (int64_t b = 0; b < B; b++)
        memcpy(part.value + b * count * row, x.value + (b * N + n) * row,
               (size_t)(count * row) * sizeof(double));
    return part;
}

static void put_rows(Array part, int64_t B, int64_t N, int64_t row, int64_t n, int64_t count,
                     Array x)
{
    for (int64_t b = 0; b < B; b++)
        memcpy(x.value + (b * N + n) * row, part.value + b * count * row,
               (size_t)(count * row) * sizeof(double));
}

/* Tokens n … n+count-1; state carries on. */
static Array stream_call(const Build *build, const Case *c, int64_t n, int64_t count, Array *state)
{
    const Setup *s = &c->setup;
    Array u = rows_of(c->u, s->B, s->N, s->H * s->d, n, count);
    int32_t at = n ? c->cell[n - 1] + (c->fraction.value[n - 1] > 0) : 0;
    Call call = {.build = build, .node = {.op = OP_FIELD_STREAM}};
    call.node.params.field = c->params;
    call_in(&call, SHAPE(s->B, count, s->H, s->d), DTYPE_REAL, u.value);
    call_kernel_inputs(&call, c);
    call_in(&call, SHAPE(count), DTYPE_I32, c->cell + n);
    call_in(&call, SHAPE(count), DTYPE_REAL, c->fraction.value + n);
    call_in(&call, SHAPE(1), DTYPE_I32, &at);
    call_out(&call, SHAPE(s->B, count, s->H, s->d), NULL);
    call_out(&call, SHAPE(s->B, s->H, 2, s->d), state->value);
    call_run(&call, &build->stream);
    free(state->value);
    *state = call_result(&call, 1);
    Array r = call_result(&call, 0);
    call_free(&call);
    free(u.value);
    return r;
}

static Array run_stream(const Build *build, const Case *c, int64_t tokens_a_call)
{
    const Setup *s = &c->setup;
    Array state = array_of(s->B * s->H * 2 * s->d), r = array_of(c->u.count);
    for (int64_t n = 0; n < s->N; n += tokens_a_call) {
        int64_t count = int64_min(tokens_a_call, s->N - n);
        Array part = stream_call(build, c, n, count, &state);
        put_rows(part, s->B, s->N, s->H * s->d, n, count, r);
        free(part.value);
    }
    free(state.value);
    return r;
}

static void streaming_continues_exactly(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 7, 64, 1000};
    for (int k = 0; k < SETUPS; k++) {
        if (!runs(&setups[k], FIELD_SCAN)) continue;
        Case c = case_create(setups[k]);
        Array expected = specified_field(&c);
        for (int b = 0; b < BUILDS; b++)
            for (int i = 0; i < 4; i++) {
                char what[160];
                snprintf(what, sizeof what, "stream by %d, %s", (int)sizes[i], case_text(&c.setup));
                Array r = run_stream(builds[b], &c, sizes[i]);
                expect_close(what, builds[b], r, expected, c.params.reach);
                free(r.value);
            }
        free(expected.value);
        case_destroy(&c);
    }
}

static Array run_kernel(const Build *build, const Case *c)
{
    const Setup *s = &c->setup;
    Call call = {.build = build, .node = {.op = OP_FIELD_KERNEL}};
    call.node.params.field = c->params;
    call_kernel_inputs(&call, c);
    call_in(&call, shape_gate(s), DTYPE_REAL, c->gate.value);
    call_out(&call, SHAPE(s->B, s->H, s->G), NULL);
    call_run(&call, &build->kernel);
    Array kernel = call_result(&call, 0);
    call_free(&call);
    return kernel;
}

static Array recall_call(const Build *build, const Case *c, Array kernel, int64_t n, int64_t count,
                         Array *history)
{
    const Setup *s = &c->setup;
    Array u = rows_of(c->u, s->B, s->N, s->H * s->d, n, count);
    int32_t position = (int32_t)n;
    Call call = {.build = build, .node = {.op = OP_FIELD_RECALL}};
    call.node.params.field = c->params;
    call_in(&call, SHAPE(s->B, count, s->H, s->d), DTYPE_REAL, u.value);
    call_in(&call, SHAPE(s->B, s->H, s->G), DTYPE_REAL, kernel.value);
    call_in(&call, SHAPE(s->M), DTYPE_I32, c->cell);
    call_in(&call, SHAPE(s->M), DTYPE_REAL, c->fraction.value);
    call_in(&call, SHAPE(1), DTYPE_I32, &position);
    call_out(&call, SHAPE(s->B, count, s->H, s->d), NULL);
    call_out(&call, SHAPE(s->B, s->M, s->H, s->d), history->value);
    call_run(&call, &build->recall);
    free(history->value);
    *history = call_result(&call, 1);
    Array r = call_result(&call, 0);
    call_free(&call);
    free(u.value);
    return r;
}

static Array run_recall(const Build *build, const Case *c, int64_t tokens_a_call)
{
    const Setup *s = &c->setup;
    const int64_t row = s->H * s->d;
    Array kernel = run_kernel(build, c), history = array_of(s->B * s->M * row),
          r = array_of(c->u.count);
    for (int64_t i = 0; i < history.count; i++) history.value[i] = NAN;
    for (int64_t n = 0; n < s->N; n += tokens_a_call) {
        int64_t count = int64_min(tokens_a_call, s->N - n);
        Array part = recall_call(build, c, kernel, n, count, &history);
        put_rows(part, s->B, s->N, row, n, count, r);
        free(part.value);
    }
    Array kept = rows_of(history, s->B, s->M, row, 0, s->N);
    assert_memory_equal(kept.value, c->u.value, (size_t)c->u.count * sizeof(double));
    free(kept.value);
    free(history.value);
    free(kernel.value);
    return r;
}

/* In a leaky geometry a token reads ahead, so the whole sequence must come in one call. */
static void recalling_continues_exactly(void **state)
{
    (void)state;
    const int64_t sizes[] = {1000, 1, 7};
    for (int k = 0; k < SETUPS; k++) {
        if (!setups[k].gated) continue;
        Case c = case_create(setups[k]);
        Array expected = specified_field(&c);
        for (int b = 0; b < BUILDS; b++)
            for (int i = 0; i < (c.setup.leaky ? 1 : 3); i++) {
                char what[160];
                snprintf(what, sizeof what, "recall by %d, %s", (int)sizes[i], case_text(&c.setup));
                Array r = run_recall(builds[b], &c, sizes[i]);
                expect_close(what, builds[b], r, expected, c.params.reach);
                free(r.value);
            }
        free(expected.value);
        case_destroy(&c);
    }
}

/* ---- long fields ---- */

/* The recurrence cell by cell in long double, for fields too long for the sum. */
static Array specified_long_field(const Case *c)
{
    const Setup *s = &c->setup;
    const int64_t row = s->H * s->d;
    Array r = array_of(c->u.count);
    for (int64_t h = 0; h < s->H; h++) {
        long double alpha = log1pl(expl((long double)c->damping.value[h]));
        long double omega = (long double)c->frequency.value[h],
                    phi = (long double)c->phase.value[h];
        long double z_re = expl(-alpha) * cosl(omega), z_im = expl(-alpha) * sinl(omega), Z = 0;
        for (int64_t t = 0; t < s->G; t++) Z += fabsl(expl(-alpha * t) * cosl(omega * t + phi));
        long double c_re = cosl(phi) / Z, c_im = sinl(phi) / Z;
        for (int64_t i = 0; i < s->B * s->d; i++) {
            int64_t b = i / s->d, channel = h * s->d + i % s->d, at = 0;
            long double re = 0, im = 0;
            for (int64_t n = 0; n < s->N; n++) {
                long double f = (long double)c->fraction.value[n], y[2] = {0, 0};
                double u = c->u.value[(b * s->N + n) * row + channel];
                for (int side = 0; side < (f > 0 ? 2 : 1); side++) {
                    for (; at < c->cell[n] + side; at++) {
                        long double next = z_re * re - z_im * im;
                        im = z_re * im + z_im * re;
                        re = next;
                    }
                    re += (side ? f : 1 - f) * u;
                    y[side] = c_re * re - c_im * im;
                }
                r.value[(b * s->N + n) * row + channel] = (double)((1 - f) * y[0] + f * y[1]);
            }
        }
    }
    return r;
}

/* Slow decays and slow turns are where a rounded pole drifts. `struck`: one deposit, then silence,
 * so that nothing hides a bias of rounding. */
static void long_fields_stay_accurate(void **state)
{
    (void)state;
    static const double poles[][2] = {/* raw damping, frequency */
                                      {-16, 1e-3},
                                      {-11.7, 0.37},
                                      {-16.7, 0},
                                      {-14, 3.1},
                                      {-30, 1e-5}};
    for (int k = 0; k < 5; k++)
        for (int struck = 0; struck < 2; struck++)
            for (int dense = 0; dense < 2; dense++) {
                int64_t M = dense ? 131072 : 16384;
                Case c = case_create(
                    (Setup){1, M, 1, 3, MODEL_V4, 131072, M, L1, INFINITY, false, false, 0});
                c.damping.value[0] = (double)(float)poles[k][0];
                c.frequency.value[0] = (double)(float)poles[k][1];
                if (struck)
                    for (int64_t i = 3; i < c.u.count; i++) c.u.value[i] = 0;
                Array expected = specified_long_field(&c);
                for (int b = 0; b < BUILDS; b++) {
                    char what[80];
                    snprintf(what, sizeof what, "long, damping %g, frequency %g, %s%s", poles[k][0],
                             poles[k][1], struck ? "struck" : "driven", dense ? ", dense" : "");
                    Array r = run_field(builds[b], &c, FIELD_SCAN, NULL);
                    expect_close(what, builds[b], r, expected, c.params.reach);
                    free(r.value);
                }
                free(expected.value);
                case_destroy(&c);
            }
}

/* One token a call: every call rounds its state, and no call knows how many came before. (In float:
 * double's own powers of z, one rounding off, are all there is to compare 16384 of them with.) */
static void long_streams_stay_accurate(void **state)
{
    (void)state;
    Case c = case_create(
        (Setup){1, 16384, 1, 3, MODEL_V4, 131072, 16384, L1, INFINITY, false, false, -13});
    Array expected = specified_long_field(&c);
    Array r = run_stream(&float_build, &c, 1);
    expect_close("long stream", &float_build, r, expected, c.params.reach);
    free(r.value);
    free(expected.value);
    case_destroy(&c);
}

/* ---- threads ---- */

#ifdef _OPENMP
static void expect_same_bits(Array a, Array b)
{
    if (a.count) assert_memory_equal(a.value, b.value, (size_t)a.count * sizeof(double));
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    const int before = omp_get_max_threads();
    for (int k = 0; k < SETUPS; k++)
        for (int b = 0; b < BUILDS; b++)
            for (FieldEvaluator e = FIELD_SCAN; e <= FIELD_DIRECT; e++) {
                if (!runs(&setups[k], e)) continue;
                Case c = case_create(setups[k]);
                Array expected[GRADIENTS + 2], got[GRADIENTS + 2];
                for (int threads = 1; threads <= 3; threads++) {
                    omp_set_num_threads(threads);
                    Array *to = threads == 1 ? expected : got;
                    to[0] = run_field(builds[b], &c, e, &to[1]);
                    run_backward(builds[b], &c, e, false, 0, to + 2);
                    if (threads == 1) continue;
                    for (int i = 0; i < GRADIENTS + 2; i++) expect_same_bits(expected[i], got[i]);
                    free_all(got, GRADIENTS + 2);
                }
                free_all(expected, GRADIENTS + 2);
                case_destroy(&c);
            }
    omp_set_num_threads(before);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_evaluator_follows_the_specification),
        cmocka_unit_test(gradients_match_finite_differences),
        cmocka_unit_test(gradients_agree),
        cmocka_unit_test(gradients_accumulate),
        cmocka_unit_test(outputs_ignore_what_follows),
        cmocka_unit_test(streaming_continues_exactly),
        cmocka_unit_test(recalling_continues_exactly),
        cmocka_unit_test(long_fields_stay_accurate),
        cmocka_unit_test(long_streams_stay_accurate),
#ifdef _OPENMP
        cmocka_unit_test(threads_do_not_change_a_bit),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
