/* The configuration of a model (spec §7, §8) as plain data, and the presets. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "field/geometry.h"
#include "graph/ops.h"
#include "wavefield/config.h"

#include <stdbool.h>
#include <stdint.h>

enum { CONFIG_TOKENIZER_SIZE = 32 };

typedef struct Config {
    ModelVersion version;
    int64_t vocab_size;            /* V */
    int64_t embedding_dim;         /* D */
    int64_t num_layers;            /* L */
    int64_t num_heads;             /* H */
    int64_t ffn_dim;               /* F */
    int64_t field_size;            /* G */
    int64_t max_seq_len;           /* M */
    int64_t interference_interval; /* layers from one interference module to the next; 0: none */
    double dropout;
    KernelNorm kernel_norm;
    int64_t feature_map_depth; /* 1 or 2; v4 */
    bool cross_dim;            /* v4 */
    bool spectral_gate;        /* v4 */
    bool residual_scale;
    bool allow_leaky_geometry;
    char tokenizer[CONFIG_TOKENIZER_SIZE];
} Config;

/* Where training starts from, unless told otherwise. */
typedef struct TrainingStart {
    double learning_rate; /* peak; 0: no preset knows */
    double min_learning_rate;
    int64_t warmup; /* steps */
    double weight_decay;
    double qk_lr_mult, kernel_lr_mult; /* of the qk and kernel groups (spec §6) */
} TrainingStart;

typedef struct Preset {
    const char *name;
    Config config;
    double learning_rate, min_learning_rate;
    int64_t warmup;
} Preset;

struct wf_config {
    Config values;
    /* The preset it came from, or the one whose layers are of the same version and shape (version,
     * D, L, H, F); NULL: none. */
    const Preset *preset;
};

TrainingStart config_training_start(const wf_config *config);

/* Reads a config.json. */
wf_status config_load(const char *path, Config *out);

/* Writes it, replacing the file whole. */
wf_status config_save(const Config *config, const char *path);

/* See wf_config_validate(). */
wf_status config_validate(const Config *config);

/* Interference modules: one after every interference_interval-th layer. */
int64_t config_interference_modules(const Config *config);

static inline Geometry config_geometry(const Config *config)
{
    return (Geometry){config->version, config->field_size, config->max_seq_len};
}

#endif
