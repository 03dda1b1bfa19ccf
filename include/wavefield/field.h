/* The field operator alone: a causal damped-wave convolution with gradients.
 *
 * Deposits u of tokens on a one-dimensional field of G cells are carried forward by a kernel per
 * head, k(t) = e^(-αt)·cos(ωt + φ)/Z, and read back at the tokens' cells. Linear in u; O(N) by a
 * scan or O(G log G) by FFT; strictly causal. */
#ifndef WAVEFIELD_FIELD_H
#define WAVEFIELD_FIELD_H

#include <stdint.h>

#include "wavefield/device.h"
#include "wavefield/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wf_field wf_field;

typedef struct wf_field_params {
    int64_t batch, tokens, heads, width; /* u and r are [batch, tokens, heads, width] */
    int64_t cells;                       /* G ≥ 2; 0: as many as max_tokens, but 2 at least */
    int64_t max_tokens;                  /* M: the geometry's length; 0: as `tokens` */
    const char *geometry;                /* "4" (default) or "3.5": where token i sits */
    const char *kernel_norm;             /* "l1" (default) or "dc" */
    const char *evaluator; /* "auto" (default: scan if causal, else fft), "scan", "fft", "direct" */
    float damping_limit;   /* largest α; 0: none */
    int allow_leaky_geometry; /* otherwise a geometry that is not causal is refused */
} wf_field_params;
#define wf_field_params(...) (&(wf_field_params){__VA_ARGS__})

/* Plans the operator and its gradient for one size. The device is borrowed. WF_ERROR_ARGUMENT names
 * the parameter that is wrong, or the first pair of tokens of a geometry that leaks;
 * WF_ERROR_UNSUPPORTED for "scan" in one that does (allowed or not, a scan goes token by token). */
WF_API wf_status wf_field_create(wf_device *device, const wf_field_params *params, wf_field **out);
WF_API void wf_field_destroy(wf_field *field); /* NULL is allowed */

/* Frequency ω [heads] (radians a cell), damping [heads] (α = softplus(damping)), phase φ [heads];
 * copied. WF_ERROR_NUMERIC, and the kernel is as before, if one is not finite. */
WF_API wf_status wf_field_set_kernel(wf_field *field, const float *frequency, const float *damping,
                                     const float *phase);

/* r = field(u). Host arrays of batch·tokens·heads·width floats; r may be NULL. The kernel must have
 * been set. */
WF_API wf_status wf_field_forward(wf_field *field, const float *u, float *r);

/* Gradients for the u of the last wf_field_forward (under the same kernel), given dr = ∂L/∂r. Each
 * output may be NULL. du has u's size, the others [heads]; all are overwritten. */
WF_API wf_status wf_field_backward(wf_field *field, const float *dr, float *du, float *dfrequency,
                                   float *ddamping, float *dphase);

#ifdef __cplusplus
}
#endif
#endif
