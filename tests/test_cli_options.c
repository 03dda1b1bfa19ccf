/* The command line from outside: options, help, and what stops a command before its work. */
#include "cli_support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
        cmocka_unit_test(configuration_errors_name_the_key),
        cmocka_unit_test(data_errors_name_the_file),
        cmocka_unit_test(files_that_cannot_be_written_are_found_first),
    };
    return cmocka_run_group_tests_name("cli options", tests, cli_set_up, folder_tear_down);
}
