/* A user of the installed library: trains a tiny model on tokens of its own and lets it go on. */
#include <stdio.h>
#include <stdlib.h>

#include <wavefield/config.h>
#include <wavefield/data.h>
#include <wavefield/device.h>
#include <wavefield/generate.h>
#include <wavefield/model.h>
#include <wavefield/train.h>

enum { VOCABULARY = 8, TOKENS = 2000, STEPS = 100, GENERATED = 12 };

static void check(wf_status status)
{
    if (status == WF_OK) return;
    fprintf(stderr, "%s: %s\n", wf_status_name(status), wf_error_message());
    exit(1);
}

static wf_model *tiny_model(wf_device *device)
{
    static const char *const keys[] = {"vocab_size=8",  "embedding_dim=16", "num_layers=1",
                                       "num_heads=2",   "ffn_dim=32",       "field_size=64",
                                       "max_seq_len=32"};
    wf_config *config;
    wf_model *model;
    check(wf_config_create("demo", &config));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) check(wf_config_set(config, keys[i]));
    check(wf_model_create(device, config, 1, &model));
    wf_config_destroy(config);
    return model;
}

/* Counts upwards, 0 … 7, again and again; returns the loss of the last step. */
static double learn_to_count(wf_model *model)
{
    static int32_t tokens[TOKENS];
    for (int i = 0; i < TOKENS; i++) tokens[i] = i % VOCABULARY;
    wf_dataset *data;
    wf_trainer *trainer;
    wf_step_stats stats = {0};
    check(wf_dataset_from_tokens(tokens, TOKENS, VOCABULARY, 0, &data));
    check(wf_trainer_create(
        model, data,
        wf_trainer_params(.steps = STEPS, .batch_size = 4, .learning_rate = 0.02, .warmup = 1),
        &trainer));
    for (int i = 0; i < STEPS; i++) check(wf_trainer_step(trainer, &stats));
    wf_trainer_destroy(trainer);
    wf_dataset_destroy(data);
    return stats.loss;
}

/* How many of the tokens drawn after 0, 1, 2, 3 count on. */
static int count_on(wf_model *model)
{
    int32_t token, start[] = {0, 1, 2, 3};
    float logits[VOCABULARY];
    int right = 0;
    wf_decoder *decoder;
    wf_sampler *sampler;
    check(wf_decoder_create(model, 1, &decoder));
    check(wf_sampler_create(VOCABULARY, wf_sampler_params(.temperature = 0), &sampler));
    check(wf_decoder_feed(decoder, start, 4, logits, NULL));
    for (int i = 4; i < 4 + GENERATED; i++) {
        check(wf_sampler_draw(sampler, logits, &token));
        right += token == i % VOCABULARY;
        check(wf_decoder_feed(decoder, &token, 1, logits, NULL));
    }
    wf_sampler_destroy(sampler);
    wf_decoder_destroy(decoder);
    return right;
}

int main(void)
{
    wf_device *device;
    check(wf_device_open("cpu", &device));
    wf_model *model = tiny_model(device);
    double loss = learn_to_count(model);
    int right = count_on(model);
    wf_model_destroy(model);
    wf_device_close(device);
    printf("C: loss %.3f, %d of %d tokens right\n", loss, right, GENERATED);
    return loss < 0.5 && right == GENERATED ? 0 : 1; /* chance: ln 8 and 1 in 8 */
}
