/* The field ops of the CPU backend, in float and in double: against the specification written out
 * in long double, against finite differences, and against each other. */
#include "field/geometry.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

static const char *const evaluator_name[] = {"scan", "fft", "direct"};

/* ---- a field to test ---- */

typedef struct Setup {
    int64_t B, N, H, d;
    ModelVersion version;
    int64_t G, M;
    KernelNorm norm;
    double limit; /* of α; INFINITY: none */
    bool gated, leaky;
    double damping; /* raw, of the first head; the others' rise to 3 more */
} Setup;

typedef struct Case {
    Setup setup;
    FieldParams params;
    double *u, *dr, *frequency, *damping, *phase, *gate, *cell, *fraction; /* cell, fraction [M] */
} Case;

static int64_t elements_of_u(const Setup *s)
{
    return s->B * s->N * s->H * s->d;
}

static double as_float(double x)
{
    return (double)(float)x;
}

static Case case_create(Setup s)
{
    Geometry geometry = {s.version, s.G, s.M};
    assert_true(s.N <= s.M);
    assert_true(s.leaky || geometry_causal(&geometry, NULL));
    Case c = {.setup = s,
              .params = {.heads = s.H,
                         .width = s.d,
                         .cells = s.G,
                         .reach = geometry_reach(&geometry, s.N),
                         .norm = s.norm,
                         .damping_limit = (float)s.limit},
              .u = test_normal(1, elements_of_u(&s), 1),
              .dr = test_normal(2, elements_of_u(&s), 1),
              .gate = s.gated ? test_normal(3, s.B * s.H * FIELD_GATE_POINTS, 0.5) : NULL,
              .frequency = test_normal(4, s.H, 0.01),
              .damping = test_normal(5, s.H, 0.01),
              .phase = test_normal(6, s.H, 0.01),
              .cell = test_memory((size_t)s.M * sizeof(double)),
              .fraction = test_memory((size_t)s.M * sizeof(double))};
    for (int64_t i = 0; i < s.M; i++) {
        TokenPlace place = geometry_place(&geometry, i);
        c.cell[i] = place.cell;
        c.fraction[i] = as_float(place.fraction);
    }
    for (int64_t h = 0; h < s.H; h++) {
        double part = (double)h / (double)int64_max(s.H - 1, 1);
        c.frequency[h] = as_float(c.frequency[h] + 0.3 + 3.7 * part);
        c.damping[h] = as_float(c.damping[h] + s.damping + 3 * part);
        c.phase[h] = as_float(c.phase[h] - 1.2 + 2.8 * part);
    }
    return c;
}

/* The case in words, after `what`. */
static const char *named(const char *what, const Case *c)
{
    static char text[160];
    const Setup *s = &c->setup;
    snprintf(text, sizeof text, "%s B%d N%d H%d d%d v%s G%d M%d %s%s%s", what, (int)s->B, (int)s->N,
             (int)s->H, (int)s->d, s->version == MODEL_V4 ? "4" : "3.5", (int)s->G, (int)s->M,
             s->norm == KERNEL_NORM_L1 ? "l1" : "dc", s->gated ? " gated" : "",
             s->leaky ? " leaky" : "");
    return text;
}

/* ---- the ops ---- */

static Operand reals(Shape shape, double *value)
{
    return (Operand){.dtype = DTYPE_REAL, .shape = shape, .value = value};
}

static Operand wholes(Shape shape, double *value)
{
    return (Operand){.dtype = DTYPE_I32, .shape = shape, .value = value};
}

/* Given as an output, NaN before the op runs; as an input, absent. */
static Operand nothing(Shape shape)
{
    return (Operand){.dtype = DTYPE_REAL, .shape = shape};
}

static Operand gate_of(const Case *c)
{
    const Setup *s = &c->setup;
    return (Operand){.dtype = DTYPE_REAL,
                     .shape = SHAPE(s->B, s->H, FIELD_GATE_POINTS),
                     .value = c->gate,
                     .absent = !s->gated};
}

static Shape shape_u(const Setup *s)
{
    return SHAPE(s->B, s->N, s->H, s->d);
}

