/* The list of parameters, their initial values, and the operations a token costs. */
#include "model/flops.h"
#include "model/parameters.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double PI = 3.14159265358979323846;

static wf_config *create(const char *preset, const char *const *settings)
{
    wf_config *config;
    assert_int_equal(wf_config_create(preset, &config), WF_OK);
    for (; settings && *settings; settings++)
        assert_int_equal(wf_config_set(config, *settings), WF_OK);
    return config;
}

static ParameterList list_of(const wf_config *config)
{
    ParameterList list;
    assert_int_equal(parameters_create(config, &list), WF_OK);
    return list;
}

static int64_t count(const char *preset, const char *setting)
{
    const char *const settings[] = {setting, NULL};
    wf_config *config = create(preset, settings);
    int64_t elements;
    assert_int_equal(wf_config_parameters(config, &elements), WF_OK);
    wf_config_destroy(config);
    return elements;
}

static void presets_have_their_sizes(void **state)
{
    (void)state;
    assert_int_equal(count("v4-825m", NULL), 826057158);
    assert_in_range(count("demo", NULL), 900000, 1199999);
    assert_in_range(count("v3.5-6m", NULL), 5500000, 6500000);
    assert_in_range(count("v4-20m", NULL), 18500000, 21500000);
    assert_in_range(count("v4-130m", NULL), 125000000, 135000000);
    int64_t gate = count("v4-825m", "spectral_gate=true") - count("v4-825m", NULL);
    assert_in_range(gate, 84500000, 86500000); /* "would add 85 M" (spec §7) */
}

/* Sizes counted by hand from the specification, at odd ones: D 15, H 3, d 5, F 7, L 3, V 11. */
static void switches_add_what_they_name(void **state)
{
    (void)state;
    const char *const odd[] = {
        "embedding_dim=15",        "num_heads=3", "ffn_dim=7", "num_layers=3", "vocab_size=11",
        "interference_interval=2", NULL};
    const struct {
        const char *preset, *settings[3];
        int64_t layer; /* elements a layer */
    } cases[] = {
        {"demo", {NULL}, 60 * 15 + 60 + 9 + 9 + 25 + 2 * 2 * 30 + 240},
        {"demo", {"feature_map_depth=1"}, 60 * 15 + 60 + 9 + 9 + 25 + 2 * 30 + 240},
        {"demo", {"cross_dim=false"}, 60 * 15 + 60 + 9 + 9 + 2 * 2 * 30 + 240},
        {"demo",
         {"spectral_gate=true"},
         60 * 15 + 60 + 9 + 9 + 25 + 2 * 2 * 30 + 240 + 10 + 240 + 96 * 16},
        {"v3.5-6m", {NULL}, 45 * 15 + 45 + 9 + 9 + 240 + 240},
        {"demo", {"mixer=attention"}, 45 * 15 + 45 + 240},
        {"v3.5-6m", {"mixer=attention"}, 45 * 15 + 45 + 240},
    };
    const int64_t around = 2 * 30 + 7 * 15 + 7 + 15 * 7 + 15; /* norms and FFN */
    const int64_t module = 1 + 3 * 16 + 15 * 4 + 2 * 240 + 15 * 31 + 30;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wf_config *config = create(cases[i].preset, odd);
        if (cases[i].settings[0])
            assert_int_equal(wf_config_set(config, cases[i].settings[0]), WF_OK);
        ParameterList list = list_of(config);
        assert_int_equal(parameters_elements(&list),
                         11 * 15 + 3 * (cases[i].layer + around) + module + 30);
        parameters_destroy(&list);
        wf_config_destroy(config);
    }
}

static const Parameter *find(const ParameterList *list, const char *name)
{
    int index = parameters_find(list, name);
    if (index < 0) fail_msg("no parameter %s", name);
    return &list->items[index];
}

