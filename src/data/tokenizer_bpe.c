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

wf_status bpe_compose(const char *text, size_t length, char **out, size_t *out_length)
{
    /* Characters below U+0300 are composed already, and none of them is put together. */
    size_t at = 0;
    while (at < length && (unsigned char)text[at] < 0xCC) at++;
    *out = (char *)text;
    *out_length = length;
    if (at == length) return WF_OK;
#ifdef WAVEFIELD_UTF8PROC
    utf8proc_uint8_t *composed = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length,
                                      &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n < 0) return fail(WF_ERROR_MEMORY, "NFC: %s", utf8proc_errmsg(n));
    *out = (char *)composed;
    *out_length = (size_t)n;
    return WF_OK;
#else
    return fail(WF_ERROR_UNSUPPORTED, "\"NFC\" needs utf8proc (libutf8proc-dev): install it and "
                                      "build again");
#endif
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
