/* Subword tokenizers against what the reference packages say (tests/make_tokenizers.py), and
 * learning. Their files: test_subword_files.c. */
#include "base/files.h"
#include "base/rng.h"
#include "base/text.h"

#include "tests/subword_fixture.h"

static void assert_decodes(const wf_tokenizer *tokenizer, const wf_tokens *tokens, const char *text,
                           size_t length)
{
    size_t n = 0;
    char *decoded = malloc(length + 1);
    wf_status status =
        wf_tokenizer_decode(tokenizer, tokens->items, tokens->count, decoded, length, &n);
    if (status) fail_msg("%s", wf_error_message());
    assert_int_equal(n, length);
    assert_memory_equal(decoded, text, length);
    free(decoded);
}

/* ---- against the reference ---- */

static uint64_t hash_tokens(const wf_tokens *tokens)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < tokens->count; i++)
        hash = (hash ^ (uint64_t)tokens->items[i]) * 0x100000001B3u;
    return hash;
}

static void show_tokens(const wf_tokens *tokens, Text *out)
{
    out->length = 0;
    text_append(out, "%s", "");
    if (tokens->count > 100)
        text_append(out, "%zu:%016llx", tokens->count, (unsigned long long)hash_tokens(tokens));
    else
        for (size_t i = 0; i < tokens->count; i++)
            text_append(out, "%s%d", i ? " " : "", (int)tokens->items[i]);
    assert_false(out->failed);
}

static void append_hex(Text *out, const char *hex)
{
    text_append(out, "%s", "");
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        text_append_bytes(out, &(char){(char)byte}, 1);
    }
}

/* The SentencePiece package never looks for names of control pieces in a text. */
static bool is_beyond_reference(const wf_tokenizer *tokenizer, const char *hex, int flags)
{
    return flags && !strcmp(wf_tokenizer_type(tokenizer), "sentencepiece") &&
           (strstr(hex, "3c733e") || strstr(hex, "3c2f733e")); /* <s>, </s> */
}

/* One line of an .expected file. */
static void check_case(const wf_tokenizer *tokenizer, char *line)
{
    char *column[5];
    for (int i = 0; i < 5; i++) {
        column[i] = line;
        line += strcspn(line, "\t\n");
        if (*line) *line++ = 0;
    }
    Text text = {0}, shown = {0}, back = {0};
    wf_tokens tokens = {0};
    for (int i = atoi(column[1]); i > 0; i--) append_hex(&text, column[0]);
    for (int flags = 0; flags <= WF_ENCODE_SPECIAL; flags++) {
        tokens.count = 0;
        if (is_beyond_reference(tokenizer, column[0], flags)) continue;
        if (wf_tokenizer_encode(tokenizer, text.data, text.length, flags, &tokens))
            fail_msg("%s: %s", column[0], wf_error_message());
        show_tokens(&tokens, &shown);
        if (strcmp(shown.data, column[2 + flags]))
            fail_msg("%s: flags %d: expected %s, found %s", column[0], flags, column[2 + flags],
                     shown.data);
        if (flags || !strcmp(column[4], "-")) continue;
        append_hex(&back, strcmp(column[4], "=") ? column[4] : "");
        if (strcmp(column[4], "="))
            assert_decodes(tokenizer, &tokens, back.data, back.length);
        else
            assert_decodes(tokenizer, &tokens, text.data, text.length);
    }
    text_destroy(&text);
    text_destroy(&shown);
    text_destroy(&back);
    wf_tokens_free(&tokens);
}

/* Runs a function on the lines of NAME.expected, which it may change. */
static int for_each_case(const char *name, void (*run)(const wf_tokenizer *, char *),
                         const wf_tokenizer *tokenizer)
{
    char *text, file[64];
    size_t size;
    int count = 0;
    snprintf(file, sizeof file, "%s.expected", name);
    assert_int_equal(file_read(data_path(file), 1 << 20, &text, &size), WF_OK);
    for (char *line = text, *next; *line; line = next, count++) {
        next = line + strcspn(line, "\n");
        next += *next == '\n';
        char saved = *next;
        *next = 0;
        run(tokenizer, line);
        *next = saved;
    }
    free(text);
    return count;
}

