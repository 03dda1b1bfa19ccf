/* The spectral gate (spec §4): k' = the first samples of irfft_P(rfft_P(k)·(1+gate)), and its
 * adjoint. Double precision in every build, by a mixed-radix transform of lengths 2^a·3^b·5^c·7^d.
 *
 * In full-spectrum terms k' = F⁻¹·diag(1+γ)·F·k with γ real and γ(P-f) = γ(f), which is its own
 * transpose: ∂L/∂k is the same filter applied to ∂L/∂k'. */
#include <math.h>
#include <string.h>

#include "backends/cpu/field_convolve.h"

static int64_t smooth_size(int64_t least)
{
    for (int64_t size = least;; size++) {
        int64_t rest = size;
        for (int64_t prime = 2; prime <= 7; prime++)
            while (rest % prime == 0) rest /= prime;
        if (rest == 1) return size;
    }
}

/* ---- the transform ---- */

static int64_t first_factor(int64_t n)
{
    if (n % 4 == 0) return 4;
    for (int64_t r = 2; r < 7; r++)
        if (n % r == 0) return r;
    return 7;
}

/* The r outputs of column k: out[q·m + k], q < r, hold the r sub-transforms' values. */
static void butterfly4(const Complex *roots, int64_t stride, int64_t m, Complex *out)
{
    for (int64_t k = 0; k < m; k++) {
        Complex a = out[k], b = complex_mul(out[m + k], roots[k * stride]),
                c = complex_mul(out[2 * m + k], roots[2 * k * stride]),
                d = complex_mul(out[3 * m + k], roots[3 * k * stride]);
        Complex even = complex_add(a, c), odd = {a.re - c.re, a.im - c.im};
        Complex sum = complex_add(b, d), turn = {b.im - d.im, d.re - b.re}; /* -i·(b-d) */
        out[k] = complex_add(even, sum);
        out[m + k] = complex_add(odd, turn);
        out[2 * m + k] = (Complex){even.re - sum.re, even.im - sum.im};
        out[3 * m + k] = (Complex){odd.re - turn.re, odd.im - turn.im};
    }
}

static void butterfly(const Complex *roots, int64_t size, int64_t stride, int64_t r, int64_t m,
                      Complex *out)
{
    for (int64_t k = 0; k < m; k++) {
        Complex in[7];
        for (int64_t q = 0; q < r; q++) in[q] = out[q * m + k];
        for (int64_t p = 0; p < r; p++) {
            Complex sum = in[0];
            for (int64_t q = 1; q < r; q++)
                sum = complex_add(sum, complex_mul(in[q], roots[q * (k + p * m) * stride % size]));
            out[p * m + k] = sum;
        }
    }
}

/* out[f] = Σ_t in[t·stride]·e^(-2πi ft/n), n·stride = size; in and out apart. */
static void transform(const Complex *roots, int64_t size, int64_t stride, int64_t n,
                      const Complex *in, Complex *out)
{
    if (n == 1) {
        out[0] = in[0];
        return;
    }
    int64_t r = first_factor(n), m = n / r;
    for (int64_t q = 0; q < r; q++)
        transform(roots, size, stride * r, m, in + q * stride, out + q * m);
    if (r == 4)
        butterfly4(roots, stride, m, out);
    else
        butterfly(roots, size, stride, r, m, out);
}

/* ---- kernels and gradients ---- */

GateWork gate_carve(Carve *carve, const Field *field)
{
    GateWork work = {.size = smooth_size(4 * field->params.cells)};
    work.bins = work.size / 2 + 1;
    work.slots = field_slots(field->batch * field->heads, 2 * work.size * (int64_t)sizeof(Complex));
    work.roots = CARVE(carve, Complex, work.size);
    work.spectra = CARVE(carve, Complex, field->heads * work.bins);
    work.buffers = CARVE(carve, Complex, work.slots * 2 * work.size);
    return work;
}

/* gate(bin) of 32 points: points[*j]·(1-w) + points[*j + 1]·w. */
static double gate_weight(const GateWork *work, int64_t bin, int64_t *j)
{
    double x = (double)bin * (FIELD_GATE_POINTS - 1) / (double)(work->bins - 1);
    *j = int64_min((int64_t)x, FIELD_GATE_POINTS - 2);
    return x - (double)*j;
}

static double gain(const GateWork *work, const real *points, int64_t bin)
{
    int64_t j;
    double w = gate_weight(work, bin, &j);
    return 1 + (1 - w) * (double)points[j] + w * (double)points[j + 1];
}

