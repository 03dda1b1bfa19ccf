/* Data from text: lines of JSON, and large texts that are read piece by piece. */
#include "data/batches.h"
#include "data/documents.h"

#include "dataset_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void json_lines_become_documents(void **state)
{
    (void)state;
    static const char lines[] = "{\"text\": \"one\", \"id\": 7}\n"
                                "\n  \t\r\n"
                                "{\"text\": \"\"}\n"
                                "{\"id\": [1, {}, 18446744073709551615], \"text\": "
                                "\"a\\nb\\u0000\\u00e9\\ud83c\\udf0a\"}\r\n"
                                "{\"text\":\"last\"}";
    static const char expected[] = "one\na\nb\0\xC3\xA9\xF0\x9F\x8C\x8A\nlast\n";
    wf_dataset *dataset;
    write_text("fine.jsonl", lines);
    must(open_name("fine.jsonl", &dataset));
    assert_tokens(dataset, expected, sizeof expected - 1);
    wf_dataset_destroy(dataset);
    const char *path = IN_FOLDER("fine.jsonl");
    assert_int_equal(wf_dataset_open(
                         &(wf_dataset_params){
                             .files = &path, .n_files = 1, .tokenizer = bytes, .text_field = "id"},
                         &dataset),
                     WF_ERROR_FORMAT);
    assert_message("fine.jsonl: line 1: key \"id\": expected a string, found a number");
    /* A byte-order mark is no part of the first line; in another it is wrong. */
    write_text("fine.jsonl", "\xEF\xBB\xBF{\"text\": \"one\"}\n");
    must(open_name("fine.jsonl", &dataset));
    assert_tokens(dataset, "one\n", 4);
    wf_dataset_destroy(dataset);
    write_text("fine.jsonl", "{\"text\": \"one\"}\n\xEF\xBB\xBF{\"text\": \"two\"}\n");
    assert_int_equal(open_name("fine.jsonl", &dataset), WF_ERROR_FORMAT);
    assert_message("fine.jsonl: line 2");
}

static void errors_in_json_lines_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"text\": \"x\"}\n\n{\"content\": 1, \"url\": 2}\n",
         "line 3: no key \"text\"; the object has \"content\", \"url\""},
        {"{}", "line 1: no key \"text\"; the object has none"},
        {"{\"text\": null}", "line 1: key \"text\": expected a string, found null"},
        {"{\"text\": {}}", "expected a string, found an object"},
        {"{\"text\": \"x\"}\n[1]\n", "line 2: expected a JSON object, found an array"},
        {"{\"text\": \"x\"}\n{\"text\": \"y\n\"}", "line 2, column"},
        {"{\"text\": \"x\"} {\"text\": \"y\"}\n", "line 1, column"},
        {"\n{\"text\": \"x\", \"text\": \"y\"}\n", "line 2, column 20: duplicate object key"},
        {"{\"text\": \"a\xFFz\"}\n", "line 1, column"},
        {"{\"text\": \"\\ud800\"}\n", "line 1, column"},
        {"\n\n\n", "no text"},
        {"", "no text"},
    };
    wf_dataset *dataset;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("bad.jsonl", cases[i].text);
        assert_int_equal(open_name("bad.jsonl", &dataset), WF_ERROR_FORMAT);
        assert_message("bad.jsonl: ");
        assert_message(cases[i].says);
    }
    static const char nul[] = "{\"text\": \"x\"}\n\0\n";
    write_file("bad.jsonl", nul, sizeof nul - 1);
    assert_int_equal(open_name("bad.jsonl", &dataset), WF_ERROR_FORMAT);
    assert_message("bad.jsonl: line 2");
    /* A line without an end is not read into memory without an end. */
    FILE *file = fopen(IN_FOLDER("endless.jsonl"), "wb");
    assert_non_null(file);
    assert_int_equal(fputs("{\"text\": \"x\"}\n", file) < 0, 0);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(ftruncate(fileno(file), INT64_C(1) << 33), 0);
    fclose(file);
    assert_int_equal(open_name("endless.jsonl", &dataset), WF_ERROR_FORMAT);
    assert_message("endless.jsonl: line 2 has more than 67108864 bytes");
    must(file_remove(IN_FOLDER("endless.jsonl")));
    /* Arrays as deep as that would overflow a stack. */
    static char deep[200001];
    memset(deep, '[', sizeof deep - 1);
    write_text("bad.jsonl", deep);
    assert_int_equal(open_name("bad.jsonl", &dataset), WF_ERROR_FORMAT);
    assert_message("bad.jsonl: line 1");
    /* A character the tokenizer has not: file, line and place. */
    wf_tokenizer *narrow;
    write_text("narrow.txt", "xyz\n");
    const char *path = IN_FOLDER("narrow.txt");
    narrow = characters_of(path);
    write_text("bad.jsonl", "{\"text\": \"x\"}\n{\"text\": \"yyw\"}\n");
    path = IN_FOLDER("bad.jsonl");
    assert_int_equal(
        wf_dataset_open(&(wf_dataset_params){.files = &path, .n_files = 1, .tokenizer = narrow},
                        &dataset),
        WF_ERROR_FORMAT);
    assert_message("bad.jsonl: line 2: byte 2: the character U+0077");
    wf_tokenizer_destroy(narrow);
    write_text("narrow.txt", "xyz"); /* no newline, so nothing to separate documents by */
    path = IN_FOLDER("narrow.txt");
    narrow = characters_of(path);
    path = IN_FOLDER("bad.jsonl");
    assert_int_equal(
        wf_dataset_open(&(wf_dataset_params){.files = &path, .n_files = 1, .tokenizer = narrow},
                        &dataset),
        WF_ERROR_FORMAT);
    assert_message("bad.jsonl: documents cannot be separated");
    wf_tokenizer_destroy(narrow);
}

