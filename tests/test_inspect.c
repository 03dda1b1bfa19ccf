/* Looking into a model: waves against the field operator's own answer to an impulse, energies
 * against the definition summed in double. */
#include "base/rng.h"
#include "field/geometry.h"
#include "model/wave.h"
#include "wavefield/field.h"
#include "wavefield/inspect.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { D = 12, H = 3, WIDTH = D / H, V = 11, M = 17, LAYERS = 2 };

static wf_device *device;

static int open_device(void **state)
{
    (void)state;
    return wf_device_open("cpu", &device) != WF_OK;
}

static int close_device(void **state)
{
    (void)state;
    wf_device_close(device);
    return 0;
}

static wf_model *create(const char *const *settings)
{
    static const char *const shape[] = {
        "embedding_dim=12", "num_layers=2",   "num_heads=3",   "ffn_dim=20",
        "field_size=41",    "max_seq_len=17", "vocab_size=11", "interference_interval=2"};
    wf_config *config;
    wf_model *model;
    assert_int_equal(wf_config_create("demo", &config), WF_OK);
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        assert_int_equal(wf_config_set(config, shape[i]), WF_OK);
    for (; *settings; settings++) assert_int_equal(wf_config_set(config, *settings), WF_OK);
    assert_int_equal(wf_model_create(device, config, 7, &model), WF_OK);
    wf_config_destroy(config);
    return model;
}
#define MODEL(...) create((const char *const[]){__VA_ARGS__, NULL})

/* Fills a parameter with normal numbers, and hands them out. */
static void draw(wf_model *model, const char *name, uint64_t seed, int n, double mean, double width,
                 float *values)
{
    Rng rng = {.seed = seed};
    for (int i = 0; i < n; i++) values[i] = (float)(mean + width * rng_normal(&rng));
    assert_int_equal(wf_model_write(model, name, values), WF_OK);
}

static void assert_near(double got, double expected, double bound)
{
    if (fabs(got - expected) <= bound) return;
    print_error("expected %.9g, found %.9g\n", expected, got);
    fail();
}

static void assert_message(const char *part)
{
    if (!strstr(wf_error_message(), part)) print_error("message: %s\n", wf_error_message());
    assert_non_null(strstr(wf_error_message(), part));
}

/* ---- waves ---- */

/* The field operator with a cell a token answers a deposit of 1 at token 0 with k itself. */
static void check_kernels(const char *norm)
{
    enum { CELLS = 64 };
    float frequency[H], damping[H], phase[H], u[CELLS * H] = {0}, r[CELLS * H];
    double kernels[H * CELLS];
    char setting[32];
    snprintf(setting, sizeof setting, "kernel_norm=%s", norm);
    wf_model *model = MODEL("field_size=64", "max_seq_len=64", setting);
    draw(model, "layers.1.attention.wave_frequency", 1, H, 1, 0.7, frequency);
    draw(model, "layers.1.attention.wave_damping", 2, H, -0.5, 2, damping);
    draw(model, "layers.1.attention.wave_phase", 3, H, 0, 1, phase);
    assert_int_equal(wf_model_wave_kernels(model, 1, kernels), WF_OK);

    wf_field *field;
    assert_int_equal(
        wf_field_create(device,
                        wf_field_params(.batch = 1, .tokens = CELLS, .heads = H, .width = 1,
                                        .cells = CELLS, .kernel_norm = norm, .damping_limit = 1.5f),
                        &field),
        WF_OK);
    assert_int_equal(wf_field_set_kernel(field, frequency, damping, phase), WF_OK);
    for (int h = 0; h < H; h++) u[h] = 1;
    assert_int_equal(wf_field_forward(field, u, r), WF_OK);
    double largest = 0;
    for (int i = 0; i < H * CELLS; i++) largest = fmax(largest, fabs(kernels[i]));
    assert_true(largest > 0.01);
    for (int t = 0; t < CELLS; t++)
        for (int h = 0; h < H; h++)
            assert_near((double)r[t * H + h], kernels[h * CELLS + t], 2e-6 * largest);
    wf_field_destroy(field);
    wf_model_destroy(model);
}

static void kernels_are_what_an_impulse_gives_back(void **state)
{
    (void)state;
    check_kernels("l1");
    check_kernels("dc");
}

static void waves_are_within_the_damping_limit(void **state)
{
    (void)state;
    const float damping[H] = {-3, 0.25f, 9};
    wf_wave waves[H];
    const char *const versions[] = {"version=4", "version=3.5"};
    for (int i = 0; i < 2; i++) {
        wf_model *model = MODEL(versions[i]);
        assert_int_equal(wf_model_write(model, "layers.0.attention.wave_damping", damping), WF_OK);
        assert_int_equal(wf_model_waves(model, 0, waves), WF_OK);
        assert_near(waves[0].damping, log(1 + exp(-3.0)), 1e-12);
        assert_near(waves[1].damping, log(1 + exp(0.25)), 1e-12);
        assert_near(waves[2].damping, i == 0 ? 1.5 : 9 + log1p(exp(-9.0)), 1e-12);
        assert_true(waves[0].norm > 0);
        wf_model_destroy(model);
    }
}

