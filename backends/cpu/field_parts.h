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

void *CPU_NAME(carve)(Carve *carve, int64_t count, size_t size);
#define CARVE(from, type, count) ((type *)CPU_NAME(carve)((from), (count), sizeof(type)))

/* A loop over `items` is cut into slots, each with its own scratch of `bytes`. There is room for
 * field_slots() of them, the same whenever it is asked; slots_used() of them have work, one where
 * the field is too small to wake other cores for. Slot s has the items [slot_first(s),
 * slot_first(s+1)). */
int64_t CPU_NAME(field_slots)(int64_t items, int64_t bytes);
int64_t CPU_NAME(slots_used)(int64_t slots, int64_t elements);
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
void CPU_NAME(spectral_gate_backward)(const GateWork *work, const Field *field,
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

/* Backward, with S and h after the token, h the conjugate of ∂L/∂S, and g the token's ∂L/∂r:
 *     du = Re(OWN·g + h + MORE·h),  h ← MOVE·h + READ·g,  MORE = TAKE - 1.
 * conj(A)·S is the same in every cell of a jump (spec §2, "Gradients of the field"), so z·Q counts
 * h·S once for each cell that S moves on its way to the next token (WEIGHT), and at a token between
 * two cells once more, with what its second cell adds taken out of both factors:
 *     z·Q += WEIGHT·h·S + NEAR·g·(S - f·u) - f·u·h,  NEAR = c·f.
 * AHEAD is the z-power from S to the chunk's end. Where f = 0, MORE and NEAR are 0. */
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
    BACK_MORE,
    BACK_MORE_IM,
    NEAR,
    NEAR_IM,
    WEIGHT,
    BACKWARD_STEPS
};

/* What all chunks are made from. Complex rows are [2, H]: real parts, then imaginary. */
enum { POWERS = 16 };
typedef struct Steps {
    const Field *field;
    int64_t at;     /* the cell where the state sits before the first token */
    int64_t chunks; /* C */
    Pole *poles;    /* [H] */
    double *z, *c;  /* [2, H] */
    int n_powers;   /* distinct numbers of cells, and z to their power */
    int64_t cells[POWERS];
    double *power; /* [POWERS, 2, H] */
} Steps;

/* One chunk's numbers, of one thread. */
typedef struct StepTable {
    int64_t chunk;                /* whose numbers these are; -1: none */
    int64_t first_head, end_head; /* those wanted */
    real *row;                    /* [FIELD_CHUNK, numbers, H] */
    double *span;                 /* [2, H] z to the number of cells the chunk moves */
    double *run, *miss;           /* [2, H] a running product; a power that is not in the table */
} StepTable;

Steps CPU_NAME(steps_carve)(Carve *carve, const Field *field);
/* `numbers`: FORWARD_STEPS or BACKWARD_STEPS. */
StepTable CPU_NAME(step_table_carve)(Carve *carve, const Field *field, int numbers);
/* Poles, and the powers that a walk from `at` over all tokens meets. */
void CPU_NAME(steps_prepare)(Steps *steps, int64_t at);
/* The numbers of a chunk; nothing to do where its tokens lie as those of the table's chunk do. */
void CPU_NAME(steps_forward)(const Steps *steps, int64_t chunk, StepTable *table);
void CPU_NAME(steps_backward)(const Steps *steps, int64_t chunk, StepTable *table);

/* ---- the token scan itself (field_scan.c, field_scan_backward.c) ---- */

/* A head's channels are worked on in groups of LANES, the last one short. Threads share samples and
 * groups; every channel is computed alone, so results do not depend on how. */
enum { LANES = 16 };

/* Groups of all samples, in order, are the items that slots share out. */
typedef struct Groups {
    int64_t per_head, per_sample, items;
} Groups;

static inline Groups groups_of(const Field *field)
{
    int64_t per_head = ceil_div(field->width, LANES), per_sample = per_head * field->heads;
    return (Groups){per_head, per_sample, per_sample * field->batch};
}

/* Some groups of one sample, counted from its first, and one head's share of them. */
typedef struct Span {
    int64_t b, first, end;
} Span;
typedef struct Share {
    int64_t group;          /* the first, counted from the span's first */
    int64_t channel, count; /* channels of the head */
} Share;

static inline Share share_of(const Field *field, Groups groups, Span span, int64_t head)
{
    int64_t base = head * groups.per_head;
    int64_t first = int64_max(span.first - base, 0);
    int64_t end = int64_min(span.end - base, groups.per_head);
    return (Share){base + first - span.first, first * LANES,
                   int64_min(end * LANES, field->width) - first * LANES};
}

static inline int64_t span_first_head(Groups groups, Span span)
{
    return span.first / groups.per_head;
}
static inline int64_t span_end_head(Groups groups, Span span)
{
    return (span.end - 1) / groups.per_head + 1;
}

/* Of items [first, end), those of the sample that has the first. */
static inline Span span_of(Groups groups, int64_t first, int64_t end)
{
    int64_t b = first / groups.per_sample, base = b * groups.per_sample;
    return (Span){b, first - base, int64_min(end - base, groups.per_sample)};
}

/* The heads that items [first, end) need. */
static inline void table_heads(StepTable *table, Groups groups, int64_t first, int64_t end)
{
    Span span = span_of(groups, first, end);
    bool one_sample = span.first + end - first <= groups.per_sample;
    table->first_head = one_sample ? span_first_head(groups, span) : 0;
    table->end_head =
        (one_sample ? span_end_head(groups, span) : groups.per_sample / groups.per_head);
}

/* Where head h of sample b has its carry into a chunk: [2, d] of [B, H, C, 2, d]. */
static inline int64_t carry_at(const Field *field, int64_t b, int64_t h, int64_t chunk)
{
    int64_t chunks = ceil_div(field->tokens, FIELD_CHUNK);
    return ((b * field->heads + h) * chunks + chunk) * 2 * field->width;
}

typedef struct ScanForward {
    const real *u; /* [B, N, H, d] */
    real *r;       /* [B, N, H, d] */
    bool add;      /* to r */
    real *carry;   /* [B, H, C, 2, d] or NULL */
    real *state;   /* [B, H, 2, d], continued from and left here, or NULL: from rest */
    int64_t at;    /* the cell where the state sits */
} ScanForward;

int64_t CPU_NAME(scan_forward_bytes)(const Field *field);
void CPU_NAME(scan_forward)(void *workspace, const Field *field, const ScanForward *scan);

typedef struct ScanBackward {
    const real *dr, *u;                   /* [B, N, H, d] */
    const real *carry;                    /* [B, H, C, 2, d] */
    real *du;                             /* [B, N, H, d] */
    bool add;                             /* to du */
    real *dfrequency, *ddamping, *dphase; /* [H], added to */
} ScanBackward;

int64_t CPU_NAME(scan_backward_bytes)(const Field *field);
void CPU_NAME(scan_backward)(void *workspace, const Field *field, const ScanBackward *scan);

#endif
