#include "model/parameters.h"

#include "base/array.h"
#include "base/rng.h"
#include "base/status.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

/* A gate's bias at start: open (spec §3, §4). */
static const double GATE_BIAS = 2.0;
/* The last bias of version 4's feature maps: they start near 1, so that a token's value passes
 * before they have learned what to hold back. */
static const double FEATURE_BIAS = 1.0;
/* The heads of version 4 start hearing from 1 token (first head) to 16 tokens (last) back. Longer
 * ones learned slower, at contexts of 64 and 256 tokens (docs/benchmarks.md). */
static const double LONGEST_REACH = 16.0;
/* The last layer of a spectral gate: it starts near 0, the kernel as it is (spec §4). */
static const double SPECTRAL_SCALE = 0.02;

static const Initial ZERO = {.kind = INITIAL_CONSTANT, .a = 0, .tail = INT64_MAX};
static const Initial ONE = {.kind = INITIAL_CONSTANT, .a = 1, .tail = INT64_MAX};
static const Initial IDENTITY = {.kind = INITIAL_IDENTITY, .a = 0, .tail = INT64_MAX};

static Initial normal(double scale)
{
    return (Initial){.kind = INITIAL_NORMAL, .a = scale, .tail = INT64_MAX};
}

static Initial constant(double value)
{
    return (Initial){.kind = INITIAL_CONSTANT, .a = value, .tail = INT64_MAX};
}

static Initial linspace(double from, double to)
{
    return (Initial){.kind = INITIAL_LINSPACE, .a = from, .b = to, .tail = INT64_MAX};
}

static Initial geometric(double from, double to)
{
    return (Initial){.kind = INITIAL_GEOMETRIC, .a = from, .b = to, .tail = INT64_MAX};
}

static Initial softplus_geometric(double from, double to)
{
    return (Initial){.kind = INITIAL_SOFTPLUS_GEOMETRIC, .a = from, .b = to, .tail = INT64_MAX};
}

/* `initial`, with the elements from `tail` on set to `value`. */
static Initial with_tail(Initial initial, int64_t tail, double value)
{
    initial.tail = tail;
    initial.tail_value = value;
    return initial;
}

/* ---- the list ---- */

/* Collects parameters under a name prefix; a failed allocation is remembered. */
typedef struct Lister {
    ParameterList list;
    const Config *config;
    char prefix[64];
    ParameterGroup group;
    bool failed;
} Lister;

static void PRINTF_LIKE(2, 3) within(Lister *lister, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(lister->prefix, sizeof lister->prefix, format, arguments);
    va_end(arguments);
}

static void add(Lister *lister, const char *name, Shape shape, Initial initial)
{
    ParameterList *list = &lister->list;
    if (lister->failed ||
        !array_reserve((void **)&list->items, list->count, &list->capacity, sizeof(Parameter))) {
        lister->failed = true;
        return;
    }
    Parameter *parameter = &list->items[list->count++];
    *parameter = (Parameter){.shape = shape,
                             .group = lister->group,
                             .decays = shape.rank >= 2 && lister->group != GROUP_KERNEL,
                             .initial = initial};
    snprintf(parameter->name, sizeof parameter->name, "%s%s", lister->prefix, name);
}

static void add_linear(Lister *lister, const char *name, int64_t out, int64_t in, Initial weight,
                       Initial bias)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    add(lister, full, SHAPE(out, in), weight);
    snprintf(full, sizeof full, "%s.bias", name);
    add(lister, full, SHAPE(out), bias);
}

static void add_norm(Lister *lister, const char *name, int64_t width)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    add(lister, full, SHAPE(width), ONE);
    snprintf(full, sizeof full, "%s.bias", name);
    add(lister, full, SHAPE(width), ZERO);
}

/* Linear and embedding weights: a deviation of D^(-1/2), which is 0.02 at a width of 2500. The
 * constant 0.02 that is customary at any width starts narrow models with signals so weak that
 * hundreds of steps go by before they learn more than the tokens' frequencies. */
static Initial weight(const Config *config)
{
    return normal(1 / sqrt((double)config->embedding_dim));
}

/* Weights that write to the residual stream start smaller the deeper the model (spec §6). */
static Initial residual(const Config *config)
{
    double depth = config->residual_scale ? 2 * (double)config->num_layers : 1;
    return normal(1 / sqrt(depth * (double)config->embedding_dim));
}

