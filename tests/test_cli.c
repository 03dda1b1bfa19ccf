/* The command line from outside: what a user types, the exit status, and what is printed. */
#include "scratch.h"
#include "tensor/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TINY                                                                                       \
    "--config demo --set embedding_dim=16 num_layers=2 num_heads=2 ffn_dim=24 field_size=70 "      \
    "max_seq_len=32 "

/* Runs `wavefield …` in the folder; returns its exit status. */
static int wavefield(const char *format, ...) PRINTF_LIKE(1, 2);
static int wavefield(const char *format, ...)
{
    char options[4096], line[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(options, sizeof options, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, "'%s' %s", WAVEFIELD_BINARY, options);
    return folder_run(line);
}

static void write_bytes(const char *name, const char *bytes, size_t size)
{
    FILE *file = fopen(IN_FOLDER(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

/* About 9 KB of sentences that are alike and not the same. */
static void write_data(void)
{
    static const char *const who[] = {"fox", "owl", "hare", "wren", "mole"};
    static const char *const does[] = {"sees", "hears", "follows", "forgets"};
    FILE *file = fopen(IN_FOLDER("data.txt"), "w");
    assert_non_null(file);
    for (int i = 0; i < 300; i++)
        fprintf(file, "the %s %s the old %s.\n", who[i % 5], does[i * 7 % 4], who[i * i % 5]);
    assert_int_equal(fclose(file), 0);
}

static int count_text(const char *name, const char *text)
{
    char line[256];
    FILE *file = fopen(IN_FOLDER(name), "r");
    int count = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) count += strstr(line, text) != NULL;
    fclose(file);
    return count;
}

static int set_up(void **state)
{
    if (folder_set_up(state)) return -1;
    write_data();
    return 0;
}

/* ---- usage ---- */

static void usage_errors_exit_2_and_name_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(wavefield("%s", ""), 2);
    assert_int_equal(wavefield("trian"), 2);
    assert_says("did you mean \"train\"?");
    assert_int_equal(wavefield("train --stpes 5"), 2);
    assert_says("did you mean --steps?");
    assert_int_equal(wavefield("train --learning-rte=5"), 2);
    assert_says("did you mean --learning-rate?");
    assert_int_equal(wavefield("train --steps"), 2);
    assert_says("--steps expects N");
    assert_int_equal(wavefield("train --steps many"), 2);
    assert_says("\"many\"");
    assert_int_equal(wavefield("train --steps 0"), 2);
    assert_int_equal(wavefield("train --learning-rate nan"), 2);
    assert_int_equal(wavefield("train --resume=yes --data data.txt --out x"), 2);
    assert_int_equal(wavefield("eval --model x"), 2);
    assert_says("--data FILE|DIR ... is required");
    assert_int_equal(wavefield("devices now"), 2);
    assert_says("\"now\"");
    assert_int_equal(wavefield("logits --model x --out y --tokens 1 --tokens-file z"), 2);
    assert_int_equal(wavefield("logits --model x --out y --tokens 1 --stream --evaluator fft"), 2);
    assert_int_equal(wavefield("train --data data.txt --out x"), 2);
    assert_says("--config");
    assert_int_equal(wavefield("info"), 2);
    /* a variable of the shell that is not set */
    assert_int_equal(wavefield("tokenize --tokenizer byte --data data.txt --out ''"), 2);
    assert_says("--out expects DIR, found \"\"");
    assert_int_equal(wavefield("eval --model= --data data.txt"), 2);
    assert_int_equal(wavefield("eval --model x --data data.txt ''"), 2);
}

static void words_that_no_option_takes_are_usage_errors(void **state)
{
    (void)state;
    const char *train = "train " TINY "--data data.txt --out x";
    assert_int_equal(wavefield("%s --precision f8", train), 2);
    assert_says("--precision expects f32, f16 or bf16, found \"f8\"");
    assert_int_equal(wavefield("%s --evaluator fast", train), 2);
    assert_says("--evaluator expects auto, scan, fft or direct, found \"fast\"");
    assert_int_equal(wavefield("%s --evaluator ''", train), 2);
    assert_says("found \"\"");
    assert_int_equal(wavefield("logits --model x --out y --tokens 1 --evaluator Scan"), 2);
    assert_int_equal(wavefield("bench --figure nothing"), 2);
    assert_says("--figure expects field-copy, ");
    static const char *const devices[] = {"abacus", "vulkan:",  "vulkan:x", "vulkan1",
                                          "cpus",   "auto:1",   "",         "vulkan[:n]",
                                          ":0",     "vulkan:1x"};
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        char found[64];
        snprintf(found, sizeof found, "or cuda[:n], found \"%s\"", devices[i]);
        assert_int_equal(wavefield("info --config demo --device '%s'", devices[i]), 2);
        assert_says(found);
    }
    assert_int_equal(wavefield("info --config demo --device cpu:0 --evaluator scan"), 0);
    assert_int_equal(wavefield("train --help"), 0);
    assert_says("f32, f16 or bf16: how activations");
    assert_says("auto, cpu[:n], vulkan[:n], opencl[:n] or cuda[:n]: ");
}

static void help_names_every_option(void **state)
{
    (void)state;
    assert_int_equal(wavefield("generate --help"), 0);
    assert_null(strstr(output, "(default: )"));
    assert_int_equal(wavefield("--help"), 0);
    const char *commands[] = {"devices", "info",  "tokenize", "train", "eval", "generate",
                              "logits",  "check", "bench",    "tune",  "plot"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) assert_says(commands[i]);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        assert_int_equal(wavefield("%s --help", commands[i]), 0);
    const char *options[] = {"--config",
                             "--set",
                             "--data",
                             "--eval-data",
                             "--text-field",
                             "--out",
                             "--steps",
                             "--batch-size",
                             "--sequence-length",
                             "--learning-rate",
                             "--min-learning-rate",
                             "--warmup",
                             "--weight-decay",
                             "--clip",
                             "--accumulation",
                             "--seed",
                             "--eval-every",
                             "--save-every",
                             "--keep",
                             "--resume",
                             "--recompute",
                             "--patience",
                             "--tensorboard",
                             "--evaluator",
                             "--tokenizer",
                             "--tokenizer-size",
                             "--held-out",
                             "--device"};
    assert_int_equal(wavefield("train --help"), 0);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) assert_says(options[i]);
    assert_int_equal(wavefield("--version"), 0);
    assert_says("wavefield 0.");
    assert_says("\nbackends: ");
    assert_says(" cpu\n");
}

