#include "model/config.h"

#include "base/files.h"
#include "base/text.h"
#include "model/parameters.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the keys ---- */

typedef enum KeyKind { KEY_INTEGER, KEY_REAL, KEY_SWITCH, KEY_CHOICE, KEY_TEXT } KeyKind;

typedef struct Key {
    const char *name;
    KeyKind kind;
    size_t offset;
    double least, most; /* integers and reals, inclusive */
    const char *choices[3];
} Key;

#define AT(field)     offsetof(Config, field)
#define LARGEST_WIDTH (1 << 20)

static const Key keys[] = {
    {"version", KEY_CHOICE, .offset = AT(version), .choices = {"3.5", "4"}},
    {"vocab_size", KEY_INTEGER, .offset = AT(vocab_size), .least = 1, .most = 1 << 24},
    {"embedding_dim", KEY_INTEGER, .offset = AT(embedding_dim), .least = 1, .most = LARGEST_WIDTH},
    {"num_layers", KEY_INTEGER, .offset = AT(num_layers), .least = 1, .most = 4096},
    {"num_heads", KEY_INTEGER, .offset = AT(num_heads), .least = 1, .most = LARGEST_WIDTH},
    {"ffn_dim", KEY_INTEGER, .offset = AT(ffn_dim), .least = 1, .most = LARGEST_WIDTH},
    {"field_size", KEY_INTEGER, .offset = AT(field_size), .least = 2, .most = GEOMETRY_MAX},
    {"max_seq_len", KEY_INTEGER, .offset = AT(max_seq_len), .least = 1, .most = GEOMETRY_MAX},
    {"interference_interval", KEY_INTEGER, .offset = AT(interference_interval), .least = 0,
     .most = 4096},
    {"dropout", KEY_REAL, .offset = AT(dropout), .least = 0, .most = 0.99},
    {"kernel_norm", KEY_CHOICE, .offset = AT(kernel_norm), .choices = {"l1", "dc"}},
    {"feature_map_depth", KEY_INTEGER, .offset = AT(feature_map_depth), .least = 1, .most = 2},
    {"cross_dim", KEY_SWITCH, .offset = AT(cross_dim)},
    {"spectral_gate", KEY_SWITCH, .offset = AT(spectral_gate)},
    {"residual_scale", KEY_SWITCH, .offset = AT(residual_scale)},
    {"allow_leaky_geometry", KEY_SWITCH, .offset = AT(allow_leaky_geometry)},
    {"tokenizer", KEY_TEXT, .offset = AT(tokenizer)},
};
enum { N_KEYS = sizeof keys / sizeof *keys };

/* Keys without which no model is described; kernel_norm joins them for version 4. */
static const char *const required[] = {"version",   "vocab_size", "embedding_dim", "num_layers",
                                       "num_heads", "ffn_dim",    "field_size",    "max_seq_len"};

static int find_key(const char *name)
{
    for (int i = 0; i < N_KEYS; i++)
        if (strcmp(keys[i].name, name) == 0) return i;
    return -1;
}

