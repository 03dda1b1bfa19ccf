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

typedef enum KeyKind {
    KEY_INTEGER,
    KEY_REAL,
    KEY_SWITCH,
    KEY_CHOICE,
    KEY_TEXT,
    KEY_MIXERS
} KeyKind;

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
    {"num_layers", KEY_INTEGER, .offset = AT(num_layers), .least = 1, .most = CONFIG_MAX_LAYERS},
    {"num_heads", KEY_INTEGER, .offset = AT(num_heads), .least = 1, .most = LARGEST_WIDTH},
    {"ffn_dim", KEY_INTEGER, .offset = AT(ffn_dim), .least = 1, .most = LARGEST_WIDTH},
    {"field_size", KEY_INTEGER, .offset = AT(field_size), .least = 2, .most = GEOMETRY_MAX},
    {"max_seq_len", KEY_INTEGER, .offset = AT(max_seq_len), .least = 1, .most = GEOMETRY_MAX},
    {"interference_interval", KEY_INTEGER, .offset = AT(interference_interval), .least = 0,
     .most = 4096},
    {"mixer", KEY_MIXERS, .offset = AT(mixer), .choices = {"wave", "attention"}},
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

/* Keys without which no model is described; kernel_norm joins them for version 4. Models without a
 * field need neither it nor field_size. */
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
    case KEY_MIXERS:
        snprintf(text, size, "\"%s\" or \"%s\", or a list of them, one a layer", key->choices[0],
                 key->choices[1]);
        break;
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

/* The index of one of the key's two choices, or -1. */
static int find_choice(const Key *key, const char *value, size_t length)
{
    for (int i = 0; i < 2; i++)
        if (strlen(key->choices[i]) == length && memcmp(key->choices[i], value, length) == 0)
            return i;
    return -1;
}

static bool store_mixer(const Key *key, const char *name, size_t length, MixerList *list)
{
    int mixer = find_choice(key, name, length);
    if (mixer < 0 || list->count == CONFIG_MAX_LAYERS) return false;
    list->items[list->count++] = (uint8_t)mixer;
    return true;
}

/* One name for all layers, or a name a layer between commas. */
static bool store_mixers(const Key *key, const char *value, Config *config)
{
    MixerList list = {0};
    for (const char *name = value;; name++) {
        size_t length = strcspn(name, ",");
        if (!store_mixer(key, name, length, &list)) return false;
        name += length;
        if (!*name) break;
    }
    if (list.count == 1) list.count = 0;
    config->mixer = list;
    return true;
}

static bool store_mixer_array(const Key *key, const json_t *array, Config *config)
{
    MixerList list = {0};
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)array, i, item)
    {
        const char *name = json_string_value(item);
        if (!name || !store_mixer(key, name, strlen(name), &list)) return false;
    }
    if (list.count == 0) return false;
    config->mixer = list;
    return true;
}

static bool store_text(const Key *key, const char *value, Config *config)
{
    void *field = (char *)config + key->offset;
    if (key->kind == KEY_MIXERS) return store_mixers(key, value, config);
    if (key->kind == KEY_TEXT) {
        if (strlen(value) >= sizeof config->tokenizer) return false;
        strcpy(field, value);
        return true;
    }
    int choice = find_choice(key, value, strlen(value));
    if (choice >= 0) *(int *)field = choice; /* both choices are enums counted from 0 */
    return choice >= 0;
}

_Static_assert(sizeof(ModelVersion) == sizeof(int) && sizeof(KernelNorm) == sizeof(int),
               "choices are stored as int");

/* ---- from JSON ---- */

static bool is_text(const Key *key)
{
    return key->kind == KEY_CHOICE || key->kind == KEY_TEXT || key->kind == KEY_MIXERS;
}

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
    else if (key->kind == KEY_MIXERS && json_is_array(value))
        ok = store_mixer_array(key, value, config);
    else if (is_text(key) && json_is_string(value))
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
    if (config->version != MODEL_V4 || is_given(config, "kernel_norm") ||
        !config_has(config, MIXER_WAVE))
        return WF_OK;
    return fail(WF_ERROR_FORMAT, "version 4 must say \"kernel_norm\": \"l1\" (bounded), or "
                                 "\"dc\" (some published version 4 weights)");
}

