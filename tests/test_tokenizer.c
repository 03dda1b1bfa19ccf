/* Tokenizers: text there and back, files, and text that has no tokens. */
#include "base/files.h"
#include "base/text.h"
#include "wavefield/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], text_path[80], json_path[80];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/wavefield-test-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(text_path, sizeof text_path, "%s/text", folder);
    snprintf(json_path, sizeof json_path, "%s/tokenizer.json", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(text_path);
    unlink(json_path);
    return rmdir(folder);
}

static void write_file(const char *path, const char *bytes, size_t length)
{
    assert_int_equal(file_write_atomic(path, bytes, length), WF_OK);
}

static wf_tokenizer *from_text(const char *bytes, size_t length)
{
    wf_tokenizer *tokenizer;
    write_file(text_path, bytes, length);
    const char *files[] = {text_path};
    assert_int_equal(
        wf_tokenizer_create("char", wf_tokenizer_params(.files = files, .n_files = 1), &tokenizer),
        WF_OK);
    return tokenizer;
}

static void assert_message(const char *part)
{
    if (!strstr(wf_error_message(), part))
        fail_msg("\"%s\" is not in: %s", part, wf_error_message());
}

static wf_tokens encode(const wf_tokenizer *tokenizer, const char *text, size_t length)
{
    wf_tokens tokens = {0};
    if (wf_tokenizer_encode(tokenizer, text, length, 0, &tokens))
        fail_msg("%s", wf_error_message());
    return tokens;
}

static void assert_not_encoded(const wf_tokenizer *tokenizer, const char *text, size_t length,
                               const char *message)
{
    int32_t before[] = {7, 8};
    wf_tokens tokens = {malloc(sizeof before), 2, 2};
    memcpy(tokens.items, before, sizeof before);
    assert_int_equal(wf_tokenizer_encode(tokenizer, text, length, 0, &tokens), WF_ERROR_FORMAT);
    assert_message(message);
    assert_int_equal(tokens.count, 2);
    assert_memory_equal(tokens.items, before, sizeof before);
    wf_tokens_free(&tokens);
}

static void assert_tokens(const wf_tokenizer *tokenizer, const char *text, size_t length,
                          const int32_t *expected, size_t n)
{
    wf_tokens tokens = encode(tokenizer, text, length);
    assert_int_equal(tokens.count, n);
    assert_memory_equal(tokens.items, expected, n * sizeof *expected);
    wf_tokens_free(&tokens);
}

/* Encodes, decodes, and puts the pieces together. */
static void assert_round_trip(const wf_tokenizer *tokenizer, const char *text, size_t length,
                              size_t n_expected)
{
    wf_tokens tokens = encode(tokenizer, text, length);
    assert_int_equal(tokens.count, n_expected);
    Text back = {0};
    for (size_t i = 0; i < tokens.count; i++) {
        const char *piece;
        size_t size;
        assert_in_range(tokens.items[i], 0, wf_tokenizer_vocabulary(tokenizer) - 1);
        assert_int_equal(wf_tokenizer_piece(tokenizer, tokens.items[i], &piece, &size), WF_OK);
        text_append_bytes(&back, piece, size);
    }
    assert_int_equal(back.length, length);
    if (length) assert_memory_equal(back.data, text, length);

    size_t needed;
    char *decoded = malloc(length + 1);
    assert_int_equal(wf_tokenizer_decode(tokenizer, tokens.items, tokens.count, NULL, 0, &needed),
                     WF_OK);
    assert_int_equal(needed, length);
    assert_int_equal(
        wf_tokenizer_decode(tokenizer, tokens.items, tokens.count, decoded, length, &needed),
        WF_OK);
    assert_memory_equal(decoded, text, length);
    if (length) {
        assert_int_equal(wf_tokenizer_decode(tokenizer, tokens.items, tokens.count, decoded,
                                             length - 1, &needed),
                         WF_ERROR_ARGUMENT);
        assert_int_equal(needed, length);
    }
    free(decoded);
    text_destroy(&back);
    wf_tokens_free(&tokens);
}

static void bytes_are_their_own_tokens(void **state)
{
    (void)state;
    wf_tokenizer *tokenizer;
    assert_int_equal(wf_tokenizer_create("byte", NULL, &tokenizer), WF_OK);
    assert_string_equal(wf_tokenizer_type(tokenizer), "byte");
    assert_int_equal(wf_tokenizer_vocabulary(tokenizer), 256);
    char all[256];
    int32_t tokens[256];
    for (int i = 0; i < 256; i++) all[tokens[i] = i] = (char)i;
    assert_round_trip(tokenizer, all, 256, 256);
    assert_round_trip(tokenizer, "", 0, 0);
    assert_tokens(tokenizer, all, 256, tokens, 256);
    assert_int_equal(wf_tokenizer_end_of_text(tokenizer), -1);
    const char *piece;
    size_t length;
    assert_int_equal(wf_tokenizer_piece(tokenizer, 256, &piece, &length), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_tokenizer_piece(tokenizer, -1, &piece, &length), WF_ERROR_ARGUMENT);
    wf_tokenizer_destroy(tokenizer);
    wf_tokenizer_destroy(NULL);
}

