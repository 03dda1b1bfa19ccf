/* What a wf_model is inside the library. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "field/geometry.h"
#include "model/builder.h"
#include "model/copies.h"
#include "wavefield/model.h"

struct wf_model {
    Device *device; /* borrowed */
    wf_config *config;
    wf_tokenizer *tokenizer; /* NULL: none */
    ParameterList parameters;
    Layout layout;
    Sequence values;
    DType storage; /* of activations, and of the weights as products take them */
    Copies copies;
    Geometry geometry;
};

/* A model without values: its pages are sized and not allocated. For planning (what would it need?)
 * and for loading. */
wf_status model_outline(Device *device, const wf_config *config, wf_model **out);

/* The two halves of wf_model_set_precision(): sizing, which is all that planning takes; and
 * allocating, after which a model with values can run. */
wf_status model_outline_precision(wf_model *model, const char *precision);
wf_status model_allocate_precision(wf_model *model);

/* "f32", "f16", "bf16" or NULL ("f32") as a type; WF_ERROR_ARGUMENT for any other. */
wf_status model_storage(const char *precision, DType *storage);

/* What a graph of this model begins with. */
Builder model_builder(const wf_model *model, Graph *graph, ModelInputs *inputs);

/* Before a program of the model runs: its weights are as its values. */
wf_status model_ready(wf_model *model);
/* The values were changed. */
void model_changed(wf_model *model);

/* Every token of [n] must be in the vocabulary; the message names the first that is not. */
wf_status model_check_tokens(const wf_model *model, const int32_t *tokens, int64_t n);

/* Writes the parameters to a safetensors file, replacing it whole. */
wf_status model_save_parameters(const wf_model *model, const char *path);

#endif
