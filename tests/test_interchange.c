/* Files of published PyTorch checkpoints: what loads, what is passed over, and what is refused by
 * name with the reason. Every file is made here. */
#include "base/files.h"
#include "model/model.h"
#include "tensor/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char folder[] = "/tmp/wavefield-test-interchange-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    const char *names[] = {"config.json", "model.safetensors"};
    return (int)folder_remove(folder, names, 2);
}

static wf_device *cpu(void)
{
    static wf_device *device;
    if (!device) assert_int_equal(wf_device_open("cpu", &device), WF_OK);
    return device;
}

/* A small model, saved in the folder; `settings` ends with NULL. */
static wf_model *save(const char *preset, const char *const *settings)
{
    static const char *const shape[] = {
        "embedding_dim=12", "num_layers=2",   "num_heads=3",   "ffn_dim=20",
        "field_size=33",    "max_seq_len=17", "vocab_size=11", "interference_interval=2"};
    wf_config *config;
    wf_model *model;
    assert_int_equal(wf_config_create(preset, &config), WF_OK);
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        assert_int_equal(wf_config_set(config, shape[i]), WF_OK);
    for (; *settings; settings++) assert_int_equal(wf_config_set(config, *settings), WF_OK);
    assert_int_equal(wf_model_create(cpu(), config, 7, &model), WF_OK);
    assert_int_equal(wf_model_save(model, folder), WF_OK);
    wf_config_destroy(config);
    return model;
}
#define SAVE(preset, ...) save(preset, (const char *const[]){__VA_ARGS__, NULL})

/* ---- a file as PyTorch might have left it ---- */

typedef struct Entry {
    char name[160];
    FileDType dtype;
    Shape shape;
    float *values; /* NULL: bytes of all kinds */
} Entry;

typedef bool (*Edit)(Entry *entry); /* false: leave the tensor out */

