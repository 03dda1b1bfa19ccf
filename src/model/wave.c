#include "model/wave.h"

#include <math.h>

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

/* Without the norm. */
static double amplitude(const wf_wave *wave, int64_t t)
{
    double x = (double)t;
    return exp(-wave->damping * x) * cos(wave->frequency * x + wave->phase);
}

static double norm_of(const wf_wave *wave, KernelNorm norm, int64_t cells)
{
    double sum = 0;
    for (int64_t t = 0; t < cells; t++) {
        double k = amplitude(wave, t);
        sum += norm == KERNEL_NORM_L1 ? fabs(k) : 2 * k;
    }
    return norm == KERNEL_NORM_L1 ? fmax(sum, 1e-8) : fmax(fabs(sum), 1e-8) / 2;
}

wf_wave wave_create(double frequency, double damping, double phase, double limit, KernelNorm norm,
                    int64_t cells)
{
    wf_wave wave = {
        .frequency = frequency, .damping = fmin(softplus(damping), limit), .phase = phase};
    wave.norm = norm_of(&wave, norm, cells);
    return wave;
}

void wave_sample(const wf_wave *wave, int64_t cells, double *kernel)
{
    for (int64_t t = 0; t < cells; t++) kernel[t] = amplitude(wave, t) / wave->norm;
}

int64_t wave_reach(const double *kernel, int64_t cells, double share)
{
    double whole = 0, sum = 0;
    for (int64_t t = 0; t < cells; t++) whole += fabs(kernel[t]);
    for (int64_t t = 0; t < cells; t++) {
        sum += fabs(kernel[t]);
        if (sum >= share * whole) return t;
    }
    return cells - 1;
}