static void names_shapes_and_groups(void **state)
{
    (void)state;
    const char *const gated[] = {"spectral_gate=true", NULL};
    wf_config *v4 = create("demo", gated), *v35 = create("v3.5-6m", NULL);
    ParameterList lists[2] = {list_of(v4), list_of(v35)};
    const struct {
        int list;
        const char *name;
        Shape shape;
        ParameterGroup group;
        bool decays;
    } cases[] = {
        {0, "token_embedding.weight", SHAPE(256, 128), GROUP_BASE, true},
        {0, "layers.3.norm1.weight", SHAPE(128), GROUP_BASE, false},
        {0, "layers.0.norm2.bias", SHAPE(128), GROUP_BASE, false},
        {0, "layers.0.ffn.0.weight", SHAPE(512, 128), GROUP_BASE, true},
        {0, "layers.0.ffn.3.weight", SHAPE(128, 512), GROUP_BASE, true},
        {0, "layers.0.ffn.3.bias", SHAPE(128), GROUP_BASE, false},
        {0, "layers.0.attention.qkvg_proj.weight", SHAPE(512, 128), GROUP_QK, true},
        {0, "layers.0.attention.qkvg_proj.bias", SHAPE(512), GROUP_QK, false},
        {0, "layers.0.attention.out_proj.weight", SHAPE(128, 128), GROUP_BASE, true},
        {0, "layers.0.attention.wave_frequency", SHAPE(4), GROUP_KERNEL, false},
        {0, "layers.0.attention.wave_damping", SHAPE(4), GROUP_KERNEL, false},
        {0, "layers.0.attention.wave_phase", SHAPE(4), GROUP_KERNEL, false},
        {0, "layers.0.attention.field_coupling", SHAPE(4, 4), GROUP_BASE, true},
        {0, "layers.0.attention.q_feature_map.net.0.weight", SHAPE(32, 32), GROUP_BASE, true},
        {0, "layers.0.attention.k_feature_map.net.2.bias", SHAPE(32), GROUP_BASE, false},
        {0, "layers.0.attention.cross_dim.weight", SHAPE(32, 32), GROUP_BASE, true},
        {0, "layers.0.attention.spectral_gate.norm.weight", SHAPE(32), GROUP_KERNEL, false},
        {0, "layers.0.attention.spectral_gate.net.0.weight", SHAPE(128, 128), GROUP_KERNEL, false},
        {0, "layers.0.attention.spectral_gate.net.2.weight", SHAPE(128, 128), GROUP_KERNEL, false},
        {0, "layers.0.attention.spectral_gate.net.2.bias", SHAPE(128), GROUP_KERNEL, false},
        {0, "interference_modules.1.compress.weight", SHAPE(32, 128), GROUP_BASE, true},
        {0, "interference_modules.1.expand.weight", SHAPE(128, 32), GROUP_BASE, true},
        {0, "interference_modules.0.local_phase_proj.weight", SHAPE(128, 128), GROUP_BASE, true},
        {0, "interference_modules.0.global_phase_proj.bias", SHAPE(128), GROUP_BASE, false},
        {0, "interference_modules.0.interference_gate.weight", SHAPE(128, 256), GROUP_BASE, true},
        {0, "interference_modules.0.interference_temperature", {.rank = 0}, GROUP_BASE, false},
        {0, "interference_modules.0.norm.weight", SHAPE(128), GROUP_BASE, false},
        {0, "norm.bias", SHAPE(128), GROUP_BASE, false},
        {1, "layers.5.attention.qkv_proj.weight", SHAPE(768, 256), GROUP_QK, true},
        {1, "layers.5.attention.gate_proj.weight", SHAPE(256, 256), GROUP_BASE, true},
        {1, "layers.5.attention.gate_proj.bias", SHAPE(256), GROUP_BASE, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const Parameter *parameter = find(&lists[cases[i].list], cases[i].name);
        assert_true(shape_equal(parameter->shape, cases[i].shape));
        assert_int_equal(parameter->group, cases[i].group);
        assert_int_equal(parameter->decays, cases[i].decays);
    }
    static const char *const absent[] = {"layers.4.norm1.weight", "output_projection.weight",
                                         "layers.0.attention.qkv_proj.weight",
                                         "interference_modules.2.norm.weight", "norm"};
    for (int i = 0; i < 5; i++) assert_int_equal(parameters_find(&lists[0], absent[i]), -1);
    for (int i = 0; i < lists[0].count; i++) /* every name once */
        assert_int_equal(parameters_find(&lists[0], lists[0].items[i].name), i);
    for (int l = 0; l < 2; l++) parameters_destroy(&lists[l]);
    wf_config_destroy(v4);
    wf_config_destroy(v35);
}

/* ---- initial values ---- */

static float *initial(const ParameterList *list, const char *name, uint64_t seed)
{
    const Parameter *parameter = find(list, name);
    int64_t n = shape_elements(parameter->shape);
    float *values = malloc((size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++) values[i] = NAN;
    parameter_initialise(list, (int)(parameter - list->items), seed, values);
    for (int64_t i = 0; i < n; i++) assert_true(isfinite(values[i]));
    return values;
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-6 * fmax(1, fabs(expected))))
        fail_msg("%.9g, expected %.9g", value, expected);
}

