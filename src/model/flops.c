#include "model/flops.h"

#include <math.h>

/* One y = x·Wᵀ for one token. */
static double linear(double in, double out)
{
    return 2 * in * out;
}

static double wave_layer(const Config *config, int64_t tokens)
{
    double D = (double)config->embedding_dim, H = (double)config->num_heads, d = D / H;
    double output = linear(D, D);
    if (config->version == MODEL_V3_5) return linear(D, 2 * D) + linear(D, D) + output; /* no q */
    double maps = 2 * H * (double)config->feature_map_depth * linear(d, d);
    double cross = config->cross_dim ? H * linear(d, d) : 0;
    double gate = config->spectral_gate ? linear(D, D) + linear(D, FIELD_GATE_POINTS * H) : 0;
    return linear(D, 4 * D) + maps + cross + output + gate / (double)tokens;
}

/* Products with the keys and values of the (N + 1)/2 tokens that one sees on average. */
static double softmax_layer(const Config *config, int64_t tokens)
{
    double D = (double)config->embedding_dim;
    return linear(D, 3 * D) + linear(D, D) + 2 * linear(D, ((double)tokens + 1) / 2);
}

/* One channel of one sequence. */
static double propagate(const Config *config, FieldEvaluator evaluator, int64_t tokens)
{
    Geometry geometry = config_geometry(config);
    double reach = (double)geometry_reach(&geometry, tokens);
    /* Spec §2, token scan: two complex products 12, deposits 4, reading both cells 9. */
    if (evaluator == FIELD_SCAN) return 25 * (double)tokens;
    if (evaluator == FIELD_DIRECT) return reach * (reach + 1);
    /* Two transforms of P points and a product of spectra serve two channels. */
    double P = exp2(ceil(log2(2 * reach)));
    return (2 * 5 * P * log2(P) + 6 * P) / 2;
}

static double field_layer(const Config *config, FieldEvaluator evaluator, int64_t tokens)
{
    double D = (double)config->embedding_dim, H = (double)config->num_heads;
    double coupling = 2 * H * D;
    return D * propagate(config, evaluator, tokens) / (double)tokens + coupling;
}

static double interference_module(const Config *config)
{
    double D = (double)config->embedding_dim, narrow = (double)(config->embedding_dim / 4);
    return linear(D, narrow) + linear(narrow, D) + 2 * linear(D, D) + linear(2 * D, D);
}

Flops config_flops(const Config *config, FieldEvaluator evaluator, int64_t tokens)
{
    double D = (double)config->embedding_dim, F = (double)config->ffn_dim;
    double layers = (double)config->num_layers;
    double softmax = (double)config_count(config, MIXER_ATTENTION), waves = layers - softmax;
    return (Flops){
        .attention = waves * wave_layer(config, tokens) + softmax * softmax_layer(config, tokens),
        .field = waves > 0 ? waves * field_layer(config, evaluator, tokens) : 0,
        .feed_forward = layers * (linear(D, F) + linear(F, D)),
        .interference = (double)config_interference_modules(config) * interference_module(config),
        .head = linear(D, (double)config->vocab_size),
    };
}

double flops_total(const Flops *flops)
{
    return flops->attention + flops->field + flops->feed_forward + flops->interference +
           flops->head;
}