static void assert_as_expected(const char *name, const char *file, const char *type,
                               const char *end_of_text)
{
    wf_tokenizer *tokenizer = load(data_path(file));
    wf_tokens tokens = {0};
    assert_string_equal(wf_tokenizer_type(tokenizer), type);
    int n = for_each_case(name, check_case, tokenizer);
    assert_in_range(n, 80, 1000);
    int32_t end = wf_tokenizer_end_of_text(tokenizer);
    if (!end_of_text) assert_int_equal(end, -1);
    if (end_of_text && !strcmp(type, "bpe")) {
        assert_int_equal(wf_tokenizer_encode(tokenizer, end_of_text, strlen(end_of_text),
                                             WF_ENCODE_SPECIAL, &tokens),
                         WF_OK);
        assert_int_equal(tokens.count, 1);
        assert_int_equal(tokens.items[0], end);
        assert_decodes(tokenizer, &tokens, "", 0);
    }
    assert_int_equal(wf_tokenizer_encode(tokenizer, "ab\xE2\x82", 4, 0, &tokens), WF_ERROR_FORMAT);
    assert_message("byte 2 is not valid UTF-8");
    wf_tokens_free(&tokens);
    wf_tokenizer_destroy(tokenizer);
}

static void bpe_files_give_the_reference_tokens(void **state)
{
    (void)state;
    assert_as_expected("gpt2", "gpt2.json", "bpe", "<|endoftext|>");
    assert_as_expected("prefix", "prefix.json", "bpe", "<|endoftext|>");
    assert_as_expected("llama3", "llama3.json", "bpe", "<|endoftext|>");
    assert_as_expected("o200k", "o200k.json", "bpe", "<|endoftext|>");
}

static void composing_files_give_the_reference_tokens(void **state)
{
    (void)state;
    assert_as_expected("qwen", "qwen.json", "bpe", "<|endoftext|>");
}

/* Marks in a row are put in order: as many as a text has, without taking time for each pair. */
static void many_marks_are_put_in_order(void **state)
{
    (void)state;
    enum { N = 200000 };
    static const char *const marks[] = {"\xCC\x81", "\xCC\xA3"}; /* classes 230, 220 */
    wf_tokenizer *tokenizer = load(data_path("qwen.json"));
    Text mixed = {0}, ordered = {0};
    wf_tokens tokens = {0}, expected = {0};
    text_append(&mixed, "q");
    text_append(&ordered, "q");
    for (int i = 0; i < 2 * N; i++) text_append_bytes(&mixed, marks[i % 2], 2);
    for (int i = 0; i < 2 * N; i++) text_append_bytes(&ordered, marks[i < N], 2);
    assert_int_equal(wf_tokenizer_encode(tokenizer, mixed.data, mixed.length, 0, &tokens), WF_OK);
    assert_int_equal(wf_tokenizer_encode(tokenizer, ordered.data, ordered.length, 0, &expected),
                     WF_OK);
    assert_int_equal(tokens.count, expected.count);
    assert_memory_equal(tokens.items, expected.items, tokens.count * sizeof *tokens.items);
    wf_tokens_free(&tokens);
    wf_tokens_free(&expected);
    text_destroy(&mixed);
    text_destroy(&ordered);
    wf_tokenizer_destroy(tokenizer);
}

static void assert_model_as_expected(const char *name, const char *file)
{
    wf_tokenizer *tokenizer = load(data_path(file));
    assert_string_equal(wf_tokenizer_type(tokenizer), "sentencepiece");
    assert_in_range(for_each_case(name, check_case, tokenizer), 80, 1000);
    assert_int_equal(wf_tokenizer_end_of_text(tokenizer), 2);
    wf_tokens tokens = {0};
    assert_int_equal(wf_tokenizer_encode(tokenizer, "</s>", 4, WF_ENCODE_SPECIAL, &tokens), WF_OK);
    assert_int_equal(tokens.count, 1);
    assert_int_equal(tokens.items[0], 2);
    assert_decodes(tokenizer, &tokens, "", 0);
    assert_int_equal(wf_tokenizer_encode(tokenizer, "a\xFF", 2, 0, &tokens), WF_ERROR_FORMAT);
    assert_message("byte 1 is not valid UTF-8");
    wf_tokens_free(&tokens);
    wf_tokenizer_destroy(tokenizer);
}

static void models_give_the_reference_tokens(void **state)
{
    (void)state;
    assert_model_as_expected("rules", "rules.model");
    assert_model_as_expected("llama2", "llama2.model");
    assert_model_as_expected("unknowns", "unknowns.model");
}