static void assert_values(const ParameterList *list, const char *name, const double *expected,
                          int n)
{
    float *values = initial(list, name, 1);
    for (int i = 0; i < n; i++) assert_near(values[i], expected[i]);
    free(values);
}

static void assert_constant(const ParameterList *list, const char *name, double expected,
                            int64_t from, int64_t to)
{
    float *values = initial(list, name, 1);
    for (int64_t i = from; i < to; i++) assert_near(values[i], expected);
    free(values);
}

/* Mean 0 and the deviation, each within five standard errors. */
static void assert_normal(const float *values, int64_t n, double deviation)
{
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += values[i];
        square += (double)values[i] * values[i];
    }
    double size = (double)n;
    assert_true(fabs(sum / size) < 5 * deviation / sqrt(size));
    assert_true(fabs(square / size / (deviation * deviation) - 1) < 5 * sqrt(2 / size));
}

static void version_4_starts_as_specified(void **state)
{
    (void)state;
    const char *const gated[] = {"spectral_gate=true", "interference_interval=1", NULL};
    wf_config *config = create("demo", gated); /* D 128, H 4, L 4 */
    ParameterList list = list_of(config);
    for (int layer = 0; layer < 4; layer++) {
        double frequency[4], damping[4], phase[4];
        for (int h = 0; h < 4; h++) { /* reach 1, 2.5, 6.3 and 16 tokens, a cell each */
            double reach = pow(16, h / 3.0);
            frequency[h] = PI / reach;
            damping[h] = log(expm1(1 / reach));
            phase[h] = (PI + PI * layer / 4) * h / 3;
        }
        char name[64];
        snprintf(name, sizeof name, "layers.%d.attention.wave_frequency", layer);
        assert_values(&list, name, frequency, 4);
        snprintf(name, sizeof name, "layers.%d.attention.wave_damping", layer);
        assert_values(&list, name, damping, 4);
        snprintf(name, sizeof name, "layers.%d.attention.wave_phase", layer);
        assert_values(&list, name, phase, 4);
        snprintf(name, sizeof name, "interference_modules.%d.interference_temperature", layer);
        assert_constant(&list, name, layer % 2 ? 0.5 : -2.0, 0, 1);
    }
    float *values = initial(&list, "layers.1.attention.qkvg_proj.weight", 1);
    assert_normal(values, 3 * 128 * 128, 1 / sqrt(128));
    free(values);
    assert_constant(&list, "layers.1.attention.qkvg_proj.weight", 0, 3 * 128 * 128, 4 * 128 * 128);
    assert_constant(&list, "layers.1.attention.qkvg_proj.bias", 0, 0, 3 * 128);
    assert_constant(&list, "layers.1.attention.qkvg_proj.bias", 2, 3 * 128, 4 * 128);
    static const char *const scaled[] = {"layers.1.attention.out_proj.weight",
                                         "layers.1.ffn.3.weight"};
    for (int i = 0; i < 2; i++) {
        values = initial(&list, scaled[i], 1);
        assert_normal(values, 128 * 128, 1 / sqrt(128 * 8));
        free(values);
    }
    static const char *const plain[] = {"token_embedding.weight", "layers.1.ffn.0.weight",
                                        "interference_modules.1.local_phase_proj.weight"};
    for (int i = 0; i < 3; i++) {
        values = initial(&list, plain[i], 1);
        assert_normal(values, 128 * 128, 1 / sqrt(128));
        free(values);
    }
    values = initial(&list, "layers.1.attention.spectral_gate.net.2.weight", 1);
    assert_normal(values, 128 * 128, 0.02);
    free(values);
    static const char *const identities[] = {"layers.0.attention.cross_dim.weight",
                                             "layers.0.attention.q_feature_map.net.0.weight",
                                             "layers.0.attention.k_feature_map.net.2.weight"};
    for (int k = 0; k < 3; k++) {
        values = initial(&list, identities[k], 1);
        for (int i = 0; i < 32 * 32; i++) assert_true(values[i] == (i % 33 == 0 ? 1.0f : 0.0f));
        free(values);
    }
    assert_constant(&list, "layers.0.norm1.weight", 1, 0, 128);
    assert_constant(&list, "layers.0.attention.q_feature_map.net.0.bias", 0, 0, 32);
    assert_constant(&list, "layers.0.attention.q_feature_map.net.2.bias", 1, 0, 32);
    assert_constant(&list, "layers.0.attention.k_feature_map.net.2.bias", 1, 0, 32);
    parameters_destroy(&list);
    wf_config_destroy(config);
}

