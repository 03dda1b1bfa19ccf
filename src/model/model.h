/* What a wf_model is inside the library. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "field/geometry.h"
#include "model/config.h"
#include "model/sequence.h"
#include "wavefield/model.h"

struct wf_model {
    Device *device; /* borrowed */
    wf_config *config;
    wf_tokenizer *tokenizer; /* NULL: none */
    ParameterList parameters;
    Layout layout;
    Sequence values;
    Geometry geometry;
};

/* A model without values: its pages are sized and not allocated. For planning (what would it need?)
 * and for loading. */
wf_status model_outline(Device *device, const wf_config *config, wf_model **out);

/* Every token of [n] must be in the vocabulary; the message names the first that is not. */
wf_status model_check_tokens(const wf_model *model, const int32_t *tokens, int64_t n);

/* Writes the parameters to a safetensors file, replacing it whole. */
wf_status model_save_parameters(const wf_model *model, const char *path);

#endif
