/* Subword tokenizers against what the reference packages say (tests/make_tokenizers.py), learning,
 * and files that are damaged or ask for what is not there. */
#include "base/files.h"
#include "base/rng.h"
#include "base/text.h"
#include "wavefield/data.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], text_path[80], json_path[80], model_path[80];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/wavefield-test-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(text_path, sizeof text_path, "%s/text", folder);
    snprintf(json_path, sizeof json_path, "%s/tokenizer.json", folder);
    snprintf(model_path, sizeof model_path, "%s/tokenizer.model", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(text_path);
    unlink(json_path);
    unlink(model_path);
    return rmdir(folder);
}

static void assert_message(const char *part)
{
    if (!strstr(wf_error_message(), part))
        fail_msg("\"%s\" is not in: %s", part, wf_error_message());
}

static const char *data_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
    return path;
}

/* Skips the test where the build lacks the type. */
static wf_tokenizer *load(const char *path)
{
    wf_tokenizer *tokenizer = NULL;
    wf_status status = wf_tokenizer_load(path, &tokenizer);
    if (status == WF_ERROR_UNSUPPORTED && strstr(wf_error_message(), "build again")) {
        print_message("%s\n", wf_error_message());
        skip();
    }
    if (status) fail_msg("%s", wf_error_message());
    return tokenizer;
}

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

/* ---- files ---- */

static void a_folder_has_one_tokenizer(void **state)
{
    (void)state;
    wf_tokenizer *model = load(data_path("llama2.model")), *json = load(data_path("gpt2.json"));
    wf_tokenizer *loaded;
    char *bytes, *original;
    size_t size, original_size;
    assert_int_equal(wf_tokenizer_save(model, folder), WF_OK);
    assert_int_equal(wf_tokenizer_save(json, folder), WF_OK);
    assert_false(file_exists(model_path));
    assert_int_equal(file_read(json_path, 1 << 20, &bytes, &size), WF_OK);
    assert_int_equal(file_read(data_path("gpt2.json"), 1 << 20, &original, &original_size), WF_OK);
    assert_int_equal(size, original_size); /* it stands as it was */
    assert_memory_equal(bytes, original, size);
    loaded = load(folder);
    assert_string_equal(wf_tokenizer_type(loaded), "bpe");
    wf_tokenizer_destroy(loaded);

    assert_int_equal(wf_tokenizer_save(model, folder), WF_OK);
    assert_false(file_exists(json_path));
    loaded = load(folder);
    assert_string_equal(wf_tokenizer_type(loaded), "sentencepiece");
    wf_tokenizer_destroy(loaded);

    assert_int_equal(file_write_atomic(json_path, bytes, size), WF_OK);
    assert_int_equal(wf_tokenizer_load(folder, &loaded), WF_ERROR_FORMAT);
    assert_message("both");
    unlink(json_path);
    unlink(model_path);
    free(bytes);
    free(original);
    wf_tokenizer_destroy(model);
    wf_tokenizer_destroy(json);
}

/* Not synchronised, as thousands are written. */
static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Loads a model that may be damaged, and if it loads, uses it. */
static bool try_model(const char *bytes, size_t size)
{
    static const char text[] = "the \xE2\x82\xAC"
                               "A waves\n e\xCC\x81 \0x <tool>\n\n";
    wf_tokenizer *tokenizer;
    wf_tokens tokens = {0};
    write_file(model_path, bytes, size);
    if (wf_tokenizer_load(model_path, &tokenizer)) {
        assert_message(model_path);
        return false;
    }
    if (!wf_tokenizer_encode(tokenizer, text, sizeof text - 1, WF_ENCODE_SPECIAL, &tokens))
        for (size_t i = 0; i < tokens.count; i++)
            assert_in_range(tokens.items[i], 0, wf_tokenizer_vocabulary(tokenizer) - 1);
    wf_tokens_free(&tokens);
    wf_tokenizer_destroy(tokenizer);
    return true;
}

static void damaged_models_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"rules.model", "llama2.model", "unknowns.model"};
    Rng rng = {.seed = 9};
    wf_tokenizer_destroy(load(data_path(names[0])));
    int loaded = 0, refused = 0;
    for (int m = 0; m < 3; m++) {
        char *bytes, *copy;
        size_t size;
        assert_int_equal(file_read(data_path(names[m]), 1 << 20, &bytes, &size), WF_OK);
        copy = malloc(size);
        assert_true(try_model(bytes, size));
        for (size_t cut = 0; cut < size; cut += 1 + size / 50) try_model(bytes, cut);
        for (int i = 0; i < 400; i++) {
            memcpy(copy, bytes, size);
            for (uint64_t n = 1 + rng_below(&rng, 4); n > 0; n--)
                copy[rng_below(&rng, size)] = (char)rng_below(&rng, 256);
            if (try_model(copy, size))
                loaded++;
            else
                refused++;
        }
        free(copy);
        free(bytes);
    }
    unlink(model_path);
    assert_in_range(refused, 100, 1200);
    assert_in_range(loaded, 10, 1200);
}

