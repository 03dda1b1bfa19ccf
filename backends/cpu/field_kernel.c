/* One head's wave kernel (spec §2): its pole, its norm, its samples, and the way back from a
 * gradient to frequency, damping and phase. Double precision in every build: O(H·G) work. */
#include <math.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "backends/cpu/field_parts.h"

void *carve_bytes(Carve *carve, int64_t count, size_t size)
{
    void *at = carve->base ? carve->base + carve->used : NULL;
    carve->used += round_up(int64_max(count, 1) * (int64_t)size, 64);
    return at;
}

int64_t field_slots(int64_t items, int64_t bytes)
{
    const int64_t most = (int64_t)256 << 20; /* of scratch, unless one slot needs more */
    int64_t processors = int64_max(sysconf(_SC_NPROCESSORS_CONF), 1);
    int64_t slots = int64_min(processors, most / int64_max(bytes, 1));
    return int64_max(int64_min(slots, items), 1);
}

int64_t slots_used(int64_t slots, int64_t elements)
{
#ifdef _OPENMP
    return worth_threads(elements) ? int64_min(slots, omp_get_max_threads()) : 1;
#else
    (void)elements;
    return int64_min(slots, 1);
#endif
}

/* e^(i(ωt+φ)) with the rounding errors of ωt and of the sum put back: ω·t of a long field carries
 * thousands of turns, which the library's sine reduces exactly. */
static Complex unit_at(double omega, double t, double phi)
{
    double product = omega * t, angle = product + phi;
    double part = angle - product;
    double error = fma(omega, t, -product) + (product - (angle - part)) + (phi - part);
    double cosine = cos(angle), sine = sin(angle);
    return (Complex){cosine - error * sine, sine + error * cosine};
}

Complex pole_power(const Pole *pole, int64_t cells)
{
    double t = (double)cells;
    return complex_scale(unit_at(pole->omega, t, 0), exp(-pole->alpha * t));
}

/* Σ over t of s·Re(v), s·Im(v) and of both times t, where v = e^(iφ)·z^t and s = sgn Re(v) for l1,
 * 1 for dc. */
typedef struct NormSums {
    double re, im, t_re, t_im;
} NormSums;

static inline double sign_of(double x)
{
    return (double)(x > 0) - (double)(x < 0);
}

/* Beyond αt = 100 a term is below 4e-44 and cannot move sums that count from 1e-8 on. */
static int64_t cells_heard(const Pole *pole, int64_t cells)
{
    double heard = 100 / pole->alpha;
    return heard < (double)cells ? (int64_t)heard + 1 : cells;
}

enum { NORM_LANES = 8, RESYNC = 256 };

/* One run of cells t0 … t0+RESYNC-1 short of `cells`: NORM_LANES powers side by side, each stepping
 * by z^NORM_LANES from an exact start. */
static void sum_run(const Pole *pole, bool l1, int64_t t0, int64_t cells,
                    double sums[4][NORM_LANES])
{
    double re[NORM_LANES], im[NORM_LANES], t[NORM_LANES];
    Complex step = pole_power(pole, NORM_LANES);
    Complex v =
        complex_scale(unit_at(pole->omega, (double)t0, pole->phi), exp(-pole->alpha * (double)t0));
    for (int j = 0; j < NORM_LANES; j++, v = complex_mul(v, pole->z)) {
        re[j] = v.re;
        im[j] = v.im;
        t[j] = (double)(t0 + j);
    }
    double end = (double)int64_min(t0 + RESYNC, cells);
    for (; t[0] < end;) {
        for (int j = 0; j < NORM_LANES; j++) {
            double s = l1 ? sign_of(re[j]) : 1.0;
            double a = t[j] < end ? s * re[j] : 0.0, b = t[j] < end ? s * im[j] : 0.0;
            sums[0][j] += a;
            sums[1][j] += b;
            sums[2][j] += t[j] * a;
            sums[3][j] += t[j] * b;
            double next = re[j] * step.re - im[j] * step.im;
            im[j] = re[j] * step.im + im[j] * step.re;
            re[j] = next;
            t[j] += NORM_LANES;
        }
    }
}

static NormSums norm_sums(const Pole *pole, KernelNorm norm, int64_t cells)
{
    double sums[4][NORM_LANES] = {{0}};
    int64_t heard = cells_heard(pole, cells);
    for (int64_t t0 = 0; t0 < heard; t0 += RESYNC)
        sum_run(pole, norm == KERNEL_NORM_L1, t0, heard, sums);
    double total[4] = {0};
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < NORM_LANES; j++) total[k] += sums[k][j];
    return (NormSums){total[0], total[1], total[2], total[3]};
}