static void add_waves(Lister *lister, int layer)
{
    const Config *config = lister->config;
    int64_t heads = config->num_heads;
    lister->group = GROUP_KERNEL;
    if (config->version == MODEL_V3_5) { /* spec §3 */
        add(lister, "wave_frequency", SHAPE(heads), linspace(0.3, 4.0));
        add(lister, "wave_damping", SHAPE(heads), linspace(-3.0, 0.5));
        add(lister, "wave_phase", SHAPE(heads), linspace(0, PI));
    } else { /* half a wave within the reach of each head, none beyond what cells can tell apart */
        Geometry geometry = config_geometry(config);
        double near = 1 / geometry_stride(&geometry), far = near / LONGEST_REACH;
        double shift = PI * layer / (double)config->num_layers;
        add(lister, "wave_frequency", SHAPE(heads), geometric(PI * near, PI * far));
        add(lister, "wave_damping", SHAPE(heads), softplus_geometric(near, far));
        /* From 0: at the first head's frequency a phase of pi/2 would leave nothing of the wave. */
        add(lister, "wave_phase", SHAPE(heads), linspace(0, PI + shift));
    }
    lister->group = GROUP_BASE;
    Initial coupling = {.kind = INITIAL_IDENTITY, .a = 0.01, .tail = INT64_MAX};
    add(lister, "field_coupling", SHAPE(heads, heads), coupling);
}

static void add_feature_map(Lister *lister, const char *which, int64_t width)
{
    char name[64];
    bool deep = lister->config->feature_map_depth > 1;
    snprintf(name, sizeof name, "%s.net.0", which);
    add_linear(lister, name, width, width, IDENTITY, deep ? ZERO : constant(FEATURE_BIAS));
    if (!deep) return;
    snprintf(name, sizeof name, "%s.net.2", which);
    add_linear(lister, name, width, width, IDENTITY, constant(FEATURE_BIAS));
}

static void add_spectral_gate(Lister *lister, int64_t model_width, int64_t width)
{
    lister->group = GROUP_KERNEL;
    add_norm(lister, "spectral_gate.norm", width);
    add_linear(lister, "spectral_gate.net.0", model_width, model_width, weight(lister->config),
               ZERO);
    add_linear(lister, "spectral_gate.net.2", FIELD_GATE_POINTS * lister->config->num_heads,
               model_width, normal(SPECTRAL_SCALE), ZERO);
    lister->group = GROUP_BASE;
}

static void add_wave_attention(Lister *lister, int layer)
{
    const Config *config = lister->config;
    int64_t D = config->embedding_dim, d = D / config->num_heads;
    add_waves(lister, layer);
    lister->group = GROUP_QK;
    if (config->version == MODEL_V3_5) {
        add_linear(lister, "qkv_proj", 3 * D, D, weight(config), ZERO);
        lister->group = GROUP_BASE;
        add_linear(lister, "gate_proj", D, D, ZERO, constant(GATE_BIAS));
    } else {
        add_linear(lister, "qkvg_proj", 4 * D, D, with_tail(weight(config), 3 * D * D, 0),
                   with_tail(ZERO, 3 * D, GATE_BIAS));
        lister->group = GROUP_BASE;
        add_feature_map(lister, "q_feature_map", d);
        add_feature_map(lister, "k_feature_map", d);
        if (config->cross_dim) add(lister, "cross_dim.weight", SHAPE(d, d), IDENTITY);
        if (config->spectral_gate) add_spectral_gate(lister, D, d);
    }
    add_linear(lister, "out_proj", D, D, residual(config), ZERO);
}

static void add_softmax_attention(Lister *lister)
{
    int64_t D = lister->config->embedding_dim;
    add_linear(lister, "qkv_proj", 3 * D, D, weight(lister->config), ZERO);
    add_linear(lister, "out_proj", D, D, residual(lister->config), ZERO);
}

static void add_layer(Lister *lister, int layer)
{
    const Config *config = lister->config;
    int64_t D = config->embedding_dim, F = config->ffn_dim;
    within(lister, "layers.%d.", layer);
    add_norm(lister, "norm1", D);
    within(lister, "layers.%d.attention.", layer);
    if (config_mixer(config, layer) == MIXER_ATTENTION)
        add_softmax_attention(lister);
    else
        add_wave_attention(lister, layer);
    within(lister, "layers.%d.", layer);
    add_norm(lister, "norm2", D);
    add_linear(lister, "ffn.0", F, D, weight(config), ZERO);
    add_linear(lister, "ffn.3", D, F, residual(config), ZERO);
}

