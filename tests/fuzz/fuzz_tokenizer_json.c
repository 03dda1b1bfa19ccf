/* tokenizer.json and a text for it. */
#include "data/tokenizer.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void compare(const wf_tokenizer *a, const wf_tokenizer *b)
{
    REQUIRE(strcmp(wf_tokenizer_type(a), wf_tokenizer_type(b)) == 0);
    REQUIRE(wf_tokenizer_vocabulary(a) == wf_tokenizer_vocabulary(b));
    REQUIRE(wf_tokenizer_vocabulary(a) > 0);
    for (int64_t i = 0; i < wf_tokenizer_vocabulary(a); i++) {
        const char *x, *y;
        size_t x_length, y_length;
        MUST(wf_tokenizer_piece(a, (int32_t)i, &x, &x_length));
        MUST(wf_tokenizer_piece(b, (int32_t)i, &y, &y_length));
        REQUIRE(x_length == y_length && memcmp(x, y, x_length) == 0);
    }
}

/* A text is the pieces of its tokens. */
static void check_text(const wf_tokenizer *tokenizer, const char *text, size_t length)
{
    size_t count = 0, at = 0;
    int32_t *tokens = malloc((length + 1) * sizeof *tokens);
    REQUIRE(tokens);
    if (fuzz_ok(wf_tokenizer_encode(tokenizer, text, length, tokens, length, &count))) {
        REQUIRE(count <= length);
        for (size_t i = 0; i < count; i++) {
            const char *piece;
            size_t n;
            MUST(wf_tokenizer_piece(tokenizer, tokens[i], &piece, &n));
            REQUIRE(n <= length - at && memcmp(piece, text + at, n) == 0);
            at += n;
        }
        REQUIRE(at == length);
    }
    free(tokens);
}

bool fuzz_one(const uint8_t *data, size_t size)
{
    Part parts[2];
    wf_tokenizer *tokenizer, *again;
    fuzz_split(data, size, parts, 2);
    if (!fuzz_ok(wf_tokenizer_load(fuzz_write("file", parts[0]), &tokenizer))) return false;
    MUST(wf_tokenizer_save(tokenizer, fuzz_path("")));
    MUST(wf_tokenizer_load(fuzz_path("tokenizer.json"), &again));
    compare(tokenizer, again);
    wf_tokenizer_destroy(again);
    check_text(tokenizer, (const char *)parts[1].data, parts[1].size);
    wf_tokenizer_destroy(tokenizer);
    return true;
}
