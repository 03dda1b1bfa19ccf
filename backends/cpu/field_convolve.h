/* Evaluators that convolve with the samples of a kernel, one pole's or a gated one's. */
#ifndef BACKENDS_CPU_FIELD_CONVOLVE_H
#define BACKENDS_CPU_FIELD_CONVOLVE_H

#include "backends/cpu/field_parts.h"

#define gate_carve             CPU_NAME(gate_carve)
#define gate_prepare           CPU_NAME(gate_prepare)
#define gate_kernels           CPU_NAME(gate_kernels)
#define spectral_gate_backward CPU_NAME(spectral_gate_backward)
#define fft_carve              CPU_NAME(fft_carve)
#define fft_forward            CPU_NAME(fft_forward)
#define fft_backward           CPU_NAME(fft_backward)
#define direct_carve           CPU_NAME(direct_carve)
#define direct_forward         CPU_NAME(direct_forward)
#define direct_backward        CPU_NAME(direct_backward)

/* ---- the spectral gate (field_gate.c, spec §4) ---- */

typedef struct GateWork {
    int64_t size, bins, slots; /* P, ⌊P/2⌋+1 */
    Complex *roots;            /* [P] e^(-2πi k/P) */
    Complex *spectra;          /* [H, bins] rfft_P(k) */
    Complex *buffers;          /* [slots, 2, P] */
} GateWork;

GateWork gate_carve(Carve *carve, const Field *field);
/* Fills roots and spectra. waves [H, G]. */
void gate_prepare(const GateWork *work, const Field *field, const Complex *waves);
/* kernels [B, H, cells]: the first `cells` ≤ G samples of each k'. */
void gate_kernels(const GateWork *work, const Field *field, const real *gate, int64_t cells,
                  double *kernels);
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
void spectral_gate_backward(const GateWork *work, const Field *field, const GateGradient *gradient);

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
ConvolveWork fft_carve(Carve *carve, const Field *field);
void fft_forward(const ConvolveWork *work, const Field *field, const Convolution *c);
void fft_backward(const ConvolveWork *work, const Field *field, const Convolution *c);

ConvolveWork direct_carve(Carve *carve, const Field *field);
void direct_forward(const ConvolveWork *work, const Field *field, const Convolution *c);
void direct_backward(const ConvolveWork *work, const Field *field, const Convolution *c);

#endif