static wf_status check_mixer_count(const Config *config)
{
    if (config->mixer.count == 0 || config->mixer.count == config->num_layers) return WF_OK;
    return fail(WF_ERROR_FORMAT,
                "mixer: expected one name, or one for each of %lld layers, "
                "found %lld",
                (long long)config->num_layers, (long long)config->mixer.count);
}

/* Has the key a value the model goes by? A field_size where there is no field has not. */
static bool is_needed(const Config *config, const char *name)
{
    return config_has(config, MIXER_WAVE) || strcmp(name, "field_size") != 0;
}

static wf_status check_required(const Config *config, const char *where)
{
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (is_needed(config, required[i]) && !is_given(config, required[i]))
            return fail(WF_ERROR_FORMAT, "%s: the key \"%s\" is missing", where, required[i]);
    wf_status status = check_mixer_count(config);
    if (!status) status = check_norm_given(config);
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
    size_t mark = utf8_mark(text, length);
    json_t *root = json_loadb(text + mark, length - mark, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return fail(WF_ERROR_FORMAT, "%s: line %d, column %d: %s", file, error.line, error.column,
                    error.text);
    Config config = empty_config();
    wf_status status = parse_object(root, file, &config);
    json_decref(root);
    if (!status) *out = config;
    return status;
}

/* ---- to JSON and text ---- */

/* Does one name say it all? */
static bool mixers_are_one(const Config *config)
{
    const MixerList *list = &config->mixer;
    if (list->count == 0) return true;
    for (int64_t i = 1; i < list->count; i++)
        if (list->items[i] != list->items[0]) return false;
    return list->count == config->num_layers;
}

static json_t *mixer_json(const Key *key, const Config *config)
{
    const MixerList *list = &config->mixer;
    if (mixers_are_one(config)) return json_string(key->choices[list->items[0]]);
    json_t *array = json_array();
    for (int64_t i = 0; array && i < list->count; i++) {
        if (json_array_append_new(array, json_string(key->choices[list->items[i]])) == 0) continue;
        json_decref(array);
        array = NULL;
    }
    return array;
}

static void mixer_text(const Key *key, const Config *config, char *value, size_t size)
{
    const MixerList *list = &config->mixer;
    int64_t n = mixers_are_one(config) ? 1 : list->count;
    size_t at = 0;
    for (int64_t i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(value + at, size - at, "%s%s", i ? "," : "",
                               key->choices[list->items[i]]);
}

static json_t *key_json(const Key *key, const Config *config)
{
    const void *field = (const char *)config + key->offset;
    switch (key->kind) {
    case KEY_INTEGER: return json_integer(*(const int64_t *)field);
    case KEY_REAL: return json_real(*(const double *)field);
    case KEY_SWITCH: return json_boolean(*(const bool *)field);
    case KEY_CHOICE: return json_string(key->choices[*(const int *)field]);
    case KEY_MIXERS: return mixer_json(key, config);
    default: return json_string(field);
    }
}

/* Digits that bring a number back to the bit; 15 where they do, so that 0.1 is written as 0.1. */
static int digits_of(double value)
{
    char text[40];
    int digits = 15;
    for (; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    return digits;
}

/* With a point, whatever the locale of the program writes in its place. */
static void real_text(double real, char *value, size_t size)
{
    static const char digit[] = "0123456789";
    char text[40];
    snprintf(text, sizeof text, "%.*g", digits_of(real), real);
    size_t whole = strspn(text, "+-e0123456789"), rest = whole + strcspn(text + whole, digit);
    snprintf(value, size, "%.*s%s%s", (int)whole, text, text[whole] ? "." : "", text + rest);
}

char *config_print(const Config *config)
{
    json_t *root = json_object();
    bool ok = root && json_object_set_new(root, "model_type", json_string("wavefield")) == 0;
    for (int i = 0; i < N_KEYS && ok; i++)
        if (is_needed(config, keys[i].name) || is_given(config, keys[i].name))
            ok = json_object_set_new(root, keys[i].name, key_json(&keys[i], config)) == 0;
    size_t digits = (size_t)digits_of(config->dropout);
    char *text = ok ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(digits)) : NULL;
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
    {"v4-20m", V4_PRESET(384, 8, 8, 1536, 512, 512, 8000, 3, "sentencepiece-bpe"),
     START(6e-4, 6e-5, 500)},
    {"v4-130m", V4_PRESET(768, 12, 12, 3072, 2048, 2048, 32000, 3, "sentencepiece-bpe"),
     START(4e-4, 4e-5, 1000)},
    {"v4-825m", V4_PRESET(1536, 24, 24, 6144, 2048, 2048, 16384, 4, "sentencepiece-bpe"),
     START(2e-4, 2e-5, 2000)},
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
    training.kernel_multiplier = 10;
    return training;
}

/* ---- derived ---- */

Mixer config_mixer(const Config *config, int layer)
{
    return (Mixer)config->mixer.items[config->mixer.count ? layer : 0];
}

int64_t config_count(const Config *config, Mixer mixer)
{
    int64_t n = 0;
    for (int layer = 0; layer < config->num_layers; layer++)
        n += config_mixer(config, layer) == mixer;
    return n;
}

bool config_has(const Config *config, Mixer mixer)
{
    return config_count(config, mixer) > 0;
}

bool config_gated(const Config *config)
{
    return config->spectral_gate && config_has(config, MIXER_WAVE);
}

Geometry config_geometry(const Config *config)
{
    int64_t tokens = config->max_seq_len;
    if (!config_has(config, MIXER_WAVE)) return (Geometry){MODEL_V4, int64_max(tokens, 2), tokens};
    return (Geometry){config->version, config->field_size, config->max_seq_len};
}

float config_damping_limit(const Config *config)
{
    return config->version == MODEL_V4 ? 1.5f : INFINITY;
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
    json_t *value = is_text(&keys[index]) ? NULL : json_loads(equals + 1, JSON_DECODE_ANY, NULL);
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
    case KEY_REAL: real_text(*(const double *)field, value, size); break;
    case KEY_SWITCH: snprintf(value, size, "%s", *(const bool *)field ? "true" : "false"); break;
    case KEY_CHOICE: snprintf(value, size, "%s", key->choices[*(const int *)field]); break;
    case KEY_TEXT: snprintf(value, size, "%s", (const char *)field); break;
    case KEY_MIXERS: mixer_text(key, config, value, size); break;
    }
    return WF_OK;
}

/* What only layers with a field go by. */
static wf_status validate_field(const Config *config)
{
    if (check_norm_given(config)) return WF_ERROR_ARGUMENT;
    if (!is_given(config, "field_size"))
        return fail(WF_ERROR_ARGUMENT, "the key \"field_size\" is missing: a \"wave\" needs it");
    if (config->version == MODEL_V3_5 && config->kernel_norm != KERNEL_NORM_L1)
        return fail(WF_ERROR_ARGUMENT, "kernel_norm: version 3.5 is always \"l1\", found \"dc\"");
    if (config->version == MODEL_V3_5 && config->spectral_gate)
        return fail(WF_ERROR_ARGUMENT, "spectral_gate belongs to version 4, this is version 3.5");
    return WF_OK;
}

wf_status wf_config_validate(const wf_config *config)
{
    if (config->embedding_dim % config->num_heads)
        return fail(WF_ERROR_ARGUMENT,
                    "embedding_dim %lld is not a multiple of num_heads %lld: every head takes an "
                    "equal share",
                    (long long)config->embedding_dim, (long long)config->num_heads);
    if (check_mixer_count(config)) return WF_ERROR_ARGUMENT;
    bool field = config_has(config, MIXER_WAVE);
    if (field) TRY(validate_field(config));
    if (config->interference_interval && config->embedding_dim < 4)
        return fail(WF_ERROR_ARGUMENT,
                    "interference compresses embedding_dim %lld to a quarter: it needs at least 4, "
                    "or interference_interval 0",
                    (long long)config->embedding_dim);
    if (config->allow_leaky_geometry || !field) return WF_OK;
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
