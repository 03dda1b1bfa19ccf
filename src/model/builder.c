#include "model/builder.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void model_inputs_layout(ModelInputs *inputs, const Config *config, const Limits *limits,
                         int64_t batch, int64_t tokens)
{
    *inputs = (ModelInputs){.region = {.name = "inputs"}, .batch = batch, .tokens = tokens};
    Region *region = &inputs->region;
    Shape grid = SHAPE(batch, tokens), line = SHAPE(tokens), one = SHAPE(1);
    inputs->token = region_append(region, limits, DTYPE_I32, grid);
    inputs->target = region_append(region, limits, DTYPE_I32, grid);
    inputs->order = region_append(region, limits, DTYPE_I32, grid);
    inputs->position =
        region_append(region, limits, DTYPE_REAL, SHAPE(tokens, config->embedding_dim));
    inputs->cell = region_append(region, limits, DTYPE_I32, line);
    inputs->fraction = region_append(region, limits, DTYPE_REAL, line);
    inputs->key = region_append(region, limits, DTYPE_I32, SHAPE(2));
    inputs->seed = region_append(region, limits, DTYPE_REAL, one);
    inputs->at = region_append(region, limits, DTYPE_I32, one);
    inputs->first = region_append(region, limits, DTYPE_I32, one);
}

/* P[p, 2i] = sin(p·10000^(-2i/D)), P[p, 2i+1] = cos of the same (spec §1). */
static void sinusoidal_row(double *row, int64_t width, int64_t position)
{
    for (int64_t i = 0; i < width; i += 2) {
        double angle = (double)position * pow(10000.0, -(double)i / (double)width);
        row[i] = sin(angle);
        if (i + 1 < width) row[i + 1] = cos(angle);
    }
}

wf_status model_inputs_place(ModelInputs *inputs, const Config *config, const Geometry *geometry,
                             int64_t first)
{
    int64_t n = inputs->tokens, width = config->embedding_dim;
    if (first < 0 || n > geometry->tokens - first)
        return fail(WF_ERROR_ARGUMENT,
                    "tokens %lld to %lld do not fit max_seq_len %lld: positions are absolute",
                    (long long)first, (long long)(first + n - 1), (long long)geometry->tokens);
    double *reals = malloc((size_t)(n * (width + 1)) * sizeof *reals);
    int32_t *cells = malloc((size_t)n * sizeof *cells);
    wf_status status = WF_OK;
    if (!reals || !cells)
        status =
            fail(WF_ERROR_MEMORY, "out of memory for the positions of %lld tokens", (long long)n);
    if (!status) {
        for (int64_t i = 0; i < n; i++) sinusoidal_row(reals + i * width, width, first + i);
        status = device_write_doubles(&inputs->region, inputs->position, reals, n * width);
    }
    if (!status) {
        geometry_places(geometry, first, n, cells, reals);
        status = device_write_ints(&inputs->region, inputs->cell, cells, n);
    }
    if (!status) status = device_write_doubles(&inputs->region, inputs->fraction, reals, n);
    if (!status) {
        int32_t at = (int32_t)geometry_at(geometry, first), start = (int32_t)first;
        status = device_write_ints(&inputs->region, inputs->at, &at, 1);
        if (!status) status = device_write_ints(&inputs->region, inputs->first, &start, 1);
    }
    free(reals);
    free(cells);
    return status;
}

static LayerState layer_state_layout(Region *region, const Config *config, const Limits *limits,
                                     DType storage, int64_t batch, Mixer mixer)
{
    LayerState state = {0};
    int64_t heads = config->num_heads, width = config->embedding_dim / heads;
    Shape pole = SHAPE(batch, heads, 2, width), kernel = SHAPE(batch, heads, config->field_size);
    Shape history = SHAPE(batch, config->max_seq_len, heads, width);
    if (mixer == MIXER_ATTENTION) {
        state.keys = region_append(region, limits, storage, history);
        state.values = region_append(region, limits, storage, history);
    } else if (config->spectral_gate) {
        state.field = region_append(region, limits, storage, history);
        state.kernel = region_append(region, limits, DTYPE_REAL, kernel);
    } else {
        state.field = region_append(region, limits, DTYPE_REAL, pole);
        state.norm = region_append(region, limits, DTYPE_REAL, SHAPE(heads));
    }
    return state;
}

wf_status stream_state_layout(StreamState *state, const Config *config, const Limits *limits,
                              DType storage, int64_t batch)
{
    int64_t layers = config->num_layers, modules = config_interference_modules(config);
    *state = (StreamState){.region = {.name = "decoder state"}, .batch = batch};
    state->layers = calloc((size_t)layers, sizeof *state->layers);
    state->mean = calloc((size_t)modules + 1, sizeof *state->mean);
    if (!state->layers || !state->mean) {
        stream_state_destroy(state);
        return fail(WF_ERROR_MEMORY, "out of memory for a decoder of %lld layers",
                    (long long)layers);
    }
    Region *region = &state->region;
    for (int layer = 0; layer < layers; layer++)
        state->layers[layer] =
            layer_state_layout(region, config, limits, storage, batch, config_mixer(config, layer));
    Shape mean = SHAPE(batch, config->embedding_dim / 4);
    for (int64_t module = 0; module < modules; module++)
        state->mean[module] = region_append(region, limits, DTYPE_REAL, mean);
    if (config_gated(config)) {
        state->cell = region_append(region, limits, DTYPE_I32, SHAPE(config->max_seq_len));
        state->fraction = region_append(region, limits, DTYPE_REAL, SHAPE(config->max_seq_len));
    }
    return WF_OK;
}

