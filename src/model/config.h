/* The configuration of a model (spec §7, §8), as plain data. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "field/geometry.h"
#include "graph/ops.h"
#include "wavefield/config.h"

/* Where training of a preset starts (spec §7); other configurations get general values. */
typedef struct TrainingDefaults {
    double learning_rate, min_learning_rate, weight_decay;
    int64_t warmup;           /* steps */
    double qk_multiplier;     /* of the learning rate of the q, k, v (and gate) projection */
    double kernel_multiplier; /* of wave_* and the spectral gate */
} TrainingDefaults;

/* What carries values from token to token in a layer. */
typedef enum Mixer { MIXER_WAVE, MIXER_ATTENTION } Mixer;

enum { CONFIG_MAX_LAYERS = 4096 };

/* One mixer a layer, or, with count 0, items[0] in every layer. */
typedef struct MixerList {
    int64_t count;
    uint8_t items[CONFIG_MAX_LAYERS];
} MixerList;

typedef struct wf_config {
    char preset[32]; /* the preset it started from, "" if none */
    ModelVersion version;
    int64_t vocab_size, embedding_dim, num_layers, num_heads, ffn_dim;
    int64_t field_size, max_seq_len;
    int64_t interference_interval; /* 0: none */
    MixerList mixer;
    double dropout;
    KernelNorm kernel_norm;
    int64_t feature_map_depth;
    bool cross_dim, spectral_gate, residual_scale, allow_leaky_geometry;
    char tokenizer[32]; /* "byte", "char", …; "" unknown */
    uint32_t given;     /* keys a file or override has set, by index of the key table */
} Config;

Mixer config_mixer(const Config *config, int layer);
/* Layers with this mixer; whether there is any. */
int64_t config_count(const Config *config, Mixer mixer);
bool config_has(const Config *config, Mixer mixer);
/* Whether any layer's kernels are gated. */
bool config_gated(const Config *config);

/* Of the field; where no layer has one, a cell a token, which is causal. */
Geometry config_geometry(const Config *config);
float config_damping_limit(const Config *config); /* largest α (spec §2), infinite for none */
int64_t config_interference_modules(const Config *config);
TrainingDefaults config_training(const Config *config);

/* From the text of a config.json; `file` is for messages. */
wf_status config_parse(const char *text, size_t length, const char *file, Config *out);
/* The text of its config.json, NUL-terminated; the caller frees it. NULL: out of memory. */
char *config_print(const Config *config);

#endif