static wf_status unknown_key(wf_status status, const char *name, const char *where)
{
    const char *names[N_KEYS];
    for (int i = 0; i < N_KEYS; i++) names[i] = keys[i].name;
    const char *nearest = text_nearest(name, names, N_KEYS);
    return fail(status, "%s: unknown key \"%s\"%s%s%s", where, name,
                nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

/* "an integer from 1 to 4096" */
static const char *expectation(const Key *key, char *text, size_t size)
{
    switch (key->kind) {
    case KEY_INTEGER:
        snprintf(text, size, "an integer from %.0f to %.0f", key->least, key->most);
        break;
    case KEY_REAL: snprintf(text, size, "a number from %g to %g", key->least, key->most); break;
    case KEY_SWITCH: snprintf(text, size, "true or false"); break;
    case KEY_CHOICE:
        snprintf(text, size, "\"%s\" or \"%s\"", key->choices[0], key->choices[1]);
        break;
    case KEY_TEXT: snprintf(text, size, "a text of up to 31 bytes"); break;
    }
    return text;
}

static wf_status refuse(const Key *key, const char *where, const char *found)
{
    char expected[96];
    return fail(WF_ERROR_FORMAT, "%s: %s: expected %s, found %s", where, key->name,
                expectation(key, expected, sizeof expected), found);
}

static bool store_number(const Key *key, double value, Config *config)
{
    if (!(value >= key->least && value <= key->most)) return false;
    void *field = (char *)config + key->offset;
    if (key->kind == KEY_REAL) {
        *(double *)field = value;
        return true;
    }
    if (value != floor(value)) return false;
    *(int64_t *)field = (int64_t)value;
    return true;
}

static bool store_text(const Key *key, const char *value, Config *config)
{
    void *field = (char *)config + key->offset;
    if (key->kind == KEY_TEXT) {
        if (strlen(value) >= sizeof config->tokenizer) return false;
        strcpy(field, value);
        return true;
    }
    for (int i = 0; i < 2; i++) {
        if (strcmp(key->choices[i], value) != 0) continue;
        *(int *)field = i; /* both choices are enums counted from 0 */
        return true;
    }
    return false;
}

_Static_assert(sizeof(ModelVersion) == sizeof(int) && sizeof(KernelNorm) == sizeof(int),
               "choices are stored as int");

/* ---- from JSON ---- */

static wf_status read_value(int index, const json_t *value, const char *where, Config *config)
{
    const Key *key = &keys[index];
    bool number = key->kind == KEY_INTEGER || key->kind == KEY_REAL;
    bool ok = false;
    if (number && json_is_number(value))
        ok = (key->kind == KEY_REAL || json_is_integer(value)) &&
             store_number(key, json_number_value(value), config);
    else if (key->kind == KEY_SWITCH && json_is_boolean(value))
        ok = (*(bool *)((char *)config + key->offset) = json_is_true(value), true);
    else if ((key->kind == KEY_CHOICE || key->kind == KEY_TEXT) && json_is_string(value))
        ok = store_text(key, json_string_value(value), config);
    config->given |= 1u << index;
    if (ok) return WF_OK;
    char *found = json_dumps(value, JSON_ENCODE_ANY);
    wf_status status = refuse(key, where, found ? found : "something else");
    free(found);
    return status;
}

static bool is_given(const Config *config, const char *name)
{
    return config->given >> find_key(name) & 1u;
}

static wf_status check_norm_given(const Config *config)
{
    if (config->version != MODEL_V4 || is_given(config, "kernel_norm")) return WF_OK;
    return fail(WF_ERROR_FORMAT, "version 4 must say \"kernel_norm\": \"l1\" (bounded), or "
                                 "\"dc\" (some published version 4 weights)");
}

static wf_status check_required(const Config *config, const char *where)
{
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (!is_given(config, required[i]))
            return fail(WF_ERROR_FORMAT, "%s: the key \"%s\" is missing", where, required[i]);
    wf_status status = check_norm_given(config);
    return status ? fail_within(status, "%s", where) : WF_OK;
}

static Config empty_config(void)
{
    return (Config){.version = MODEL_V4, .feature_map_depth = 2, .cross_dim = true};
}

static wf_status parse_object(const json_t *root, const char *where, Config *config)
{
    if (!json_is_object(root))
        return fail(WF_ERROR_FORMAT, "%s: expected a JSON object with the model's keys", where);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)root, name, value)
    {
        if (strcmp(name, "model_type") == 0) {
            const char *type = json_string_value(value);
            if (type && strcmp(type, "wavefield") == 0) continue;
            return fail(WF_ERROR_FORMAT, "%s: model_type: expected \"wavefield\", found \"%s\"",
                        where, type ? type : "something else");
        }
        int index = find_key(name);
        if (index < 0) return unknown_key(WF_ERROR_FORMAT, name, where);
        TRY(read_value(index, value, where, config));
    }
    return check_required(config, where);
}

wf_status config_parse(const char *text, size_t length, const char *file, Config *out)
{
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return fail(WF_ERROR_FORMAT, "%s: line %d, column %d: %s", file, error.line, error.column,
                    error.text);
    Config config = empty_config();
    wf_status status = parse_object(root, file, &config);
    json_decref(root);
    if (!status) *out = config;
    return status;
}

/* ---- to JSON ---- */

static json_t *key_json(const Key *key, const Config *config)
{
    const void *field = (const char *)config + key->offset;
    switch (key->kind) {
    case KEY_INTEGER: return json_integer(*(const int64_t *)field);
    case KEY_REAL: return json_real(*(const double *)field);
    case KEY_SWITCH: return json_boolean(*(const bool *)field);
    case KEY_CHOICE: return json_string(key->choices[*(const int *)field]);
    default: return json_string(field);
    }
}

char *config_print(const Config *config)
{
    json_t *root = json_object();
    bool ok = root && json_object_set_new(root, "model_type", json_string("wavefield")) == 0;
    for (int i = 0; i < N_KEYS && ok; i++)
        ok = json_object_set_new(root, keys[i].name, key_json(&keys[i], config)) == 0;
    char *text = ok ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(root);
    return text;
}

