#include "wavefield/inspect.h"

#include "model/forward.h"
#include "model/wave.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- parameters of one layer ---- */

/* A layer carries a field if its wave has parameters. */
static int find_part(const wf_model *model, int64_t layer, const char *part)
{
    char name[96];
    snprintf(name, sizeof name, "layers.%lld.attention.%s", (long long)layer, part);
    return parameters_find(&model->parameters, name);
}

static wf_status read_part(const wf_model *model, int layer, const char *part, float *values)
{
    int index = find_part(model, layer, part);
    if (layer < 0 || layer >= model->config->num_layers)
        return fail(WF_ERROR_ARGUMENT, "layer %d: the model has %lld", layer,
                    (long long)model->config->num_layers);
    if (index < 0) return fail(WF_ERROR_ARGUMENT, "layer %d carries no field", layer);
    TRY(sequence_read(&model->values, index, values));
    const Parameter *parameter = &model->parameters.items[index];
    int64_t elements = shape_elements(parameter->shape);
    for (int64_t i = 0; i < elements; i++)
        if (!isfinite(values[i]))
            return fail(WF_ERROR_NUMERIC, "%s: element %lld is %g", parameter->name, (long long)i,
                        (double)values[i]);
    return WF_OK;
}

int wf_model_wave_layers(const wf_model *model, int *layers, int capacity)
{
    int count = 0;
    for (int64_t layer = 0; layer < model->config->num_layers; layer++) {
        if (find_part(model, layer, "wave_frequency") < 0) continue;
        if (count < capacity) layers[count] = (int)layer;
        count++;
    }
    return count;
}

/* ---- waves ---- */

double wf_model_stride(const wf_model *model)
{
    return geometry_stride(&model->geometry);
}

wf_status wf_model_waves(const wf_model *model, int layer, wf_wave *waves)
{
    const Config *config = model->config;
    int64_t heads = config->num_heads;
    float *values = malloc((size_t)(3 * heads) * sizeof *values);
    if (!values) return fail(WF_ERROR_MEMORY, "out of memory for %lld waves", (long long)heads);
    float *frequency = values, *damping = values + heads, *phase = values + 2 * heads;
    wf_status status = read_part(model, layer, "wave_frequency", frequency);
    if (!status) status = read_part(model, layer, "wave_damping", damping);
    if (!status) status = read_part(model, layer, "wave_phase", phase);
    for (int64_t h = 0; h < heads && !status; h++)
        waves[h] = wave_create((double)frequency[h], (double)damping[h], (double)phase[h],
                               (double)config_damping_limit(config), config->kernel_norm,
                               config->field_size);
    free(values);
    return status;
}

wf_status wf_model_wave_kernels(const wf_model *model, int layer, double *kernels)
{
    int64_t heads = model->config->num_heads, cells = model->config->field_size;
    wf_wave *waves = malloc((size_t)heads * sizeof *waves);
    if (!waves) return fail(WF_ERROR_MEMORY, "out of memory for %lld waves", (long long)heads);
    wf_status status = wf_model_waves(model, layer, waves);
    for (int64_t h = 0; h < heads && !status; h++)
        wave_sample(&waves[h], cells, kernels + h * cells);
    free(waves);
    return status;
}

wf_status wf_model_wave_reach(const wf_model *model, int layer, double share, double *reach)
{
    int64_t heads = model->config->num_heads, cells = model->config->field_size;
    if (!(share > 0 && share <= 1))
        return fail(WF_ERROR_ARGUMENT, "a share of %g: expected more than 0, at most 1", share);
    double *kernels = malloc((size_t)(heads * cells) * sizeof *kernels);
    if (!kernels) return fail(WF_ERROR_MEMORY, "out of memory for %lld kernels", (long long)heads);
    wf_status status = wf_model_wave_kernels(model, layer, kernels);
    for (int64_t h = 0; h < heads && !status; h++)
        reach[h] = (double)wave_reach(kernels + h * cells, cells, share) / wf_model_stride(model);
    free(kernels);
    return status;
}

/* ---- coupling ---- */

