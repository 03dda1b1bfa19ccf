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

#endif