/* The rules of the normalisation: a double array whose every unit is bent in turn. */
static void bent_rules_are_refused(void **state)
{
    (void)state;
    static const char mark[] = "user_defined\x12"; /* the field comes after the name */
    char *bytes;
    size_t size, at = 0;
    wf_tokenizer_destroy(load(data_path("rules.model")));
    assert_int_equal(file_read(data_path("rules.model"), 1 << 20, &bytes, &size), WF_OK);
    while (at + 1050 < size && memcmp(bytes + at, mark, sizeof mark - 1)) at++;
    at += sizeof mark - 1 + 2;                      /* the field's length */
    assert_memory_equal(bytes + at, "\0\4\0\0", 4); /* of the array: 1024 */
    int refused = 0;
    for (size_t unit = at + 4; unit < at + 4 + 1024; unit += 4) {
        static const char values[][5] = {"\xFF\xFF\xFF\xFF", "\xFF\xFF\xFF\x7F", "\0\5\0\0",
                                         "\0\xFF\xFF\x7F"};
        for (int v = 0; v < 4; v++) {
            char saved[4];
            memcpy(saved, bytes + unit, 4);
            memcpy(bytes + unit, values[v], 4);
            refused += !try_model(bytes, size);
            memcpy(bytes + unit, saved, 4);
        }
    }
    free(bytes);
    unlink(model_path);
    assert_in_range(refused, 10, 1024);
}

static void strange_pieces_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } cases[] = {
        {"\n", 1, "damaged"},
        {"\n\x08\n\1a\x15\0\0\xC0\x7F", 10, "score"},            /* NaN */
        {"\n\x08\n\1a\x15\0\0\x80\x7F", 10, "score"},            /* infinity */
        {"\n\2\n\0", 4, "empty"},                                /* a piece without a name */
        {"\n\4\n\2a\0", 6, "NUL"},                               /* a NUL in it */
        {"\n\3\n\1\xFF", 5, "UTF-8"},                            /* half a character */
        {"\n\3\n\1a\x12\3\xC0\1\1", 10, "whitespace_as_suffix"}, /* field 24 of field 2 */
        {"\n\3\n\1a*\3\x12\1x", 10, "denormalizer_spec"},        /* field 2 of field 5 */
        {"\n\3\n\1a\x1A\3\x12\1x", 10, "precompiled_charsmap"},
        {"\n\3\n\1a", 5, "unk is not defined"}, /* the library's own check */
        {"\n\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 11, "damaged"},
        {"\n\3\n\1a\x0B", 6, "damaged"}, /* a group */
    };
    wf_tokenizer_destroy(load(data_path("rules.model")));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(try_model(cases[i].bytes, cases[i].size));
        assert_message(cases[i].message);
    }
    unlink(model_path);
}

/* ---- keys of tokenizer.json ---- */

/* Puts `value` at a path such as "model.vocab" or "added_tokens.0.id". */
static void put(json_t *root, const char *path, const char *value)
{
    char key[64];
    json_t *new = json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(new);
    for (;;) {
        size_t length = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        path += length;
        if (!*path) break;
        root = json_is_array(root) ? json_array_get(root, (size_t)atoi(key))
                                   : json_object_get(root, key);
        assert_non_null(root);
        path++;
    }
    if (json_is_array(root))
        json_array_set_new(root, (size_t)atoi(key), new);
    else
        json_object_set_new(root, key, new);
}

static wf_status load_changed(const char *name, const char *path, const char *value,
                              wf_tokenizer **out)
{
    json_t *root = json_load_file(data_path(name), 0, NULL);
    assert_non_null(root);
    put(root, path, value);
    assert_int_equal(json_dump_file(root, json_path, 0), 0);
    json_decref(root);
    return wf_tokenizer_load(json_path, out);
}

