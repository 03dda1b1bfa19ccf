/* wavefield info: what a model is, and what it needs. */
#include "base/files.h"
#include "cli/common.h"
#include "model/builder.h"
#include "model/flops.h"
#include "model/model.h"
#include "train/programs.h"
#include "wavefield/train.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct InfoValues {
    const char *model, *config, *device, *evaluator, *precision;
    TextList set;
    int64_t batch_size, sequence_length;
    bool recompute;
} InfoValues;

/* Of a model folder, or of the newest checkpoint in a training folder. */
static wf_status folder_config(const char *folder, const TextList *set, wf_config **out)
{
    char *config = path_join(folder, "config.json"), newest[4096];
    if (!config) return fail(WF_ERROR_MEMORY, "out of memory for a path");
    bool finished = file_exists(config);
    free(config);
    if (!finished && !wf_checkpoint_latest(folder, newest, sizeof newest))
        return config_open(newest, set, out);
    return config_open(folder, set, out);
}

/* Names of a layer's mixer, where it is not the usual one. */
static void print_mixers(const Config *config)
{
    int64_t attention = config_count(config, MIXER_ATTENTION);
    if (attention == 0) return;
    printf("mixers      %s", attention == config->num_layers ? "attention in every layer" : "");
    for (int layer = 0; attention < config->num_layers && layer < config->num_layers; layer++)
        printf("%s%s", layer ? ", " : "",
               config_mixer(config, layer) == MIXER_ATTENTION ? "attention" : "wave");
    printf("\n");
}

static void print_geometry(const Config *config)
{
    if (!config_has(config, MIXER_WAVE)) return;
    Geometry geometry = config_geometry(config);
    double stride = (double)(geometry.cells - 1) / (double)int64_max(geometry.tokens - 1, 1);
    if (geometry.version == MODEL_V4 && stride < 1) stride = 1;
    printf("geometry    %s tokens on %s cells, %.6g apart: ", COUNT_TEXT(geometry.tokens),
           COUNT_TEXT(geometry.cells), stride);
    int64_t leak;
    if (geometry_causal(&geometry, &leak))
        printf("strictly causal\n");
    else
        printf("LEAKS: token %lld reads cell %lld, which token %lld writes\n", (long long)leak,
               (long long)geometry_last_cell(&geometry, leak), (long long)(leak + 1));
}

static void print_work(const Config *config, FieldEvaluator evaluator, int64_t tokens)
{
    Flops f = config_flops(config, evaluator, tokens);
    double forward = 1e-6 * flops_total(&f);
    printf("work        %.4g MFLOP a token forward (attention %.4g, field %.4g, feed-forward %.4g, "
           "interference %.4g, head %.4g), %.4g in training\n",
           forward, 1e-6 * f.attention, 1e-6 * f.field, 1e-6 * f.feed_forward,
           1e-6 * f.interference, 1e-6 * f.head, (1 + FLOPS_BACKWARD) * forward);
}

static wf_status print_training(wf_device *device, const wf_config *config, const InfoValues *v)
{
    MemoryPlan m;
    FieldEvaluator evaluator;
    int64_t tokens = v->sequence_length > 0 ? v->sequence_length : config->max_seq_len;
    TRY(model_evaluator(config, v->evaluator, &evaluator));
    print_work(config, evaluator, tokens);
    TRY(training_memory(device, config,
                        wf_trainer_params(.batch_size = v->batch_size, .sequence_length = tokens,
                                          .evaluator = v->evaluator, .precision = v->precision,
                                          .recompute = v->recompute),
                        &m));
    printf("training    %s at batch %lld x %lld: parameters %s, gradients %s, moments %s, "
           "activations %s, inputs %s\n",
           BYTES_TEXT(m.total), (long long)v->batch_size, (long long)tokens,
           BYTES_TEXT(m.parameters), BYTES_TEXT(m.gradients), BYTES_TEXT(m.moments),
           BYTES_TEXT(m.activations), BYTES_TEXT(m.inputs));
    return WF_OK;
}

