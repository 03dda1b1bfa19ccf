#include "backends/cpu/interference.h"

#include "backends/cpu/math.h"

static const real NORM_FLOOR = (real)1e-12;

/* What a cosine is made of: the product, and the norms, not below their floor. */
typedef struct Cosine {
    real product, a, b;
} Cosine;

static Cosine cosine_of(const real *a, const real *b, int64_t n)
{
    real ab = 0, aa = 0, bb = 0;
#pragma omp simd reduction(+ : ab, aa, bb)
    for (int64_t i = 0; i < n; i++) {
        ab += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    real norm_a = real_sqrt(aa), norm_b = real_sqrt(bb);
    return (Cosine){ab, norm_a < NORM_FLOOR ? NORM_FLOOR : norm_a,
                    norm_b < NORM_FLOOR ? NORM_FLOOR : norm_b};
}

void CPU_NAME(cosine)(const CpuCall *call)
{
    const real *a = call->in[0], *b = call->in[1];
    real *s = call->out[0];
    int64_t rows = shape_rows(call_in_shape(call, 0)), width = shape_width(call_in_shape(call, 0));
    bool add = call_accumulates(call, 0);
#pragma omp parallel for schedule(static) if (worth_threads(rows * width))
    for (int64_t r = 0; r < rows; r++) {
        Cosine c = cosine_of(a + r * width, b + r * width, width);
        real_put(&s[r], c.product / c.a / c.b, add);
    }
}

/* da = ds·(b/(‖a‖‖b‖) - s·a/‖a‖²), without the second term where ‖a‖ is at its floor. */
static void cosine_backward_row(const real *a, const real *b, real norm_a, real norm_b, real s,
                                real ds, int64_t n, real *da, bool add)
{
    real of_b = ds / norm_a / norm_b, of_a = norm_a > NORM_FLOOR ? ds * s / norm_a / norm_a : 0;
    EACH(i, n, da, of_b * b[i] - of_a * a[i], add);
}

void CPU_NAME(cosine_backward)(const CpuCall *call)
{
    const real *ds = call->in[0], *a = call->in[1], *b = call->in[2];
    real *da = call->out[0], *db = call->out[1];
    int64_t rows = shape_rows(call_in_shape(call, 1)), width = shape_width(call_in_shape(call, 1));
    bool add_a = call_accumulates(call, 0), add_b = call_accumulates(call, 1);
#pragma omp parallel for schedule(static) if (worth_threads(rows * width))
    for (int64_t r = 0; r < rows; r++) {
        const real *ra = a + r * width, *rb = b + r * width;
        Cosine c = cosine_of(ra, rb, width);
        real s = c.product / c.a / c.b;
        cosine_backward_row(ra, rb, c.a, c.b, s, ds[r], width, da + r * width, add_a);
        cosine_backward_row(rb, ra, c.b, c.a, s, ds[r], width, db + r * width, add_b);
    }
}

static real temperature_of(const real *raw)
{
    return (real)(softplus((double)*raw) + 0.05);
}

static void interfere_row(const real *x, const real *c, const real *g, real weight, int64_t n,
                          real *y, bool add)
{
    EACH(i, n, y, x[i] + real_sigmoid(g[i]) * c[i] * weight, add);
}

void CPU_NAME(interfere)(const CpuCall *call)
{
    const real *x = call->in[0], *c = call->in[1], *g = call->in[2], *s = call->in[3];
    real *y = call->out[0], temperature = temperature_of(call->in[4]);
    int64_t rows = shape_rows(call_in_shape(call, 0)), width = shape_width(call_in_shape(call, 0));
    bool add = call_accumulates(call, 0);
#pragma omp parallel for schedule(static) if (worth_threads(rows * width))
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = r * width;
        real weight = real_sigmoid(s[r] / temperature);
        interfere_row(x + at, c + at, g + at, weight, width, y + at, add);
    }
}

/* dc and dg of one row; returns the gradient of its weight sigmoid(s/τ). Three loops form the gate
 * three times, which is cheaper than one that cannot vectorise. */
static real interfere_backward_row(const real *dy, const real *c, const real *g, real weight,
                                   int64_t n, real *dc, real *dg, bool add_c, bool add_g)
{
    real dweight = 0;
#pragma omp simd reduction(+ : dweight)
    for (int64_t i = 0; i < n; i++) dweight += dy[i] * c[i] * real_sigmoid(g[i]);
    EACH(i, n, dc, dy[i] * real_sigmoid(g[i]) * weight, add_c);
    EACH(i, n, dg, dy[i] * c[i] * weight * sigmoid_slope(g[i]), add_g);
    return dweight;
}

void CPU_NAME(interfere_backward)(const CpuCall *call)
{
    const real *dy = call->in[0], *c = call->in[1], *g = call->in[2], *s = call->in[3];
    const real *raw = call->in[4];
    real *dc = call->out[0], *dg = call->out[1], *ds = call->out[2], *dtemperature = call->out[3];
    Shape shape = call_in_shape(call, 1);
    int64_t rows = shape_rows(shape), width = shape_width(shape);
    real temperature = temperature_of(raw);
    double *of_row = call->workspace; /* each row's share of ∂L/∂τ */
    bool add_c = call_accumulates(call, 0), add_g = call_accumulates(call, 1);
#pragma omp parallel for schedule(static) if (worth_threads(rows * width))
    for (int64_t r = 0; r < rows; r++) {
        real rest, weight = sigmoid_and_rest(s[r] / temperature, &rest);
        int64_t at = r * width;
        real dweight = interfere_backward_row(dy + at, c + at, g + at, weight, width, dc + at,
                                              dg + at, add_c, add_g);
        real dargument = dweight * weight * rest; /* of s/τ */
        real_put(&ds[r], dargument / temperature, call_accumulates(call, 2));
        of_row[r] = -(double)dargument * (double)s[r] / ((double)temperature * (double)temperature);
    }
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) sum += of_row[r];
    *dtemperature += (real)(sum / (1 + exp(-(double)*raw))); /* softplus' = sigmoid */
}

int64_t CPU_NAME(interfere_backward_workspace)(const Graph *graph, const Node *node)
{
    return shape_rows(graph_shape(graph, node->in[1])) * (int64_t)sizeof(double);
}
