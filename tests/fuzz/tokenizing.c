#include "tokenizing.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char TEXT[] =
    "Hello, w\xc3\xb6rld! It's 12345\n\n  <|endoftext|> \xf0\x9f\x98\x80\te\xcc\x81";

static void compare_pieces(const wf_tokenizer *a, const wf_tokenizer *b)
{
    int64_t n = wf_tokenizer_vocabulary(a);
    REQUIRE(strcmp(wf_tokenizer_type(a), wf_tokenizer_type(b)) == 0);
    REQUIRE(n > 0 && n == wf_tokenizer_vocabulary(b));
    REQUIRE(wf_tokenizer_end_of_text(a) == wf_tokenizer_end_of_text(b));
    REQUIRE(wf_tokenizer_end_of_text(a) >= -1 && wf_tokenizer_end_of_text(a) < n);
    for (int64_t i = 0; i < n; i++) {
        const char *x, *y;
        size_t x_length, y_length;
        MUST(wf_tokenizer_piece(a, (int32_t)i, &x, &x_length));
        MUST(wf_tokenizer_piece(b, (int32_t)i, &y, &y_length));
        REQUIRE(x_length == y_length && (x_length == 0 || memcmp(x, y, x_length) == 0));
    }
}

/* The bytes that decoding gives, which are those of the pieces but for spaces at the start. */
static void check_decoding(const wf_tokenizer *tokenizer, const wf_tokens *tokens)
{
    size_t length, again, sum = 0;
    MUST(wf_tokenizer_decode(tokenizer, tokens->items, tokens->count, NULL, 0, &length));
    char *text = malloc(length + 1);
    REQUIRE(text);
    MUST(wf_tokenizer_decode(tokenizer, tokens->items, tokens->count, text, length, &again));
    REQUIRE(again == length);
    for (size_t i = 0; i < tokens->count; i++) {
        const char *piece;
        size_t n;
        MUST(wf_tokenizer_piece(tokenizer, tokens->items[i], &piece, &n));
        sum += n;
    }
    REQUIRE(length <= sum);
    free(text);
}

static void check_text(const wf_tokenizer *a, const wf_tokenizer *b, const char *text,
                       size_t length, int flags)
{
    wf_tokens x = {0}, y = {0};
    bool encoded = fuzz_ok(wf_tokenizer_encode(a, text, length, flags, &x));
    REQUIRE(fuzz_ok(wf_tokenizer_encode(b, text, length, flags, &y)) == encoded);
    REQUIRE(x.count == y.count && (encoded || x.count == 0));
    for (size_t i = 0; i < x.count; i++) {
        REQUIRE(x.items[i] >= 0 && x.items[i] < wf_tokenizer_vocabulary(a));
        REQUIRE(x.items[i] == y.items[i]);
    }
    if (encoded) check_decoding(a, &x);
    wf_tokens_free(&x);
    wf_tokens_free(&y);
}

bool tokenize_file(const char *name, const uint8_t *data, size_t size)
{
    Part parts[2];
    wf_tokenizer *tokenizer, *again;
    fuzz_split(data, size, parts, 2);
    if (!fuzz_ok(wf_tokenizer_load(fuzz_write(name, parts[0]), &tokenizer))) return false;
    mkdir(fuzz_path("again"), 0700);
    MUST(wf_tokenizer_save(tokenizer, fuzz_path("again")));
    MUST(wf_tokenizer_load(fuzz_path("again"), &again));
    compare_pieces(tokenizer, again);
    const char *text = parts[1].size ? (const char *)parts[1].data : TEXT;
    size_t length = parts[1].size ? parts[1].size : sizeof TEXT - 1;
    check_text(tokenizer, again, text, length, 0);
    check_text(tokenizer, again, text, length, WF_ENCODE_SPECIAL);
    wf_tokenizer_destroy(again);
    wf_tokenizer_destroy(tokenizer);
    return true;
}
