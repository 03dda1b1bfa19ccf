/* Models: parameters on a device, with their configuration and tokenizer.
 *
 * A model folder holds config.json, model.safetensors (tensor names and layouts of the published
 * PyTorch checkpoints, F32) and a tokenizer, tokenizer.json or tokenizer.model. */
#ifndef WAVEFIELD_MODEL_H
#define WAVEFIELD_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "wavefield/config.h"
#include "wavefield/device.h"
#include "wavefield/status.h"
#include "wavefield/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wf_model wf_model;

/* A new model with the initial values of its configuration, drawn from `seed`: the same on every
 * device. The configuration is copied. The device is borrowed and must outlive the model. */
WF_API wf_status wf_model_create(wf_device *device, const wf_config *config, uint64_t seed,
                                 wf_model **out);

/* Loads a model folder. Every tensor is checked: name, shape, type; the message names what differs.
 */
WF_API wf_status wf_model_load(wf_device *device, const char *folder, wf_model **out);

/* Writes config.json, model.safetensors and, if the model has one, its tokenizer into `folder`
 * (made if absent), each file replaced whole. */
WF_API wf_status wf_model_save(const wf_model *model, const char *folder);

WF_API void wf_model_destroy(wf_model *model); /* NULL is allowed */

/* What the model computes with: "f32" (a model's first precision, and NULL), or activations and the
 * weights of products stored in 16 bits, "f16" (IEEE binary16) or "bf16" (bfloat16). Sums are
 * float32 whatever is chosen, and so are the values that are trained, read, written and saved, the
 * waves and the norms. Costs 2 bytes a parameter beside them. WF_ERROR_UNSUPPORTED where the device
 * does not store the type. Before any trainer or decoder is made of the model. */
WF_API wf_status wf_model_set_precision(wf_model *model, const char *precision);
WF_API const char *wf_model_precision(const wf_model *model); /* a constant text */

/* Owned by the model. */
WF_API const wf_config *wf_model_config(const wf_model *model);
WF_API const wf_tokenizer *wf_model_tokenizer(const wf_model *model); /* NULL if it has none */

/* Gives the model a tokenizer, which it then owns, in place of one it has. WF_ERROR_ARGUMENT, and
 * the tokenizer remains the caller's, if it has more tokens than vocab_size. */
WF_API wf_status wf_model_set_tokenizer(wf_model *model, wf_tokenizer *tokenizer);

/* Parameters, in file order. dims has room for 4. */
typedef struct wf_parameter_info {
    const char *name; /* owned by the model */
    int rank;
    int64_t dims[4];
    int64_t elements;
} wf_parameter_info;
WF_API int wf_model_parameter_count(const wf_model *model);
WF_API wf_status wf_model_parameter(const wf_model *model, int index, wf_parameter_info *info);

/* Copies one parameter's values out or in, row-major, info.elements floats. */
WF_API wf_status wf_model_read(const wf_model *model, const char *name, float *values);
WF_API wf_status wf_model_write(wf_model *model, const char *name, const float *values);

/* Logits of whole sequences: tokens [batch, n] → logits [batch, n, V], V the configuration's
 * vocab_size. `evaluator` is NULL ("auto") or "scan", "fft", "direct". Builds and runs a plan of
 * that size; n ≤ max_seq_len. */
WF_API wf_status wf_model_logits(wf_model *model, const int32_t *tokens, int64_t batch, int64_t n,
                                 const char *evaluator, float *logits);

#ifdef __cplusplus
}
#endif
#endif
