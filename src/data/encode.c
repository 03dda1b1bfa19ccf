#include "data/encode.h"

#include "data/documents.h"
#include "data/sources.h"

#include <stdbool.h>
#include <stdlib.h>

/* Room for the tokens of a piece. */
typedef struct Tokens {
    int32_t *items;
    size_t capacity;
} Tokens;

/* Tokens of a text; grows the room as needed. */
static wf_status encode_text(const wf_tokenizer *tokenizer, const char *text, size_t length,
                             Tokens *tokens, size_t *count)
{
    if (tokens->capacity < length) {
        int32_t *grown = realloc(tokens->items, length * sizeof *grown);
        if (!grown) return fail(WF_ERROR_MEMORY, "out of memory for the tokens of a text");
        *tokens = (Tokens){grown, length};
    }
    return wf_tokenizer_encode(tokenizer, text, length, tokens->items, tokens->capacity, count);
}

/* ---- what separates documents ---- */

/* The tokenizer's end-of-text token, -1: none. Bytes and characters have none. */
static int32_t end_of_text(const wf_tokenizer *tokenizer)
{
    (void)tokenizer;
    return -1;
}

static wf_status find_separator(const wf_tokenizer *tokenizer, Tokens *tokens, int32_t *separator)
{
    size_t count = 0;
    *separator = end_of_text(tokenizer);
    if (*separator >= 0) return WF_OK;
    if (encode_text(tokenizer, "\n", 1, tokens, &count) || count == 0)
        return fail(WF_ERROR_FORMAT,
                    "documents cannot be separated: the tokenizer has neither an end-of-text token "
                    "nor one for a newline");
    *separator = tokens->items[count - 1];
    return WF_OK;
}

/* ---- files ---- */

static wf_status encode_documents(Encoder *encoder, Documents *documents, Tokens *tokens,
                                  int32_t separator)
{
    int64_t before = encoder->bytes;
    for (;;) {
        TextPiece piece;
        size_t count;
        TRY(documents_next(documents, &piece));
        encoder->bytes = before + documents_bytes(documents);
        if (piece.length == 0) return WF_OK;
        wf_status status =
            encode_text(encoder->tokenizer, piece.text, piece.length, tokens, &count);
        if (status) return documents_fail_within(documents, status);
        TRY(encoder->sink(encoder->context, tokens->items, (int64_t)count));
        if (!piece.ends) continue;
        TRY(encoder->sink(encoder->context, &separator, 1));
        encoder->documents++;
    }
}

wf_status encode_file(Encoder *encoder, const char *path)
{
    Documents *documents;
    Tokens tokens = {0};
    int32_t separator = 0;
    bool lines = source_kind(path) == SOURCE_JSONL;
    TRY(documents_open(path, encoder->field, &documents));
    wf_status status = WF_OK;
    if (lines && find_separator(encoder->tokenizer, &tokens, &separator))
        status = fail_within(WF_ERROR_FORMAT, "%s", path);
    if (!status) status = encode_documents(encoder, documents, &tokens, separator);
    if (!lines) encoder->documents++;
    documents_close(documents);
    free(tokens.items);
    return status;
}