/* ---- errors a user meets ---- */

/* Output that goes nowhere fails; that of a stream which was closed never ends up in a file. */
static void lost_output_is_a_failure(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK)) skip();
    const char *const commands[] = {"--help", "--version", "info --help", "info --config demo",
                                    "devices"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        assert_int_equal(wavefield("%s > /dev/full", commands[i]), 1);
        assert_says("standard output");
        assert_int_equal(wavefield("%s > /dev/null", commands[i]), 0);
    }
    assert_int_equal(wavefield("info > /dev/full"), 2);
    assert_int_equal(wavefield("train " TINY
                               "--data data.txt --device cpu --steps 4 --batch-size 2 "
                               "--out quiet --log-every 1 >&- 2>&-"),
                     0);
    assert_int_equal(count_text("quiet/metrics.jsonl", "\"step\":"), 5);
    assert_int_equal(count_text("quiet/metrics.jsonl", "parameters"), 0);
    assert_int_equal(
        wavefield("generate --model quiet --prompt owl --max-tokens 4 --device cpu > /dev/full"),
        1);
    assert_says("the text cannot be printed: No space left on device");
    assert_null(strstr(output, "asked to stop"));
}

static void devices_are_listed(void **state)
{
    (void)state;
    assert_int_equal(wavefield("devices"), 0);
    assert_says("cpu");
    assert_says("auto is ");
    assert_int_equal(wavefield("devices --names"), 0);
    assert_memory_equal(output, "auto\n", 5);
    assert_says("\ncpu\n");
    assert_int_equal(wavefield("devices --json devices.json"), 0);
    json_t *listed = json_load_file(IN_FOLDER("devices.json"), 0, NULL);
    const json_t *devices = json_object_get(listed, "devices");
    const char *chosen = json_string_value(json_object_get(listed, "auto"));
    assert_non_null(chosen);
    size_t present = 0;
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        present += !strcmp(json_string_value(json_object_get(device, "id")), chosen);
        assert_true(json_is_boolean(json_object_get(device, "half_storage")));
        assert_true(json_integer_value(json_object_get(device, "subgroup_size")) >= 0);
    }
    assert_int_equal(present, 1);
    json_decref(listed);
    assert_int_equal(wavefield("info --config demo --device vulkan:99"), 1);
    assert_says("vulkan:99");
    assert_says("cpu ("); /* those present are listed */
}

/* On the first Vulkan device, whatever it is. */
static void a_tuning_is_kept_shown_and_forgotten(void **state)
{
    (void)state;
    assert_int_equal(wavefield("tune --device cpu"), 1);
    assert_says("cpu is no GPU");
    assert_int_equal(wavefield("devices --names"), 0);
    if (!strstr(output, "vulkan:0")) skip();
    assert_int_equal(setenv("WAVEFIELD_CACHE", IN_FOLDER("caches"), 1), 0);
    assert_int_equal(wavefield("devices"), 0);
    assert_null(strstr(output, "tuned for"));
    assert_int_equal(wavefield("tune --device vulkan:0 --quick --batch-size 2 " TINY), 0);
    assert_says("TFLOP/s");
    assert_says("\n    chosen: ");
    assert_says("\nkept for vulkan:0: ");
    assert_int_equal(wavefield("devices"), 0);
    assert_says("tuned for ");
    assert_int_equal(wavefield("check --op product --device vulkan:0"), 0);
    assert_null(strstr(output, "warning"));
    assert_int_equal(folder_run("for f in caches/*; do truncate -s -1 $f; done"), 0);
    assert_int_equal(wavefield("devices"), 0);
    assert_says("damaged tuning, or another version's, not used");
    assert_int_equal(wavefield("check --op product --device vulkan:0"), 0);
    assert_says("wavefield check: warning: the tuning kept for vulkan:0 is damaged");
    assert_int_equal(wavefield("tune --device vulkan:0 --forget"), 0);
    assert_int_equal(wavefield("devices"), 0);
    assert_null(strstr(output, "damaged"));
    assert_int_equal(setenv("WAVEFIELD_CACHE", "off", 1), 0);
    assert_int_equal(wavefield("tune --device vulkan:0 --quick " TINY), 1);
    assert_says("cannot be kept: WAVEFIELD_CACHE keeps nothing");
    assert_int_equal(unsetenv("WAVEFIELD_CACHE"), 0);
}

static void configuration_errors_name_the_key(void **state)
{
    (void)state;
    assert_int_equal(wavefield("info --config demo --set feild_size=300"), 1);
    assert_says("feild_size");
    assert_says("\"field_size\"");
    write_file("typo.json", "{\"model_type\": \"wavefield\", \"num_layer\": 3}");
    assert_int_equal(wavefield("info --config typo.json"), 1);
    assert_says("typo.json");
    assert_says("\"num_layers\"");
    assert_int_equal(wavefield("info --config dmeo"), 1);
    assert_says("demo");
    /* A geometry that leaks is shown with its first pair, then refused. */
    assert_int_equal(wavefield("info --config demo --set max_seq_len=300"), 1);
    assert_says("LEAKS: token ");
    assert_says("max_seq_len");
    assert_int_equal(wavefield("info --config v4-20m"), 0);
    assert_int_equal(wavefield("info --config v4-20m --recompute --device cpu"), 0);
    assert_says("strictly causal");
}

static void data_errors_name_the_file(void **state)
{
    (void)state;
    assert_int_equal(wavefield("train %s --data absent.txt --out a --device cpu", TINY), 1);
    assert_says("absent.txt");
    write_file("short.txt", "too short");
    assert_int_equal(wavefield("train %s --data short.txt --out b --device cpu", TINY), 1);
    assert_says("32"); /* the tokens a sequence needs */
    write_file("broken.txt", "not \xff UTF-8");
    assert_int_equal(
        wavefield("train %s --data broken.txt --tokenizer char --out c --device cpu", TINY), 1);
    assert_says("broken.txt");
    assert_int_equal(wavefield("generate --model nowhere"), 1);
    assert_says("nowhere");
}

/* ---- the main job ---- */