static const char *what_is_kept(const Config *config)
{
    bool attention = config_has(config, MIXER_ATTENTION);
    if (config_gated(config))
        return attention ? " (all deposits, keys and values are kept)" : " (all deposits are kept)";
    return attention ? " (all keys and values are kept)" : ", at any position";
}

static wf_status print_generation(const wf_model *model)
{
    StreamState state = {0};
    Geometry geometry = model->geometry;
    if (!geometry_causal(&geometry, NULL)) return WF_OK; /* no decoder for it */
    TRY(stream_state_layout(&state, model->config, &model->device->limits, model->storage, 1));
    printf("generation  %s of parameters, %s of state a sequence%s\n",
           BYTES_TEXT(sequence_bytes(&model->values)), BYTES_TEXT(state.region.size),
           what_is_kept(model->config));
    stream_state_destroy(&state);
    return WF_OK;
}

static wf_status print_config(wf_device *device, const wf_config *config, const InfoValues *v)
{
    int64_t parameters;
    wf_model *model;
    printf("model       %s, version %s: %lld layers of %lld in %lld heads, feed-forward %lld, "
           "vocabulary %lld%s%s%s\n",
           v->config ? v->config : v->model, config->version == MODEL_V4 ? "4" : "3.5",
           (long long)config->num_layers, (long long)config->embedding_dim,
           (long long)config->num_heads, (long long)config->ffn_dim, (long long)config->vocab_size,
           *config->tokenizer ? " (" : "", config->tokenizer, *config->tokenizer ? ")" : "");
    print_mixers(config);
    print_geometry(config);
    fflush(stdout);
    TRY(wf_config_parameters(config, &parameters));
    printf("parameters  %s\n", COUNT_TEXT(parameters));
    TRY(print_training(device, config, v));
    TRY(model_outline(device, config, &model));
    wf_status status = print_generation(model);
    wf_model_destroy(model);
    return status;
}

/* A leaking geometry is shown before it is refused; nothing else can be. */
static wf_status check_but_for_leaks(const Config *config)
{
    Config leaky = *config;
    leaky.allow_leaky_geometry = true;
    return wf_config_validate(&leaky);
}

static wf_status info(const InfoValues *v)
{
    wf_config *config;
    wf_device *device = NULL;
    TRY(v->config ? config_open(v->config, &v->set, &config)
                  : folder_config(v->model, &v->set, &config));
    wf_status status = check_but_for_leaks(config);
    if (!status) status = device_open("info", v->device, &device);
    if (!status) status = print_config(device, config, v);
    wf_device_close(device);
    wf_config_destroy(config);
    return status;
}

static int run(const void *values)
{
    const InfoValues *v = values;
    if (!v->model == !v->config)
        return usage_error("info", "either --model DIR or --config PRESET|FILE is needed");
    return finish("info", info(v));
}

static const Option options[] = {
    OPTION(InfoValues, model, "model", TEXT, "DIR", NULL, "a model's folder",
           .names = NAMES_FOLDER),
    OPTION_CONFIG(InfoValues),
    OPTION_SET(InfoValues),
    OPTION(InfoValues, batch_size, "batch-size", COUNT, "N", "8", "for the memory plan"),
    OPTION(InfoValues, sequence_length, "sequence-length", COUNT, "N", NULL,
           "for the memory plan (default: max_seq_len)"),
    OPTION(InfoValues, recompute, "recompute", FLAG, NULL, NULL,
           "for the memory plan: as of wavefield train"),
    OPTION_EVALUATOR(InfoValues),
    OPTION_PRECISION(InfoValues),
    OPTION_DEVICE(InfoValues),
};

const Subcommand command_info = {
    .name = "info",
    .summary = "a model's parameters, work a token, memory and geometry",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "Whether a batch of the 130-million-parameter preset fits this machine:\n"
                "  wavefield info --config v4-130m --batch-size 4\n"
                "A preset with a longer field, before training it:\n"
                "  wavefield info --config demo --set field_size=2048 max_seq_len=1024\n",
    .values_size = sizeof(InfoValues),
    .run = run,
};