static void texts_are_cut_between_words(void **state)
{
    (void)state;
    static char text[PIECE_MOST];
    memset(text, 'a', sizeof text);
    assert_int_equal(piece_cut(text, sizeof text), PIECE_MOST - 1);
    text[900000] = '\n'; /* after a letter */
    memcpy(text + 950000, ".\n", 2);
    text[1000] = '\n';
    assert_int_equal(piece_cut(text, sizeof text), 900000);
    text[900000] = 'a';
    assert_int_equal(piece_cut(text, sizeof text), 950001);
    text[950001] = 'a'; /* a newline in the first half is too far back */
    memcpy(text + PIECE_MOST - 3, "\xE2\x82\xAC", 3);
    assert_int_equal(piece_cut(text, sizeof text), PIECE_MOST - 3);
    memset(text, 0x80, sizeof text); /* not UTF-8 */
    assert_in_range(piece_cut(text, sizeof text), PIECE_MOST - 4, PIECE_MOST - 1);
}

/* Text longer than a piece gives the tokens of the whole, as text and as a line of JSON. */
static void large_texts_come_whole(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        char *text = large_text((size_t)(5 * PIECE_MOST / 2 + i), i > 0, (uint64_t)i);
        size_t length = strlen(text);
        wf_dataset *dataset;
        write_file("large.txt", text, length);
        must(open_name("large.txt", &dataset));
        assert_tokens(dataset, text, length);
        uint64_t fingerprint = dataset->fingerprint;
        wf_dataset_destroy(dataset);

        /* Characters: no cut may fall into one. */
        wf_tokenizer *characters;
        const char *path = IN_FOLDER("large.txt");
        characters = characters_of(path);
        must(wf_dataset_open(
            &(wf_dataset_params){.files = &path, .n_files = 1, .tokenizer = characters}, &dataset));
        int64_t sum;
        must(dataset_bytes(dataset, (TokenSpan){0, dataset->count}, &sum));
        assert_int_equal(sum, length);
        wf_dataset_destroy(dataset);
        wf_tokenizer_destroy(characters);

        FILE *file = fopen(IN_FOLDER("large.jsonl"), "wb");
        fputs("{\"text\": \"", file);
        for (size_t at = 0; at < length; at++)
            if (text[at] == '\n')
                fputs("\\n", file);
            else
                putc(text[at], file);
        fputs("\"}\n", file);
        fclose(file);
        must(open_name("large.jsonl", &dataset));
        text[length] = '\n';
        assert_tokens(dataset, text, length + 1);
        assert_true(dataset->fingerprint != fingerprint);
        wf_dataset_destroy(dataset);
        free(text);
    }
    /* What is wrong far inside is found by its place. */
    char *text = large_text(2 * PIECE_MOST, true, 9);
    size_t bad = (size_t)PIECE_MOST + 77777;
    while (((unsigned char)text[bad] & 0x80) != 0) bad++;
    wf_tokenizer *characters;
    wf_dataset *dataset;
    const char *path = IN_FOLDER("large.txt");
    characters = characters_of(path);
    text[bad] = '\xFF';
    write_file("large.txt", text, strlen(text));
    assert_int_equal(
        wf_dataset_open(&(wf_dataset_params){.files = &path, .n_files = 1, .tokenizer = characters},
                        &dataset),
        WF_ERROR_FORMAT);
    long long base, offset;
    const char *place = strstr(wf_error_message(), "large.txt: counted from byte ");
    assert_non_null(place);
    assert_int_equal(
        sscanf(place, "large.txt: counted from byte %lld on: byte %lld is not", &base, &offset), 2);
    assert_int_equal(base + offset, bad);
    wf_tokenizer_destroy(characters);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines_become_documents),
        cmocka_unit_test(errors_in_json_lines_name_the_line),
        cmocka_unit_test(texts_are_cut_between_words),
        cmocka_unit_test(large_texts_come_whole),
    };
    must(wf_tokenizer_create("byte", NULL, &bytes));
    int failures = cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
    wf_tokenizer_destroy(bytes);
    return failures;
}