static NormSums norm_sums_plain(const Pole *pole, KernelNorm norm, int64_t cells)
{
    NormSums sums = {0};
    for (int64_t i = 0; i < cells; i++) {
        double t = (double)i;
        Complex v = complex_scale(unit_at(pole->omega, t, pole->phi), exp(-pole->alpha * t));
        double s = norm == KERNEL_NORM_L1 ? sign_of(v.re) : 1.0;
        sums.re += s * v.re;
        sums.im += s * v.im;
        sums.t_re += t * s * v.re;
        sums.t_im += t * s * v.im;
    }
    return sums;
}

static void set_coupling(Pole *pole)
{
    pole->c = complex_scale((Complex){cos(pole->phi), sin(pole->phi)}, 1 / pole->norm);
}

/* Z and its derivatives from the sums; a Z at its floor does not move. */
static void set_norm(Pole *pole, KernelNorm norm, NormSums sums)
{
    const double floor = norm == KERNEL_NORM_L1 ? 1e-8 : 0.5e-8;
    double sign = norm == KERNEL_NORM_L1 ? 1.0 : sign_of(sums.re);
    bool moves = !(sign * sums.re <= floor);
    pole->norm = moves ? sign * sums.re : floor;
    pole->norm_alpha = moves ? -sign * sums.t_re : 0;
    pole->norm_omega = moves ? -sign * sums.t_im : 0;
    pole->norm_phi = moves ? -sign * sums.im : 0;
    set_coupling(pole);
}

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static Pole pole_of(const Field *field, int64_t h)
{
    Pole pole = {.omega = (double)field->frequency[h], .phi = (double)field->phase[h]};
    double damping = (double)field->damping[h], limit = (double)field->params.damping_limit;
    double alpha = softplus(damping);
    pole.alpha = alpha > limit ? limit : alpha;
    pole.alpha_slope = alpha > limit ? 0 : 1 / (1 + exp(-damping));
    pole.z = pole_power(&pole, 1);
    return pole;
}

static void make_poles(const Field *field, Pole *poles,
                       NormSums (*sums)(const Pole *, KernelNorm, int64_t))
{
    const FieldParams *p = &field->params;
    for (int64_t h = 0; h < field->heads; h++) poles[h] = pole_of(field, h);
    if (field->norm) {
        for (int64_t h = 0; h < field->heads; h++) {
            poles[h].norm = (double)field->norm[h];
            set_coupling(&poles[h]);
        }
        return;
    }
#pragma omp parallel for schedule(static) if (worth_threads((field->heads - 1) * p->cells))
    for (int64_t h = 0; h < field->heads; h++)
        set_norm(&poles[h], p->norm, sums(&poles[h], p->norm, p->cells));
}

void field_poles(const Field *field, Pole *poles)
{
    make_poles(field, poles, norm_sums);
}

void field_poles_plain(const Field *field, Pole *poles)
{
    make_poles(field, poles, norm_sums_plain);
}

void field_waves(const Field *field, const Pole *poles, int64_t cells, Complex *waves)
{
#pragma omp parallel for schedule(static) if (worth_threads(field->heads * cells))
    for (int64_t i = 0; i < field->heads * cells; i++) {
        const Pole *pole = &poles[i / cells];
        double t = (double)(i % cells);
        waves[i] =
            complex_scale(unit_at(pole->omega, t, pole->phi), exp(-pole->alpha * t) / pole->norm);
    }
}

KernelMoments kernel_moments(const Complex *wave, const double *gradient, int64_t cells)
{
    KernelMoments m = {{0, 0}, {0, 0}};
    for (int64_t t = 0; t < cells; t++) {
        Complex term = complex_scale(wave[t], gradient[t]);
        m.plain = complex_add(m.plain, term);
        m.weighted = complex_add(m.weighted, complex_scale(term, (double)t));
    }
    return m;
}

/* Spec §2, "Gradients of the field": `weighted` is z·Q, Re `plain` is Σ R·Y, Im `plain` is
 * Σ R·Im(c·S). */
void field_pole_gradient(const Pole *pole, KernelMoments moments, int64_t h, real *dfrequency,
                         real *ddamping, real *dphase)
{
    double dnorm = -moments.plain.re / pole->norm;
    double dalpha = -moments.weighted.re + dnorm * pole->norm_alpha;
    dfrequency[h] += (real)(-moments.weighted.im + dnorm * pole->norm_omega);
    ddamping[h] += (real)(dalpha * pole->alpha_slope);
    dphase[h] += (real)(-moments.plain.im + dnorm * pole->norm_phi);
}