void gate_prepare(const GateWork *work, const Field *field, const Complex *waves)
{
    const int64_t size = work->size, cells = field->params.cells;
    const double turn = -2 * acos(-1.0) / (double)size;
    for (int64_t k = 0; k < size; k++)
        work->roots[k] = (Complex){cos(turn * (double)k), sin(turn * (double)k)};
    const int64_t slots = slots_used(work->slots, field->heads * work->size);
#pragma omp parallel for schedule(static) if (slots > 1)
    for (int64_t slot = 0; slot < slots; slot++) {
        Complex *in = work->buffers + slot * 2 * size, *out = in + size;
        int64_t end = slot_first(slot + 1, slots, field->heads);
        for (int64_t h = slot_first(slot, slots, field->heads); h < end; h++) {
            memset(in, 0, (size_t)size * sizeof *in);
            for (int64_t t = 0; t < cells; t++) in[t].re = waves[h * cells + t].re;
            transform(work->roots, size, 1, size, in, out);
            memcpy(work->spectra + h * work->bins, out, (size_t)work->bins * sizeof *out);
        }
    }
}

/* in ← the first samples of the inverse of a half spectrum X·(1+γ): the forward transform of the
 * conjugate, whose real part is the answer times P. `in` is used as the buffer of the spectrum. */
static void filter(const GateWork *work, const Complex *half, const real *points, Complex *in,
                   Complex *out)
{
    const int64_t size = work->size;
    for (int64_t f = 0; f < work->bins; f++) {
        double g = gain(work, points, f) / (double)size;
        in[f] = (Complex){half[f].re * g, -half[f].im * g};
        if (f > 0) in[size - f] = (Complex){half[f].re * g, half[f].im * g};
    }
    transform(work->roots, size, 1, size, in, out);
}

void gate_kernels(const GateWork *work, const Field *field, const real *gate, int64_t cells,
                  double *kernels)
{
    const int64_t items = field->batch * field->heads;
    const int64_t slots = slots_used(work->slots, items * work->size);
#pragma omp parallel for schedule(static) if (slots > 1)
    for (int64_t slot = 0; slot < slots; slot++) {
        Complex *in = work->buffers + slot * 2 * work->size, *out = in + work->size;
        int64_t end = slot_first(slot + 1, slots, items);
        for (int64_t i = slot_first(slot, slots, items); i < end; i++) {
            filter(work, work->spectra + i % field->heads * work->bins,
                   gate + i * FIELD_GATE_POINTS, in, out);
            for (int64_t t = 0; t < cells; t++) kernels[i * cells + t] = out[t].re;
        }
    }
}

/* ∂L/∂γ(f) = Re(conj(D(f))·K(f))/P over the full spectrum, D = F(∂L/∂k'); a bin of the half
 * spectrum stands for itself and its mirror image. */
static void gate_point_gradient(const GateWork *work, const Complex *spectrum, const Complex *d,
                                bool add, real *dpoints)
{
    double sum[FIELD_GATE_POINTS] = {0};
    for (int64_t f = 0; f < work->bins; f++) {
        double both = f == 0 || 2 * f == work->size ? 1 : 2;
        double value = both * (d[f].re * spectrum[f].re + d[f].im * spectrum[f].im);
        int64_t j;
        double w = gate_weight(work, f, &j);
        sum[j] += (1 - w) * value;
        sum[j + 1] += w * value;
    }
    for (int j = 0; j < FIELD_GATE_POINTS; j++)
        dpoints[j] = (real)((add ? (double)dpoints[j] : 0) + sum[j] / (double)work->size);
}

static void gate_backward_item(const GateWork *work, const Field *field,
                               const GateGradient *gradient, int64_t i, Complex *in, Complex *out)
{
    const int64_t cells = field->params.cells, h = i % field->heads;
    memset(in, 0, (size_t)work->size * sizeof *in);
    for (int64_t t = 0; t < gradient->cells; t++)
        in[t].re = gradient->dkernels[i * gradient->cells + t];
    transform(work->roots, work->size, 1, work->size, in, out);
    if (gradient->dgate)
        gate_point_gradient(work, work->spectra + h * work->bins, out, gradient->add,
                            gradient->dgate + i * FIELD_GATE_POINTS);
    filter(work, out, gradient->gate + i * FIELD_GATE_POINTS, in, out);
    double *dkernel = &in[0].re;
    for (int64_t t = 0; t < cells; t++) dkernel[t] = out[t].re;
    gradient->moments[i] = kernel_moments(gradient->waves + h * cells, dkernel, cells);
}

void spectral_gate_backward(const GateWork *work, const Field *field, const GateGradient *gradient)
{
    const int64_t items = field->batch * field->heads;
    const int64_t slots = slots_used(work->slots, items * work->size);
#pragma omp parallel for schedule(static) if (slots > 1)
    for (int64_t slot = 0; slot < slots; slot++) {
        Complex *in = work->buffers + slot * 2 * work->size, *out = in + work->size;
        int64_t end = slot_first(slot + 1, slots, items);
        for (int64_t i = slot_first(slot, slots, items); i < end; i++)
            gate_backward_item(work, field, gradient, i, in, out);
    }
}