static void unknown_keys_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value;
        const char *message; /* NULL: it loads */
    } cases[] = {
        {"version", "\"1.0\"", NULL},
        {"truncation", "{\"max_length\": 8}", "truncation"},
        {"padding", "{\"strategy\": \"BatchLongest\"}", "padding"},
        {"extra", "1", "extra"},
        {"normalizer", "{\"type\": \"NFKC\"}", "normalizer.type"},
        {"normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Lowercase\"}]}",
         "Lowercase"},
        {"normalizer", "{\"type\": \"Sequence\", \"normalizers\": []}", NULL},
        {"decoder", "null", "decoder"},
        {"decoder", "{\"type\": \"Metaspace\"}", "decoder"},
        {"post_processor", "null", NULL},
        {"post_processor", "{\"type\": \"BertProcessing\"}", "post_processor.type"},
        {"post_processor", "{\"type\": \"TemplateProcessing\", \"single\": []}", NULL},
        {"pre_tokenizer", "null", "pre_tokenizer.type"},
        {"pre_tokenizer", "{\"type\": \"Whitespace\"}", "pre_tokenizer.type"},
        {"pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": []}", "pretokenizers"},
        {"pre_tokenizer",
         "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Punctuation\"}, "
         "{\"type\": \"ByteLevel\"}]}",
         "pretokenizers[0].type"},
        {"pre_tokenizer.use_regex", "3", "pre_tokenizer.use_regex"},
        {"pre_tokenizer.other", "true", "pre_tokenizer.other"},
        {"model.type", "\"Unigram\"", "model.type"},
        {"model.type", "\"BPE\"", NULL},
        {"model.dropout", "0.1", "model.dropout"},
        {"model.dropout", "null", NULL},
        {"model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix"},
        {"model.continuing_subword_prefix", "\"##\"", "continuing_subword_prefix"},
        {"model.new_option", "true", "model.new_option"},
        {"model.unk_token", "\"<unk>\"", NULL}, /* every byte has a token */
        {"model.vocab", "[]", "model.vocab"},
        {"model.vocab.a", "-1", "model.vocab"},
        {"model.vocab.a", "2147483647", "model.vocab"},
        {"model.vocab.a", "1", "both token 1"},
        {"model.vocab.a", "\"a\"", "model.vocab"},
        {"model.merges", "{}", "model.merges"},
        {"model.merges.3", "\"a b c\"", "model.merges[3]"},
        {"model.merges.3", "\"ab\"", "model.merges[3]"},
        {"model.merges.3", "[\"a\"]", "model.merges[3]"},
        {"model.merges.3", "[\"q\", \"q\"]", "model.merges[3]"},
        {"model.merges.3", "\"\\u0000 a\"", "model.merges[3]"},
        {"model.merges.3", "\"i n\\u0000\"", "model.merges[3]"},
        {"added_tokens", "7", "added_tokens"},
        {"added_tokens.0.lstrip", "true", "added_tokens[0].lstrip"},
        {"added_tokens.0.rstrip", "true", "added_tokens[0].rstrip"},
        {"added_tokens.0.single_word", "true", "added_tokens[0].single_word"},
        {"added_tokens.0.content", "\"a\"", "added_tokens[0].id"},
        {"added_tokens.0.content", "\"\"", "added_tokens[0].content"},
        {"added_tokens.0.content", "\"a\\u0000b\"", "added_tokens[0].content"},
        {"added_tokens.0.id", "5", "added_tokens[0].id"},
        {"added_tokens.0.id", "1e3", "added_tokens"},
        {"added_tokens.0.special", "\"yes\"", "added_tokens[0].special"},
    };
    wf_tokenizer_destroy(load(data_path("gpt2.json")));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wf_tokenizer *tokenizer = NULL;
        wf_status status = load_changed("gpt2.json", cases[i].path, cases[i].value, &tokenizer);
        if (!status != !cases[i].message)
            fail_msg("%s = %s: %s", cases[i].path, cases[i].value,
                     status ? wf_error_message() : "loads");
        if (cases[i].message) {
            assert_message(json_path);
            assert_message(cases[i].message);
        }
        wf_tokenizer_destroy(tokenizer);
    }
    unlink(json_path);
}