/* A model may give nothing for a text, be it all there is or the first of several. */
static void texts_may_have_no_tokens(void **state)
{
    (void)state;
    static const char lines[] = "{\"text\": \"  \"}\n{\"text\": \"ab\"}\n";
    wf_tokenizer *tokenizer = load(data_path("rules.model"));
    wf_dataset *dataset;
    char path[96];
    const char *files[] = {path};
    wf_dataset_params params = {.files = files, .n_files = 1, .tokenizer = tokenizer};
    snprintf(path, sizeof path, "%s/empty.txt", folder);
    assert_int_equal(file_write_atomic(path, "   ", 3), WF_OK);
    assert_int_equal(wf_dataset_open(&params, &dataset), WF_ERROR_FORMAT);
    assert_message("no text");
    unlink(path);
    snprintf(path, sizeof path, "%s/empty.jsonl", folder);
    assert_int_equal(file_write_atomic(path, lines, sizeof lines - 1), WF_OK);
    assert_int_equal(wf_dataset_open(&params, &dataset), WF_OK);
    wf_dataset_destroy(dataset);
    unlink(path);
    wf_tokenizer_destroy(tokenizer);
}

/* ---- learning ---- */

static void write_corpus(void)
{
    static const char *const words[] = {"wave", "field", "the",   "waves",   "carry",
                                        "of",   "a",     "token", "tokens'", "na\xC3\xAFve"};
    Text text = {0};
    Rng rng = {.seed = 5};
    for (int i = 0; i < 20000; i++)
        text_append(&text, "%s%s", words[rng_below(&rng, 10)], i % 11 == 10 ? ".\n" : " ");
    for (int i = 0; i < 300; i++) text_append(&text, "    %d\r\n", i);
    assert_int_equal(file_write_atomic(text_path, text.data, text.length), WF_OK);
    text_destroy(&text);
}

static wf_tokenizer *learn(const char *type, int64_t vocabulary)
{
    wf_tokenizer *tokenizer;
    const char *files[] = {text_path};
    wf_status status = wf_tokenizer_create(
        type, wf_tokenizer_params(.files = files, .n_files = 1, .vocabulary = vocabulary),
        &tokenizer);
    if (status == WF_ERROR_UNSUPPORTED) skip();
    if (status) fail_msg("%s", wf_error_message());
    return tokenizer;
}

/* Whatever the text, it can be encoded and comes back, but for the library's mark of a space. */
static void check_lossless(const wf_tokenizer *tokenizer, char *line)
{
    Text text = {0};
    wf_tokens tokens = {0};
    if (strstr(line, "e29681")) return;
    char *column = strchr(line, '\t');
    *column = 0;
    for (int i = atoi(column + 1); i > 0; i--) append_hex(&text, line);
    assert_int_equal(wf_tokenizer_encode(tokenizer, text.data, text.length, 0, &tokens), WF_OK);
    assert_decodes(tokenizer, &tokens, text.data, text.length);
    text_destroy(&text);
    wf_tokens_free(&tokens);
}

static void assert_same_tokens(const wf_tokenizer *a, const wf_tokenizer *b, const char *text)
{
    wf_tokens x = {0}, y = {0};
    assert_int_equal(wf_tokenizer_encode(a, text, strlen(text), 0, &x), WF_OK);
    assert_int_equal(wf_tokenizer_encode(b, text, strlen(text), 0, &y), WF_OK);
    assert_int_equal(x.count, y.count);
    assert_memory_equal(x.items, y.items, x.count * sizeof *x.items);
    wf_tokens_free(&x);
    wf_tokens_free(&y);
}

static void a_learned_tokenizer_loses_nothing(void **state)
{
    (void)state;
    static const char *const types[] = {"sentencepiece-bpe", "sentencepiece-unigram"};
    write_corpus();
    for (int i = 0; i < 2; i++) {
        wf_tokenizer *tokenizer = learn(types[i], 330), *loaded;
        assert_string_equal(wf_tokenizer_type(tokenizer), "sentencepiece");
        assert_int_equal(wf_tokenizer_vocabulary(tokenizer), 330);
        assert_int_equal(wf_tokenizer_end_of_text(tokenizer), 1);
        for_each_case("rules", check_lossless, tokenizer);
        wf_tokens tokens = {0};
        assert_int_equal(wf_tokenizer_encode(tokenizer, "the waves", 9, 0, &tokens), WF_OK);
        assert_in_range(tokens.count, 2, 3);
        wf_tokens_free(&tokens);
        assert_int_equal(wf_tokenizer_save(tokenizer, folder), WF_OK);
        loaded = load(folder);
        assert_same_tokens(tokenizer, loaded, "the naive waves carry 12 tokens.\n\tx");
        wf_tokenizer_destroy(loaded);
        wf_tokenizer_destroy(tokenizer);
    }
    unlink(model_path);
}

