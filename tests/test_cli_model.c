/* The command line from outside: a model that is trained, evaluated, generates and gives logits. */
#include "tensor/safetensors.h"

#include "cli_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    assert_int_equal(strncmp(output, "wavefield generate: the prompt", 30), 0); /* and no text */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_trains_evaluates_and_generates),
        cmocka_unit_test(counts_beyond_an_int_stay_large),
        cmocka_unit_test(a_transformer_trains_and_is_causal),
        cmocka_unit_test(logits_agree_however_they_are_computed),
        cmocka_unit_test(a_model_of_nan_is_not_called_causal),
    };
    return cmocka_run_group_tests_name("cli model", tests, cli_set_up, folder_tear_down);
}
