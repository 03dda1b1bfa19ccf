/* Prompt to text: what is emitted, and when it ends. */
#include "base/text.h"
#include "wavefield/generate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT = 40, VOCABULARY = 300 };

typedef struct Output {
    char bytes[512];
    bool ends[512]; /* does a piece end before this byte? */
    size_t length;
    int pieces, stop_after; /* 0: never */
} Output;

static int collect(void *context, const char *text, size_t length)
{
    Output *all = context;
    assert_true(all->length + length < sizeof all->bytes);
    memcpy(all->bytes + all->length, text, length);
    all->length += length;
    all->ends[all->length] = true;
    all->pieces++;
    return all->stop_after && all->pieces == all->stop_after;
}

typedef struct Fixture {
    wf_device *device;
    wf_model *model; /* more tokens than its tokenizer has */
} Fixture;

static int open_model(void **state)
{
    static const char *const settings[] = {"embedding_dim=16", "num_heads=2",    "ffn_dim=16",
                                           "num_layers=1",     "vocab_size=300", "max_seq_len=40",
                                           "field_size=79"};
    Fixture *f = calloc(1, sizeof *f);
    wf_config *config;
    wf_tokenizer *tokenizer;
    if (wf_device_open("cpu", &f->device)) return -1;
    if (wf_config_create("demo", &config)) return -1;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (wf_config_set(config, settings[i])) return -1;
    if (wf_model_create(f->device, config, 4, &f->model)) return -1;
    wf_config_destroy(config);
    if (wf_tokenizer_create("byte", NULL, &tokenizer)) return -1;
    *state = f;
    return wf_model_set_tokenizer(f->model, tokenizer) ? -1 : 0;
}

static int close_model(void **state)
{
    Fixture *f = *state;
    wf_model_destroy(f->model);
    wf_device_close(f->device);
    free(f);
    return 0;
}

static Output generate(Fixture *f, wf_generate_params params)
{
    Output text = {.length = 0};
    params.emit = collect;
    params.context = &text;
    if (wf_generate(f->model, &params)) fail_msg("%s", wf_error_message());
    return text;
}

/* The likeliest token by token, as the full pass sees it. */
static void test_greedy_is_the_argmax_of_the_full_pass(void **state)
{
    Fixture *f = *state;
    const char *prompt = "wave";
    Output text = generate(f, (wf_generate_params){.prompt = prompt, .max_tokens = 20});
    assert_int_equal(text.length, 20);

    int32_t tokens[LIMIT];
    static float logits[LIMIT * VOCABULARY];
    int64_t n = (int64_t)strlen(prompt);
    for (int64_t i = 0; i < n; i++) tokens[i] = (unsigned char)prompt[i];
    for (int i = 0; i < 20; i++) {
        assert_int_equal(wf_model_logits(f->model, tokens, 1, n, "direct", logits), WF_OK);
        const float *last = logits + (n - 1) * VOCABULARY;
        int32_t best = 0;
        for (int32_t t = 1; t < 256; t++)
            if (last[t] > last[best]) best = t;
        assert_int_equal((unsigned char)text.bytes[i], best);
        tokens[n++] = best;
    }
}

static void test_seeds(void **state)
{
    Fixture *f = *state;
    wf_generate_params params = {
        .prompt = "a", .max_tokens = 30, .sampler = {.temperature = 1.5, .top_k = 200, .seed = 1}};
    Output a = generate(f, params), b = generate(f, params);
    params.sampler.seed = 2;
    Output c = generate(f, params);
    assert_int_equal(a.length, 30);
    assert_memory_equal(a.bytes, b.bytes, 30);
    assert_memory_not_equal(a.bytes, c.bytes, 30);
}

/* 40 tokens fit; the one drawn last need not. */
static void test_ends_at_the_limit(void **state)
{
    Fixture *f = *state;
    const wf_sampler_params warm = {.temperature = 1};
    assert_int_equal(
        generate(f, (wf_generate_params){.prompt = "12345", .max_tokens = 1000, .sampler = warm})
            .length,
        LIMIT - 5 + 1);
    assert_int_equal(generate(f, (wf_generate_params){.prompt = "12345", .sampler = warm}).length,
                     LIMIT - 5 + 1);
    assert_int_equal(
        generate(f, (wf_generate_params){.prompt = "12345", .max_tokens = 1, .sampler = warm})
            .length,
        1);
}

static void test_empty_prompt_is_a_newline(void **state)
{
    Fixture *f = *state;
    Output newline = generate(f, (wf_generate_params){.prompt = "\n", .max_tokens = 9});
    Output empty = generate(f, (wf_generate_params){.prompt = "", .max_tokens = 9});
    Output none = generate(f, (wf_generate_params){.prompt = NULL, .max_tokens = 9});
    assert_memory_equal(newline.bytes, empty.bytes, 9);
    assert_memory_equal(newline.bytes, none.bytes, 9);
}

/* Random bytes are now and then a character of several, and often the beginning of none. */
static void test_characters_come_whole(void **state)
{
    Fixture *f = *state;
    int split = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        wf_generate_params params = {
            .prompt = "a", .max_tokens = 30, .sampler = {.temperature = 2, .seed = seed}};
        Output text = generate(f, params);
        assert_int_equal(text.length, 30);
        assert_true(text.ends[30]);
        for (size_t at = 0; at < text.length; at++) {
            uint32_t code;
            int n = utf8_decode(text.bytes + at, text.length - at, &code);
            for (int i = 1; i < n; i++) assert_false(text.ends[at + (size_t)i]);
            if (n > 1) split++;
            if (n > 1) at += (size_t)n - 1;
            /* What is no beginning of a character is not kept back. */
            if ((unsigned char)text.bytes[at] < 0x80) assert_true(text.ends[at + 1]);
        }
    }
    assert_in_range(split, 20, 1000);
}

static void test_stopping(void **state)
{
    Fixture *f = *state;
    Output text = {.stop_after = 3};
    assert_int_equal(
        wf_generate(f->model, wf_generate_params(.prompt = "a", .emit = collect, .context = &text)),
        WF_ERROR_INTERRUPTED);
    assert_int_equal(text.pieces, 3);
    /* Without a listener it only takes its time. */
    assert_int_equal(wf_generate(f->model, wf_generate_params(.prompt = "a", .max_tokens = 2)),
                     WF_OK);
}

static void expect_refused(wf_model *model, const wf_generate_params *params, const char *word)
{
    assert_int_equal(wf_generate(model, params), WF_ERROR_ARGUMENT);
    if (!strstr(wf_error_message(), word))
        fail_msg("\"%s\" does not say \"%s\"", wf_error_message(), word);
}

static void test_refusals(void **state)
{
    Fixture *f = *state;
    expect_refused(f->model,
                   wf_generate_params(.prompt = "a prompt of more than forty characters, in all"),
                   "max_seq_len 40");
    expect_refused(f->model, wf_generate_params(.prompt = "a", .max_tokens = -1), "max_tokens");
    expect_refused(f->model, wf_generate_params(.prompt = "a", .sampler = {.top_p = 2}), "top_p");
    expect_refused(NULL, wf_generate_params(.prompt = "a"), "model");

    wf_model *bare;
    assert_int_equal(wf_model_create(f->device, wf_model_config(f->model), 1, &bare), WF_OK);
    expect_refused(bare, wf_generate_params(.prompt = "a"), "tokenizer");
    wf_model_destroy(bare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy_is_the_argmax_of_the_full_pass),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_ends_at_the_limit),
        cmocka_unit_test(test_empty_prompt_is_a_newline),
        cmocka_unit_test(test_characters_come_whole),
        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