static Shape shape_carry(const Setup *s)
{
    return SHAPE(s->B, s->H, ceil_div(s->N, FIELD_CHUNK), 2, s->d);
}

/* r and the carry. */
typedef struct Forward {
    double *r, *carry;
} Forward;

static Forward run_field(bool as_double, const Case *c, FieldEvaluator evaluator)
{
    const Setup *s = &c->setup;
    OneOp op = {.op = OP_FIELD,
                .params.field = c->params,
                .n_in = 7,
                .in = {reals(shape_u(s), c->u), reals(SHAPE(s->H), c->frequency),
                       reals(SHAPE(s->H), c->damping), reals(SHAPE(s->H), c->phase),
                       wholes(SHAPE(s->N), c->cell), reals(SHAPE(s->N), c->fraction), gate_of(c)},
                .n_out = 2,
                .out = {nothing(shape_u(s)), nothing(shape_carry(s))}};
    op.params.field.evaluator = evaluator;
    OneOpResult result = test_run(test_device(as_double), &op);
    return (Forward){result.out[0], result.out[1]};
}

enum { GRADIENTS = 5 };
static const char *const gradient_name[] = {"du", "dfrequency", "ddamping", "dphase", "dgate"};

static int64_t gradient_elements(const Case *c, int k)
{
    const Setup *s = &c->setup;
    if (k == 0) return elements_of_u(s);
    return k < 4 ? s->H : s->gated ? s->B * s->H * FIELD_GATE_POINTS : 0;
}

/* Gradients of Σ r·dr. Outputs that are added to start from `start`; du and dgate are where
 * `accumulate`. */
static OneOpResult run_backward(bool as_double, const Case *c, FieldEvaluator evaluator,
                                bool accumulate, double start)
{
    const Setup *s = &c->setup;
    int64_t most = int64_max(elements_of_u(s), s->B * s->H * FIELD_GATE_POINTS);
    double *from = test_memory((size_t)most * sizeof *from), *carry;
    for (int64_t i = 0; i < most; i++) from[i] = start;
    carry = run_field(as_double, c, evaluator).carry;
    Operand parameter = reals(SHAPE(s->H), from), gate = gate_of(c);
    OneOp op = {.op = OP_FIELD_BACKWARD,
                .params.field = c->params,
                .n_in = 9,
                .in = {reals(shape_u(s), c->dr), reals(shape_u(s), c->u),
                       reals(SHAPE(s->H), c->frequency), reals(SHAPE(s->H), c->damping),
                       reals(SHAPE(s->H), c->phase), wholes(SHAPE(s->N), c->cell),
                       reals(SHAPE(s->N), c->fraction), reals(shape_carry(s), carry), gate},
                .n_out = 5,
                .out = {nothing(shape_u(s)), parameter, parameter, parameter, gate},
                .accumulate = accumulate ? 1u | (s->gated ? 1u << 4 : 0) : 0};
    op.params.field.evaluator = evaluator;
    op.out[0].value = op.out[4].value = accumulate ? from : NULL;
    return test_run(test_device(as_double), &op);
}

/* ---- the specification, written out in long double ---- */

/* k[t] of head h (§2). */
static long double *specified_kernel(const Case *c, int64_t h)
{
    const int64_t G = c->setup.G;
    long double *k = test_memory((size_t)G * sizeof *k), l1 = 0, dc = 0;
    long double alpha = log1pl(expl((long double)c->damping[h]));
    alpha = fminl(alpha, (long double)c->params.damping_limit);
    for (int64_t t = 0; t < G; t++) {
        k[t] = expl(-alpha * t) * cosl((long double)c->frequency[h] * t + (long double)c->phase[h]);
        l1 += fabsl(k[t]);
        dc += k[t];
    }
    long double Z =
        c->params.norm == KERNEL_NORM_L1 ? fmaxl(l1, 1e-8L) : fmaxl(fabsl(2 * dc), 1e-8L) / 2;
    for (int64_t t = 0; t < G; t++) k[t] /= Z;
    return k;
}

static int64_t specified_transform_size(int64_t G)
{
    for (int64_t P = 4 * G;; P++) {
        int64_t rest = P;
        for (int64_t p = 2; p <= 7; p++)
            while (rest % p == 0) rest /= p;
        if (rest == 1) return P;
    }
}

