/* What the parts of the field share: its description, poles, scratch, and the evaluators. */
#ifndef BACKENDS_CPU_FIELD_PARTS_H
#define BACKENDS_CPU_FIELD_PARTS_H

#include "backends/cpu/field.h"

/* Every build of these files has its own. */
#define carve_bytes         CPU_NAME(carve_bytes)
#define field_slots         CPU_NAME(field_slots)
#define slots_used          CPU_NAME(slots_used)
#define field_poles         CPU_NAME(field_poles)
#define field_poles_plain   CPU_NAME(field_poles_plain)
#define pole_power          CPU_NAME(pole_power)
#define field_waves         CPU_NAME(field_waves)
#define kernel_moments      CPU_NAME(kernel_moments)
#define field_pole_gradient CPU_NAME(field_pole_gradient)

/* Everything a field op is given, whichever op it is. Shapes as in graph/ops.h. */
typedef struct Field {
    FieldParams params;
    int64_t batch, tokens, heads, width;     /* B, N, H, d */
    const real *frequency, *damping, *phase; /* [H] */
    const int32_t *cell;                     /* [N] lo_i */
    const real *fraction;                    /* [N] f_i */
    const real *norm; /* [H] Z where it is known already; NULL: to be summed */
} Field;

/* Where token n's channels of head h of sample b begin in [B, N, H, d]. */
static inline int64_t field_at(const Field *field, int64_t b, int64_t n, int64_t h)
{
    return ((b * field->tokens + n) * field->heads + h) * field->width;
}

static inline int64_t field_elements(const Field *field)
{
    return field->batch * field->tokens * field->heads * field->width;
}

/* ---- complex numbers (plain, so that a product is four multiplications) ---- */

typedef struct Complex {
    double re, im;
} Complex;

static inline Complex complex_mul(Complex a, Complex b)
{
    return (Complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
static inline Complex complex_add(Complex a, Complex b)
{
    return (Complex){a.re + b.re, a.im + b.im};
}
static inline Complex complex_scale(Complex a, double s)
{
    return (Complex){a.re * s, a.im * s};
}

/* ---- scratch: one routine lays it out, for its size (no base) and for use ---- */

typedef struct Carve {
    char *base; /* NULL: only measure */
    int64_t used;
} Carve;

void *carve_bytes(Carve *carve, int64_t count, size_t size);
#define CARVE(from, type, count) ((type *)carve_bytes((from), (count), sizeof(type)))

/* A loop over `items` is cut into slots, each with its own scratch of `bytes`. There is room for
 * field_slots() of them, the same whenever it is asked; slots_used() of them have work, one where
 * the field is too small to wake other cores for. Slot s has the items [slot_first(s),
 * slot_first(s+1)). */
int64_t field_slots(int64_t items, int64_t bytes);
int64_t slots_used(int64_t slots, int64_t elements);
static inline int64_t slot_first(int64_t slot, int64_t slots, int64_t items)
{
    return items * slot / slots;
}

/* ---- kernels (field_kernel.c) ---- */

/* One head's kernel, k[t] = Re(c·z^t), and how its norm Z depends on its parameters. */
typedef struct Pole {
    double alpha, omega, phi;
    double alpha_slope; /* dα/d(raw damping): sigmoid, 0 beyond the limit */
    double norm, norm_alpha, norm_omega, norm_phi; /* Z and its derivatives, 0 at the floor */
    Complex z, c;                                  /* e^(-α+iω), e^(iφ)/Z */
} Pole;

/* The poles of all heads, Z by a resynchronised recurrence; where the field has Z, without Z's
 * derivatives. */
void field_poles(const Field *field, Pole *poles);
/* The same with every term of Z from the formula: what fft and direct use. */
void field_poles_plain(const Field *field, Pole *poles);

/* z^cells. */
Complex pole_power(const Pole *pole, int64_t cells);

/* wave[h, t] = c·z^t for t < cells, from the formula. */
void field_waves(const Field *field, const Pole *poles, int64_t cells, Complex *waves);

/* All a kernel's gradient tells its parameters: Σ_t ∂L/∂k[t]·c·z^t and the same weighted by t. */
typedef struct KernelMoments {
    Complex plain, weighted;
} KernelMoments;
KernelMoments kernel_moments(const Complex *wave, const double *gradient, int64_t cells);

/* Adds head h's gradients to the three outputs [H]. */
void field_pole_gradient(const Pole *pole, KernelMoments moments, int64_t h, real *dfrequency,
                         real *ddamping, real *dphase);

#endif
