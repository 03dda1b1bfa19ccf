/* The smallest training run: what a checkpoint to be resumed must agree with. Shared by the target
 * that resumes and by the program that writes its seeds. */
#ifndef TESTS_FUZZ_TINY_H
#define TESTS_FUZZ_TINY_H

#include "fuzz.h"
#include "wavefield/train.h"

#include <string.h>

enum { TINY_VOCABULARY = 3, TINY_TOKENS = 40 };

static inline wf_config *tiny_config(const char *version)
{
    static const char *const settings[] = {
        "embedding_dim=4", "num_layers=1",   "num_heads=2",  "ffn_dim=4",
        "field_size=9",    "max_seq_len=5",  "vocab_size=3", "interference_interval=0",
        "tokenizer=char",  "kernel_norm=l1", "dropout=0",
    };
    wf_config *config;
    MUST(wf_config_create(strcmp(version, "4") ? "v3.5-6m" : "demo", &config));
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        MUST(wf_config_set(config, settings[i]));
    return config;
}

/* A model, its data and a trainer, on the CPU. */
typedef struct Tiny {
    wf_device *device;
    wf_dataset *data;
    wf_model *model;
    wf_trainer *trainer;
} Tiny;

static inline Tiny tiny_open(void)
{
    Tiny tiny;
    int32_t tokens[TINY_TOKENS];
    for (int i = 0; i < TINY_TOKENS; i++) tokens[i] = (i * i + 1) % TINY_VOCABULARY;
    wf_config *config = tiny_config("4");
    MUST(wf_device_open("cpu", &tiny.device));
    MUST(wf_dataset_from_tokens(tokens, TINY_TOKENS, TINY_VOCABULARY, 0.1, &tiny.data));
    MUST(wf_model_create(tiny.device, config, 1, &tiny.model));
    MUST(wf_trainer_create(tiny.model, tiny.data,
                           wf_trainer_params(.batch_size = 2, .steps = 20, .warmup = 2, .seed = 7),
                           &tiny.trainer));
    wf_config_destroy(config);
    return tiny;
}

static inline void tiny_close(Tiny *tiny)
{
    wf_trainer_destroy(tiny->trainer);
    wf_model_destroy(tiny->model);
    wf_dataset_destroy(tiny->data);
    wf_device_close(tiny->device);
}

#endif