/* k' of sample b (§4): both transforms as sums over the half spectrum. */
static long double *specified_gate(const Case *c, int64_t b, int64_t h, const long double *k)
{
    const int64_t G = c->setup.G, P = specified_transform_size(G), bins = P / 2 + 1;
    const double *points = c->gate + (b * c->setup.H + h) * FIELD_GATE_POINTS;
    long double *gated = test_memory((size_t)G * sizeof *gated);
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
    return gated;
}

/* One channel of one sample (§2): u and r are its elements of token 0. X and Y have G cells. */
static void specified_channel(const Case *c, const long double *k, const double *u, double *r,
                              long double *X, long double *Y)
{
    const int64_t N = c->setup.N, row = c->setup.H * c->setup.d;
    memset(X, 0, (size_t)c->setup.G * sizeof *X);
    for (int64_t i = 0; i < N; i++) {
        int64_t lo = (int64_t)c->cell[i];
        long double f = (long double)c->fraction[i];
        X[lo] += (1 - f) * u[i * row];
        if (f > 0) X[lo + 1] += f * u[i * row];
    }
    for (int64_t i = 0; i < N; i++) {
        int64_t lo = (int64_t)c->cell[i];
        long double f = (long double)c->fraction[i];
        for (int64_t g = lo; g <= lo + (f > 0); g++) {
            Y[g] = 0;
            for (int64_t from = 0; from <= g; from++)
                if (X[from] != 0) Y[g] += k[g - from] * X[from];
        }
        r[i * row] = (double)((1 - f) * Y[lo] + (f > 0 ? f * Y[lo + 1] : 0));
    }
}

static double *specified_field(const Case *c)
{
    const Setup *s = &c->setup;
    double *r = test_memory((size_t)elements_of_u(s) * sizeof *r);
    long double *X = test_memory((size_t)s->G * sizeof *X);
    long double *Y = test_memory((size_t)s->G * sizeof *Y);
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t h = 0; h < s->H; h++) {
            const long double *k = specified_kernel(c, h);
            if (s->gated) k = specified_gate(c, b, h, k);
            for (int64_t channel = h * s->d; channel < (h + 1) * s->d; channel++) {
                int64_t at = b * s->N * s->H * s->d + channel;
                specified_channel(c, k, c->u + at, r + at, X, Y);
            }
        }
    return r;
}

/* ---- the cases ---- */

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
    {1, 20, 9, 64, MODEL_V4, 39, 20, L1, 1.5, false, false, -3},      /* more than a cache block */
    {1, 16, 2, 5, MODEL_V4, 5001, 16, DC, 1.5, false, false, -6},     /* mostly empty cells */
    {2, 64, 4, 16, MODEL_V4, 200, 64, L1, 0.03125, false, false, -3}, /* clamped damping */
    {2, 33, 2, 5, MODEL_V3_5, 33, 33, L1, INFINITY, false, true, -2},
    {1, 40, 2, 7, MODEL_V4, 50, 40, DC, 1.5, false, true, -2},
    {2, 13, 2, 3, MODEL_V4, 13, 13, L1, 1.5, true, false, -2},
    {2, 26, 3, 4, MODEL_V4, 26, 26, DC, 1.5, true, false, -2}, /* P = 105, odd */
    {1, 20, 1, 5, MODEL_V4, 31, 21, L1, 1.5, true, false, -1}, /* s = 3/2 */
    {2, 70, 2, 33, MODEL_V4, 139, 70, L1, 1.5, true, false, -3},
    {2, 17, 2, 3, MODEL_V3_5, 17, 17, L1, INFINITY, true, true, -2},
};
enum { SETUPS = sizeof setups / sizeof *setups };

static bool runs(const Setup *s, FieldEvaluator evaluator)
{
    return evaluator != FIELD_SCAN || (!s->gated && !s->leaky);
}

/* For every case an evaluator can run: `c` and `e`. */
#define EACH_CASE(c, e)                                                                            \
    for (int k_ = 0; k_ < SETUPS; k_++)                                                            \
        for (Case *c = (Case[]){case_create(setups[k_])}, *once_ = c; once_; once_ = NULL)         \
            for (FieldEvaluator e = FIELD_SCAN; e <= FIELD_DIRECT; e++)                            \
                if (runs(&(c)->setup, e))