static void softmax(const float *row, int64_t n, double *out)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, (double)row[i]);
    for (int64_t i = 0; i < n; i++) sum += out[i] = exp((double)row[i] - largest);
    for (int64_t i = 0; i < n; i++) out[i] /= sum;
}

wf_status wf_model_coupling(const wf_model *model, int layer, double *coupling)
{
    int64_t heads = model->config->num_heads;
    float *values = malloc((size_t)(heads * heads) * sizeof *values);
    if (!values) return fail(WF_ERROR_MEMORY, "out of memory for a coupling matrix");
    wf_status status = read_part(model, layer, "field_coupling", values);
    for (int64_t h = 0; h < heads && !status; h++)
        softmax(values + h * heads, heads, coupling + h * heads);
    free(values);
    return status;
}

/* ---- energy ---- */

/* What the graph's fields give back to the tokens, in the order of the layers. Returns how many
 * fields there are. */
static int keep_fields(Forward *forward, Region *results, int capacity)
{
    int count = 0, n_nodes = forward->graph->n_nodes;
    for (int i = 0; i < n_nodes; i++) {
        const Node *node = &forward->graph->nodes[i];
        if (node->op != OP_FIELD) continue;
        if (count < capacity) forward_keep(forward, node->out[0], &results[count]);
        count++;
    }
    return count;
}

/* r [n, heads, width] → energy [heads, n]. */
static void sum_squares(const float *r, int64_t n, int64_t heads, int64_t width, double *energy)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < heads; h++) {
            const float *value = r + (i * heads + h) * width;
            double sum = 0;
            for (int64_t c = 0; c < width; c++) sum += (double)value[c] * (double)value[c];
            energy[h * n + i] = sum;
        }
}

static wf_status read_energy(const wf_model *model, const Region *result, int64_t n, double *energy)
{
    int64_t heads = model->config->num_heads, width = model->config->embedding_dim;
    float *r = malloc((size_t)(n * width) * sizeof *r);
    if (!r)
        return fail(WF_ERROR_MEMORY, "out of memory for the field of %lld tokens", (long long)n);
    wf_status status = device_read_floats(result, 0, r, n * width);
    if (!status) sum_squares(r, n, heads, width / heads, energy);
    free(r);
    for (int64_t i = 0; i < heads * n && !status; i++)
        if (!isfinite(energy[i]))
            status = fail(WF_ERROR_NUMERIC, "head %lld, token %lld: the field's energy is %g",
                          (long long)(i / n), (long long)(i % n), energy[i]);
    return status;
}

static wf_status run_fields(Forward *forward, wf_model *model, const int32_t *tokens, int64_t n,
                            const char *evaluator, Region *results, int layers)
{
    TRY(forward_begin(forward, model, 1, n, evaluator));
    transformer_hidden(&forward->builder);
    int fields = keep_fields(forward, results, layers);
    TRY(graph_status(forward->graph));
    if (fields != layers)
        return fail(WF_ERROR_UNSUPPORTED, "%d layers have a wave, %d fields are computed", layers,
                    fields);
    return forward_run(forward, tokens);
}

wf_status wf_model_field_energy(wf_model *model, const int32_t *tokens, int64_t n,
                                const char *evaluator, double *energy)
{
    int64_t heads = model->config->num_heads;
    int layers = wf_model_wave_layers(model, NULL, 0);
    Forward forward = {0};
    Region *results = calloc((size_t)layers + 1, sizeof *results);
    if (!results) return fail(WF_ERROR_MEMORY, "out of memory for %d fields", layers);
    for (int k = 0; k < layers; k++) results[k].name = "field";
    wf_status status = run_fields(&forward, model, tokens, n, evaluator, results, layers);
    for (int k = 0; k < layers && !status; k++) {
        status = read_energy(model, &results[k], n, energy + k * heads * n);
        if (status == WF_ERROR_NUMERIC) fail_within(status, "wave layer %d", k);
    }
    forward_end(&forward);
    for (int k = 0; k < layers; k++) device_release(&results[k]);
    free(results);
    return status;
}