static void assert_same_file(const char *a, const char *b)
{
    char line[1024];
    snprintf(line, sizeof line, "cmp %s/%s %s/%s", folder, a, folder, b);
    assert_int_equal(system(line), 0);
}

/* Largest difference of two files' logits over their root mean square. */
static double logits_difference(const char *a, const char *b, int64_t rows)
{
    SafeTensors *files[2];
    float *values[2];
    int64_t n = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(safetensors_open(IN_FOLDER(i ? b : a), &files[i]), WF_OK);
        const FileTensor *tensor = safetensors_find(files[i], "logits");
        assert_non_null(tensor);
        assert_int_equal(tensor->dtype, FILE_F32);
        assert_int_equal(tensor->shape.rank, 2);
        assert_int_equal(tensor->shape.dim[0], rows);
        n = tensor->elements;
        values[i] = malloc((size_t)n * sizeof(float));
        assert_non_null(values[i]);
        assert_int_equal(safetensors_read_floats(files[i], tensor, values[i]), WF_OK);
        safetensors_close(files[i]);
    }
    double largest = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = fabs((double)values[0][i] - (double)values[1][i]);
        assert_true(isfinite(difference));
        largest = fmax(largest, difference);
        squares += (double)values[1][i] * (double)values[1][i];
    }
    free(values[0]);
    free(values[1]);
    assert_true(squares > 0);
    return largest / sqrt(squares / (double)n);
}

#define TRAIN "train " TINY "--data data.txt --device cpu --steps 12 --batch-size 4 --save-every 6 "

static void a_model_trains_evaluates_and_generates(void **state)
{
    (void)state;
    assert_int_equal(wavefield(TRAIN "--out model --log-every 4 --eval-every 5"), 0);
    assert_says("parameters");
    assert_says("step 4/12");
    assert_says("step 12/12");
    assert_says("step 5: held-out loss");
    assert_says("step 12: held-out loss");
    assert_null(strchr(output, '\r')); /* not a terminal */
    assert_int_equal(count_text("model/metrics.jsonl", "gradient_norm"), 12);
    assert_int_equal(count_text("model/metrics.jsonl", "held_out_loss"), 3);
    assert_int_equal(count_text("model/metrics.jsonl", "\"total_tokens\":1536"), 2); /* 12·4·32 */

    assert_int_equal(wavefield("eval --model model --data data.txt --device cpu"), 0);
    assert_says("perplexity");
    assert_says("bits per byte");
    assert_int_equal(wavefield("eval --model model --data data.txt --device cpu --json"), 0);
    assert_says("\"accuracy\"");

    const char *generate = "generate --model model --prompt 'the owl' --device cpu --max-tokens 20";
    static char first[sizeof output];
    assert_int_equal(wavefield("%s", generate), 0);
    assert_memory_equal(output, "the owl", 7);
    strcpy(first, output);
    assert_int_equal(wavefield("%s", generate), 0);
    assert_string_equal(first, output); /* the same seed */
    assert_int_equal(wavefield("%s --seed 9 --temperature 2", generate), 0);
    assert_string_not_equal(first, output);
    assert_int_equal(wavefield("generate --model model --prompt '%0100d' --device cpu", 0), 1);

    assert_int_equal(wavefield("check --model model --device cpu"), 0);
    assert_says("bit-equal");
    assert_says("0 failed, 0 missing");
    assert_int_equal(wavefield("info --model model --device cpu"), 0);
    assert_says("parameters");
}

/* 2^32 + 1 is not 1. */
static void counts_beyond_an_int_stay_large(void **state)
{
    (void)state;
    const char *generate = "generate --model model --prompt 'the owl' --device cpu --max-tokens 20 "
                           "--temperature 2 --top-p 1";
    static char all[sizeof output];
    assert_int_equal(wavefield("%s", generate), 0);
    strcpy(all, output);
    assert_int_equal(wavefield("%s --top-k 4294967297", generate), 0);
    assert_string_equal(all, output);
    assert_int_equal(
        wavefield("%s --repetition-penalty 2 --repetition-window 4294967297", generate), 1);
    assert_says("repetition_window");
    assert_int_equal(wavefield(TRAIN "--out hoard --keep 4294967297"), 0);
    assert_int_equal(access(IN_FOLDER("hoard/step-00000006"), F_OK), 0);
}

static void a_transformer_trains_and_is_causal(void **state)
{
    (void)state;
    assert_int_equal(wavefield(TRAIN "--set mixer=attention --out transformer"), 0);
    assert_int_equal(wavefield("check --model transformer --device cpu"), 0);
    assert_says("2 ok, 0 failed, 0 missing");
    assert_int_equal(wavefield("info --model transformer --device cpu"), 0);
    assert_says("attention in every layer");
    assert_says("all keys and values are kept");
    assert_null(strstr(output, "geometry"));
    assert_int_equal(wavefield("generate --model transformer --prompt 'the owl' --device cpu "
                               "--max-tokens 20"),
                     0);
}

static void logits_agree_however_they_are_computed(void **state)
{
    (void)state;
    const char *common = "logits --model model --device cpu --tokens 5,9,2,7,1,3,11,4";
    assert_int_equal(wavefield("%s --out scan --evaluator scan", common), 0);
    assert_int_equal(wavefield("%s --out fft --evaluator fft", common), 0);
    assert_int_equal(wavefield("%s --out direct --evaluator direct", common), 0);
    assert_int_equal(wavefield("%s --out stream --stream", common), 0);
    assert_true(logits_difference("scan", "direct", 8) < 1e-5);
    assert_true(logits_difference("fft", "direct", 8) < 1e-5);
    assert_true(logits_difference("stream", "direct", 8) < 1e-5);
    write_file("tokens", "5 9 2\n7,1 3\n11,4\n");
    assert_int_equal(wavefield("logits --model model --device cpu --tokens-file tokens --out file"),
                     0);
    assert_true(logits_difference("file", "scan", 8) < 1e-6);

    assert_int_equal(wavefield("logits --model model --tokens 1,99999 --out x --device cpu"), 1);
    assert_says("99999");
    assert_int_equal(wavefield("logits --model model --tokens 1,two --out x --device cpu"), 1);
    assert_says("\"two\"");
    write_bytes("cut", "5,9\0,2,7", 8);
    assert_int_equal(wavefield("logits --model model --tokens-file cut --out x --device cpu"), 1);
    assert_says("cut: byte 3 is 0");
}

