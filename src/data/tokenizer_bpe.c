/* Byte-level BPE. A text is cut at added tokens, normalised, cut into words by the pre-tokenizer's
 * patterns; each word's bytes are tokens, which are merged. */
#include "data/bpe.h"
#include "data/tokenizer.h"
#include "data/word_cache.h"

#include <stdlib.h>
#include <string.h>
#ifdef WAVEFIELD_UTF8PROC
#include <utf8proc.h>
#endif

static wf_status out_of_memory(void)
{
    return fail(WF_ERROR_MEMORY, "out of memory for a text's tokens");
}

static void destroy(wf_tokenizer *tokenizer)
{
    if (!tokenizer->data) return;
    bpe_destroy(tokenizer->data);
    free(tokenizer->data);
}

static wf_status parse(wf_tokenizer *tokenizer, const json_t *object, const char *path)
{
    Bpe *bpe = tokenizer->data = calloc(1, sizeof *bpe);
    if (!bpe) return out_of_memory();
    wf_status status = bpe_read(object, bpe);
    if (status) return fail_within(status, "%s", path);
    tokenizer->vocabulary = bpe->vocabulary;
    tokenizer->end_of_text = bpe->end_of_text;
    return WF_OK;
}

/* ---- words ---- */

/* A call of encode: what it reads, and its own memory. */
typedef struct Encoding {
    const Bpe *bpe;
    bool special;
    wf_tokens *tokens;
    SplitterMatch *match;
    MergeScratch scratch;
    WordCache cache;
} Encoding;

static wf_status append_token(wf_tokens *tokens, int32_t token)
{
    TRY(tokens_reserve(tokens, 1));
    tokens->items[tokens->count++] = token;
    return WF_OK;
}

static wf_status merge_word(Encoding *e, const char *word, size_t length)
{
    size_t first = e->tokens->count;
    int32_t whole = bpe_word(e->bpe, word, length);
    if (whole >= 0) return append_token(e->tokens, whole);
    TRY(tokens_reserve(e->tokens, length));
    for (size_t i = 0; i < length; i++) {
        int32_t token = e->bpe->byte_token[(unsigned char)word[i]];
        if (token < 0)
            return fail(WF_ERROR_FORMAT, "the byte 0x%02X, in \"%.*s\", has no token",
                        (unsigned)(unsigned char)word[i], (int)(length < 40 ? length : 40), word);
        e->tokens->items[e->tokens->count++] = token;
    }
    return merges_apply(&e->bpe->merges, &e->scratch, e->tokens, first);
}

static wf_status encode_word(Encoding *e, const char *word, size_t length)
{
    if (length == 0 || word_cache_append(&e->cache, word, length, e->tokens)) return WF_OK;
    size_t first = e->tokens->count;
    TRY(merge_word(e, word, length));
    word_cache_add(&e->cache, word, length, e->tokens->items + first, e->tokens->count - first);
    return WF_OK;
}

/* ---- cutting ---- */

static wf_status run_steps(Encoding *e, int step, const char *text, size_t length);

static wf_status prefix_space(Encoding *e, int step, const char *text, size_t length)
{
    if (*text == ' ') return run_steps(e, step + 1, text, length);
    char *copy = malloc(length + 1);
    if (!copy) return out_of_memory();
    copy[0] = ' ';
    memcpy(copy + 1, text, length);
    wf_status status = run_steps(e, step + 1, copy, length + 1);
    free(copy);
    return status;
}

static wf_status split(Encoding *e, int step, const char *text, size_t length)
{
    BpeStepKind kind = e->bpe->steps[step].kind;
    for (size_t at = 0; at < length;) {
        size_t first, last;
        TRY(splitter_next(e->bpe->steps[step].splitter, e->match, text, length, at, &first, &last));
        if (kind != BPE_KEEP_MATCHES) TRY(run_steps(e, step + 1, text + at, first - at));
        if (kind != BPE_DROP_MATCHES) TRY(run_steps(e, step + 1, text + first, last - first));
        at = last;
    }
    return WF_OK;
}

static wf_status run_steps(Encoding *e, int step, const char *text, size_t length)
{
    if (length == 0) return WF_OK;
    if (step == e->bpe->n_steps) return encode_word(e, text, length);
    return e->bpe->steps[step].kind == BPE_PREFIX_SPACE ? prefix_space(e, step, text, length)
                                                        : split(e, step, text, length);
}

/* ---- added tokens and normalisation ---- */

typedef wf_status Between(Encoding *e, const char *text, size_t length);

/* Cuts a text at names; what is between them goes to `between`. */
static wf_status cut_at_names(Encoding *e, const Names *names, const char *text, size_t length,
                              Between *between)
{
    for (size_t from = 0; from < length;) {
        size_t at;
        const Name *name = names_find(names, text, length, from, &at);
        if (at > from) TRY(between(e, text + from, at - from));
        if (!name) break;
        TRY(append_token(e->tokens, name->token));
        from = at + name->length;
    }
    return WF_OK;
}