static void every_evaluator_follows_the_specification(void **state)
{
    (void)state;
    for (int k = 0; k < SETUPS; k++) {
        Case c = case_create(setups[k]);
        double *expected = specified_field(&c);
        for (FieldEvaluator e = FIELD_SCAN; e <= FIELD_DIRECT; e++)
            for (int as_double = 0; as_double < 2 && runs(&c.setup, e); as_double++)
                test_close(named(evaluator_name[e], &c), run_field(as_double, &c, e).r, expected,
                           elements_of_u(&c.setup), c.params.reach, as_double);
    }
}

/* ---- gradients ---- */

static double loss_of(const Case *c, FieldEvaluator evaluator)
{
    const double *r = run_field(true, c, evaluator).r;
    double sum = 0;
    for (int64_t i = 0; i < elements_of_u(&c->setup); i++) sum += r[i] * c->dr[i];
    return sum;
}

/* Central differences of a few elements of an input. The step is small because l1's Z has a kink
 * wherever a sample of the kernel changes its sign. */
static void expect_slopes(const Case *c, FieldEvaluator e, double *input, const double *gradient,
                          int64_t n, const char *what)
{
    const double step = 0x1p-22;
    double squares = 0;
    for (int64_t i = 0; i < n; i++) squares += gradient[i] * gradient[i];
    double scale = fmax(sqrt(squares / (double)n), 1e-3);
    for (int64_t i = 0; i < n; i += int64_max(n / 7, 1)) {
        double x = input[i], side[2];
        for (int k = 0; k < 2; k++) {
            input[i] = k ? x + step : x - step;
            side[k] = loss_of(c, e);
        }
        input[i] = x;
        double slope = (side[1] - side[0]) / (2 * step);
        if (!(fabs(slope - gradient[i]) <= 1e-6 * scale))
            fail_msg("%s %s[%d]: %.12g, by differences %.12g", named(evaluator_name[e], c), what,
                     (int)i, gradient[i], slope);
    }
}

static void gradients_match_finite_differences(void **state)
{
    (void)state;
    EACH_CASE(c, e)
    {
        if (e == FIELD_FFT) continue; /* in double it is direct */
        OneOpResult gradient = run_backward(true, c, e, false, 0);
        double *input[GRADIENTS] = {c->u, c->frequency, c->damping, c->phase, c->gate};
        for (int i = 0; i < GRADIENTS; i++)
            if (input[i])
                expect_slopes(c, e, input[i], gradient.out[i], gradient_elements(c, i),
                              gradient_name[i]);
        if (c->params.damping_limit < 0.04f)
            for (int64_t h = 0; h < c->setup.H; h++) assert_true(gradient.out[2][h] == 0);
    }
}

/* Every evaluator, in float and in double, against the direct sum in double. */
static void gradients_agree(void **state)
{
    (void)state;
    for (int k = 0; k < SETUPS; k++) {
        Case c = case_create(setups[k]);
        OneOpResult expected = run_backward(true, &c, FIELD_DIRECT, false, 0);
        for (FieldEvaluator e = FIELD_SCAN; e <= FIELD_DIRECT; e++)
            for (int as_double = 0; as_double < 2 && runs(&c.setup, e); as_double++) {
                OneOpResult got = run_backward(as_double, &c, e, false, 0);
                for (int i = 0; i < GRADIENTS; i++) {
                    char what[40];
                    snprintf(what, sizeof what, "%s %s", gradient_name[i], evaluator_name[e]);
                    int64_t summed = i == 0 ? 1 : c.setup.B * c.setup.d;
                    if (expected.out[i])
                        test_close(named(what, &c), got.out[i], expected.out[i],
                                   gradient_elements(&c, i), summed * c.params.reach, as_double);
                }
            }
    }
}

