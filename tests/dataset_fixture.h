/* What the tests of data share: files in a folder, datasets of them, and a tokenizer of bytes.
 * Includes cmocka, whose macro fail() hides the library's: other headers come before this one. */
#ifndef TESTS_DATASET_FIXTURE_H
#define TESTS_DATASET_FIXTURE_H

#include "base/files.h"
#include "base/rng.h"
#include "data/batches.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline void must(wf_status status)
{
    if (status) fail_msg("%s: %s", wf_status_name(status), wf_error_message());
}

static inline void assert_message(const char *part)
{
    if (!strstr(wf_error_message(), part))
        fail_msg("\"%s\" is not in: %s", part, wf_error_message());
}

static inline void write_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(IN_FOLDER(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static wf_tokenizer *bytes;

static inline wf_tokenizer *characters_of(const char *path)
{
    wf_tokenizer *tokenizer;
    must(
        wf_tokenizer_create("char", wf_tokenizer_params(.files = &path, .n_files = 1), &tokenizer));
    return tokenizer;
}

static inline wf_status open_names(const char *const *names, int n, double held_out,
                                   wf_dataset **out)
{
    return wf_dataset_open(
        &(wf_dataset_params){
            .files = names, .n_files = n, .tokenizer = bytes, .held_out = held_out},
        out);
}

static inline wf_status open_name(const char *name, wf_dataset **out)
{
    const char *path = IN_FOLDER(name);
    return open_names(&path, 1, 0, out);
}

static inline void assert_tokens(const wf_dataset *dataset, const char *text, size_t length)
{
    assert_int_equal(dataset->count, length);
    int32_t *tokens = malloc(length * sizeof *tokens);
    must(dataset_read(dataset, 0, (int64_t)length, tokens));
    for (size_t i = 0; i < length; i++) assert_int_equal(tokens[i], (unsigned char)text[i]);
    free(tokens);
}

/* A large text of characters of all lengths; newlines where `lines`. The caller frees it. */
static inline char *large_text(size_t length, bool lines, uint64_t seed)
{
    static const char *const words[] = {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8A"};
    char *text = malloc(length + 1);
    Rng rng = {.seed = seed};
    size_t at = 0;
    assert_non_null(text);
    while (at + 4 <= length) {
        const char *word = words[rng_below(&rng, 4)];
        if (lines && rng_below(&rng, 30) == 0) word = "\n";
        memcpy(text + at, word, strlen(word));
        at += strlen(word);
    }
    memset(text + at, 'a', length - at);
    text[length] = 0;
    return text;
}

#endif
