/* One token a byte. */
#include "data/tokenizer.h"

enum { N_BYTES = 256 };

/* Fills the table of pieces at compile time: 256 bytes in order. */
#define BYTES_4(n)  (char)(n), (char)((n) + 1), (char)((n) + 2), (char)((n) + 3)
#define BYTES_16(n) BYTES_4(n), BYTES_4((n) + 4), BYTES_4((n) + 8), BYTES_4((n) + 12)
#define BYTES_64(n) BYTES_16(n), BYTES_16((n) + 16), BYTES_16((n) + 32), BYTES_16((n) + 48)
static const char bytes[N_BYTES] = {BYTES_64(0), BYTES_64(64), BYTES_64(128), BYTES_64(192)};

static wf_status create(wf_tokenizer *tokenizer, const char *variant,
                        const wf_tokenizer_params *params)
{
    (void)variant;
    (void)params;
    tokenizer->vocabulary = N_BYTES;
    return WF_OK;
}

static wf_status parse(wf_tokenizer *tokenizer, const json_t *object, const char *file)
{
    (void)object;
    (void)file;
    return create(tokenizer, NULL, NULL);
}

static bool print(const wf_tokenizer *tokenizer, json_t *object)
{
    (void)tokenizer;
    (void)object;
    return true;
}

static void destroy(wf_tokenizer *tokenizer)
{
    (void)tokenizer;
}

static wf_status encode(const wf_tokenizer *tokenizer, const char *text, size_t length, int flags,
                        wf_tokens *tokens)
{
    (void)tokenizer;
    (void)flags;
    if (length == 0) return WF_OK;
    TRY(tokens_reserve(tokens, length));
    int32_t *items = tokens->items + tokens->count;
    for (size_t i = 0; i < length; i++) items[i] = (unsigned char)text[i];
    tokens->count += length;
    return WF_OK;
}

static void piece(const wf_tokenizer *tokenizer, int32_t token, const char **text, size_t *length)
{
    (void)tokenizer;
    *text = &bytes[token];
    *length = 1;
}

const TokenizerType tokenizer_byte = {.name = "byte",
                                      .file_name = "tokenizer.json",
                                      .create = create,
                                      .parse = parse,
                                      .print = print,
                                      .destroy = destroy,
                                      .encode = encode,
                                      .piece = piece};
