#include "data/encode.h"

#include "data/documents.h"
#include "data/sources.h"

#include <stdbool.h>

/* ---- what separates documents ---- */

/* The end-of-text token, or a newline where there is none (bytes and characters). */
static wf_status find_separator(const wf_tokenizer *tokenizer, wf_tokens *tokens,
                                int32_t *separator)
{
    *separator = wf_tokenizer_end_of_text(tokenizer);
    if (*separator >= 0) return WF_OK;
    tokens->count = 0;
    if (wf_tokenizer_encode(tokenizer, "\n", 1, 0, tokens) || tokens->count == 0)
        return fail(WF_ERROR_FORMAT,
                    "documents cannot be separated: the tokenizer has neither an end-of-text token "
                    "nor one for a newline");
    *separator = tokens->items[tokens->count - 1];
    return WF_OK;
}

/* ---- files ---- */

static wf_status encode_documents(Encoder *encoder, Documents *documents, wf_tokens *tokens,
                                  int32_t separator)
{
    int64_t before = encoder->bytes;
    for (;;) {
        TextPiece piece;
        TRY(documents_next(documents, &piece));
        encoder->bytes = before + documents_bytes(documents);
        if (piece.length == 0) return WF_OK;
        tokens->count = 0;
        wf_status status =
            wf_tokenizer_encode(encoder->tokenizer, piece.text, piece.length, 0, tokens);
        if (status) return documents_fail_within(documents, status);
        TRY(encoder->sink(encoder->context, tokens->items, (int64_t)tokens->count));
        if (!piece.ends) continue;
        TRY(encoder->sink(encoder->context, &separator, 1));
        encoder->documents++;
    }
}

wf_status encode_file(Encoder *encoder, const char *path)
{
    Documents *documents;
    wf_tokens tokens = {0};
    int32_t separator = 0;
    bool lines = source_kind(path) == SOURCE_JSONL;
    TRY(documents_open(path, encoder->field, &documents));
    wf_status status = WF_OK;
    if (lines && find_separator(encoder->tokenizer, &tokens, &separator))
        status = fail_within(WF_ERROR_FORMAT, "%s", path);
    if (!status) status = encode_documents(encoder, documents, &tokens, separator);
    if (!lines) encoder->documents++;
    documents_close(documents);
    wf_tokens_free(&tokens);
    return status;
}
