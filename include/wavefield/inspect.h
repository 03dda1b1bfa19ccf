/* Looking into a model: the waves it has learnt, how its heads are coupled, and what the tokens of
 * a text read from the field.
 *
 * A layer's index counts all layers of the model; those that carry a field are its wave layers. */
#ifndef WAVEFIELD_INSPECT_H
#define WAVEFIELD_INSPECT_H

#include <stdint.h>

#include "wavefield/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The wave layers in order: the indices of up to `capacity` of them into `layers` (may be NULL when
 * capacity is 0). Returns how many the model has. */
WF_API int wf_model_wave_layers(const wf_model *model, int *layers, int capacity);

/* A head's wave, k(t) = e^(-αt)·cos(ωt + φ)/Z with t in cells. */
typedef struct wf_wave {
    double frequency; /* ω, radians a cell */
    double damping;   /* α, a cell: softplus of the stored value, within the version's limit */
    double phase;     /* φ, radians */
    double norm;      /* Z over the field's cells, by the configuration's kernel_norm */
} wf_wave;

/* The waves of a layer's heads, waves [num_heads]. Where the configuration has a spectral gate this
 * is the wave before it: the gate is another for every sample. WF_ERROR_ARGUMENT, here and below,
 * for a layer the model does not have or that carries no field; WF_ERROR_NUMERIC where a parameter
 * is not finite. */
WF_API wf_status wf_model_waves(const wf_model *model, int layer, wf_wave *waves);

/* Their samples k(t) at t = 0 … field_size-1: kernels [num_heads, field_size]. */
WF_API wf_status wf_model_wave_kernels(const wf_model *model, int layer, double *kernels);

/* Their reach, reach [num_heads], in tokens: the smallest distance t within which `share` (more
 * than 0, at most 1) of Σ|k| over the field lies, divided by the cells from a token to the next. 0:
 * all of it at the token's own cell. */
WF_API wf_status wf_model_wave_reach(const wf_model *model, int layer, double share, double *reach);

/* Cells from a token to the next, s. */
WF_API double wf_model_stride(const wf_model *model);

/* softmax(field_coupling), coupling [num_heads, num_heads]: row a holds the shares of the heads
 * that head a reads. */
WF_API wf_status wf_model_coupling(const wf_model *model, int layer, double *coupling);

/* What each token of a text reads from each wave: energy [wave layers, num_heads, n] is ‖r‖², the
 * sum over the head's channels of the squared value gathered at the token's cells, before the heads
 * are coupled. One forward pass of tokens [n], 1 ≤ n ≤ max_seq_len; `evaluator` as of
 * wf_model_logits(). WF_ERROR_NUMERIC where an energy is not finite. */
WF_API wf_status wf_model_field_energy(wf_model *model, const int32_t *tokens, int64_t n,
                                       const char *evaluator, double *energy);

#ifdef __cplusplus
}
#endif
#endif
