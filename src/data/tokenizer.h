/* What a tokenizer is inside the library: one table of functions a type. */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H

#include "base/status.h"
#include "wavefield/tokenizer.h"

#include <jansson.h>
#include <stdbool.h>

typedef struct TokenizerType {
    const char *name;
    const char *file_name; /* in a model folder */
    /* Learns from texts; `variant` is what follows the type in "sentencepiece-bpe". NULL: files of
     * this type are made elsewhere. */
    wf_status (*create)(wf_tokenizer *tokenizer, const char *variant,
                        const wf_tokenizer_params *params);
    /* Builds the type's data from the object of a tokenizer.json, or from the bytes of another
     * file. `path` is for messages. One of the two is NULL. */
    wf_status (*parse)(wf_tokenizer *tokenizer, const json_t *object, const char *path);
    wf_status (*read)(wf_tokenizer *tokenizer, const char *bytes, size_t length, const char *path);
    /* Adds the type's own keys to the object of a tokenizer.json; NULL where the file is kept as it
     * was. False: out of memory. */
    bool (*print)(const wf_tokenizer *tokenizer, json_t *object);
    void (*destroy)(wf_tokenizer *tokenizer);
    /* As the public calls; on failure the tokens appended so far are dropped by the caller. */
    wf_status (*encode)(const wf_tokenizer *tokenizer, const char *text, size_t length, int flags,
                        wf_tokens *tokens);
    /* The token is within the vocabulary. */
    void (*piece)(const wf_tokenizer *tokenizer, int32_t token, const char **text, size_t *length);
} TokenizerType;

/* Spaces at the start of a text that decoding takes away (an unknown token's are left). */
typedef enum LeadingSpaces { LEADING_KEPT, LEADING_ONE_DROPPED, LEADING_ALL_DROPPED } LeadingSpaces;

/* create(), parse() and read() set everything but the type. */
struct wf_tokenizer {
    const TokenizerType *type;
    int64_t vocabulary;
    int32_t end_of_text; /* -1: none */
    int32_t unknown;     /* for what has no token, -1: none */
    LeadingSpaces leading_spaces;
    char *file; /* the file as it was; NULL where print() writes it */
    size_t file_size;
    void *data; /* the type's own */
};

extern const TokenizerType tokenizer_byte, tokenizer_char, tokenizer_sentencepiece, tokenizer_bpe;

/* Makes room for `more` tokens. */
wf_status tokens_reserve(wf_tokens *tokens, size_t more);

/* "byte N is not valid UTF-8" */
wf_status fail_invalid_utf8(size_t offset);

#endif
