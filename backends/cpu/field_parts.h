/* What the parts of the field share: its description, poles, scratch, and the evaluators. */
#ifndef BACKENDS_CPU_FIELD_PARTS_H
#define BACKENDS_CPU_FIELD_PARTS_H

#include "backends/cpu/field.h"

/* Everything a field op is given, whichever op it is. Shapes as in graph/ops.h. */
typedef struct Field {
    FieldParams params;
    int64_t batch, tokens, heads, width;     /* B, N, H, d */
    const real *frequency, *damping, *phase; /* [H] */
    const int32_t *cell;                     /* [N] lo_i */
    const real *fraction;                    /* [N] f_i */
} Field;

/* Where token n's channels of head h of sample b begin in [B, N, H, d]. */
static inline int64_t field_at(const Field *field, int64_t b, int64_t n, int64_t h)
{
    return ((b * field->tokens + n) * field->heads + h) * field->width;
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

void *CPU_NAME(carve)(Carve *carve, int64_t count, size_t size);
#define CARVE(from, type, count) ((type *)CPU_NAME(carve)((from), (count), sizeof(type)))

/* Into how many slots, each with its own scratch of `bytes`, a loop over `items` is cut: the same
 * whenever it is asked. Slot s has the items [slot_first(s), slot_first(s+1)). */
int64_t CPU_NAME(field_slots)(int64_t items, int64_t bytes);
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

/* The poles of all heads, Z by a resynchronised recurrence. */
void CPU_NAME(field_poles)(const Field *field, Pole *poles);
/* The same with every term of Z from the formula: what fft and direct use. */
void CPU_NAME(field_poles_plain)(const Field *field, Pole *poles);

/* z^cells. */
Complex CPU_NAME(pole_power)(const Pole *pole, int64_t cells);

/* wave[h, t] = c·z^t for t < cells, from the formula. */
void CPU_NAME(field_waves)(const Field *field, const Pole *poles, int64_t cells, Complex *waves);

/* All a kernel's gradient tells its parameters: Σ_t ∂L/∂k[t]·c·z^t and the same weighted by t. */
typedef struct KernelMoments {
    Complex plain, weighted;
} KernelMoments;
KernelMoments CPU_NAME(kernel_moments)(const Complex *wave, const double *gradient, int64_t cells);

/* Adds head h's gradients to the three outputs [H]. */
void CPU_NAME(field_pole_gradient)(const Pole *pole, KernelMoments moments, int64_t h,
                                   real *dfrequency, real *ddamping, real *dphase);

/* ---- the spectral gate (field_gate.c, spec §4) ---- */

typedef struct GateWork {
    int64_t size, bins, slots; /* P, ⌊P/2⌋+1 */
    Complex *roots;            /* [P] e^(-2πi k/P) */
    Complex *spectra;          /* [H, bins] rfft_P(k) */
    Complex *buffers;          /* [slots, 2, P] */
} GateWork;

GateWork CPU_NAME(gate_carve)(Carve *carve, const Field *field);
/* Fills roots and spectra. waves [H, G]. */
void CPU_NAME(gate_prepare)(const GateWork *work, const Field *field, const Complex *waves);
/* kernels [B, H, cells]: the first `cells` ≤ G samples of each k'. */
void CPU_NAME(gate_kernels)(const GateWork *work, const Field *field, const real *gate,
                            int64_t cells, double *kernels);
/* From ∂L/∂k' [B, H, cells] (0 beyond `cells`) to the gate's gradient, where wanted, and to the
 * moments [B, H] of ∂L/∂k. */
typedef struct GateGradient {
    const real *gate;       /* [B, H, 32] */
    const Complex *waves;   /* [H, G] */
    const double *dkernels; /* [B, H, cells] */
    int64_t cells;
    real *dgate; /* [B, H, 32] or NULL */
    bool add;    /* to dgate */
    KernelMoments *moments;
} GateGradient;
void CPU_NAME(gate_backward)(const GateWork *work, const Field *field,
                             const GateGradient *gradient);

/* ---- convolution with any kernel ---- */

/* kernels [1 or B, H, reach]: `sample_stride` from a sample's to the next (0: shared). */
typedef struct Kernels {
    double *value;
    int64_t sample_stride;
} Kernels;
static inline const double *kernel_of(const Field *field, const Kernels *kernels, int64_t b,
                                      int64_t h)
{
    return kernels->value + b * kernels->sample_stride + h * field->params.reach;
}

typedef struct Convolution {
    Kernels kernels;
    const real *u, *dr; /* [B, N, H, d] */
    real *r, *du;       /* [B, N, H, d] */
    bool add;           /* to r or du */
    double *dkernels;   /* [B, H, reach] */
} Convolution;

/* Scratch of either direction, then r from u, or du and dkernels from dr and u. */
typedef struct ConvolveWork {
    int64_t size, slots;
    void *forward, *inverse; /* transforms */
    void *buffers;
} ConvolveWork;
ConvolveWork CPU_NAME(fft_carve)(Carve *carve, const Field *field);
void CPU_NAME(fft_forward)(const ConvolveWork *work, const Field *field, const Convolution *c);
void CPU_NAME(fft_backward)(const ConvolveWork *work, const Field *field, const Convolution *c);

ConvolveWork CPU_NAME(direct_carve)(Carve *carve, const Field *field);
void CPU_NAME(direct_forward)(const ConvolveWork *work, const Field *field, const Convolution *c);
void CPU_NAME(direct_backward)(const ConvolveWork *work, const Field *field, const Convolution *c);

/* ---- the token scan: what each token does, as numbers (field_steps.c) ---- */

/* Between the tokens of a causal geometry the field holds nothing new, so a token is one affine map
 * of a head's state S (spec §2, "Token scan"):
 *     r = Re(READ·S + OWN·u),  S ← MOVE·S + TAKE·u.
 * A chunk of FIELD_CHUNK tokens starts from rest, and what came before it enters through exact
 * powers of z (PAST), so rounded factors are never multiplied over more than a chunk. */
enum {
    READ,
    READ_IM,
    OWN,
    MOVE,
    MOVE_IM,
    TAKE,
    TAKE_IM,
    PAST, /* READ times the z-power from the chunk's start to S */
    PAST_IM,
    FORWARD_STEPS
};

/* Backward, with h the conjugate of ∂L/∂S after the token and g its ∂L/∂r:
 *     du = Re(OWN·g + TAKE·h),  h ← MOVE·h + READ·g,
 *     z·Q += (Q_READ·g + Q_MOVE·h)·S + (Q_OWN·g + Q_TAKE·h)·u.
 * AHEAD is the z-power from S after the token to the chunk's end. */
enum {
    BACK_READ,
    BACK_READ_IM,
    BACK_OWN,
    BACK_OWN_IM,
    BACK_MOVE,
    BACK_MOVE_IM,
    BACK_TAKE,
    BACK_TAKE_IM,
    BACK_AHEAD,
    BACK_AHEAD_IM,
    Q_READ,
    Q_READ_IM,
    Q_MOVE,
    Q_MOVE_IM,
    Q_OWN,
    Q_OWN_IM,
    Q_TAKE,
    Q_TAKE_IM,
    BACKWARD_STEPS
};

/* Distinct numbers of cells, and z to their power for every head. */
enum { POWERS = 16 };
typedef struct Powers {
    int count;
    int64_t cells[POWERS];
    Complex *value; /* [POWERS, H] */
} Powers;

typedef struct Steps {
    int64_t chunks;
    Pole *poles; /* [H] */
    Powers powers;
    real *table;   /* [N, FORWARD_STEPS or BACKWARD_STEPS, H] */
    Complex *span; /* [C, H] z to the number of cells each chunk moves */
} Steps;

Steps CPU_NAME(steps_carve)(Carve *carve, const Field *field, int numbers);
/* `at`: the cell where the state sits before the first token. */
void CPU_NAME(steps_forward)(Steps *steps, const Field *field, int64_t at);
void CPU_NAME(steps_backward)(Steps *steps, const Field *field);

/* ---- the token scan itself (field_scan.c) ---- */

typedef struct ScanWork {
    Steps steps;
    real *begin, *local; /* [B, H, 2, d] (real parts, then imaginary) */
    double *exact;       /* the same */
} ScanWork;

typedef struct ScanForward {
    const real *u; /* [B, N, H, d] */
    real *r;       /* [B, N, H, d] */
    bool add;      /* to r */
    real *carry;   /* [B, H, C, 2, d] or NULL */
    real *state;   /* [B, H, 2, d], continued from and left here, or NULL: from rest */
    int64_t at;    /* the cell where the state sits */
} ScanForward;

ScanWork CPU_NAME(scan_carve)(Carve *carve, const Field *field);
void CPU_NAME(scan_forward)(ScanWork *work, const Field *field, const ScanForward *scan);

typedef struct ScanBackwardWork {
    Steps steps;
    int64_t blocks, slots;
    void *slot;      /* [slots] */
    double *moments; /* [B, 4, D] */
} ScanBackwardWork;

typedef struct ScanBackward {
    const real *dr, *u;                   /* [B, N, H, d] */
    const real *carry;                    /* [B, H, C, 2, d] */
    real *du;                             /* [B, N, H, d] */
    bool add;                             /* to du */
    real *dfrequency, *ddamping, *dphase; /* [H], added to */
} ScanBackward;

ScanBackwardWork CPU_NAME(scan_backward_carve)(Carve *carve, const Field *field);
void CPU_NAME(scan_backward)(ScanBackwardWork *work, const Field *field, const ScanBackward *scan);

#endif
