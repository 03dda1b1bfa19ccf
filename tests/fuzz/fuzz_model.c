/* A model folder, from the parts config.json, model.safetensors, tokenizer.json. */
#include "fuzz.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const FILES[] = {"config.json", "model.safetensors", "tokenizer.json"};
enum { N_FILES = 3 };

static wf_device *device;

static void write_folder(const Part *parts)
{
    char name[64];
    mkdir(fuzz_path("model"), 0700);
    for (int i = 0; i < N_FILES; i++) {
        snprintf(name, sizeof name, "model/%s", FILES[i]);
        fuzz_write(name, parts[i]);
    }
}

static void compare(const wf_model *a, const wf_model *b)
{
    char *x = config_print(a->config), *y = config_print(b->config);
    REQUIRE(x && y && strcmp(x, y) == 0);
    free(x);
    free(y);
    REQUIRE(a->parameters.count == b->parameters.count);
    for (int i = 0; i < a->parameters.count; i++) {
        size_t n = (size_t)shape_elements(a->parameters.items[i].shape);
        float *of_a = malloc(n * sizeof *of_a), *of_b = malloc(n * sizeof *of_b);
        REQUIRE(of_a && of_b);
        MUST(sequence_read(&a->values, i, of_a));
        MUST(sequence_read(&b->values, i, of_b));
        REQUIRE(memcmp(of_a, of_b, n * sizeof *of_a) == 0);
        free(of_a);
        free(of_b);
    }
    REQUIRE(!a->tokenizer == !b->tokenizer);
    if (!a->tokenizer) return;
    REQUIRE(wf_tokenizer_vocabulary(a->tokenizer) == wf_tokenizer_vocabulary(b->tokenizer));
    REQUIRE(wf_tokenizer_vocabulary(a->tokenizer) <= a->config->vocab_size);
}

/* Whatever the numbers in it, a model that loads can be asked for logits. */
static void run(wf_model *model)
{
    const Config *config = model->config;
    static const int32_t tokens[4] = {0};
    if (config->field_size > 256 || config->vocab_size > 256 || config->num_layers > 4) return;
    float *logits = malloc(4 * (size_t)config->vocab_size * sizeof *logits);
    REQUIRE(logits);
    fuzz_ok(wf_model_logits(model, tokens, 1, int64_min(4, config->max_seq_len), NULL, logits));
    free(logits);
}

bool fuzz_one(const uint8_t *data, size_t size)
{
    Part parts[N_FILES];
    wf_model *model, *again;
    if (!device) MUST(wf_device_open("cpu", &device));
    fuzz_split(data, size, parts, N_FILES);
    write_folder(parts);
    if (!fuzz_ok(wf_model_load(device, fuzz_path("model"), &model))) return false;
    fuzz_write("again/tokenizer.json", (Part){0}); /* one of an earlier input would stay */
    MUST(wf_model_save(model, fuzz_path("again")));
    MUST(wf_model_load(device, fuzz_path("again"), &again));
    compare(model, again);
    wf_model_destroy(again);
    run(model);
    wf_model_destroy(model);
    return true;
}
