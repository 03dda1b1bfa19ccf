/* The merges of byte-pair encoding (Sennrich et al., "Neural Machine Translation of Rare Words with
 * Subword Units", 2016): of the neighbouring tokens the pair of the lowest rank is joined, the
 * leftmost first, until none is left. O(n log n) for a word of n tokens. */
#ifndef DATA_MERGES_H
#define DATA_MERGES_H

#include "base/status.h"
#include "wavefield/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Merge {
    int32_t left, right; /* left < 0: no entry */
    int32_t rank, joined;
} Merge;

typedef struct Merges {
    Merge *table; /* [size], a hash table, at most half full */
    size_t size;  /* a power of two */
} Merges;

wf_status merges_create(int count, Merges *out);
/* A pair given again takes the place of the one before. */
void merges_add(Merges *merges, Merge merge);
void merges_destroy(Merges *merges);

/* Memory for a word's merging, kept from word to word; starts as {0}. */
typedef struct MergeScratch {
    struct Symbol *symbols;
    struct Candidate *heap;
    size_t capacity; /* symbols; the heap has three times as many places */
} MergeScratch;
void merge_scratch_destroy(MergeScratch *scratch);

/* Merges the tokens from `first` on. */
wf_status merges_apply(const Merges *merges, MergeScratch *scratch, wf_tokens *tokens,
                       size_t first);

#endif
