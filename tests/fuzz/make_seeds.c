/* Writes the seeds that need the library's own writers: make_seeds FOLDER. Each lies under the name
 * of its target and must be taken. */
#include "tiny.h"

#include "base/files.h"
#include "base/text.h"
#include "model/model.h"
#include "tensor/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *out; /* the folder */

/* Adds a file to a seed; a further part where `seed` is not empty. */
static void append_file(Text *seed, const char *path)
{
    char *data;
    size_t size;
    MUST(file_read(path, 1 << 20, &data, &size));
    text_append_bytes(seed, data, size);
    free(data);
}

static void append_mark(Text *seed)
{
    text_append_bytes(seed, FUZZ_MARK, strlen(FUZZ_MARK));
}

static void save_seed(const char *target, const char *name, Text *seed)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", out, target);
    MUST(folder_make(path));
    snprintf(path, sizeof path, "%s/%s/%s", out, target, name);
    REQUIRE(!seed->failed);
    MUST(file_write_atomic(path, seed->data, seed->length));
    text_destroy(seed);
}

static void append_parts(Text *seed, const char *folder, const char *const *files, int n)
{
    char name[256];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, files[i]);
        if (i) append_mark(seed);
        if (file_exists(fuzz_path(name))) append_file(seed, fuzz_path(name));
    }
}

/* ---- models ---- */

static void seed_model(const char *name, const char *version, const char *const *settings,
                       const char *tokenizer_json)
{
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json"};
    wf_device *device;
    wf_model *model;
    wf_config *config = tiny_config(version);
    for (; *settings; settings++) MUST(wf_config_set(config, *settings));
    MUST(wf_device_open("cpu", &device));
    MUST(wf_model_create(device, config, 3, &model));
    MUST(wf_model_save(model, fuzz_path("model")));
    wf_model_destroy(model);
    wf_device_close(device);
    wf_config_destroy(config);
    fuzz_write("model/tokenizer.json",
               (Part){(const uint8_t *)tokenizer_json, strlen(tokenizer_json)});
    Text seed = {0};
    append_parts(&seed, "model", files, 3);
    save_seed("fuzz_model", name, &seed);
    append_file(&seed, fuzz_path("model/model.safetensors"));
    save_seed("fuzz_safetensors", name, &seed);
    append_file(&seed, fuzz_path("model/config.json"));
    save_seed("fuzz_config", name, &seed);
}
#define SETTINGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void seed_models(void)
{
    seed_model("v4", "4", SETTINGS("cross_dim=true"), "");
    seed_model("v4-gated", "4", SETTINGS("spectral_gate=true", "feature_map_depth=1"), "");
    seed_model("v4-interference", "4",
               SETTINGS("num_layers=2", "interference_interval=2", "dropout=0.1"), "");
    seed_model("v4-mixed", "4", SETTINGS("num_layers=2", "mixer=wave,attention"), "");
    seed_model("v4-attention", "4", SETTINGS("mixer=attention"), "");
    seed_model("v4-leaky", "4",
               SETTINGS("max_seq_len=8", "allow_leaky_geometry=true", "kernel_norm=dc"), "");
    seed_model("v4-bytes", "4", SETTINGS("vocab_size=256", "tokenizer=byte"),
               "{\"type\": \"byte\"}");
    seed_model("v3.5", "3.5", SETTINGS("version=3.5"),
               "{\"type\": \"char\", \"characters\": \"a\\u00e9\\n\"}");
}

/* ---- safetensors of every kind ---- */

static void seed_dtypes(void)
{
    static const uint8_t bytes[256];
    SafeTensorsWriter *writer;
    int64_t size = 0;
    MUST(safetensors_writer_create(&writer));
    MUST(safetensors_writer_metadata(writer, "format", "pt"));
    for (int i = 0; i < FILE_DTYPE_COUNT; i++) {
        Shape shape = i % 3 == 0 ? SHAPE(1, 2) : i % 3 == 1 ? SHAPE(0, 7) : (Shape){.rank = 0};
        MUST(
            safetensors_writer_declare(writer, file_dtype_name((FileDType)i), (FileDType)i, shape));
        size += shape_elements(shape) * file_dtype_size((FileDType)i);
    }
    REQUIRE(size <= (int64_t)sizeof bytes);
    MUST(safetensors_writer_begin(writer, fuzz_path("dtypes")));
    MUST(safetensors_writer_write(writer, bytes, (size_t)size));
    MUST(safetensors_writer_commit(writer));
    safetensors_writer_destroy(writer);
    Text seed = {0};
    append_file(&seed, fuzz_path("dtypes"));
    save_seed("fuzz_safetensors", "dtypes", &seed);
}

/* ---- checkpoints ---- */

static void seed_checkpoint(const char *name, int steps)
{
    static const char *const files[] = {"state.json", "optimizer.safetensors", "model.safetensors",
                                        "config.json"};
    char path[4096], folder[64];
    Tiny tiny = tiny_open();
    for (int i = 0; i < steps; i++) {
        wf_step_stats stats;
        wf_evaluation evaluation;
        MUST(wf_trainer_step(tiny.trainer, &stats));
        MUST(wf_trainer_evaluate(tiny.trainer, &evaluation));
    }
    MUST(wf_trainer_save(tiny.trainer, fuzz_path("run"), 1));
    MUST(wf_checkpoint_latest(fuzz_path("run"), path, sizeof path));
    snprintf(folder, sizeof folder, "run/%s", strrchr(path, '/') + 1);
    Text seed = {0};
    append_parts(&seed, folder, files, 4);
    save_seed("fuzz_checkpoint", name, &seed);
    tiny_close(&tiny);
}

bool fuzz_one(const uint8_t *data, size_t size)
{
    (void)data;
    return size == 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return EXIT_FAILURE;
    }
    out = argv[1];
    seed_models();
    seed_dtypes();
    seed_checkpoint("start", 0);
    seed_checkpoint("step-9", 9);
    return EXIT_SUCCESS;
}