static void gradients_accumulate(void **state)
{
    (void)state;
    EACH_CASE(c, e)
    {
        OneOpResult plain = run_backward(true, c, e, false, 0);
        OneOpResult onto = run_backward(true, c, e, true, 0.5);
        for (int i = 0; i < GRADIENTS; i++)
            for (int64_t j = 0; plain.out[i] && j < gradient_elements(c, i); j++) {
                double added = onto.out[i][j] - plain.out[i][j];
                assert_true(fabs(added - 0.5) <= 1e-14 * (1 + fabs(plain.out[i][j])));
            }
    }
}

/* ---- causality ---- */

/* u after token j changed: r before it keeps every bit, r at it does not. */
static void outputs_ignore_what_follows(void **state)
{
    (void)state;
    EACH_CASE(c, e)
    {
        const Setup *s = &c->setup;
        const int64_t row = s->H * s->d;
        if (s->leaky || s->gated || e == FIELD_FFT) continue;
        for (int as_double = 0; as_double < 2; as_double++) {
            const double *before = run_field(as_double, c, e).r;
            for (int64_t j = s->N - 1; j >= 0; j -= int64_max(s->N / 5, 1)) {
                for (int64_t i = 0; i < s->B * s->N * row; i++)
                    if (i / row % s->N >= j) c->u[i] += 1;
                const double *after = run_field(as_double, c, e).r;
                for (int64_t b = 0; b < s->B; b++) {
                    const double *old = before + b * s->N * row, *new = after + b * s->N *row;
                    if (j) assert_memory_equal(old, new, (size_t)(j * row) * sizeof *old);
                    assert_true(old[j * row] != new[j * row]);
                }
            }
        }
    }
}

/* ---- continuation ---- */

/* Rows first … first+count-1 of x [B, N, row]. */
static double *rows_of(const double *x, int64_t B, int64_t N, int64_t row, int64_t first,
                       int64_t count)
{
    double *part = test_memory((size_t)(B * count * row) * sizeof *part);
    for (int64_t b = 0; b < B; b++)
        memcpy(part + b * count * row, x + (b * N + first) * row,
               (size_t)(count * row) * sizeof *x);
    return part;
}

static void put_rows(double *x, int64_t B, int64_t N, int64_t row, int64_t first, int64_t count,
                     const double *part)
{
    for (int64_t b = 0; b < B; b++)
        memcpy(x + (b * N + first) * row, part + b * count * row,
               (size_t)(count * row) * sizeof *x);
}

static double *run_norm(bool as_double, const Case *c)
{
    const Setup *s = &c->setup;
    OneOp op = {.op = OP_FIELD_NORM,
                .params.field = c->params,
                .n_in = 3,
                .in = {reals(SHAPE(s->H), c->frequency), reals(SHAPE(s->H), c->damping),
                       reals(SHAPE(s->H), c->phase)},
                .n_out = 1,
                .out = {nothing(SHAPE(s->H))}};
    return test_run(test_device(as_double), &op).out[0];
}

static double *run_stream(bool as_double, const Case *c, int64_t tokens_a_call)
{
    const Setup *s = &c->setup;
    const int64_t row = s->H * s->d;
    double *r = test_memory((size_t)elements_of_u(s) * sizeof *r);
    double *state = test_memory((size_t)(s->B * row * 2) * sizeof *state), at = 0;
    double *norm = run_norm(as_double, c);
    for (int64_t n = 0; n < s->N; n += tokens_a_call) {
        int64_t count = int64_min(tokens_a_call, s->N - n);
        Shape u = SHAPE(s->B, count, s->H, s->d);
        OneOp op = {.op = OP_FIELD_STREAM,
                    .params.field = c->params,
                    .n_in = 8,
                    .in = {reals(u, rows_of(c->u, s->B, s->N, row, n, count)),
                           reals(SHAPE(s->H), c->frequency), reals(SHAPE(s->H), c->damping),
                           reals(SHAPE(s->H), c->phase), wholes(SHAPE(count), c->cell + n),
                           reals(SHAPE(count), c->fraction + n), wholes(SHAPE(1), &at),
                           reals(SHAPE(s->H), norm)},
                    .n_out = 2,
                    .out = {nothing(u), reals(SHAPE(s->B, s->H, 2, s->d), state)}};
        OneOpResult result = test_run(test_device(as_double), &op);
        put_rows(r, s->B, s->N, row, n, count, result.out[0]);
        state = result.out[1];
        at = c->cell[n + count - 1] + (c->fraction[n + count - 1] > 0);
    }
    return r;
}

