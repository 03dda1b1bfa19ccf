#include "data/word_cache.h"

#include "data/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_WORD = 64, SMALLEST = 256, LARGEST = 1 << 18 }; /* bytes; entries */

/* FNV-1a. */
static uint64_t hash_of(const char *word, size_t length)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)word[i]) * 0x100000001B3u;
    return hash;
}

/* The entry of a word, or the free one where it would be. */
static WordEntry *find(const WordCache *cache, const char *word, size_t length, uint64_t hash)
{
    size_t mask = cache->size - 1;
    for (size_t at = (size_t)(hash ^ hash >> 32) & mask;; at = (at + 1) & mask) {
        WordEntry *entry = &cache->entries[at];
        if (entry->length == 0) return entry;
        if (entry->hash == hash && entry->length == length &&
            !memcmp(cache->words.data + entry->word, word, length))
            return entry;
    }
}

bool word_cache_append(const WordCache *cache, const char *word, size_t length, wf_tokens *tokens)
{
    if (cache->size == 0 || length == 0 || length > LONGEST_WORD) return false;
    const WordEntry *entry = find(cache, word, length, hash_of(word, length));
    if (entry->length == 0 || tokens_reserve(tokens, entry->count)) return false;
    const int32_t *from = cache->tokens.items + entry->tokens;
    int32_t *to = tokens->items + tokens->count;
    for (int i = 0; i < entry->count; i++) to[i] = from[i];
    tokens->count += entry->count;
    return true;
}

static bool rehash(WordCache *cache, size_t size)
{
    WordCache larger = *cache;
    larger.entries = calloc(size, sizeof *larger.entries);
    larger.size = size;
    if (!larger.entries) return false;
    for (size_t i = 0; i < cache->size; i++) {
        const WordEntry *entry = &cache->entries[i];
        if (entry->length)
            *find(&larger, cache->words.data + entry->word, entry->length, entry->hash) = *entry;
    }
    free(cache->entries);
    *cache = larger;
    return true;
}

/* Keeps the table at most half full: doubles it, or, at its largest, forgets everything. */
static bool make_room(WordCache *cache)
{
    if (2 * cache->used < cache->size) return true;
    if (cache->size < LARGEST) return rehash(cache, cache->size ? 2 * cache->size : SMALLEST);
    memset(cache->entries, 0, cache->size * sizeof *cache->entries);
    cache->used = cache->words.length = cache->tokens.count = 0;
    return true;
}

void word_cache_add(WordCache *cache, const char *word, size_t length, const int32_t *tokens,
                    size_t count)
{
    if (length == 0 || length > LONGEST_WORD || count == 0 || count > UINT16_MAX) return;
    if (cache->words.failed || !make_room(cache)) return;
    uint64_t hash = hash_of(word, length);
    WordEntry *entry = find(cache, word, length, hash);
    if (entry->length || tokens_reserve(&cache->tokens, count)) return;
    WordEntry added = {hash, (uint32_t)cache->words.length, (uint32_t)cache->tokens.count,
                       (uint16_t)length, (uint16_t)count};
    text_append_bytes(&cache->words, word, length);
    if (cache->words.failed) return;
    memcpy(cache->tokens.items + cache->tokens.count, tokens, count * sizeof *tokens);
    cache->tokens.count += count;
    cache->used++;
    *entry = added;
}

void word_cache_destroy(WordCache *cache)
{
    free(cache->entries);
    text_destroy(&cache->words);
    wf_tokens_free(&cache->tokens);
}