static void a_resumed_run_equals_an_unbroken_one(void **state)
{
    (void)state;
    char line[256];
    assert_int_equal(wavefield(TRAIN "--out model"), 1); /* not over an earlier run */
    assert_says("--resume");
    assert_int_equal(wavefield(TRAIN "--out again"), 0);
    assert_same_file("model/model.safetensors", "again/model.safetensors");

    assert_int_equal(wavefield(TRAIN "--out lean --recompute"), 0);
    assert_same_file("model/model.safetensors", "lean/model.safetensors");

    /* As if the process had ended after step 6. */
    snprintf(line, sizeof line, "cd %s/again && rm -r *12 best model.safetensors config.json",
             folder);
    assert_int_equal(system(line), 0);
    assert_int_equal(wavefield("generate --model again --max-tokens 3 --device cpu"), 0);
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out again "
                               "--batch-size 5"),
                     1);
    assert_says("batch");
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out again"), 0);
    assert_null(strstr(output, "tuning"));
    assert_same_file("model/model.safetensors", "again/model.safetensors");
    assert_int_equal(count_text("again/metrics.jsonl", "gradient_norm"), 12);
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out nothing"), 1);

    /* As if it had been written on a tuned GPU. */
    assert_int_equal(folder_run("sed -i 's/\"tuning\": \"0*\"/\"tuning\": \"0123456789abcdef\"/' "
                                "again/*12/state.json"),
                     0);
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out again"), 0);
    assert_says("was written under another tuning of products, and cpu is not");
}

/* Recomputation has no say in the bits, so a resumed run may begin and end it. */
static void recomputation_can_be_switched_on_and_off(void **state)
{
    (void)state;
    static const char *const flags[] = {"--recompute", "", "--no-recompute", ""};
    static const bool stored[] = {true, true, false, false};
    char line[256];
    assert_int_equal(wavefield(TRAIN "--out switched"), 0);
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof line, "cd %s/switched && rm -r *12 best model.safetensors", folder);
        assert_int_equal(system(line), 0);
        assert_int_equal(
            wavefield("train --resume --data data.txt --device cpu --out switched %s", flags[i]),
            0);
        assert_same_file("model/model.safetensors", "switched/model.safetensors");
        assert_int_equal(count_text("switched/step-00000012/state.json", "\"recompute\": true"),
                         stored[i]);
        snprintf(line, sizeof line,
                 "cd %s/switched && sed 's/\"recompute\": [a-z]*/\"recompute\": %s/' "
                 "*06/state.json > s && mv s *06/state.json",
                 folder, stored[i] ? "true" : "false");
        assert_int_equal(system(line), 0);
    }
    assert_int_equal(wavefield(TRAIN "--out none --recompute --no-recompute"), 2);
    assert_says("exclude each other");
}

/* Evaluates, generates and goes on with a model whose tokenizer is a file of its own. */
static void assert_usable(const char *model, const char *tokenizer_file)
{
    char line[256], name[128];
    snprintf(name, sizeof name, "%s/step-00000012/%s", model, tokenizer_file);
    assert_int_equal(access(IN_FOLDER(name), F_OK), 0);
    assert_int_equal(wavefield("eval --model %s --data data.txt --device cpu", model), 0);
    assert_says("bits per byte");
    assert_int_equal(
        wavefield("generate --model %s --prompt 'the owl' --max-tokens 8 --device cpu", model), 0);
    assert_memory_equal(output, "the owl", 7);
    assert_int_equal(wavefield("generate --model %s --max-tokens 3 --device cpu", model), 0);

    snprintf(line, sizeof line, "cd %s && cp -r %s kept && cd %s && rm -r *12 model.safetensors",
             folder, model, model);
    assert_int_equal(system(line), 0);
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out %s", model), 0);
    snprintf(name, sizeof name, "%s/model.safetensors", model);
    assert_same_file("kept/model.safetensors", name);
    snprintf(line, sizeof line, "rm -r %s/kept", folder);
    assert_int_equal(system(line), 0);
}

/* One that was converted, say, has no checkpoint beside it. */
static void a_model_is_not_written_over(void **state)
{
    (void)state;
    char line[512];
    snprintf(line, sizeof line,
             "cd %s && mkdir theirs && cp model/config.json model/model.safetensors theirs",
             folder);
    assert_int_equal(system(line), 0);
    assert_int_equal(wavefield(TRAIN "--seed 3 --out theirs"), 1);
    assert_says("theirs/model.safetensors is a model");
    assert_same_file("model/model.safetensors", "theirs/model.safetensors");
    assert_int_equal(access(IN_FOLDER("theirs/metrics.jsonl"), F_OK), -1);
}