static void patterns_that_differ_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *message; /* NULL: it loads */
    } cases[] = {
        {"\\\\s+|\\\\S+", NULL},
        {"[\\\\s\\\\p{L}]+|[^\\\\s\\\\p{L}]", NULL},
        {"\\\\p{Han}+|\\\\P{Han}|\\\\x41|\\\\u0042|a{2,3}|(?<=a)b", NULL},
        {"\\\\w+", "\\w"},
        {"\\\\bword", "\\b"},
        {"^a", "\"^\""},
        {"a$", "\"$\""},
        {"a*", "can match nothing"},
        {"(a", "pattern"},
        {"[a[b]]", "[b]"},
        {"[[:alpha:]]", "[:al"},
        {"[a&&b]", "&&"},
        {"a{,3}", "{,3}"},
        {"a{1,3}+", "{1,3}+"},
        {"(?<name>a)", "(?<n"},
        {"(*FAIL)", "(*FA"},
        {"\\\\p{Klingon}", "Klingon"},
        {"\\\\p", "\\p"},
        {"\\\\", "\\"},
        {"(?i)a", "(?i)"},
        {"a\\\\1", "\\1"},
    };
    wf_tokenizer_destroy(load(data_path("llama3.json")));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char value[128];
        wf_tokenizer *tokenizer = NULL;
        snprintf(value, sizeof value, "{\"Regex\": \"%s\"}", cases[i].pattern);
        wf_status status =
            load_changed("llama3.json", "pre_tokenizer.pretokenizers.0.pattern", value, &tokenizer);
        if (status != (cases[i].message ? WF_ERROR_UNSUPPORTED : WF_OK))
            fail_msg("%s: %s", cases[i].pattern, status ? wf_error_message() : "loads");
        if (status) assert_message("pre_tokenizer.pretokenizers[0].pattern");
        if (status) assert_message(cases[i].message);
        wf_tokenizer_destroy(tokenizer);
    }
    unlink(json_path);
}

/* A vocabulary without some byte: text that has it cannot be encoded, and says so. */
static void bytes_without_tokens_are_named(void **state)
{
    (void)state;
    static const char json[] =
        "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, "
        "\"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", "
        "\"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 5}, \"merges\": [\"a b\"]}}";
    wf_tokens tokens = {0};
    const char *piece;
    size_t length;
    assert_int_equal(file_write_atomic(json_path, json, sizeof json - 1), WF_OK);
    wf_tokenizer *tokenizer = load(json_path);
    assert_int_equal(wf_tokenizer_vocabulary(tokenizer), 6);
    assert_int_equal(wf_tokenizer_encode(tokenizer, "aab", 3, 0, &tokens), WF_OK);
    assert_int_equal(tokens.count, 2);
    assert_int_equal(tokens.items[1], 5);
    assert_int_equal(wf_tokenizer_encode(tokenizer, "abc", 3, 0, &tokens), WF_ERROR_FORMAT);
    assert_message("0x63");
    assert_int_equal(tokens.count, 2);
    assert_int_equal(wf_tokenizer_piece(tokenizer, 3, &piece, &length), WF_OK); /* a gap */
    assert_int_equal(length, 0);
    wf_tokens_free(&tokens);
    wf_tokenizer_destroy(tokenizer);

    assert_int_equal(file_write_atomic(json_path, "{\"model\": {\"vocab\": {\"\\ud800\": 1}}}", 34),
                     WF_OK);
    assert_int_equal(wf_tokenizer_load(json_path, &tokenizer), WF_ERROR_FORMAT);
    assert_message("line 1");
    unlink(json_path);
}

/* With ignore_merges a word that is a piece is that token, and words are in the bytes' alphabet: a
 * name outside it is nobody's word. Expected is what Hugging Face's tokenizers 0.23.3 give. */
static void names_outside_the_alphabet_are_no_words(void **state)
{
    (void)state;
    static const int32_t expected[] = {162, 245, 98, 162, 250, 105};
    static const char text[] = "\xE6\x97\xA5\xE6\x9C\xAC";
    wf_tokenizer *tokenizer;
    wf_tokens tokens = {0};
    const char *piece;
    size_t length;
    assert_int_equal(
        load_changed("llama3.json", "model.vocab.\xE6\x97\xA5\xE6\x9C\xAC", "483", &tokenizer),
        WF_OK);
    assert_int_equal(wf_tokenizer_encode(tokenizer, text, sizeof text - 1, 0, &tokens), WF_OK);
    assert_int_equal(tokens.count, 6);
    assert_memory_equal(tokens.items, expected, sizeof expected);
    assert_int_equal(wf_tokenizer_piece(tokenizer, 483, &piece, &length), WF_OK);
    assert_int_equal(length, sizeof text - 1);
    assert_memory_equal(piece, text, length);
    wf_tokens_free(&tokens);
    wf_tokenizer_destroy(tokenizer);
    unlink(json_path);
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
        CASE(a_folder_has_one_tokenizer),
        CASE(damaged_models_are_refused),
        CASE(bent_rules_are_refused),
        CASE(strange_pieces_are_refused),
        CASE(unknown_keys_are_named),
        CASE(patterns_that_differ_are_refused),
        CASE(names_outside_the_alphabet_are_no_words),
        CASE(bytes_without_tokens_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