static void streaming_continues_exactly(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 7, 64, 1000};
    for (int k = 0; k < SETUPS; k++) {
        if (!runs(&setups[k], FIELD_SCAN)) continue;
        Case c = case_create(setups[k]);
        double *expected = specified_field(&c);
        for (int as_double = 0; as_double < 2; as_double++)
            for (int i = 0; i < 4; i++)
                test_close(named("stream", &c), run_stream(as_double, &c, sizes[i]), expected,
                           elements_of_u(&c.setup), c.params.reach, as_double);
    }
}

static double *run_kernel(bool as_double, const Case *c)
{
    const Setup *s = &c->setup;
    OneOp op = {.op = OP_FIELD_KERNEL,
                .params.field = c->params,
                .n_in = 4,
                .in = {reals(SHAPE(s->H), c->frequency), reals(SHAPE(s->H), c->damping),
                       reals(SHAPE(s->H), c->phase), gate_of(c)},
                .n_out = 1,
                .out = {nothing(SHAPE(s->B, s->H, s->G))}};
    return test_run(test_device(as_double), &op).out[0];
}

static double *run_recall(bool as_double, const Case *c, int64_t tokens_a_call)
{
    const Setup *s = &c->setup;
    const int64_t row = s->H * s->d;
    double *kernel = run_kernel(as_double, c), *history = NULL;
    double *r = test_memory((size_t)elements_of_u(s) * sizeof *r);
    for (int64_t n = 0; n < s->N; n += tokens_a_call) {
        int64_t count = int64_min(tokens_a_call, s->N - n);
        Shape u = SHAPE(s->B, count, s->H, s->d);
        OneOp op = {.op = OP_FIELD_RECALL,
                    .params.field = c->params,
                    .n_in = 5,
                    .in = {reals(u, rows_of(c->u, s->B, s->N, row, n, count)),
                           reals(SHAPE(s->B, s->H, s->G), kernel), wholes(SHAPE(s->M), c->cell),
                           reals(SHAPE(s->M), c->fraction), wholes(SHAPE(1), &(double){(double)n})},
                    .n_out = 2,
                    .out = {nothing(u), reals(SHAPE(s->B, s->M, s->H, s->d), history)}};
        OneOpResult result = test_run(test_device(as_double), &op);
        put_rows(r, s->B, s->N, row, n, count, result.out[0]);
        history = result.out[1];
    }
    double *kept = rows_of(history, s->B, s->M, row, 0, s->N);
    assert_memory_equal(kept, c->u, (size_t)elements_of_u(s) * sizeof *kept);
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
        double *expected = specified_field(&c);
        for (int as_double = 0; as_double < 2; as_double++)
            for (int i = 0; i < (c.setup.leaky ? 1 : 3); i++)
                test_close(named("recall", &c), run_recall(as_double, &c, sizes[i]), expected,
                           elements_of_u(&c.setup), c.params.reach, as_double);
    }
}

/* ---- long fields ---- */

/* One channel by the recurrence, cell by cell in long double: for fields too long for the sum. */
static void specified_long_channel(const Case *c, long double alpha, long double omega,
                                   const long double couple[2], const double *u, double *r)
{
    const int64_t row = c->setup.H * c->setup.d;
    const long double z[2] = {expl(-alpha) * cosl(omega), expl(-alpha) * sinl(omega)};
    long double S[2] = {0, 0};
    int64_t at = 0;
    for (int64_t n = 0; n < c->setup.N; n++) {
        long double f = (long double)c->fraction[n], sum = 0;
        for (int side = 0; side < (f > 0 ? 2 : 1); side++) {
            long double share = side ? f : 1 - f;
            for (; at < (int64_t)c->cell[n] + side; at++) {
                long double re = z[0] * S[0] - z[1] * S[1];
                S[1] = z[0] * S[1] + z[1] * S[0];
                S[0] = re;
            }
            S[0] += share * u[n * row];
            sum += share * (couple[0] * S[0] - couple[1] * S[1]);
        }
        r[n * row] = (double)sum;
    }
}

