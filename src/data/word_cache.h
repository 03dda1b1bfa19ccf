/* The tokens of words seen before in a text. It only saves time: what does not fit is forgotten. */
#ifndef DATA_WORD_CACHE_H
#define DATA_WORD_CACHE_H

#include "base/text.h"
#include "wavefield/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct WordEntry {
    uint64_t hash;
    uint32_t word, tokens; /* where they begin */
    uint16_t length;       /* of the word; 0: no entry */
    uint16_t count;        /* of the tokens */
} WordEntry;

/* Starts as {0}. */
typedef struct WordCache {
    WordEntry *entries; /* [size], size a power of two */
    size_t size, used;
    Text words;
    wf_tokens tokens;
} WordCache;

/* Appends the tokens of a word. False: not here, or no memory for them. */
bool word_cache_append(const WordCache *cache, const char *word, size_t length, wf_tokens *tokens);

void word_cache_add(WordCache *cache, const char *word, size_t length, const int32_t *tokens,
                    size_t count);
void word_cache_destroy(WordCache *cache);

#endif
