/* Time of a generated token near the start and far from it.
 *
 *     decoder_timing [FAR [KEY=VALUE …]]
 *
 * Two decoders of one model, at position 100 and at position FAR (100,000), are stepped in turn so
 * that both see the same machine. Prints the median time of each. */
#include "wavefield/generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { NEAR = 100, STEPS = 401 };

static void check(wf_status status)
{
    if (status == WF_OK) return;
    fprintf(stderr, "%s\n", wf_error_message());
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static wf_model *create_model(wf_device *device, int n_settings, char **settings)
{
    static const char *const defaults[] = {
        "embedding_dim=128", "num_layers=4",       "num_heads=4",      "ffn_dim=512",
        "vocab_size=256",    "max_seq_len=131072", "field_size=131072"};
    wf_config *config;
    wf_model *model;
    check(wf_config_create("demo", &config));
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        check(wf_config_set(config, defaults[i]));
    for (int i = 0; i < n_settings; i++) check(wf_config_set(config, settings[i]));
    check(wf_model_create(device, config, 1, &model));
    wf_config_destroy(config);
    return model;
}

static wf_decoder *decoder_at(wf_model *model, int64_t position)
{
    wf_decoder *decoder;
    int32_t *tokens = malloc((size_t)position * sizeof *tokens);
    for (int64_t i = 0; i < position; i++) tokens[i] = (int32_t)(i * i % 97);
    check(wf_decoder_create(model, 1, &decoder));
    double start = now();
    check(wf_decoder_feed(decoder, tokens, position, NULL, NULL));
    printf("prompt of %lld tokens: %.2f s\n", (long long)position, now() - start);
    free(tokens);
    return decoder;
}

static double step(wf_decoder *decoder, int32_t token, float *logits)
{
    double start = now();
    check(wf_decoder_feed(decoder, &token, 1, logits, NULL));
    return now() - start;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *values)
{
    qsort(values, STEPS, sizeof *values, by_value);
    return values[STEPS / 2];
}

int main(int argc, char **argv)
{
    int64_t far = argc > 1 ? atoll(argv[1]) : 100000;
    static double near_times[STEPS], far_times[STEPS];
    wf_device *device;
    check(wf_device_open("auto", &device));
    wf_model *model = create_model(device, argc > 2 ? argc - 2 : 0, argv + 2);
    char vocabulary[32];
    check(wf_config_get(wf_model_config(model), "vocab_size", vocabulary, sizeof vocabulary));
    float *logits = malloc((size_t)atoll(vocabulary) * sizeof *logits);
    wf_decoder *a = decoder_at(model, NEAR), *b = decoder_at(model, far);
    step(a, 1, logits); /* makes the program of one token */
    step(b, 1, logits);
    for (int i = 0; i < STEPS; i++) {
        near_times[i] = step(a, i % 97, logits);
        far_times[i] = step(b, i % 97, logits);
    }
    double near = median(near_times), distant = median(far_times);
    printf("position %d: %.1f us a token\nposition %lld: %.1f us a token\nratio %.3f\n", NEAR,
           1e6 * near, (long long)far, 1e6 * distant, distant / near);
    free(logits);
    wf_decoder_destroy(a);
    wf_decoder_destroy(b);
    wf_model_destroy(model);
    wf_device_close(device);
    return 0;
}