static void learning_again_gives_the_same_file(void **state)
{
    (void)state;
    static const char *const types[] = {"sentencepiece-bpe", "sentencepiece-unigram"};
    char *bytes[2];
    size_t size[2];
    write_corpus();
    for (int i = 0; i < 2; i++) {
        for (int run = 0; run < 2; run++) {
            wf_tokenizer *tokenizer = learn(types[i], 320);
            assert_int_equal(wf_tokenizer_save(tokenizer, folder), WF_OK);
            wf_tokenizer_destroy(tokenizer);
            assert_int_equal(file_read(model_path, 1 << 20, &bytes[run], &size[run]), WF_OK);
        }
        assert_int_equal(size[0], size[1]);
        assert_memory_equal(bytes[0], bytes[1], size[0]);
        free(bytes[0]);
        free(bytes[1]);
    }
    unlink(model_path);
}

static void what_cannot_be_learned_is_said(void **state)
{
    (void)state;
    wf_tokenizer *tokenizer;
    const char *files[] = {text_path};
    write_corpus();
    wf_tokenizer_destroy(learn("sentencepiece-bpe", 320));
    wf_tokenizer_params params = {.files = files, .n_files = 1, .vocabulary = 100};
    assert_int_equal(wf_tokenizer_create("sentencepiece-bpe", &params, &tokenizer),
                     WF_ERROR_ARGUMENT);
    assert_message("vocabulary of 100: that is too low: the text's characters and the 256 bytes");
    params.vocabulary = 100000;
    assert_int_equal(wf_tokenizer_create("sentencepiece-unigram", &params, &tokenizer),
                     WF_ERROR_ARGUMENT);
    assert_message("vocabulary of 100000: that is too high: the text gives ");
    FILE *empty = fopen(text_path, "w");
    assert_non_null(empty);
    assert_true(fputs("\n\n\n", empty) >= 0);
    assert_int_equal(fclose(empty), 0);
    params.vocabulary = 320;
    assert_int_equal(wf_tokenizer_create("sentencepiece-bpe", &params, &tokenizer),
                     WF_ERROR_FORMAT);
    assert_message("the text has no words to learn from");
    params.vocabulary = -5;
    assert_int_equal(wf_tokenizer_create("sentencepiece-bpe", &params, &tokenizer),
                     WF_ERROR_ARGUMENT);
    params.vocabulary = 0;
    assert_int_equal(file_write_atomic(text_path, "abc\xFF", 4), WF_OK);
    assert_int_equal(wf_tokenizer_create("sentencepiece-bpe", &params, &tokenizer),
                     WF_ERROR_FORMAT);
    assert_message(text_path);
    assert_message("byte 3");
    assert_int_equal(file_write_atomic(text_path, "", 0), WF_OK);
    assert_int_equal(wf_tokenizer_create("sentencepiece-bpe", &params, &tokenizer),
                     WF_ERROR_FORMAT);
    unlink(text_path);
    assert_int_equal(wf_tokenizer_create("sentencepiece-bpe", &params, &tokenizer), WF_ERROR_IO);
    assert_message(text_path);
    assert_int_equal(wf_tokenizer_create("bpe", &params, &tokenizer), WF_ERROR_UNSUPPORTED);
    assert_message("tokenizer.json");
}

#define CASE(test) cmocka_unit_test(test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(bpe_files_give_the_reference_tokens),
        CASE(composing_files_give_the_reference_tokens),
        CASE(many_marks_are_put_in_order),
        CASE(models_give_the_reference_tokens),
        CASE(texts_may_have_no_tokens),
        CASE(a_learned_tokenizer_loses_nothing),
        CASE(learning_again_gives_the_same_file),
        CASE(what_cannot_be_learned_is_said),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