static void reach_counts_the_share_in_tokens(void **state)
{
    (void)state;
    const double kernel[] = {8, -1, 0.5, -0.5};
    assert_int_equal(wave_reach(kernel, 4, 0.5), 0);
    assert_int_equal(wave_reach(kernel, 4, 0.8), 0);
    assert_int_equal(wave_reach(kernel, 4, 0.9), 1);
    assert_int_equal(wave_reach(kernel, 4, 0.95), 2);
    assert_int_equal(wave_reach(kernel, 4, 1), 3);
    const double silent[] = {0, 0, 0};
    assert_int_equal(wave_reach(silent, 3, 0.95), 0);

    /* Constant e^(-αt) of no oscillation: the share q lies within about -ln(1-q)/α cells. */
    wf_model *model = MODEL("field_size=401", "max_seq_len=161"); /* a stride of 5/2 */
    const float zero[H] = {0}, damping[H] = {-2.25f, -3, 0};
    double reach[H];
    assert_int_equal(wf_model_write(model, "layers.0.attention.wave_frequency", zero), WF_OK);
    assert_int_equal(wf_model_write(model, "layers.0.attention.wave_phase", zero), WF_OK);
    assert_int_equal(wf_model_write(model, "layers.0.attention.wave_damping", damping), WF_OK);
    assert_int_equal(wf_model_wave_reach(model, 0, 0.95, reach), WF_OK);
    assert_near(wf_model_stride(model), 2.5, 0);
    for (int h = 0; h < H; h++) {
        double alpha = log1p(exp((double)damping[h]));
        double cells = ceil(-log(0.05) / alpha) - 1; /* 1 - e^(-α(t+1)) ≥ 0.95 */
        assert_near(reach[h], cells / 2.5, 1e-12);
    }
    assert_int_equal(wf_model_wave_reach(model, 0, 0, reach), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_model_wave_reach(model, 0, 1.01, reach), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_model_wave_reach(model, 0, (double)NAN, reach), WF_ERROR_ARGUMENT);
    wf_model_destroy(model);
}

static void coupling_is_a_softmax_of_rows(void **state)
{
    (void)state;
    wf_model *model = MODEL("dropout=0");
    const float raw[H * H] = {0, 1, 2, 90, 0, -90, 0.5f, 0.5f, 0.5f};
    double coupling[H * H], sum = 1 + exp(1.0) + exp(2.0);
    assert_int_equal(wf_model_write(model, "layers.1.attention.field_coupling", raw), WF_OK);
    assert_int_equal(wf_model_coupling(model, 1, coupling), WF_OK);
    for (int b = 0; b < H; b++) assert_near(coupling[b], exp((double)b) / sum, 1e-12);
    assert_near(coupling[3], 1, 1e-12);
    for (int b = 0; b < H; b++) assert_near(coupling[6 + b], 1.0 / 3, 1e-12);
    wf_model_destroy(model);
}

static void what_a_model_has_not_is_refused(void **state)
{
    (void)state;
    wf_model *model = MODEL("dropout=0");
    wf_wave waves[H];
    double coupling[H * H];
    int layers[LAYERS] = {-1, -1};
    assert_int_equal(wf_model_wave_layers(model, NULL, 0), LAYERS);
    assert_int_equal(wf_model_wave_layers(model, layers, 1), LAYERS);
    assert_int_equal(layers[0], 0);
    assert_int_equal(layers[1], -1);
    assert_int_equal(wf_model_wave_layers(model, layers, LAYERS), LAYERS);
    assert_int_equal(layers[1], 1);
    assert_int_equal(wf_model_waves(model, 2, waves), WF_ERROR_ARGUMENT);
    assert_message("layer 2: the model has 2");
    assert_int_equal(wf_model_waves(model, -1, waves), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_model_coupling(model, 2, coupling), WF_ERROR_ARGUMENT);
    const float bad[H] = {1, NAN, 1};
    assert_int_equal(wf_model_write(model, "layers.1.attention.wave_phase", bad), WF_OK);
    assert_int_equal(wf_model_waves(model, 1, waves), WF_ERROR_NUMERIC);
    assert_message("layers.1.attention.wave_phase: element 1");
    assert_int_equal(wf_model_waves(model, 0, waves), WF_OK);
    wf_model_destroy(model);
}

/* ---- energy ---- */

static const int32_t text[M] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 10, 0};