/* Cut, not rounded, to what the type holds; magnitudes below its normal numbers become 0. */
static float cut(FileDType dtype, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (dtype == FILE_BF16) bits &= 0xFFFF0000u;
    if (dtype == FILE_F16) bits = (bits >> 23 & 0xFF) < 113 ? 0 : bits & 0xFFFFE000u;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void write_value(SafeTensorsWriter *writer, FileDType dtype, float x)
{
    uint32_t bits;
    x = cut(dtype, x);
    memcpy(&bits, &x, sizeof bits);
    uint16_t half = (uint16_t)(bits >> 16);
    if (dtype == FILE_F16)
        half =
            bits ? (uint16_t)((bits >> 16 & 0x8000) | (((bits >> 13) - (112u << 10)) & 0x7FFF)) : 0;
    bool narrow = dtype == FILE_F16 || dtype == FILE_BF16;
    assert_int_equal(safetensors_writer_write(writer, narrow ? (void *)&half : (void *)&bits,
                                              narrow ? sizeof half : sizeof bits),
                     WF_OK);
}

static void write_tensor(SafeTensorsWriter *writer, const Entry *entry)
{
    int64_t n = shape_elements(entry->shape);
    for (int64_t i = 0; entry->values && i < n; i++)
        write_value(writer, entry->dtype, entry->values[i]);
    for (int64_t i = 0; !entry->values && i < n * file_dtype_size(entry->dtype); i++)
        safetensors_writer_write(writer, &(uint8_t){(uint8_t)(37 * i + 200)}, 1);
}

/* Replaces the folder's file: the model's parameters as `edit` wants them, then `n` extras. */
static void write_file(const wf_model *model, Edit edit, const Entry *extras, int n)
{
    char *path = path_join(folder, "model.safetensors");
    int count = 0, parameters = model->parameters.count;
    Entry *entries = calloc((size_t)(parameters + n), sizeof *entries);
    for (int i = 0; i < parameters + n; i++) {
        Entry *entry = &entries[count];
        if (i < parameters) {
            Shape shape = model->parameters.items[i].shape;
            *entry = (Entry){.dtype = FILE_F32, .shape = shape};
            entry->values = malloc((size_t)shape_elements(shape) * sizeof(float));
            strcpy(entry->name, model->parameters.items[i].name);
            assert_int_equal(sequence_read(&model->values, i, entry->values), WF_OK);
            if (!edit || edit(entry))
                count++;
            else
                free(entry->values);
        } else {
            entries[count++] = extras[i - parameters];
        }
    }
    SafeTensorsWriter *writer;
    assert_int_equal(safetensors_writer_create(&writer), WF_OK);
    for (int i = 0; i < count; i++)
        assert_int_equal(
            safetensors_writer_declare(writer, entries[i].name, entries[i].dtype, entries[i].shape),
            WF_OK);
    assert_int_equal(safetensors_writer_begin(writer, path), WF_OK);
    for (int i = 0; i < count; i++) write_tensor(writer, &entries[i]);
    assert_int_equal(safetensors_writer_commit(writer), WF_OK);
    safetensors_writer_destroy(writer);
    for (int i = 0; i < count - n; i++) free(entries[i].values);
    free(entries);
    free(path);
}

static wf_model *load(void)
{
    wf_model *model;
    if (wf_model_load(cpu(), folder, &model)) fail_msg("%s", wf_error_message());
    return model;
}

static void expect_refusal(wf_status status, const char *name, const char *reason)
{
    wf_model *model = NULL;
    assert_int_equal(wf_model_load(cpu(), folder, &model), status);
    const char *parts[] = {name, reason};
    for (int i = 0; i < 2; i++)
        if (!strstr(wf_error_message(), parts[i]))
            fail_msg("expected \"%s\" in: %s", parts[i], wf_error_message());
}

/* Every parameter of `loaded` is that of `model`, cut to the type. */
static void expect_parameters(const wf_model *model, const wf_model *loaded, FileDType dtype)
{
    for (int p = 0; p < model->parameters.count; p++) {
        const Parameter *parameter = &model->parameters.items[p];
        int64_t n = shape_elements(parameter->shape);
        float *expected = malloc((size_t)n * sizeof(float)), *found = malloc((size_t)n * 4);
        assert_int_equal(wf_model_read(model, parameter->name, expected), WF_OK);
        assert_int_equal(wf_model_read(loaded, parameter->name, found), WF_OK);
        for (int64_t i = 0; i < n; i++)
            if (!(found[i] == cut(dtype, expected[i])))
                fail_msg("%s, %s, element %lld: %g, expected %g", file_dtype_name(dtype),
                         parameter->name, (long long)i, (double)found[i], (double)expected[i]);
        free(expected);
        free(found);
    }
}

/* ---- what loads ---- */

static bool in_f16(Entry *entry)
{
    entry->dtype = FILE_F16;
    return true;
}

static bool in_bf16(Entry *entry)
{
    entry->dtype = FILE_BF16;
    return true;
}

static void every_type_of_weights_loads(void **state)
{
    (void)state;
    static const Edit edits[] = {NULL, in_f16, in_bf16};
    static const FileDType dtypes[] = {FILE_F32, FILE_F16, FILE_BF16};
    const char *const presets[] = {"demo", "v3.5-6m"};
    for (int v = 0; v < 2; v++)
        for (int i = 0; i < 3; i++) {
            wf_model *model = SAVE(presets[v], "dropout=0");
            write_file(model, edits[i], NULL, 0);
            wf_model *loaded = load();
            expect_parameters(model, loaded, dtypes[i]);
            wf_model_destroy(loaded);
            wf_model_destroy(model);
        }
}

/* As torch.compile names them: of the whole model and of a module inside. */
static bool compiled(Entry *entry)
{
    static const char *const modules[] = {".ffn", ".norm1", ".q_feature_map"};
    char name[160];
    strcpy(name, entry->name);
    for (int i = 0; i < 3; i++) {
        char *at = strstr(name, modules[i]);
        if (!at) continue;
        at += strlen(modules[i]);
        snprintf(entry->name, sizeof entry->name, "%.*s._orig_mod%s", (int)(at - name), name, at);
    }
    snprintf(name, sizeof name, "_orig_mod.%.140s", entry->name);
    strcpy(entry->name, name);
    return true;
}

static void compiled_names_load(void **state)
{
    (void)state;
    wf_model *model = SAVE("demo", "spectral_gate=true");
    write_file(model, compiled, NULL, 0);
    wf_model *loaded = load();
    expect_parameters(model, loaded, FILE_F32);
    wf_model_destroy(loaded);
    wf_model_destroy(model);
}

static void buffers_of_any_type_are_passed_over(void **state)
{
    (void)state;
    wf_model *model = SAVE("demo", "dropout=0");
    for (int dtype = 0; dtype < FILE_DTYPE_COUNT; dtype++) {
        FileDType type = (FileDType)dtype;
        Entry buffers[] = {
            {"positional_encoding.pe_cache", type, SHAPE(17, 12), NULL},
            {"layers.0.attention.field_stride", type, {.rank = 0}, NULL},
            {"layers.0.attention._cached_field_pos", type, SHAPE(17), NULL},
            {"layers.0.attention._cached_idx_lo", type, SHAPE(17), NULL},
            {"layers.1.attention._cached_frac", type, SHAPE(0), NULL},
            {"_orig_mod.layers.1.attention._cached_idx_hi", type, SHAPE(17), NULL},
        };
        write_file(model, NULL, buffers, sizeof buffers / sizeof *buffers);
        wf_model *loaded = load();
        expect_parameters(model, loaded, FILE_F32);
        wf_model_destroy(loaded);
    }
    wf_model_destroy(model);
}

static void the_head_must_be_the_embedding(void **state)
{
    (void)state;
    wf_model *model = SAVE("demo", "dropout=0");
    float values[11 * 12];
    Entry head = {"output_projection.weight", FILE_F32, SHAPE(11, 12), values};
    assert_int_equal(wf_model_read(model, "token_embedding.weight", values), WF_OK);
    write_file(model, NULL, &head, 1);
    wf_model *loaded = load();
    expect_parameters(model, loaded, FILE_F32);
    wf_model_destroy(loaded);
    write_file(model, compiled, &head, 1);
    wf_model_destroy(load());
    values[131] += 1;
    write_file(model, NULL, &head, 1);
    expect_refusal(WF_ERROR_UNSUPPORTED, "output_projection.weight",
                   "differs from token_embedding");
    head.shape = SHAPE(11, 11);
    write_file(model, NULL, &head, 1);
    expect_refusal(WF_ERROR_FORMAT, "output_projection.weight", "expected shape [11, 12]");
    wf_model_destroy(model);
}

/* ---- what is refused ---- */

static void other_models_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"layers.0.attention.write_gate_proj.weight", "before V4.7"},
        {"layers.0.attention.q_feature_map.linear.weight", "V4.3"},
        {"layers.0.attention.local_blend", "local window"},
        {"layers.0.attention._window_mask", "local window"},
        {"layers.0.attention.kerr_gamma", "split-step"},
        {"layers.0.attention.basis_damping", "kernel mixture"},
        {"layers.0.attention.kernel_mix_bias", "kernel mixture"},
        {"layers.0.attention.head_positions", "3D interference"},
        {"layers.0.attention.token_pos_proj.bias", "3D interference"},
        {"layers.0.attention.q_proj.weight", "before V3.5"},
        {"layers.0.attention.causal_kernel_fft", "before V3.5"},
        {"global_context_modules.0.compress.weight", "before V3.5"},
        {"layers.0.attention._frozen_damping_mask", "frozen damping"},
        {"layers.0.attention.component_weights", "several components"},
        {"layers.0.attention.delta_correction.out_scale", "delta correction"},
        {"layers.0.attention.attn_branch_scale", "mixed with wave heads"},
        {"layers.0.self_attn.in_proj_weight", "softmax attention"},
        {"layers.0.q_proj.weight", "gated linear attention"},
        {"_orig_mod.layers.1._orig_mod.q_proj.weight", "gated linear attention"},
        {"layers.0.attention._monarch.F_P", "Monarch"},
    };
    wf_model *model = SAVE("demo", "dropout=0");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        /* Named although an unknown tensor stands before it. */
        Entry extras[] = {{"an.unknown.tensor", FILE_F32, SHAPE(2), NULL},
                          {"", FILE_C64, SHAPE(3), NULL}};
        strcpy(extras[1].name, cases[i][0]);
        write_file(model, NULL, extras, 2);
        expect_refusal(WF_ERROR_UNSUPPORTED, cases[i][0], cases[i][1]);
    }
    Entry unknown = {"layers.0.attention.extra", FILE_F32, SHAPE(2), NULL};
    write_file(model, NULL, &unknown, 1);
    expect_refusal(WF_ERROR_FORMAT, unknown.name, "no place for tensor");
    wf_model_destroy(model);
}

