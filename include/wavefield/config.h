/* Model configurations: what a config.json holds.
 *
 * Keys: version ("3.5" | "4"), vocab_size, embedding_dim, num_layers, num_heads, ffn_dim,
 * field_size, max_seq_len, interference_interval (0: none), dropout, kernel_norm ("l1" | "dc"),
 * feature_map_depth (1 | 2), cross_dim, spectral_gate, residual_scale, allow_leaky_geometry,
 * tokenizer ("byte", "char", …; "" for none). A config.json also has "model_type": "wavefield". */
#ifndef WAVEFIELD_CONFIG_H
#define WAVEFIELD_CONFIG_H

#include <stddef.h>

#include "wavefield/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wf_config wf_config;

/* The names of the presets, NULL-terminated: "demo", "v3.5-6m", "v4-20m", "v4-130m", "v4-825m". */
WF_API const char *const *wf_config_presets(void);

/* A preset by name, else a config.json or a model folder by path. Each key is checked by itself: an
 * unknown one, a wrong type or a value out of range is WF_ERROR_FORMAT, naming file, key, what was
 * expected and what was found. How keys fit together is checked by wf_config_validate(). */
WF_API wf_status wf_config_create(const char *preset_or_path, wf_config **out);
WF_API wf_status wf_config_copy(const wf_config *config, wf_config **out);
WF_API void wf_config_destroy(wf_config *config); /* NULL is allowed */

/* Overrides one key: "field_size=4096", "cross_dim=false", "tokenizer=char". WF_ERROR_ARGUMENT,
 * with the nearest key where the name is unknown; the configuration is as it was then. */
WF_API wf_status wf_config_set(wf_config *config, const char *assignment);

/* One key's value as text ("4096", "true", "l1"), cut to size. */
WF_API wf_status wf_config_get(const wf_config *config, const char *key, char *text, size_t size);

/* Whether the keys fit together: heads divide the width, the geometry is strictly causal (or
 * allow_leaky_geometry is set), and so on. WF_ERROR_ARGUMENT says what to change. */
WF_API wf_status wf_config_validate(const wf_config *config);

/* config.json's text, NUL-terminated. WF_ERROR_ARGUMENT when `size` is too small; 4096 is enough.
 */
WF_API wf_status wf_config_to_json(const wf_config *config, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