/* Layer 0's input to the attention: LN(E[token] + P[position]). */
static void normalised_input(const float *embedding, const float *weight, const float *bias,
                             int token, int position, double *x)
{
    double mean = 0, variance = 0;
    for (int c = 0; c < D; c++) {
        double angle = position * pow(10000.0, -(double)(c / 2 * 2) / D);
        x[c] = (double)embedding[token * D + c] + (c % 2 ? cos(angle) : sin(angle));
        mean += x[c] / D;
    }
    for (int c = 0; c < D; c++) variance += (x[c] - mean) * (x[c] - mean) / D;
    for (int c = 0; c < D; c++)
        x[c] = (x[c] - mean) / sqrt(variance + 1e-5) * (double)weight[c] + (double)bias[c];
}

/* u = v·‖k‖ of every head (spec §3). */
static void deposit(const float *weight, const float *bias, const double *x, double *u)
{
    double kv[2 * D];
    for (int row = 0; row < 2 * D; row++) {
        kv[row] = (double)bias[D + row];
        for (int c = 0; c < D; c++) kv[row] += (double)weight[(D + row) * D + c] * x[c];
    }
    for (int h = 0; h < H; h++) {
        double squares = 0;
        for (int c = 0; c < WIDTH; c++) squares += kv[h * WIDTH + c] * kv[h * WIDTH + c];
        for (int c = 0; c < WIDTH; c++) u[h * WIDTH + c] = kv[D + h * WIDTH + c] * sqrt(squares);
    }
}

/* The field's answer at cell g to all deposits, by the definition. */
static double field_at(const Geometry *geometry, const double *kernel, const double *u, int n,
                       int channel, int g)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        TokenPlace place = geometry_place(geometry, i);
        double value = u[i * D + channel];
        if (g >= place.cell) sum += kernel[g - place.cell] * (1 - place.fraction) * value;
        if (g > place.cell) sum += kernel[g - place.cell - 1] * place.fraction * value;
    }
    return sum;
}

static void energies_are_those_of_the_definition(void **state)
{
    (void)state;
    enum { CELLS = 41 };
    wf_model *model = MODEL("version=3.5"); /* a stride of 5/2 */
    const Geometry geometry = {MODEL_V3_5, CELLS, M};
    float embedding[V * D], weight[3 * D * D], bias[3 * D], scale[D], shift[D];
    double u[M * D], kernels[H * CELLS], energy[LAYERS * H * M];
    assert_int_equal(wf_model_read(model, "token_embedding.weight", embedding), WF_OK);
    draw(model, "layers.0.norm1.weight", 11, D, 1, 0.2, scale);
    draw(model, "layers.0.norm1.bias", 12, D, 0, 0.2, shift);
    draw(model, "layers.0.attention.qkv_proj.weight", 13, 3 * D * D, 0, 0.3, weight);
    draw(model, "layers.0.attention.qkv_proj.bias", 14, 3 * D, 0, 0.3, bias);
    assert_int_equal(wf_model_wave_kernels(model, 0, kernels), WF_OK);
    assert_int_equal(wf_model_field_energy(model, text, M, NULL, energy), WF_OK);
    for (int i = 0; i < M; i++) {
        double x[D];
        normalised_input(embedding, scale, shift, text[i], i, x);
        deposit(weight, bias, x, u + i * D);
    }
    for (int h = 0; h < H; h++)
        for (int i = 0; i < M; i++) {
            TokenPlace place = geometry_place(&geometry, i);
            double sum = 0, f = place.fraction;
            for (int c = h * WIDTH; c < (h + 1) * WIDTH; c++) {
                const double *k = kernels + h * CELLS;
                double low = field_at(&geometry, k, u, M, c, place.cell);
                double high = f > 0 ? field_at(&geometry, k, u, M, c, place.cell + 1) : 0;
                double r = (1 - f) * low + f * high;
                sum += r * r;
            }
            assert_true(sum > 0);
            assert_near(energy[h * M + i], sum, 1e-5 * sum + 1e-9);
        }
    wf_model_destroy(model);
}

static void energies_agree_by_every_evaluator(void **state)
{
    (void)state;
    const char *const evaluators[] = {"fft", "direct", NULL};
    wf_model *model = MODEL("version=4"), *gated = MODEL("version=4", "spectral_gate=true");
    double first[LAYERS * H * M], again[LAYERS * H * M], largest = 0;
    assert_int_equal(wf_model_field_energy(model, text, M, "scan", first), WF_OK);
    for (int i = 0; i < LAYERS * H * M; i++) largest = fmax(largest, first[i]);
    assert_true(largest > 0);
    for (int e = 0; e < 3; e++) {
        assert_int_equal(wf_model_field_energy(model, text, M, evaluators[e], again), WF_OK);
        for (int i = 0; i < LAYERS * H * M; i++) assert_near(again[i], first[i], 1e-5 * largest);
    }
    /* A prefix reads what it read in the whole: causality. */
    assert_int_equal(wf_model_field_energy(model, text, 5, "scan", again), WF_OK);
    for (int row = 0; row < LAYERS * H; row++)
        for (int i = 0; i < 5; i++)
            assert_near(again[row * 5 + i], first[row * M + i], 1e-5 * largest);
    assert_int_equal(wf_model_field_energy(gated, text, M, "scan", again), WF_ERROR_UNSUPPORTED);
    assert_int_equal(wf_model_field_energy(gated, text, M, NULL, again), WF_OK);
    wf_model_destroy(model);
    wf_model_destroy(gated);
}