static bool several_components(Entry *entry)
{
    if (strstr(entry->name, "wave_frequency")) {
        entry->shape = SHAPE(3, 2);
        free(entry->values);
        entry->values = calloc(6, sizeof(float));
    }
    return true;
}

/* The reason comes before a shape that is wrong for the same reason. */
static void reasons_come_before_shapes(void **state)
{
    (void)state;
    wf_model *model = SAVE("demo", "dropout=0");
    Entry extra = {"layers.0.attention.component_weights", FILE_F32, SHAPE(3, 2), NULL};
    write_file(model, several_components, &extra, 1);
    expect_refusal(WF_ERROR_UNSUPPORTED, extra.name, "several components");
    write_file(model, several_components, NULL, 0);
    expect_refusal(WF_ERROR_FORMAT, "wave_frequency", "expected shape [3], found [3, 2]");
    wf_model_destroy(model);
}

static bool without_feature_maps(Entry *entry)
{
    return !strstr(entry->name, "feature_map");
}

static bool without_mixing(Entry *entry)
{
    return !strstr(entry->name, "cross_dim");
}

static bool one_layer_maps(Entry *entry)
{
    return !strstr(entry->name, "feature_map.net.2");
}

static void missing_tensors_are_explained(void **state)
{
    (void)state;
    wf_model *model = SAVE("demo", "dropout=0");
    write_file(model, without_feature_maps, NULL, 0);
    expect_refusal(WF_ERROR_FORMAT, "q_feature_map.net.0.weight [4, 4] is missing", "V4.1");
    write_file(model, one_layer_maps, NULL, 0);
    expect_refusal(WF_ERROR_FORMAT, "q_feature_map.net.2.weight", "feature_map_depth 1");
    write_file(model, without_mixing, NULL, 0);
    expect_refusal(WF_ERROR_FORMAT, "cross_dim.weight", "\"cross_dim\": false");
    wf_model_destroy(model);
}