static const char SAMPLE[] = "na\xC3\xAFve caf\xC3\xA9: 5 \xE2\x82\xAC \xF0\x9F\x98\x80\n\"\\\0";

static void characters_are_numbered_by_code_point(void **state)
{
    (void)state;
    wf_tokenizer *tokenizer = from_text(SAMPLE, sizeof SAMPLE - 1);
    /* NUL, newline, space, ", 5, :, \, a, c, e, f, n, v, é, ï, €, 😀 */
    assert_int_equal(wf_tokenizer_vocabulary(tokenizer), 17);
    assert_round_trip(tokenizer, SAMPLE, sizeof SAMPLE - 1, 21);
    static const int32_t expected[] = {15, 14, 13, 11, 7};
    assert_tokens(tokenizer, "\xE2\x82\xAC\xC3\xAF\xC3\xA9na", 9, expected, 5);
    wf_tokenizer_destroy(tokenizer);
}

/* Of the largest there are, and around where the lengths of UTF-8 change: none is taken for
 * another, and what lies beyond the largest of a vocabulary has no token. */
static void characters_of_all_sizes_are_told_apart(void **state)
{
    (void)state;
    static const uint32_t codes[] = {0x0,    0x7F,   0x80,   0xFF,    0x100,    0x7FF,    0x800,
                                     0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFE, 0x10FFFF, 0};
    Text text = {0};
    char bytes[4];
    for (int32_t n = 1; codes[n]; n++) {
        text_append_bytes(&text, bytes, (size_t)utf8_encode(codes[n], bytes));
        wf_tokenizer *tokenizer = from_text(text.data, text.length);
        assert_int_equal(wf_tokenizer_vocabulary(tokenizer), n);
        assert_round_trip(tokenizer, text.data, text.length, (size_t)n);
        for (int32_t i = 0; codes[i] || i == 0; i++) {
            size_t length = (size_t)utf8_encode(codes[i], bytes);
            int32_t token = i - 1;
            if (i > 0 && i <= n)
                assert_tokens(tokenizer, bytes, length, &token, 1);
            else
                assert_not_encoded(tokenizer, bytes, length, "byte 0: the character U+");
        }
        wf_tokenizer_destroy(tokenizer);
    }
    text_destroy(&text);
}

static void characters_come_from_all_files(void **state)
{
    (void)state;
    wf_tokenizer *tokenizer;
    write_file(text_path, "abc", 3);
    write_file(json_path, "cde", 3);
    const char *files[] = {text_path, json_path};
    assert_int_equal(
        wf_tokenizer_create("char", wf_tokenizer_params(.files = files, .n_files = 2), &tokenizer),
        WF_OK);
    assert_int_equal(wf_tokenizer_vocabulary(tokenizer), 5);
    wf_tokenizer_destroy(tokenizer);
}

static void text_without_tokens_is_named(void **state)
{
    (void)state;
    wf_tokenizer *tokenizer = from_text("abc \n", 5);
    assert_not_encoded(tokenizer, "ab\xC3\xA9", 4, "byte 2: the character U+00E9 \"\xC3\xA9\"");
    assert_not_encoded(tokenizer, "a\tb", 3, "byte 1: the character U+0009 is not");
    assert_not_encoded(tokenizer, "abc\xC3", 4, "byte 3 is not valid UTF-8");
    wf_tokenizer_destroy(tokenizer);

    const char *files[] = {text_path};
    write_file(text_path, "ab\xFF", 3);
    assert_int_equal(
        wf_tokenizer_create("char", wf_tokenizer_params(.files = files, .n_files = 1), &tokenizer),
        WF_ERROR_FORMAT);
    assert_message(text_path);
    assert_message("byte 2 is not valid UTF-8");
    write_file(text_path, "", 0);
    assert_int_equal(
        wf_tokenizer_create("char", wf_tokenizer_params(.files = files, .n_files = 1), &tokenizer),
        WF_ERROR_FORMAT);
    assert_message(text_path);
    assert_int_equal(wf_tokenizer_create("char", NULL, &tokenizer), WF_ERROR_FORMAT);
    assert_int_equal(
        wf_tokenizer_create("char", wf_tokenizer_params(.vocabulary = 100), &tokenizer),
        WF_ERROR_ARGUMENT);
    assert_message("100");
    unlink(text_path);
    assert_int_equal(
        wf_tokenizer_create("char", wf_tokenizer_params(.files = files, .n_files = 1), &tokenizer),
        WF_ERROR_IO);
    assert_message(text_path);
    assert_int_equal(
        wf_tokenizer_create("chars", wf_tokenizer_params(.files = files, .n_files = 1), &tokenizer),
        WF_ERROR_UNSUPPORTED);
    assert_message("did you mean \"char\"?");
}