/* Overwrites a tensor's first element with NaN. */
static void poison(const char *path, const char *name)
{
    SafeTensors *tensors;
    unsigned char length[8];
    const float nan = NAN;
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fread(length, 1, 8, file), 8);
    long start = 8 + (long)(length[0] | length[1] << 8 | length[2] << 16);
    assert_int_equal(safetensors_open(path, &tensors), WF_OK);
    const FileTensor *first = safetensors_at(tensors, 0), *tensor = safetensors_find(tensors, name);
    assert_non_null(tensor);
    long offset = (long)((const char *)tensor->data - (const char *)first->data);
    safetensors_close(tensors);
    assert_int_equal(fseek(file, start + offset, SEEK_SET), 0);
    assert_int_equal(fwrite(&nan, sizeof nan, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

/* NaN is NaN whatever comes later: that proves nothing. */
static void a_model_of_nan_is_not_called_causal(void **state)
{
    (void)state;
    char line[256];
    snprintf(line, sizeof line, "cp -r %s/model %s/poisoned", folder, folder);
    assert_int_equal(system(line), 0);
    poison(IN_FOLDER("poisoned/model.safetensors"), "norm.bias");
    assert_int_equal(wavefield("check --model poisoned --device cpu --json poisoned.json"), 1);
    assert_says("1 ok, 4 failed"); /* the geometry is as it was */
    assert_says("the logits of token 0 are not finite");
    assert_int_equal(count_text("poisoned.json", "\"error\": null"), 4);
    assert_int_equal(wavefield("generate --model poisoned --prompt owl --device cpu"), 1);
    assert_int_equal(wavefield("eval --model poisoned --data data.txt --device cpu"), 1);

    /* nor is a configuration that cannot be read another one's */
    write_file("poisoned/config.json", "{");
    assert_int_equal(wavefield("info --model poisoned --device cpu"), 1);
    assert_says("poisoned/config.json: line");
}

static void subword_tokenizers_serve_a_model(void **state)
{
    (void)state;
    int status = wavefield(TRAIN "--out pieces --tokenizer sentencepiece-bpe --tokenizer-size 290");
    if (status && strstr(output, "build again")) skip();
    assert_int_equal(status, 0);
    assert_says("vocabulary of 290 (sentencepiece)");
    assert_usable("pieces", "tokenizer.model");

    /* A file, and more rows in the model than it has tokens. */
    assert_int_equal(wavefield(TRAIN "--out rows --tokenizer pieces/tokenizer.model"), 0);
    assert_int_equal(wavefield("train " TINY
                               "vocab_size=320 --data data.txt --device cpu --steps 2 "
                               "--batch-size 4 --out more --tokenizer pieces/tokenizer.model"),
                     0);
    assert_says("vocabulary of 320 (sentencepiece)");
    assert_int_equal(wavefield("train " TINY
                               "vocab_size=100 --data data.txt --device cpu --out few "
                               "--tokenizer pieces/tokenizer.model"),
                     1);
    assert_says("290");
    assert_int_equal(wavefield(TRAIN "--out x --tokenizer pieces --tokenizer-size 300"), 1);
    assert_says("--tokenizer-size");
    assert_int_equal(wavefield(TRAIN "--out x --tokenizer byte --tokenizer-size 300"), 1);
    assert_says("300");
    assert_int_equal(wavefield(TRAIN "--out x --tokenizer sentencepiece"), 1);
    assert_says("\"sentencepiece-unigram\"");
}

static void a_tokenizer_json_serves_a_model(void **state)
{
    (void)state;
    int status = wavefield(TRAIN "--out bpe --tokenizer %s/gpt2.json", TEST_DATA);
    if (status && strstr(output, "build again")) skip();
    assert_int_equal(status, 0);
    assert_says("vocabulary of 480 (bpe)");
    assert_usable("bpe", "tokenizer.json");
}

static void a_signal_saves_and_ends(void **state)
{
    (void)state;
    char line[8192];
    snprintf(line, sizeof line,
             "cd %s && exec '%s' train " TINY "--data data.txt --device cpu --steps 100000000 "
             "--batch-size 1 --out stopped > stopped.txt 2>&1",
             folder, WAVEFIELD_BINARY);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 600 && access(IN_FOLDER("stopped/metrics.jsonl"), F_OK); i++)
        usleep(100000);
    usleep(300000);
    assert_int_equal(kill(child, SIGTERM), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(count_text("stopped.txt", "--resume continues"), 1);
    assert_int_equal(wavefield("generate --model stopped --max-tokens 3 --device cpu"), 0);
}

/* Shards give the model that the text gives, to the bit, with a tokenizer beside them or without.
 */
static void shards_train_like_the_text(void **state)
{
    (void)state;
    assert_int_equal(wavefield("tokenize --tokenizer char --data data.txt --out shards "
                               "--shard-tokens 3000"),
                     0);
    int vocabulary = 0;
    const char *says = strstr(output, "vocabulary of ");
    assert_non_null(says);
    assert_int_equal(sscanf(says, "vocabulary of %d", &vocabulary), 1);
    assert_int_equal(access(IN_FOLDER("shards/train_000002.bin"), F_OK), 0);
    assert_int_equal(access(IN_FOLDER("shards/val_000000.bin"), F_OK), 0);
    assert_int_equal(
        wavefield("tokenize --tokenizer char --data data.txt --out shards --shard-tokens 3000"), 1);
    assert_says("must be empty or absent");

    assert_int_equal(wavefield(TRAIN "--tokenizer char --out text"), 0);
    assert_int_equal(wavefield("train " TINY "--data shards --device cpu --steps 12 --batch-size 4 "
                               "--save-every 6 --out sharded"),
                     0);
    assert_says("(char)");
    assert_says("bits per byte");
    assert_same_file("text/model.safetensors", "sharded/model.safetensors");
    assert_same_file("text/tokenizer.json", "sharded/tokenizer.json");
    assert_int_equal(wavefield("eval --model sharded --data shards --device cpu"), 0);
    assert_says("bits per byte");

    assert_int_equal(
        wavefield("train " TINY "--tokenizer byte --data shards --out other --device cpu"), 1);
    assert_says("the shards in shards were made with another tokenizer (char");
    assert_int_equal(wavefield("tokenize --tokenizer byte --data data.txt --out bytes"), 0);
    assert_int_equal(wavefield("eval --model text --data bytes --device cpu"), 1);
    assert_says("the shards in bytes were made with another tokenizer (byte");
    /* not only those that come first */
    assert_int_equal(wavefield("eval --model text --data shards bytes --device cpu"), 1);
    assert_says("the shards in bytes were made with another tokenizer (byte");
    assert_int_equal(wavefield("train " TINY "--data shards/train_000000.bin shards/val_000000.bin "
                               "bytes/train_000000.bin --out other --device cpu"),
                     1);
    assert_says("the shards in bytes/ were made with another tokenizer (byte");

    /* The same run, interrupted, goes on with the tokens in one shard instead of three. */
    char line[256];
    snprintf(line, sizeof line, "cd %s/sharded && rm -r *12 best model.safetensors config.json",
             folder);
    assert_int_equal(system(line), 0);
    assert_int_equal(wavefield("tokenize --tokenizer text --data data.txt --out single"), 0);
    assert_int_equal(wavefield("train --resume --data single --device cpu --out sharded"), 0);
    assert_same_file("text/model.safetensors", "sharded/model.safetensors");
    assert_int_equal(wavefield("train --resume --data data.txt --held-out 0.1 --device cpu "
                               "--out sharded"),
                     1);
    assert_says("other data");

    remove(IN_FOLDER("shards/tokenizer.json"));
    assert_int_equal(wavefield("train " TINY "vocab_size=%d --data shards --device cpu --steps 12 "
                               "--batch-size 4 --out bare",
                               vocabulary),
                     0);
    assert_says("no tokenizer");
    assert_same_file("text/model.safetensors", "bare/model.safetensors");
    assert_int_equal(wavefield("eval --model bare --data shards/val_000000.bin --device cpu"), 0);
    assert_null(strstr(output, "bits per byte"));
    assert_int_equal(wavefield("eval --model bare --data data.txt --device cpu"), 1);
    assert_says("data.txt: text needs a tokenizer");
    assert_int_equal(wavefield("generate --model bare --device cpu"), 1);
    assert_says("bare has no tokenizer");
    assert_int_equal(wavefield("train " TINY "vocab_size=9 --data shards --device cpu --out nine"),
                     1);
    assert_says("outside the vocabulary of 9");
}

static void lines_of_json_train(void **state)
{
    (void)state;
    FILE *file = fopen(IN_FOLDER("data.jsonl"), "w");
    assert_non_null(file);
    for (int i = 0; i < 200; i++)
        fprintf(file, "{\"id\": %d, \"body\": \"the f\\u00f6x number %d\", \"title\": \"the f\"}\n",
                i, i * i);
    assert_int_equal(fclose(file), 0);
    write_file("held.txt", "the f\xC3\xB6x number 1\nthe f\xC3\xB6x number 2\n");
    assert_int_equal(wavefield("train " TINY "--data data.jsonl --out lines --device cpu"), 1);
    assert_says("data.jsonl: line 1: no key \"text\"; the object has \"id\", \"body\", \"title\"");
    assert_int_equal(wavefield("train " TINY "--data data.jsonl --text-field body --tokenizer char "
                               "--eval-data held.txt --steps 5 --out lines --device cpu"),
                     0);
    assert_says("vocabulary of 23 (char)"); /* those of the texts, not of JSON */
    assert_says("34 held out");
    /* A resumed run is told what it is not given. */
    const char *again = "train --resume --data data.jsonl --out lines --device cpu "
                        "--eval-data held.txt --text-field";
    assert_int_equal(wavefield("%s text", again), 1);
    assert_says("--resume needs --data, --eval-data, --held-out and --text-field as");
    assert_says("data.jsonl: line 1: no key \"text\"");
    assert_int_equal(wavefield("%s title", again), 1);
    assert_says("was trained on other data: same files, order, text field,");
    assert_int_equal(wavefield("%s body", again), 0);
    assert_int_equal(
        wavefield("eval --model lines --data data.jsonl --text-field body --device cpu"), 0);
    assert_int_equal(wavefield("tokenize --tokenizer lines --data data.jsonl --text-field body "
                               "--out json-shards --held-out 0.1"),
                     0);
    assert_says("200 documents");
    assert_int_equal(wavefield("eval --model lines --data json-shards --device cpu"), 0);
    assert_int_equal(wavefield("train " TINY "--data json-shards --held-out 0.1 --out y "
                               "--device cpu"),
                     1);
    assert_says("one of them only");
}

/* Starts `wavefield …` in the folder, its output into a file of it. */
static pid_t start(const char *log, const char *format, ...) PRINTF_LIKE(2, 3);
static pid_t start(const char *log, const char *format, ...)
{
    char options[4096], line[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(options, sizeof options, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, "cd %s && exec %s %s > %s 2>&1", folder, WAVEFIELD_BINARY, options,
             log);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    return child;
}

/* Waits for a file to hold that many lines with `text`, or for the child to end. */
static void wait_for_lines(pid_t child, const char *name, const char *text, int lines)
{
    siginfo_t ended = {0};
    while (!ended.si_pid && (access(IN_FOLDER(name), F_OK) || count_text(name, text) < lines)) {
        usleep(1000);
        assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
    }
}

static int wait_for_end(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

#define LONG_RUN                                                                                   \
    "train " TINY "--data data.txt --device cpu --steps 400 --batch-size 1 --set dropout=0.1 "     \
    "--eval-every 100 --save-every 150 "
#define RESUME "train --resume --data data.txt --device cpu --save-every 150 "

/* Signals at any time, now and then two of them: what comes out in the end is to the bit what comes
 * out of a run that was left alone, the best checkpoint included. */
static void signalled_runs_end_in_the_same_bits(void **state)
{
    (void)state;
    assert_int_equal(wavefield(LONG_RUN "--out alone"), 0);
    assert_says("best after step ");
    int stopped = 0, lines = 30;
    for (int round = 0; round < 40; round++) {
        char log[32];
        snprintf(log, sizeof log, "log%d.txt", round);
        pid_t child = round == 0 ? start(log, LONG_RUN "--out signalled")
                                 : start(log, RESUME "--out signalled");
        wait_for_lines(child, log, "device ", 1); /* signals are handled from here on */
        wait_for_lines(child, "signalled/metrics.jsonl", "gradient_norm", lines);
        kill(child, round % 2 ? SIGTERM : SIGINT);
        if (round % 3 == 2) kill(child, SIGTERM);
        int status = wait_for_end(child);
        if (WIFSIGNALED(status)) {
            assert_int_equal(round % 3, 2);
            assert_true(WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT);
        } else {
            assert_int_equal(WEXITSTATUS(status), 0);
            if (count_text(log, "--resume continues") == 0) break;
            assert_int_equal(count_text(log, "stopped after step "), 1);
            assert_int_not_equal(access(IN_FOLDER("signalled/model.safetensors"), F_OK), 0);
            stopped++;
        }
        if (lines < 380) lines += 20 + 5 * round;
    }
    assert_true(stopped > 2);
    assert_int_equal(wavefield(RESUME "--out signalled"), 0); /* nothing is left to do */
    assert_same_file("alone/model.safetensors", "signalled/model.safetensors");
    assert_same_file("alone/best/model.safetensors", "signalled/best/model.safetensors");
    assert_same_file("alone/best/state.json", "signalled/best/state.json");
    assert_int_equal(count_text("signalled/metrics.jsonl", "gradient_norm"), 400);
    assert_int_equal(count_text("signalled/metrics.jsonl", "held_out_loss"), 4);
}

/* The second signal does not wait for a step that takes hours. */
static void a_second_signal_ends_at_once(void **state)
{
    (void)state;
    pid_t child = start("slow.txt", "train " TINY "--data data.txt --device cpu --out slow "
                                    "--batch-size 1 --accumulation 200000");
    wait_for_lines(child, "slow.txt", "device ", 1);
    siginfo_t ended = {0};
    assert_int_equal(kill(child, SIGINT), 0);
    usleep(300000);
    assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
    assert_int_equal(ended.si_pid, 0); /* it finishes its step */
    assert_int_equal(kill(child, SIGTERM), 0);
    int status = wait_for_end(child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* A limit on file sizes is a disk that fills up in the middle of a run. */
static void a_full_disk_keeps_the_last_checkpoint(void **state)
{
    (void)state;
    char line[8192];
    assert_int_equal(wavefield(TRAIN "--out roomy"), 0);
    assert_int_equal(wavefield(TRAIN "--out tight --keep 0"), 0);
    snprintf(line, sizeof line, "cd %s/tight && rm -r *12 best model.safetensors config.json",
             folder);
    assert_int_equal(system(line), 0);
    snprintf(line, sizeof line,
             "cd %s && (ulimit -f 40; exec %s train --resume --data data.txt --device cpu "
             "--out tight) > tight.txt 2>&1",
             folder, WAVEFIELD_BINARY);
    int status = system(line);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_int_equal(count_text("tight.txt", "File too large"), 1);
    assert_int_equal(count_text("tight.txt", "the last good checkpoint is tight/step-00000006"), 1);

    /* Something in the way of the next checkpoint. */
    write_file("tight/step-00000012.partial", "in the way");
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out tight"), 1);
    assert_says("step-00000012.partial");
    assert_says("the last good checkpoint is tight/");
    assert_int_equal(unlink(IN_FOLDER("tight/step-00000012.partial")), 0);
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out tight"), 0);
    assert_same_file("roomy/model.safetensors", "tight/model.safetensors");
}

/* ---- evaluations ---- */

static void the_best_checkpoint_is_a_model(void **state)
{
    (void)state;
    assert_int_equal(wavefield(TRAIN "--out judged --eval-every 4 --learning-rate 1e-30 "
                                     "--min-learning-rate 0 --warmup 0 --keep 0 --save-every 4"),
                     0);
    assert_says("best after step 4: held-out loss ");
    assert_says(", in judged/best");
    assert_int_equal(access(IN_FOLDER("judged/best/optimizer.safetensors"), F_OK), 0);
    assert_same_file("judged/best/model.safetensors", "judged/step-00000004/model.safetensors");
    assert_int_equal(wavefield("eval --model judged/best --data data.txt --device cpu"), 0);
    assert_int_equal(wavefield("eval --model judged --data data.txt --device cpu"), 0);
}

static void patience_ends_a_run_wherever_it_is_resumed(void **state)
{
    (void)state;
    char line[512];
    const char *impatient = TRAIN "--eval-every 2 --save-every 1 --keep 0 --patience 2 "
                                  "--learning-rate 1e-30 --min-learning-rate 0 --warmup 0";
    assert_int_equal(wavefield("%s --out ended", impatient), 0);
    assert_says("ended after step 6: no better held-out loss in 2 evaluations");
    assert_says("best after step 2");
    for (int step = 1; step < 6; step += 2) {
        snprintf(line, sizeof line,
                 "cd %s && rm -rf cut && cp -r ended cut && cd cut && rm model.safetensors "
                 "config.json && for i in 6 5 4 3 2; do [ $i -gt %d ] && rm -r step-0000000$i; "
                 "done; [ %d -ge 2 ] || rm -r best",
                 folder, step, step);
        assert_int_equal(system(line), 0);
        assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out cut"), 0);
        assert_says("ended after step 6: no better held-out loss in 2 evaluations");
        assert_same_file("ended/model.safetensors", "cut/model.safetensors");
        assert_same_file("ended/best/state.json", "cut/best/state.json");
        assert_int_equal(count_text("cut/metrics.jsonl", "held_out_loss"), 3);
    }
}

static void patience_that_cannot_run_out_is_refused(void **state)
{
    (void)state;
    assert_int_equal(wavefield(TRAIN "--out restless --patience 2 --held-out 0"), 1);
    assert_says("patience: expected 0, as the data holds nothing out to evaluate on, found 2");
    assert_int_equal(wavefield(TRAIN "--out restless --patience 2 --eval-every 0"), 1);
    assert_says("--patience 2 needs evaluations on the way");
    assert_int_not_equal(access(IN_FOLDER("restless"), F_OK), 0);
}

static void a_diverging_run_names_the_step(void **state)
{
    (void)state;
    assert_int_equal(wavefield(TRAIN "--out diverged --learning-rate 1e30 --warmup 0"), 1);
    assert_says("step ");
}

/* Far off course, the loss is finite and its exponential is not. */
static void an_infinite_perplexity_is_null_in_json(void **state)
{
    (void)state;
    assert_int_equal(wavefield("train " TINY "embedding_dim=256 num_layers=1 "
                               "interference_interval=0 --data data.txt --device cpu --steps 1 "
                               "--batch-size 4 --warmup 0 --learning-rate 5 "
                               "--min-learning-rate 5 --out far"),
                     0);
    assert_says("perplexity inf");
    assert_int_equal(count_text("far/metrics.jsonl", "\"held_out_perplexity\":null"), 1);
    assert_int_equal(wavefield("eval --model far --data data.txt --device cpu --json"), 0);
    assert_says("\"perplexity\": null");
}

static void check_fails_where_a_device_is_wrong_or_asked_for_nothing(void **state)
{
    (void)state;
    assert_int_equal(wavefield("check --device cpu --op nosuchop"), 1);
    assert_says("nosuchop");
    assert_int_equal(wavefield("check --device cpu --op layernorm --bench --json check.json"), 0);
    assert_says("ok      layernorm");
    assert_int_equal(count_text("check.json", "\"failed\": 0"), 1);
}

static void a_model_is_measured_at_positions_it_has_no_place_for(void **state)
{
    (void)state;
    assert_int_equal(wavefield("bench --device cpu --figure training --sequence-length 1000 "
                               "--set max_seq_len=64"),
                     1);
    assert_says("--sequence-length 1000");
    assert_int_equal(
        wavefield("bench --device cpu --figure model --preset demo --set embedding_dim=16 "
                  "num_layers=1 num_heads=2 ffn_dim=24 field_size=20000 "
                  "max_seq_len=20000 --batch-size 2 --sequence-length 24 "
                  "--precision f16 --json rates.json"),
        0);
    assert_says("| training | demo f16, batch 2 x 24 |");
    assert_says("| generation | demo f16, position 10000 of 20000 |");
    assert_says("| generation | demo f16, position 1000000 of 1048576 |");
    assert_int_equal(count_text("rates.json", "\"figure\": \"generation\""), 4);
    assert_int_equal(count_text("rates.json", "\"memory_planned\""), 1);
    assert_int_equal(count_text("rates.json", "\"missing\""), 0);
}

static void every_device_is_checked_and_an_absent_one_is_not_passed(void **state)
{
    (void)state;
    assert_int_equal(wavefield("check --all --device cpu"), 2);
    assert_int_equal(wavefield("check --model x --all"), 2);
    assert_int_equal(setenv("VK_DRIVER_FILES", "/nonexistent.json", 1), 0);
    assert_int_equal(setenv("VK_ICD_FILENAMES", "/nonexistent.json", 1), 0);
    assert_int_equal(wavefield("check --all --op fill --json all.json --junit all.xml"), 0);
    assert_says("| cpu ");
    assert_says("| vulkan | absent: ");
    assert_int_equal(count_text("all.json", "\"nothing_failed\": true"), 1);
    assert_int_equal(count_text("all.json", "\"absent\": "), count_text("all.xml", "\"device\""));
    assert_int_equal(count_text("all.xml", "<testsuite name=\"cpu\""), 1);
    assert_int_equal(count_text("all.xml", "<testsuite name=\"vulkan\" tests=\"1\" failures=\"0\" "
                                           "errors=\"0\" skipped=\"1\""),
                     1);
    /* devices that could not be checked are failures */
    assert_int_equal(wavefield("check --all --op nosuchop --junit none.xml"), 1);
    assert_says("FAILED: no case is named");
    assert_true(count_text("none.xml", "<error ") > 0);
    assert_int_equal(wavefield("check --device cpu:7 --junit none.xml --json none.json"), 1);
    assert_says("cpu:7");
    assert_int_equal(count_text("none.xml", "<error "), 1);
    assert_int_equal(count_text("none.json", "\"problem\""), 1);
    assert_int_equal(unsetenv("VK_DRIVER_FILES"), 0);
    assert_int_equal(unsetenv("VK_ICD_FILENAMES"), 0);
}

/* A report that has no place is no reason to measure for an hour first. */
static void files_that_cannot_be_written_are_found_first(void **state)
{
    (void)state;
    static const struct {
        const char *command, *option, *late; /* what the work would have said */
    } cases[] = {
        {"check --device cpu --op layernorm", "json", "layernorm"},
        {"check --device cpu --op layernorm --json fine.json", "junit", "layernorm"},
        {"bench --device cpu --quick --figure copy", "json", "medians"},
        {"devices", "json", "auto is"},
        {"logits --model absent --tokens 1", "out", "absent"},
        {"plot absent", "out", "absent"},
    };
    char says[128];
    assert_int_equal(folder_run("mkdir -p lone/report.svg"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(wavefield("%s --%s nowhere/report.svg", cases[i].command, cases[i].option),
                         1);
        snprintf(says, sizeof says, "--%s: nowhere/report.svg.part: cannot create: No such file",
                 cases[i].option);
        assert_says(says);
        assert_null(strstr(output, cases[i].late));
        assert_int_equal(wavefield("%s --%s lone/report.svg", cases[i].command, cases[i].option),
                         1);
        snprintf(says, sizeof says, "--%s: lone/report.svg: is a folder", cases[i].option);
        assert_says(says);
    }
    assert_int_equal(folder_run("rm -r lone && test ! -e fine.json"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_errors_exit_2_and_name_the_nearest),
        cmocka_unit_test(words_that_no_option_takes_are_usage_errors),
        cmocka_unit_test(help_names_every_option),
        cmocka_unit_test(lost_output_is_a_failure),
        cmocka_unit_test(devices_are_listed),
        cmocka_unit_test(a_tuning_is_kept_shown_and_forgotten),
        cmocka_unit_test(configuration_errors_name_the_key),
        cmocka_unit_test(data_errors_name_the_file),
        cmocka_unit_test(a_model_trains_evaluates_and_generates),
        cmocka_unit_test(counts_beyond_an_int_stay_large),
        cmocka_unit_test(a_transformer_trains_and_is_causal),
        cmocka_unit_test(logits_agree_however_they_are_computed),
        cmocka_unit_test(a_resumed_run_equals_an_unbroken_one),
        cmocka_unit_test(a_model_is_not_written_over),
        cmocka_unit_test(a_model_of_nan_is_not_called_causal),
        cmocka_unit_test(recomputation_can_be_switched_on_and_off),
        cmocka_unit_test(subword_tokenizers_serve_a_model),
        cmocka_unit_test(a_tokenizer_json_serves_a_model),
        cmocka_unit_test(a_signal_saves_and_ends),
        cmocka_unit_test(shards_train_like_the_text),
        cmocka_unit_test(lines_of_json_train),
        cmocka_unit_test(signalled_runs_end_in_the_same_bits),
        cmocka_unit_test(a_second_signal_ends_at_once),
        cmocka_unit_test(a_full_disk_keeps_the_last_checkpoint),
        cmocka_unit_test(the_best_checkpoint_is_a_model),
        cmocka_unit_test(patience_ends_a_run_wherever_it_is_resumed),
        cmocka_unit_test(patience_that_cannot_run_out_is_refused),
        cmocka_unit_test(a_diverging_run_names_the_step),
        cmocka_unit_test(an_infinite_perplexity_is_null_in_json),
        cmocka_unit_test(check_fails_where_a_device_is_wrong_or_asked_for_nothing),
        cmocka_unit_test(a_model_is_measured_at_positions_it_has_no_place_for),
        cmocka_unit_test(every_device_is_checked_and_an_absent_one_is_not_passed),
        cmocka_unit_test(files_that_cannot_be_written_are_found_first),
    };
    return cmocka_run_group_tests_name("cli", tests, set_up, folder_tear_down);
}