static double *specified_long_field(const Case *c)
{
    const Setup *s = &c->setup;
    double *r = test_memory((size_t)elements_of_u(s) * sizeof *r);
    assert_true(s->B == 1 && s->H == 1);
    long double alpha = log1pl(expl((long double)c->damping[0])), Z = 0;
    long double omega = (long double)c->frequency[0], phi = (long double)c->phase[0];
    for (int64_t t = 0; t < s->G; t++) Z += fabsl(expl(-alpha * t) * cosl(omega * t + phi));
    for (int64_t channel = 0; channel < s->d; channel++)
        specified_long_channel(c, alpha, omega, (long double[]){cosl(phi) / Z, sinl(phi) / Z},
                               c->u + channel, r + channel);
    return r;
}

static Case long_case(int64_t tokens, double damping, double frequency)
{
    Case c = case_create(
        (Setup){1, tokens, 1, 3, MODEL_V4, 131072, tokens, L1, INFINITY, false, false, 0});
    c.damping[0] = as_float(damping);
    c.frequency[0] = as_float(frequency);
    return c;
}

/* Slow decays and slow turns are where a rounded pole drifts. Struck: one deposit, then silence, so
 * that nothing hides a bias of rounding. */
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
                Case c = long_case(dense ? 131072 : 16384, poles[k][0], poles[k][1]);
                for (int64_t i = 3; struck && i < elements_of_u(&c.setup); i++) c.u[i] = 0;
                double *expected = specified_long_field(&c);
                char what[80];
                snprintf(what, sizeof what, "damping %g, frequency %g, %s", poles[k][0],
                         poles[k][1], struck ? "struck" : "driven");
                for (int as_double = 0; as_double < 2; as_double++)
                    test_close(named(what, &c), run_field(as_double, &c, FIELD_SCAN).r, expected,
                               elements_of_u(&c.setup), c.params.reach, as_double);
                test_release(NULL);
            }
}

/* One token a call: every call rounds its state, and no call knows how many came before. (In float:
 * double's own powers of z, one rounding off, are all there is to compare 16384 of them with.) */
static void long_streams_stay_accurate(void **state)
{
    (void)state;
    Case c = long_case(16384, -13, 0.3);
    test_close("long stream", run_stream(false, &c, 1), specified_long_field(&c),
               elements_of_u(&c.setup), c.params.reach, false);
}

/* ---- threads ---- */

#ifdef _OPENMP
static void expect_same_bits(const double *a, const double *b, int64_t n)
{
    if (n) assert_memory_equal(a, b, (size_t)n * sizeof *a);
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    const int before = omp_get_max_threads();
    EACH_CASE(c, e)
    for (int as_double = 0; as_double < 2; as_double++) {
        Forward forward[3];
        OneOpResult backward[3];
        for (int k = 0; k < 3; k++) {
            omp_set_num_threads(k + 1);
            forward[k] = run_field(as_double, c, e);
            backward[k] = run_backward(as_double, c, e, false, 0);
            expect_same_bits(forward[k].r, forward[0].r, elements_of_u(&c->setup));
            expect_same_bits(forward[k].carry, forward[0].carry,
                             shape_elements(shape_carry(&c->setup)));
            for (int i = 0; i < GRADIENTS; i++)
                expect_same_bits(backward[k].out[i], backward[0].out[i], gradient_elements(c, i));
        }
    }
    omp_set_num_threads(before);
}
#endif

#define TEST(name) cmocka_unit_test_teardown(name, test_release)

static int close_devices(void **state)
{
    (void)state;
    test_close_devices();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_evaluator_follows_the_specification),
        TEST(gradients_match_finite_differences),
        TEST(gradients_agree),
        TEST(gradients_accumulate),
        TEST(outputs_ignore_what_follows),
        TEST(streaming_continues_exactly),
        TEST(recalling_continues_exactly),
        TEST(long_fields_stay_accurate),
        TEST(long_streams_stay_accurate),
#ifdef _OPENMP
        TEST(threads_do_not_change_a_bit),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, close_devices);
}