static void saved_tokenizers_load(void **state)
{
    (void)state;
    wf_tokenizer *tokenizers[2] = {from_text(SAMPLE, sizeof SAMPLE - 1)};
    assert_int_equal(wf_tokenizer_create("byte", NULL, &tokenizers[1]), WF_OK);
    for (int t = 0; t < 2; t++) {
        assert_int_equal(wf_tokenizer_save(tokenizers[t], folder), WF_OK);
        const char *const sources[] = {folder, json_path};
        for (int i = 0; i < 2; i++) {
            wf_tokenizer *loaded;
            assert_int_equal(wf_tokenizer_load(sources[i], &loaded), WF_OK);
            assert_string_equal(wf_tokenizer_type(loaded), wf_tokenizer_type(tokenizers[t]));
            int64_t vocabulary = wf_tokenizer_vocabulary(tokenizers[t]);
            assert_int_equal(wf_tokenizer_vocabulary(loaded), vocabulary);
            for (int32_t token = 0; token < vocabulary; token++) {
                const char *a, *b;
                size_t n, m;
                assert_int_equal(wf_tokenizer_piece(loaded, token, &a, &n), WF_OK);
                assert_int_equal(wf_tokenizer_piece(tokenizers[t], token, &b, &m), WF_OK);
                assert_int_equal(n, m);
                assert_memory_equal(a, b, n);
            }
            assert_round_trip(loaded, SAMPLE, sizeof SAMPLE - 1, t ? sizeof SAMPLE - 1 : 21);
            wf_tokenizer_destroy(loaded);
        }
        wf_tokenizer_destroy(tokenizers[t]);
    }
}

/* A file may list its characters in any order: the place is the token. */
static void a_written_file_keeps_its_order(void **state)
{
    (void)state;
    static const char json[] = "{\"type\": \"char\", \"characters\": \"zya\\u0000\\u20ac\"}";
    wf_tokenizer *tokenizer;
    write_file(json_path, json, sizeof json - 1);
    assert_int_equal(wf_tokenizer_load(folder, &tokenizer), WF_OK);
    static const int32_t expected[] = {4, 3, 2, 1, 0};
    assert_tokens(tokenizer, "\xE2\x82\xAC\0ayz", 7, expected, 5);
    wf_tokenizer_destroy(tokenizer);
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        wf_status status;
        const char *message;
    } cases[] = {
        {"", WF_ERROR_FORMAT, "line"},
        {"[]", WF_ERROR_FORMAT, "\"type\""},
        {"{}", WF_ERROR_FORMAT, "\"type\""},
        {"{\"type\": 3}", WF_ERROR_FORMAT, "\"type\""},
        {"{\"type\": \"wordpiece\"}", WF_ERROR_UNSUPPORTED, "\"wordpiece\""},
        {"{\"type\": \"char\"}", WF_ERROR_FORMAT, "characters"},
        {"{\"type\": \"char\", \"characters\": \"\"}", WF_ERROR_FORMAT, "characters"},
        {"{\"type\": \"char\", \"characters\": [\"a\"]}", WF_ERROR_FORMAT, "characters"},
        {"{\"type\": \"char\", \"characters\": \"abca\"}", WF_ERROR_FORMAT, "U+0061 stands"},
        {"{\"type\": \"char\", \"characters\": \"\xED\xA0\x80\"}", WF_ERROR_FORMAT, "decode"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wf_tokenizer *tokenizer;
        write_file(json_path, cases[i].json, strlen(cases[i].json));
        assert_int_equal(wf_tokenizer_load(folder, &tokenizer), cases[i].status);
        assert_message(json_path);
        assert_message(cases[i].message);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_their_own_tokens), CASE(characters_are_numbered_by_code_point),
        CASE(characters_of_all_sizes_are_told_apart), CASE(characters_come_from_all_files),
        CASE(text_without_tokens_is_named),           CASE(saved_tokenizers_load),
        CASE(a_written_file_keeps_its_order),         CASE(wrong_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