static void add_interference(Lister *lister, int module)
{
    int64_t D = lister->config->embedding_dim;
    Initial scale = weight(lister->config);
    Shape scalar = {.rank = 0};
    within(lister, "interference_modules.%d.", module);
    add(lister, "interference_temperature", scalar, constant(module % 2 ? 0.5 : -2.0));
    add_linear(lister, "compress", D / 4, D, scale, ZERO);
    add_linear(lister, "expand", D, D / 4, scale, ZERO);
    add_linear(lister, "local_phase_proj", D, D, scale, ZERO);
    add_linear(lister, "global_phase_proj", D, D, scale, ZERO);
    add_linear(lister, "interference_gate", D, 2 * D, scale, ZERO);
    add_norm(lister, "norm", D); /* stands in checkpoints, is not used */
}

static void index_names(Lister *lister)
{
    ParameterList *list = &lister->list;
    if (lister->failed) return;
    list->by_name = malloc((size_t)list->count * sizeof *list->by_name);
    lister->failed = !list->by_name;
    if (lister->failed) return;
    for (int i = 0; i < list->count; i++) list->by_name[i] = (Named){list->items[i].name, i};
    named_sort(list->by_name, list->count);
}

wf_status parameters_create(const Config *config, ParameterList *out)
{
    Lister lister = {.config = config};
    add(&lister, "token_embedding.weight", SHAPE(config->vocab_size, config->embedding_dim),
        weight(config));
    for (int layer = 0; layer < config->num_layers; layer++) add_layer(&lister, layer);
    for (int module = 0; module < config_interference_modules(config); module++)
        add_interference(&lister, module);
    within(&lister, "%s", "");
    add_norm(&lister, "norm", config->embedding_dim);
    index_names(&lister);
    if (lister.failed) {
        parameters_destroy(&lister.list);
        return fail(WF_ERROR_MEMORY, "out of memory for the list of parameters");
    }
    *out = lister.list;
    return WF_OK;
}

void parameters_destroy(ParameterList *list)
{
    free(list->items);
    free(list->by_name);
    *list = (ParameterList){0};
}

int parameters_find(const ParameterList *list, const char *name)
{
    return named_find(list->by_name, list->count, name);
}

int64_t parameters_elements(const ParameterList *list)
{
    int64_t elements = 0;
    for (int i = 0; i < list->count; i++) elements += shape_elements(list->items[i].shape);
    return elements;
}

/* ---- initial values ---- */

static void fill_normal(float *values, int64_t n, double scale, Rng *rng)
{
    double pair[2];
    for (int64_t i = 0; i < n; i++) {
        if (i % 2 == 0) rng_normal_pair(rng, pair);
        values[i] = (float)(scale * pair[i % 2]);
    }
}

/* How far element i of n is from the first to the last, 0 … 1. */
static double share_at(int64_t i, int64_t n)
{
    return n > 1 ? (double)i / (double)(n - 1) : 0;
}

static double geometric_at(const Initial *initial, int64_t i, int64_t n)
{
    return initial->a * pow(initial->b / initial->a, share_at(i, n));
}

void parameter_initialise(const ParameterList *list, int index, uint64_t seed, float *values)
{
    const Parameter *parameter = &list->items[index];
    const Initial *initial = &parameter->initial;
    int64_t n = shape_elements(parameter->shape);
    Rng rng = {.seed = seed, .stream = rng_stream(RNG_INITIAL_VALUES, (uint32_t)index)};
    switch (initial->kind) {
    case INITIAL_CONSTANT:
        for (int64_t i = 0; i < n; i++) values[i] = (float)initial->a;
        break;
    case INITIAL_NORMAL: fill_normal(values, n, initial->a, &rng); break;
    case INITIAL_IDENTITY:
        fill_normal(values, n, initial->a, &rng);
        for (int64_t i = 0; i < n; i += shape_width(parameter->shape) + 1) values[i] += 1.0f;
        break;
    case INITIAL_LINSPACE:
        for (int64_t i = 0; i < n; i++)
            values[i] = (float)(initial->a + share_at(i, n) * (initial->b - initial->a));
        break;
    case INITIAL_GEOMETRIC:
        for (int64_t i = 0; i < n; i++) values[i] = (float)geometric_at(initial, i, n);
        break;
    case INITIAL_SOFTPLUS_GEOMETRIC:
        for (int64_t i = 0; i < n; i++) values[i] = (float)log(expm1(geometric_at(initial, i, n)));
        break;
    }
    for (int64_t i = initial->tail; i < n; i++) values[i] = (float)initial->tail_value;
}
