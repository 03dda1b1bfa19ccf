/* The configuration of a model: its shape and options, as config.json holds them.
 *
 * Keys: version ("3.5" | "4"), vocab_size, embedding_dim, num_layers, num_heads, ffn_dim,
 * field_size, max_seq_len, interference_interval (0: none), mixer, dropout, kernel_norm ("l1" |
 * "dc"), feature_map_depth (1 | 2), cross_dim, spectral_gate, residual_scale, allow_leaky_geometry,
 * tokenizer.
 *
 * mixer is what carries values from token to token: "wave" (the default), or "attention", the
 * causal softmax attention of a standard Transformer; a model of both names one a layer, as an
 * array in the file and as "wave,attention,…" in wf_config_set and wf_config_get. Where no layer
 * is a wave, field_size and kernel_norm need not be given, and the keys of the field
 * (field_size, kernel_norm, feature_map_depth, cross_dim, spectral_gate, allow_leaky_geometry)
 * have no effect. */
#ifndef WAVEFIELD_CONFIG_H
#define WAVEFIELD_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "wavefield/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wf_config wf_config;

/* A preset by its name, or a config.json by its path. An unknown key is an error that names it and
 * the nearest known one. The result is not validated yet: overrides may still follow. A model
 * folder stands for its config.json. */
WF_API wf_status wf_config_create(const char *preset_or_file, wf_config **out);
WF_API wf_status wf_config_copy(const wf_config *config, wf_config **out);
WF_API void wf_config_destroy(wf_config *config); /* NULL is allowed */

/* Sets one key: "field_size=4096". WF_ERROR_ARGUMENT, and nothing has changed, for an unknown key
 * or a value that is not one of the key's. */
WF_API wf_status wf_config_set(wf_config *config, const char *assignment);

/* One key's value as text into `value`, NUL-terminated, truncated to `size` (a long list of mixers
 * apart, 64 bytes are enough). WF_ERROR_ARGUMENT for an unknown key. */
WF_API wf_status wf_config_get(const wf_config *config, const char *key, char *value, size_t size);

/* Whether the keys fit together: heads divide the width, the geometry is strictly causal (unless
 * allow_leaky_geometry), mixer names every layer, … Creating a model validates too. */
WF_API wf_status wf_config_validate(const wf_config *config);

/* Writes config.json, replacing `path` whole. */
WF_API wf_status wf_config_save(const wf_config *config, const char *path);

/* Number of trainable parameters. */
WF_API wf_status wf_config_parameters(const wf_config *config, int64_t *count);

/* Names of the presets, NULL-terminated, constant. */
WF_API const char *const *wf_config_presets(void);

#ifdef __cplusplus
}
#endif
#endif