/* ---- presets (spec §7) ---- */

typedef struct Preset {
    const char *name;
    Config config;
    TrainingDefaults training;
} Preset;

#define V4_PRESET(D, L, H, F, G, M, V, every, words)                                               \
    {                                                                                              \
        .version = MODEL_V4, .embedding_dim = D, .num_layers = L, .num_heads = H, .ffn_dim = F,    \
        .field_size = G, .max_seq_len = M, .vocab_size = V, .interference_interval = every,        \
        .kernel_norm = KERNEL_NORM_L1, .feature_map_depth = 2, .cross_dim = true,                  \
        .residual_scale = true, .tokenizer = words                                                 \
    }

#define START(peak, last, steps)                                                                   \
    {                                                                                              \
        .learning_rate = peak, .min_learning_rate = last, .weight_decay = 0.1, .warmup = steps     \
    }

static const Preset presets[] = {
    {"demo", V4_PRESET(128, 4, 4, 512, 256, 256, 256, 2, "byte"), START(2e-3, 2e-4, 100)},
    {"v3.5-6m",
     {.version = MODEL_V3_5,
      .embedding_dim = 256,
      .num_layers = 6,
      .num_heads = 8,
      .ffn_dim = 1024,
      .field_size = 1024,
      .max_seq_len = 256,
      .vocab_size = 256,
      .interference_interval = 3,
      .dropout = 0.1,
      .feature_map_depth = 2,
      .cross_dim = true,
      .tokenizer = "char"},
     START(1e-3, 1e-4, 200)},
    {"v4-20m", V4_PRESET(384, 8, 8, 1536, 512, 512, 8000, 3, ""), START(6e-4, 6e-5, 500)},
    {"v4-130m", V4_PRESET(768, 12, 12, 3072, 2048, 2048, 32000, 3, ""), START(4e-4, 4e-5, 1000)},
    {"v4-825m", V4_PRESET(1536, 24, 24, 6144, 2048, 2048, 16384, 4, ""), START(2e-4, 2e-5, 2000)},
};
enum { N_PRESETS = sizeof presets / sizeof *presets };

static const Preset *find_preset(const char *name)
{
    for (int i = 0; i < N_PRESETS; i++)
        if (strcmp(presets[i].name, name) == 0) return &presets[i];
    return NULL;
}

const char *const *wf_config_presets(void)
{
    static const char *const names[] = {"demo", "v3.5-6m", "v4-20m", "v4-130m", "v4-825m", NULL};
    _Static_assert(sizeof names / sizeof *names == N_PRESETS + 1, "a name a preset");
    return names;
}

TrainingDefaults config_training(const Config *config)
{
    const Preset *preset = config->preset[0] ? find_preset(config->preset) : NULL;
    TrainingDefaults training = START(1e-3, 1e-4, 0);
    if (preset) training = preset->training;
    bool v4 = config->version == MODEL_V4; /* spec §6 */
    training.qk_multiplier = v4 ? 3 : 1;
    training.kernel_multiplier = v4 ? 50 : 1;
    return training;
}

/* ---- derived ---- */

Geometry config_geometry(const Config *config)
{
    return (Geometry){config->version, config->field_size, config->max_seq_len};
}

int64_t config_interference_modules(const Config *config)
{
    return config->interference_interval ? config->num_layers / config->interference_interval : 0;
}

/* ---- public ---- */

static wf_status load_file(const char *path, Config *config)
{
    char *text;
    size_t length;
    enum { LARGEST_CONFIG = 1 << 20 };
    TRY(file_read(path, LARGEST_CONFIG, &text, &length));
    wf_status status = config_parse(text, length, path, config);
    free(text);
    return status;
}

static wf_status load_folder(const char *folder, Config *config)
{
    char *path = path_join(folder, "config.json");
    if (!path) return fail(WF_ERROR_MEMORY, "%s: out of memory", folder);
    wf_status status = load_file(path, config);
    free(path);
    return status;
}

