/* What a tokenizer is inside the library: one table of functions a type. */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H

#include "base/status.h"
#include "wavefield/tokenizer.h"

#include <jansson.h>
#include <stdbool.h>

typedef struct TokenizerType {
    const char *name;
    /* Builds the type's data from texts, or from the object of a tokenizer.json. `file` is for
     * messages. Sets vocabulary. */
    wf_status (*create)(wf_tokenizer *tokenizer, const char *const *files, int n_files);
    wf_status (*parse)(wf_tokenizer *tokenizer, const json_t *object, const char *file);
    /* Adds the type's own keys to the object of a tokenizer.json. False: out of memory. */
    bool (*print)(const wf_tokenizer *tokenizer, json_t *object);
    void (*destroy)(wf_tokenizer *tokenizer);
    /* As the public calls; the token is within the vocabulary. */
    wf_status (*encode)(const wf_tokenizer *tokenizer, const char *text, size_t length,
                        int32_t *tokens, size_t capacity, size_t *count);
    void (*piece)(const wf_tokenizer *tokenizer, int32_t token, const char **text, size_t *length);
} TokenizerType;

struct wf_tokenizer {
    const TokenizerType *type;
    int64_t vocabulary;
    void *data; /* the type's own */
};

extern const TokenizerType tokenizer_byte, tokenizer_char;

#endif
