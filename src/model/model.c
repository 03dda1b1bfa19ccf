#include "model/model.h"

#include "model/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

wf_status model_outline(Device *device, const wf_config *config, wf_model **out)
{
    TRY(wf_config_validate(config));
    wf_model *model = calloc(1, sizeof *model);
    if (!model) return fail(WF_ERROR_MEMORY, "out of memory for a model");
    model->device = device;
    wf_status status = wf_config_copy(config, &model->config);
    if (!status) {
        model->geometry = config_geometry(config);
        status = parameters_create(config, &model->parameters);
    }
    if (!status) status = layout_create(&model->parameters, &device->limits, &model->layout);
    if (!status)
        status = sequence_create(&model->layout, &device->limits, DTYPE_REAL, "parameters",
                                 &model->values);
    if (status) {
        wf_model_destroy(model);
        return status;
    }
    *out = model;
    return WF_OK;
}

void wf_model_destroy(wf_model *model)
{
    if (!model) return;
    copies_destroy(&model->copies);
    sequence_destroy(&model->values);
    layout_destroy(&model->layout);
    parameters_destroy(&model->parameters);
    wf_tokenizer_destroy(model->tokenizer);
    wf_config_destroy(model->config);
    free(model);
}

static wf_status initialise(wf_model *model, uint64_t seed)
{
    for (int i = 0; i < model->parameters.count; i++) {
        const Parameter *parameter = &model->parameters.items[i];
        float *values = malloc((size_t)shape_elements(parameter->shape) * sizeof *values);
        if (!values) return fail(WF_ERROR_MEMORY, "out of memory for %s", parameter->name);
        parameter_initialise(&model->parameters, i, seed, values);
        wf_status status = sequence_write(&model->values, i, values);
        free(values);
        TRY(status);
    }
    return WF_OK;
}

wf_status wf_model_create(wf_device *device, const wf_config *config, uint64_t seed, wf_model **out)
{
    wf_model *model;
    TRY(model_outline(device, config, &model));
    wf_status status = sequence_allocate(&model->values, device);
    if (!status) status = initialise(model, seed);
    if (status) {
        wf_model_destroy(model);
        return status;
    }
    *out = model;
    return WF_OK;
}

/* ---- precision ---- */

wf_status model_storage(const char *precision, DType *storage)
{
    static const DType types[] = {DTYPE_REAL, DTYPE_F16, DTYPE_BF16};
    if (!precision) precision = dtype_name(DTYPE_REAL);
    for (int i = 0; i < 3; i++) {
        *storage = types[i];
        if (strcmp(precision, dtype_name(types[i])) == 0) return WF_OK;
    }
    return fail(WF_ERROR_ARGUMENT, "precision \"%s\": expected f32, f16 or bf16", precision);
}

wf_status model_outline_precision(wf_model *model, const char *precision)
{
    const Device *device = model->device;
    DType storage;
    TRY(model_storage(precision, &storage));
    if (device->limits.dtype_size[storage] == 0)
        return fail(WF_ERROR_UNSUPPORTED, "%s does not store %s: choose another precision",
                    device->info.name, dtype_name(storage));
    copies_destroy(&model->copies);
    model->storage = storage;
    return copies_outline(&model->copies, &model->values, &device->limits, storage);
}

wf_status model_allocate_precision(wf_model *model)
{
    wf_status status = copies_allocate(&model->copies, &model->values, model->device);
    if (!status) return WF_OK;
    copies_destroy(&model->copies);
    model->storage = DTYPE_REAL;
    return status;
}

wf_status wf_model_set_precision(wf_model *model, const char *precision)
{
    TRY(model_outline_precision(model, precision));
    return model_allocate_precision(model);
}

const char *wf_model_precision(const wf_model *model)
{
    return dtype_name(model->storage);
}

wf_status model_ready(wf_model *model)
{
    return copies_refresh(&model->copies);
}

void model_changed(wf_model *model)
{
    model->copies.stale = model->copies.run.program != NULL;
}

Builder model_builder(const wf_model *model, Graph *graph, ModelInputs *inputs)
{
    graph->storage = model->storage;
    return (Builder){.graph = graph,
                     .config = model->config,
                     .parameters = &model->parameters,
                     .values = &model->values,
                     .weights = model->storage == DTYPE_REAL ? NULL : &model->copies.sequence,
                     .inputs = inputs};
}

/* ---- what a model is ---- */