static wf_status unknown_preset(const char *name)
{
    const char *nearest = text_nearest(name, wf_config_presets(), N_PRESETS);
    char known[128] = "";
    for (int i = 0; i < N_PRESETS; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", presets[i].name);
    }
    return fail(WF_ERROR_ARGUMENT, "\"%s\" is neither a preset (%s) nor a file%s%s%s", name, known,
                nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

wf_status wf_config_create(const char *preset_or_file, wf_config **out)
{
    Config config = {0};
    const Preset *preset = find_preset(preset_or_file);
    if (preset) {
        config = preset->config;
        strcpy(config.preset, preset->name);
        config.given = (1u << N_KEYS) - 1;
    } else if (!file_exists(preset_or_file)) {
        return unknown_preset(preset_or_file);
    } else if (folder_exists(preset_or_file)) {
        TRY(load_folder(preset_or_file, &config));
    } else {
        TRY(load_file(preset_or_file, &config));
    }
    return wf_config_copy(&config, out);
}

wf_status wf_config_copy(const wf_config *config, wf_config **out)
{
    wf_config *copy = malloc(sizeof *copy);
    if (!copy) return fail(WF_ERROR_MEMORY, "out of memory for a configuration");
    *copy = *config;
    *out = copy;
    return WF_OK;
}

void wf_config_destroy(wf_config *config)
{
    free(config);
}

wf_status wf_config_set(wf_config *config, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    char name[64];
    size_t length = equals ? (size_t)(equals - assignment) : 0;
    if (!equals || length == 0 || length >= sizeof name)
        return fail(WF_ERROR_ARGUMENT, "\"%s\": expected key=value", assignment);
    memcpy(name, assignment, length);
    name[length] = 0;
    int index = find_key(name);
    if (index < 0) return unknown_key(WF_ERROR_ARGUMENT, name, assignment);
    bool text = keys[index].kind == KEY_CHOICE || keys[index].kind == KEY_TEXT;
    json_t *value = text ? NULL : json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    if (!value) value = json_string(equals + 1);
    Config changed = *config;
    wf_status status = read_value(index, value, assignment, &changed);
    json_decref(value);
    if (status) return WF_ERROR_ARGUMENT;
    *config = changed;
    return WF_OK;
}

wf_status wf_config_get(const wf_config *config, const char *name, char *value, size_t size)
{
    int index = find_key(name);
    if (index < 0) return unknown_key(WF_ERROR_ARGUMENT, name, "configuration");
    const Key *key = &keys[index];
    const void *field = (const char *)config + key->offset;
    switch (key->kind) {
    case KEY_INTEGER: snprintf(value, size, "%lld", (long long)*(const int64_t *)field); break;
    case KEY_REAL: snprintf(value, size, "%.15g", *(const double *)field); break;
    case KEY_SWITCH: snprintf(value, size, "%s", *(const bool *)field ? "true" : "false"); break;
    case KEY_CHOICE: snprintf(value, size, "%s", key->choices[*(const int *)field]); break;
    case KEY_TEXT: snprintf(value, size, "%s", (const char *)field); break;
    }
    return WF_OK;
}

wf_status wf_config_validate(const wf_config *config)
{
    if (config->embedding_dim % config->num_heads)
        return fail(WF_ERROR_ARGUMENT,
                    "embedding_dim %lld is not a multiple of num_heads %lld: every head takes an "
                    "equal share",
                    (long long)config->embedding_dim, (long long)config->num_heads);
    if (check_norm_given(config)) return WF_ERROR_ARGUMENT;
    if (config->version == MODEL_V3_5 && config->kernel_norm != KERNEL_NORM_L1)
        return fail(WF_ERROR_ARGUMENT, "kernel_norm: version 3.5 is always \"l1\", found \"dc\"");
    if (config->version == MODEL_V3_5 && config->spectral_gate)
        return fail(WF_ERROR_ARGUMENT, "spectral_gate belongs to version 4, this is version 3.5");
    if (config->interference_interval && config->embedding_dim < 4)
        return fail(WF_ERROR_ARGUMENT,
                    "interference compresses embedding_dim %lld to a quarter: it needs at least 4, "
                    "or interference_interval 0",
                    (long long)config->embedding_dim);
    if (config->allow_leaky_geometry) return WF_OK;
    Geometry geometry = config_geometry(config);
    return geometry_check(&geometry);
}

wf_status wf_config_save(const wf_config *config, const char *path)
{
    char *text = config_print(config);
    if (!text) return fail(WF_ERROR_MEMORY, "out of memory for %s", path);
    wf_status status = file_write_atomic(path, text, strlen(text));
    free(text);
    return status;
}

wf_status wf_config_parameters(const wf_config *config, int64_t *count)
{
    ParameterList list;
    TRY(parameters_create(config, &list));
    *count = parameters_elements(&list);
    parameters_destroy(&list);
    return WF_OK;
}