static void version_3_5_starts_as_specified(void **state)
{
    (void)state;
    wf_config *config = create("v3.5-6m", NULL); /* D 256, H 8, no residual scale */
    ParameterList list = list_of(config);
    double frequency[8], damping[8], phase[8];
    for (int h = 0; h < 8; h++) {
        frequency[h] = 0.3 + 3.7 * h / 7;
        damping[h] = -3.0 + 3.5 * h / 7;
        phase[h] = PI * h / 7;
    }
    assert_values(&list, "layers.2.attention.wave_frequency", frequency, 8);
    assert_values(&list, "layers.2.attention.wave_damping", damping, 8);
    assert_values(&list, "layers.2.attention.wave_phase", phase, 8);
    assert_constant(&list, "layers.2.attention.gate_proj.weight", 0, 0, 256 * 256);
    assert_constant(&list, "layers.2.attention.gate_proj.bias", 2, 0, 256);
    float *values = initial(&list, "layers.2.attention.out_proj.weight", 1);
    assert_normal(values, 256 * 256, 1 / sqrt(256));
    free(values);
    double sum = 0, square = 0; /* coupling: identity and 0.01·normal, over all layers */
    for (int layer = 0; layer < 6; layer++) {
        char name[64];
        snprintf(name, sizeof name, "layers.%d.attention.field_coupling", layer);
        values = initial(&list, name, 1);
        for (int i = 0; i < 64; i++) {
            double noise = values[i] - (i % 9 == 0 ? 1 : 0);
            sum += noise;
            square += noise * noise;
        }
        free(values);
    }
    assert_true(fabs(sum / 384) < 5 * 0.01 / sqrt(384));
    assert_true(fabs(square / 384 / 1e-4 - 1) < 5 * sqrt(2 / 384.0));
    parameters_destroy(&list);
    wf_config_destroy(config);
}

/* The largest of the first cells of a head's kernel in `layer`, the smallest over the heads. */
static double weakest_start(const ParameterList *list, int layer, int64_t heads)
{
    static const char *const kinds[] = {"frequency", "damping", "phase"};
    double weakest = INFINITY;
    float *values[3];
    for (int kind = 0; kind < 3; kind++) {
        char name[64];
        snprintf(name, sizeof name, "layers.%d.attention.wave_%s", layer, kinds[kind]);
        values[kind] = initial(list, name, 1);
    }
    for (int64_t h = 0; h < heads; h++) {
        double frequency = values[0][h], damping = log1p(exp(values[1][h])), phase = values[2][h];
        double largest = 0;
        for (int t = 0; t < 16; t++)
            largest = fmax(largest, exp(-damping * t) * fabs(cos(frequency * t + phase)));
        weakest = fmin(weakest, largest);
    }
    for (int kind = 0; kind < 3; kind++) free(values[kind]);
    return weakest;
}

/* A kernel that is 0 at every cell would be divided by its norm, and so would its gradient. */
static void no_kernel_of_version_4_starts_at_nothing(void **state)
{
    (void)state;
    for (int layers = 1; layers <= 8; layers++) {
        for (int heads = 1; heads <= 8; heads *= 2) {
            char of_layers[32], of_heads[32];
            snprintf(of_layers, sizeof of_layers, "num_layers=%d", layers);
            snprintf(of_heads, sizeof of_heads, "num_heads=%d", heads);
            const char *const shape[] = {of_layers, of_heads, NULL};
            wf_config *config = create("demo", shape);
            ParameterList list = list_of(config);
            for (int layer = 0; layer < layers; layer++)
                assert_true(weakest_start(&list, layer, heads) > 0.25);
            parameters_destroy(&list);
            wf_config_destroy(config);
        }
    }
}

static void a_single_head_and_layer_start(void **state)
{
    (void)state;
    const char *const single[] = {"num_heads=1", "num_layers=1", NULL};
    wf_config *config = create("demo", single);
    ParameterList list = list_of(config);
    assert_values(&list, "layers.0.attention.wave_frequency", (double[]){PI}, 1);
    assert_values(&list, "layers.0.attention.wave_damping", (double[]){log(expm1(1))}, 1);
    assert_values(&list, "layers.0.attention.wave_phase", (double[]){0}, 1);
    parameters_destroy(&list);
    wf_config_destroy(config);
}