static wf_status encode_plain(Encoding *e, const char *text, size_t length)
{
    return run_steps(e, 0, text, length);
}

static wf_status encode_normalised(Encoding *e, const char *text, size_t length)
{
    return cut_at_names(e, &e->bpe->normalised[e->special], text, length, encode_plain);
}

static wf_status encode_between(Encoding *e, const char *text, size_t length)
{
    char *composed = (char *)text;
    size_t n = length;
    if (e->bpe->compose) TRY(bpe_compose(text, length, &composed, &n));
    wf_status status = encode_normalised(e, composed, n);
    if (composed != text) free(composed);
    return status;
}

#ifdef WAVEFIELD_UTF8PROC

static utf8proc_propval_t class_of(int32_t code)
{
    return utf8proc_get_property(code)->combining_class;
}

/* Sorts marks by their class, those of one class left in their order. */
static void sort_marks(const int32_t *marks, size_t n, int32_t *sorted)
{
    size_t next[257] = {0};
    for (size_t i = 0; i < n; i++) next[class_of(marks[i]) + 1]++;
    for (int i = 0; i < 256; i++) next[i + 1] += next[i];
    for (size_t i = 0; i < n; i++) sorted[next[class_of(marks[i])]++] = marks[i];
}

/* Puts decomposed text into canonical order (Unicode 15, D109); `room` is as large. */
static void order_marks(int32_t *codes, size_t n, int32_t *room)
{
    for (size_t at = 0; at < n; at++) {
        size_t first = at;
        bool ordered = true;
        for (; at < n && class_of(codes[at]); at++)
            if (at > first && class_of(codes[at]) < class_of(codes[at - 1])) ordered = false;
        if (ordered) continue;
        sort_marks(codes + first, at - first, room);
        memcpy(codes + first, room, (at - first) * sizeof *codes);
    }
}

/* utf8proc_map() in its steps, but for the order of marks: it swaps neighbours, n²/4 times for n of
 * them in a row. A character of two bytes or more has four codes at most. */
static wf_status compose(const char *text, size_t length, char **out, size_t *out_length)
{
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    size_t capacity = 2 * length + 4, n = 0, used = 0;
    int bound = 0;
    int32_t *codes = malloc(2 * capacity * sizeof *codes);
    if (!codes) return out_of_memory();
    for (size_t at = 0; at < length;) {
        uint32_t code;
        at += (size_t)utf8_decode(text + at, length - at, &code);
        n += (size_t)utf8proc_decompose_char((int32_t)code, codes + n, 4, options, &bound);
    }
    order_marks(codes, n, codes + capacity);
    n = (size_t)utf8proc_normalize_utf32(codes, (utf8proc_ssize_t)n, options);
    char *composed = malloc(4 * n + 1);
    for (size_t i = 0; i < n && composed; i++)
        used += (size_t)utf8_encode((uint32_t)codes[i], composed + used);
    free(codes);
    if (!composed) return out_of_memory();
    *out = composed;
    *out_length = used;
    return WF_OK;
}

#else

static wf_status compose(const char *text, size_t length, char **out, size_t *out_length)
{
    (void)text;
    (void)length;
    (void)out;
    (void)out_length;
    return fail(WF_ERROR_UNSUPPORTED, "\"NFC\" needs utf8proc (libutf8proc-dev): install it and "
                                      "build again");
}

#endif

wf_status bpe_compose(const char *text, size_t length, char **out, size_t *out_length)
{
    /* Characters below U+0300 are composed already, and none of them is put together. */
    size_t at = 0;
    while (at < length && (unsigned char)text[at] < 0xCC) at++;
    *out = (char *)text;
    *out_length = length;
    return at == length ? WF_OK : compose(text, length, out, out_length);
}

/* ---- the table ---- */

static wf_status encode(const wf_tokenizer *tokenizer, const char *text, size_t length, int flags,
                        wf_tokens *tokens)
{
    Encoding e = {.bpe = tokenizer->data, .special = flags & WF_ENCODE_SPECIAL, .tokens = tokens};
    size_t valid = utf8_check(text, length);
    if (valid < length) return fail_invalid_utf8(valid);
    e.match = splitter_match_create();
    if (!e.match) return out_of_memory();
    wf_status status = cut_at_names(&e, &e.bpe->raw[e.special], text, length, encode_between);
    splitter_match_destroy(e.match);
    merge_scratch_destroy(&e.scratch);
    word_cache_destroy(&e.cache);
    return status;
}

static void piece(const wf_tokenizer *tokenizer, int32_t token, const char **text, size_t *length)
{
    const Bpe *bpe = tokenizer->data;
    *text = bpe->bytes ? bpe->bytes + bpe->offset[token] : "";
    *length = bpe->offset[token + 1] - bpe->offset[token];
}

const TokenizerType tokenizer_bpe = {.name = "bpe",
                                     .file_name = "tokenizer.json",
                                     .parse = parse,
                                     .destroy = destroy,
                                     .encode = encode,
                                     .piece = piece};
