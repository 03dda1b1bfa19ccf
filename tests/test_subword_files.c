/* Files of subword tokenizers: kept as they were, damaged, or asking for what is not there. */
#include "base/files.h"
#include "base/rng.h"

#include <jansson.h>

#include "tests/subword_fixture.h"

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