void stream_state_destroy(StreamState *state)
{
    device_release(&state->region);
    free(state->layers);
    free(state->mean);
    *state = (StreamState){0};
}

static void name_inputs(Builder *b)
{
    Graph *g = b->graph;
    Region *in = &b->inputs->region;
    const ModelInputs *at = b->inputs;
    Shape grid = SHAPE(b->batch, b->tokens), line = SHAPE(b->tokens), one = SHAPE(1);
    b->token = graph_external(g, "tokens", DTYPE_I32, grid, in, at->token);
    b->target = graph_external(g, "targets", DTYPE_I32, grid, in, at->target);
    b->order = graph_external(g, "token order", DTYPE_I32, grid, in, at->order);
    b->position = graph_external(g, "positions", DTYPE_REAL,
                                 SHAPE(b->tokens, b->config->embedding_dim), in, at->position);
    b->cell = graph_external(g, "cells", DTYPE_I32, line, in, at->cell);
    b->fraction = graph_external(g, "fractions", DTYPE_REAL, line, in, at->fraction);
    b->key = graph_external(g, "dropout key", DTYPE_I32, SHAPE(2), in, at->key);
    b->seed = graph_external(g, "loss seed", DTYPE_REAL, one, in, at->seed);
    b->at = graph_external(g, "cell of the state", DTYPE_I32, one, in, at->at);
    b->first = graph_external(g, "first position", DTYPE_I32, one, in, at->first);
    if (!b->stream || !config_gated(b->config)) return;
    Shape whole = SHAPE(b->config->max_seq_len);
    Region *state = &b->stream->region;
    b->all_cells = graph_external(g, "all cells", DTYPE_I32, whole, state, b->stream->cell);
    b->all_fractions =
        graph_external(g, "all fractions", DTYPE_REAL, whole, state, b->stream->fraction);
}

wf_status builder_begin(Builder *b)
{
    b->batch = b->inputs->batch;
    b->tokens = b->inputs->tokens;
    b->dropout_streams = 0;
    if (!b->weights) b->weights = b->values;
    Geometry geometry = config_geometry(b->config);
    if (b->tokens < 1 || b->tokens > geometry.tokens)
        return fail(
            WF_ERROR_ARGUMENT,
            "a sequence of %lld tokens does not fit max_seq_len %lld: positions are absolute",
            (long long)b->tokens, (long long)geometry.tokens);
    b->reach = b->stream ? geometry.cells : geometry_reach(&geometry, b->tokens);
    b->parameter_ids = malloc((size_t)b->parameters->count * sizeof *b->parameter_ids);
    if (!b->parameter_ids) return fail(WF_ERROR_MEMORY, "out of memory for a model's graph");
    for (int i = 0; i < b->parameters->count; i++) b->parameter_ids[i] = NO_TENSOR;
    name_inputs(b);
    return graph_status(b->graph);
}

void builder_end(Builder *b)
{
    free(b->parameter_ids);
    b->parameter_ids = NULL;
}

static TensorId name_parameter(Builder *b, int i, const Sequence *values)
{
    const Parameter *parameter = &b->parameters->items[i];
    int page = values->layout->segments[i].page;
    TensorId gradient = NO_TENSOR;
    if (b->gradients) {
        char name[192];
        snprintf(name, sizeof name, "gradient of %s", parameter->name);
        gradient = graph_external(b->graph, name, DTYPE_REAL, parameter->shape,
                                  &b->gradients->pages[page], sequence_offset(b->gradients, i));
    }
    return graph_parameter(b->graph, parameter->name, values->dtype, parameter->shape,
                           &values->pages[page], sequence_offset(values, i), gradient);
}

static TensorId find_parameter(Builder *b, const Sequence *values, const char *format,
                               va_list arguments)
{
    if (b->graph->status) return NO_TENSOR;
    char name[192];
    vsnprintf(name, sizeof name, format, arguments);
    int i = parameters_find(b->parameters, name);
    if (i < 0) {
        graph_fail(b->graph, WF_ERROR_ARGUMENT, "the configuration has no parameter %s", name);
        return NO_TENSOR;
    }
    if (b->parameter_ids[i] == NO_TENSOR) b->parameter_ids[i] = name_parameter(b, i, values);
    return b->parameter_ids[i];
}

TensorId builder_parameter(Builder *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    TensorId id = find_parameter(b, b->values, format, arguments);
    va_end(arguments);
    return id;
}

TensorId builder_weight(Builder *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    TensorId id = find_parameter(b, b->weights, format, arguments);
    va_end(arguments);
    return id;
}
