/* The command line from outside: training runs, resumed, judged and diverging. */
#include "cli_support.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With a finished run in the folder "model". */
static int set_up(void **state)
{
    return cli_set_up(state) || wavefield(TRAIN "--out model") ? -1 : 0;
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
    assert_null(strstr(output, "warning"));
    assert_same_file("model/model.safetensors", "again/model.safetensors");
    assert_int_equal(count_text("again/metrics.jsonl", "gradient_norm"), 12);
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out nothing"), 1);

    /* As if it had been written on a tuned GPU. */
    assert_int_equal(folder_run("sed -i 's/\"tuning\": \"0*\"/\"tuning\": \"0123456789abcdef\"/' "
                                "again/*12/state.json"),
                     0);
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out again"), 0);
    assert_says("the tuning of products was 0123456789abcdef and is none; from here on");
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
    static const char *const rates[] = {"learning-rate", "qk-rate", "kernel-rate"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wavefield(TRAIN "--out zero --%s 0", rates[i]), 2);
        assert_says(rates[i]);
        assert_says("expects a number above 0, found 0");
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resumed_run_equals_an_unbroken_one),
        cmocka_unit_test(recomputation_can_be_switched_on_and_off),
        cmocka_unit_test(a_model_is_not_written_over),
        cmocka_unit_test(the_best_checkpoint_is_a_model),
        cmocka_unit_test(patience_ends_a_run_wherever_it_is_resumed),
        cmocka_unit_test(patience_that_cannot_run_out_is_refused),
        cmocka_unit_test(a_diverging_run_names_the_step),
        cmocka_unit_test(an_infinite_perplexity_is_null_in_json),
    };
    return cmocka_run_group_tests_name("cli train", tests, set_up, folder_tear_down);
}