static void values_depend_on_seed_and_parameter_only(void **state)
{
    (void)state;
    wf_config *config = create("demo", NULL);
    ParameterList list = list_of(config);
    enum { BYTES = 128 * 512 * sizeof(float) };
    float *a = initial(&list, "layers.2.ffn.0.weight", 7);
    float *other = initial(&list, "layers.1.ffn.0.weight", 7);
    float *again = initial(&list, "layers.2.ffn.0.weight", 7);
    float *seeded = initial(&list, "layers.2.ffn.0.weight", 8);
    assert_memory_equal(a, again, BYTES);
    assert_memory_not_equal(a, other, BYTES);
    assert_memory_not_equal(a, seeded, BYTES);
    free(a);
    free(other);
    free(again);
    free(seeded);
    parameters_destroy(&list);
    wf_config_destroy(config);
}

/* The projection of an attention layer is one like any other: no rate of its own. */
static void attention_layers_are_a_transformers(void **state)
{
    (void)state;
    const char *const hybrid[] = {"mixer=wave,attention,wave,attention", NULL};
    wf_config *config = create("demo", hybrid); /* D 128, L 4 */
    ParameterList list = list_of(config);
    find(&list, "layers.2.attention.qkvg_proj.weight");
    assert_int_equal(parameters_find(&list, "layers.1.attention.wave_phase"), -1);
    assert_int_equal(parameters_find(&list, "layers.1.attention.field_coupling"), -1);
    const Parameter *weight = find(&list, "layers.3.attention.qkv_proj.weight");
    const Parameter *bias = find(&list, "layers.3.attention.qkv_proj.bias");
    assert_true(shape_equal(weight->shape, SHAPE(384, 128)) && weight->decays);
    assert_true(weight->group == GROUP_BASE && bias->group == GROUP_BASE && !bias->decays);
    float *values = initial(&list, "layers.3.attention.qkv_proj.weight", 1);
    assert_normal(values, 384 * 128, 1 / sqrt(128));
    free(values);
    assert_constant(&list, "layers.3.attention.qkv_proj.bias", 0, 0, 384);
    values = initial(&list, "layers.1.attention.out_proj.weight", 1);
    assert_normal(values, 128 * 128, 1 / sqrt(128 * 8));
    free(values);
    parameters_destroy(&list);
    wf_config_destroy(config);
}

/* ---- operations ---- */

static void operations_follow_the_parameters(void **state)
{
    (void)state;
    wf_config *config = create("v4-825m", NULL);
    Flops flops = config_flops(config, FIELD_SCAN, 2048);
    assert_near(flops.head, 2.0 * 1536 * 16384);
    assert_near(flops.feed_forward, 24 * 4.0 * 1536 * 6144);
    assert_near(flops.attention, 24 * (2 * 5.0 * 1536 * 1536 + 5 * 24 * 2.0 * 64 * 64));
    assert_near(flops.interference, 6 * (2 * 4.0 * 1536 * 1536 + 2 * 2.0 * 1536 * 384));
    assert_near(flops.field, 24 * (25.0 * 1536 + 2 * 24 * 1536));
    double total = flops_total(&flops); /* about two a parameter, feature maps a head each */
    assert_true(total > 1.9 * 826057158 && total < 2.2 * 826057158);
    Flops fft = config_flops(config, FIELD_FFT, 2048);
    assert_near(fft.field, 24 * (1536 * (10.0 * 4096 * 12 + 6 * 4096) / 2 / 2048 + 2 * 24 * 1536));
    Flops direct = config_flops(config, FIELD_DIRECT, 2048);
    assert_true(direct.field > fft.field && fft.field > flops.field);
    Flops early = config_flops(config, FIELD_DIRECT, 1);
    assert_near(early.field, 24 * (2 * 1536 + 2 * 24 * 1536));
    assert_int_equal(wf_config_set(config, "mixer=attention"), WF_OK);
    flops = config_flops(config, FIELD_SCAN, 2047); /* a token sees 1024 others and itself */
    assert_near(flops.attention, 24 * (2 * 4.0 * 1536 * 1536 + 2 * 2.0 * 1536 * 1024));
    assert_true(flops.field == 0);
    wf_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_have_their_sizes),
        cmocka_unit_test(switches_add_what_they_name),
        cmocka_unit_test(names_shapes_and_groups),
        cmocka_unit_test(version_4_starts_as_specified),
        cmocka_unit_test(version_3_5_starts_as_specified),
        cmocka_unit_test(no_kernel_of_version_4_starts_at_nothing),
        cmocka_unit_test(a_single_head_and_layer_start),
        cmocka_unit_test(values_depend_on_seed_and_parameter_only),
        cmocka_unit_test(attention_layers_are_a_transformers),
        cmocka_unit_test(operations_follow_the_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