static void energies_come_in_the_order_of_layers(void **state)
{
    (void)state;
    wf_model *model = MODEL("version=4");
    double before[LAYERS * H * M], after[LAYERS * H * M];
    float damping[H];
    assert_int_equal(wf_model_field_energy(model, text, M, NULL, before), WF_OK);
    draw(model, "layers.1.attention.wave_damping", 21, H, -2, 0.1, damping);
    assert_int_equal(wf_model_field_energy(model, text, M, NULL, after), WF_OK);
    assert_memory_equal(before, after, H * M * sizeof *before);
    for (int h = 0; h < H; h++) {
        const double *row = before + (H + h) * M;
        assert_true(memcmp(row, after + (H + h) * M, M * sizeof *row) != 0);
    }
    wf_model_destroy(model);
}

/* Of the layers with a field, and of no other. */
static void layers_of_attention_have_no_waves(void **state)
{
    (void)state;
    wf_model *hybrid = MODEL("mixer=attention,wave"), *without = MODEL("mixer=attention");
    double energy[LAYERS * H * M];
    wf_wave waves[H];
    int layer = -1;
    assert_int_equal(wf_model_wave_layers(hybrid, &layer, 1), 1);
    assert_int_equal(layer, 1);
    assert_int_equal(wf_model_waves(hybrid, 1, waves), WF_OK);
    assert_int_equal(wf_model_waves(hybrid, 0, waves), WF_ERROR_ARGUMENT);
    assert_message("layer 0 carries no field");
    for (int i = 0; i < LAYERS * H * M; i++) energy[i] = -1;
    assert_int_equal(wf_model_field_energy(hybrid, text, M, NULL, energy), WF_OK);
    for (int i = 0; i < LAYERS * H * M; i++)
        assert_true(i < H * M ? energy[i] > 0 : energy[i] == -1);
    assert_int_equal(wf_model_wave_layers(without, NULL, 0), 0);
    assert_int_equal(wf_model_field_energy(without, text, M, NULL, energy), WF_OK);
    wf_model_destroy(hybrid);
    wf_model_destroy(without);
}

static void bad_texts_are_refused(void **state)
{
    (void)state;
    wf_model *model = MODEL("version=4");
    double energy[LAYERS * H * (M + 1)];
    const int32_t strange[] = {1, 11}, longer[M + 1] = {0};
    assert_int_equal(wf_model_field_energy(model, text, 0, NULL, energy), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_model_field_energy(model, longer, M + 1, NULL, energy), WF_ERROR_ARGUMENT);
    assert_message("max_seq_len 17");
    assert_int_equal(wf_model_field_energy(model, strange, 2, NULL, energy), WF_ERROR_ARGUMENT);
    assert_message("token 1 is 11");
    assert_int_equal(wf_model_field_energy(model, text, M, "sacn", energy), WF_ERROR_ARGUMENT);
    float table[V * D];
    assert_int_equal(wf_model_read(model, "token_embedding.weight", table), WF_OK);
    table[text[2] * D] = INFINITY;
    assert_int_equal(wf_model_write(model, "token_embedding.weight", table), WF_OK);
    assert_int_equal(wf_model_field_energy(model, text, M, NULL, energy), WF_ERROR_NUMERIC);
    assert_message("wave layer 0: head 0, token 2");
    wf_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_are_what_an_impulse_gives_back),
        cmocka_unit_test(waves_are_within_the_damping_limit),
        cmocka_unit_test(reach_counts_the_share_in_tokens),
        cmocka_unit_test(coupling_is_a_softmax_of_rows),
        cmocka_unit_test(what_a_model_has_not_is_refused),
        cmocka_unit_test(energies_are_those_of_the_definition),
        cmocka_unit_test(energies_agree_by_every_evaluator),
        cmocka_unit_test(energies_come_in_the_order_of_layers),
        cmocka_unit_test(layers_of_attention_have_no_waves),
        cmocka_unit_test(bad_texts_are_refused),
    };
    return cmocka_run_group_tests_name("inspect", tests, open_device, close_device);
}