/* Weights of one configuration under another: the message says which key is wrong. */
static void the_wrong_key_is_named(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        /* preset and setting of the weights, setting of the configuration, the reason */
        {"v3.5-6m", "dropout=0", "version=4", "version \"3.5\""},
        {"demo", "dropout=0", "version=3.5", "version \"4\""},
        {"demo", "dropout=0", "feature_map_depth=1", "feature_map_depth 2"},
        {"demo", "dropout=0", "cross_dim=false", "cross_dim true"},
        {"demo", "spectral_gate=true", "spectral_gate=false", "spectral_gate true"},
        {"demo", "interference_interval=1", "interference_interval=2", "interference_interval"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wf_model *model = SAVE(cases[i][0], cases[i][1]);
        wf_model_destroy(SAVE(cases[i][0], cases[i][1], cases[i][2]));
        write_file(model, NULL, NULL, 0);
        expect_refusal(WF_ERROR_FORMAT, "no place for tensor", cases[i][3]);
        wf_model_destroy(model);
    }
}

/* Published version 4 configurations: two more tokens than cells. */
static void more_tokens_than_cells_are_explained(void **state)
{
    (void)state;
    static const char text[] =
        "{\"version\": \"4\", \"vocab_size\": 11, \"embedding_dim\": 12, \"num_layers\": 2, "
        "\"num_heads\": 3, \"ffn_dim\": 20, \"field_size\": 17, \"max_seq_len\": %d, "
        "\"interference_interval\": 2, \"kernel_norm\": \"dc\"%s}";
    wf_model *model = SAVE("demo", "field_size=17");
    char *path = path_join(folder, "config.json"), config[512];
    snprintf(config, sizeof config, text, 19, "");
    assert_int_equal(file_write_atomic(path, config, strlen(config)), WF_OK);
    expect_refusal(WF_ERROR_ARGUMENT, "lower max_seq_len to 17", "fold onto its last cell");
    expect_refusal(WF_ERROR_ARGUMENT, "config.json", "allow_leaky_geometry");
    snprintf(config, sizeof config, text, 19, ", \"allow_leaky_geometry\": true");
    assert_int_equal(file_write_atomic(path, config, strlen(config)), WF_OK);
    wf_model *leaky = load();
    snprintf(config, sizeof config, text, 17, "");
    assert_int_equal(file_write_atomic(path, config, strlen(config)), WF_OK);
    wf_model *lowered = load();

    /* "changes nothing for sequences that fit" */
    int32_t tokens[17];
    float before[17 * 11], after[17 * 11];
    for (int i = 0; i < 17; i++) tokens[i] = 5 * i % 11;
    assert_int_equal(wf_model_logits(leaky, tokens, 1, 17, "direct", before), WF_OK);
    assert_int_equal(wf_model_logits(lowered, tokens, 1, 17, "direct", after), WF_OK);
    assert_memory_equal(before, after, sizeof before);
    wf_model_destroy(lowered);
    wf_model_destroy(leaky);
    wf_model_destroy(model);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_weights_loads),
        cmocka_unit_test(compiled_names_load),
        cmocka_unit_test(buffers_of_any_type_are_passed_over),
        cmocka_unit_test(the_head_must_be_the_embedding),
        cmocka_unit_test(other_models_are_refused_by_name),
        cmocka_unit_test(reasons_come_before_shapes),
        cmocka_unit_test(missing_tensors_are_explained),
        cmocka_unit_test(the_wrong_key_is_named),
        cmocka_unit_test(more_tokens_than_cells_are_explained),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