const wf_config *wf_model_config(const wf_model *model)
{
    return model->config;
}

const wf_tokenizer *wf_model_tokenizer(const wf_model *model)
{
    return model->tokenizer;
}

wf_status wf_model_set_tokenizer(wf_model *model, wf_tokenizer *tokenizer)
{
    int64_t has = model->config->vocab_size, needs = wf_tokenizer_vocabulary(tokenizer);
    if (needs > has)
        return fail(
            WF_ERROR_ARGUMENT,
            "the tokenizer has %lld tokens, the model's vocab_size is %lld: it must be that or "
            "more",
            (long long)needs, (long long)has);
    if (tokenizer != model->tokenizer) wf_tokenizer_destroy(model->tokenizer);
    model->tokenizer = tokenizer;
    return WF_OK;
}

int wf_model_parameter_count(const wf_model *model)
{
    return model->parameters.count;
}

wf_status wf_model_parameter(const wf_model *model, int index, wf_parameter_info *info)
{
    if (index < 0 || index >= model->parameters.count)
        return fail(WF_ERROR_ARGUMENT, "parameter %d: the model has %d", index,
                    model->parameters.count);
    const Parameter *parameter = &model->parameters.items[index];
    *info = (wf_parameter_info){.name = parameter->name, .rank = parameter->shape.rank};
    for (int i = 0; i < info->rank; i++) info->dims[i] = parameter->shape.dim[i];
    info->elements = shape_elements(parameter->shape);
    return WF_OK;
}

static wf_status find(const wf_model *model, const char *name, int *index)
{
    *index = parameters_find(&model->parameters, name);
    if (*index >= 0) return WF_OK;
    return fail(WF_ERROR_ARGUMENT, "the model has no parameter \"%s\"", name);
}

wf_status wf_model_read(const wf_model *model, const char *name, float *values)
{
    int index;
    TRY(find(model, name, &index));
    return sequence_read(&model->values, index, values);
}

wf_status wf_model_write(wf_model *model, const char *name, const float *values)
{
    int index;
    TRY(find(model, name, &index));
    model_changed(model);
    return sequence_write(&model->values, index, values);
}

wf_status model_check_tokens(const wf_model *model, const int32_t *tokens, int64_t n)
{
    int64_t vocabulary = model->config->vocab_size;
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= vocabulary)
            return fail(
                WF_ERROR_ARGUMENT, "token %lld is %d, outside the vocabulary of %lld (0 to %lld)",
                (long long)i, (int)tokens[i], (long long)vocabulary, (long long)(vocabulary - 1));
    return WF_OK;
}

/* ---- running one ---- */

wf_status model_evaluator(const Config *config, const char *name, FieldEvaluator *out)
{
    Geometry geometry = config_geometry(config);
    bool causal = geometry_causal(&geometry, NULL);
    if (!name || strcmp(name, "auto") == 0) {
        *out = config_gated(config) || !causal ? FIELD_FFT : FIELD_SCAN;
        return WF_OK;
    }
    static const char *const names[] = {
        [FIELD_SCAN] = "scan", [FIELD_FFT] = "fft", [FIELD_DIRECT] = "direct"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (FieldEvaluator)i;
        if (i == FIELD_SCAN && config_gated(config))
            return fail(WF_ERROR_UNSUPPORTED,
                        "a gated kernel has no pole to scan by: choose \"fft\" or \"direct\"");
        if (i == FIELD_SCAN && !causal)
            return fail(WF_ERROR_UNSUPPORTED,
                        "the scan goes from token to token and needs a causal geometry: choose "
                        "\"fft\" or \"direct\"");
        return WF_OK;
    }
    return fail(WF_ERROR_ARGUMENT, "evaluator \"%s\": expected auto, scan, fft or direct", name);
}

wf_status wf_model_logits(wf_model *model, const int32_t *tokens, int64_t batch, int64_t n,
                          const char *evaluator, float *logits)
{
    Forward forward = {0};
    Region result = {.name = "logits"};
    wf_status status = forward_begin(&forward, model, batch, n, evaluator);
    if (!status) {
        Builder *builder = &forward.builder;
        forward_keep(&forward, transformer_logits(builder, transformer_hidden(builder), false),
                     &result);
        status = forward_run(&forward, tokens);
    }
    if (!status)
        status = device_read_floats(&result, 0, logits, batch * n * model->config->vocab_size);
    forward_end(&forward);
    device_release(&result);
    return status;
}
