#include "data/merges.h"

#include <stdlib.h>

enum { LONGEST_WORD = 1 << 29 }; /* tokens */

/* ---- the table ---- */

wf_status merges_create(int count, Merges *out)
{
    size_t size = 16;
    while (size < 2 * (size_t)count) size *= 2;
    out->table = malloc(size * sizeof *out->table);
    if (!out->table) return fail(WF_ERROR_MEMORY, "out of memory for %d merges", count);
    out->size = size;
    for (size_t i = 0; i < size; i++) out->table[i].left = -1;
    return WF_OK;
}

void merges_destroy(Merges *merges)
{
    free(merges->table);
    *merges = (Merges){0};
}

/* The entry of a pair, or the free one where it would be. */
static Merge *find(const Merges *merges, int32_t left, int32_t right)
{
    uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    size_t mask = merges->size - 1;
    for (size_t at = (size_t)(hash >> 32) & mask;; at = (at + 1) & mask) {
        Merge *merge = &merges->table[at];
        if (merge->left < 0 || (merge->left == left && merge->right == right)) return merge;
    }
}

void merges_add(Merges *merges, Merge merge)
{
    *find(merges, merge.left, merge.right) = merge;
}

/* ---- a word ---- */

/* A token of the word and its neighbours, -1: none. What has been joined to its left neighbour has
 * token -1. */
typedef struct Symbol {
    int32_t token, previous, next;
} Symbol;

/* A pair that can be joined: that of symbol `at` and the next, unless they have changed since. */
typedef struct Candidate {
    int32_t rank, at, joined;
} Candidate;

typedef struct Word {
    const Merges *merges;
    Symbol *symbols;
    Candidate *heap; /* least rank first, of these the leftmost */
    size_t n_heap;
} Word;

static bool comes_before(Candidate a, Candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void push(Word *word, Candidate candidate)
{
    size_t at = word->n_heap++;
    for (; at && comes_before(candidate, word->heap[(at - 1) / 2]); at = (at - 1) / 2)
        word->heap[at] = word->heap[(at - 1) / 2];
    word->heap[at] = candidate;
}

static Candidate pop(Word *word)
{
    Candidate first = word->heap[0], last = word->heap[--word->n_heap];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < word->n_heap; at = child) {
        if (child + 1 < word->n_heap && comes_before(word->heap[child + 1], word->heap[child]))
            child++;
        if (!comes_before(word->heap[child], last)) break;
        word->heap[at] = word->heap[child];
    }
    word->heap[at] = last;
    return first;
}

/* Makes a candidate of symbol `at` and its next, if they have a merge. */
static void propose(Word *word, int32_t at)
{
    if (at < 0 || word->symbols[at].next < 0) return;
    const Merge *merge =
        find(word->merges, word->symbols[at].token, word->symbols[word->symbols[at].next].token);
    if (merge->left >= 0) push(word, (Candidate){merge->rank, at, merge->joined});
}

/* A candidate of a pair that has changed counts if the new pair is joined to the same token: so
 * the reference implementation (Hugging Face's tokenizers) has it. */
static bool holds(const Word *word, Candidate candidate)
{
    const Symbol *symbol = &word->symbols[candidate.at];
    if (symbol->token < 0 || symbol->next < 0) return false;
    const Merge *merge = find(word->merges, symbol->token, word->symbols[symbol->next].token);
    return merge->left >= 0 && merge->joined == candidate.joined;
}

static void join(Word *word, Candidate candidate)
{
    Symbol *symbol = &word->symbols[candidate.at], *next = &word->symbols[symbol->next];
    symbol->token = candidate.joined;
    symbol->next = next->next;
    next->token = -1;
    if (symbol->next >= 0) word->symbols[symbol->next].previous = candidate.at;
    propose(word, symbol->previous);
    propose(word, candidate.at);
}

static wf_status reserve(MergeScratch *scratch, size_t n)
{
    if (n > LONGEST_WORD) return fail(WF_ERROR_ARGUMENT, "a word of %zu bytes", n);
    if (n <= scratch->capacity) return WF_OK;
    size_t capacity = n < 64 ? 64 : 2 * n;
    merge_scratch_destroy(scratch);
    scratch->symbols = malloc(capacity * sizeof *scratch->symbols);
    scratch->heap = malloc(3 * capacity * sizeof *scratch->heap); /* each join proposes two more */
    if (!scratch->symbols || !scratch->heap)
        return fail(WF_ERROR_MEMORY, "out of memory for a word of %zu bytes", n);
    scratch->capacity = capacity;
    return WF_OK;
}

void merge_scratch_destroy(MergeScratch *scratch)
{
    free(scratch->symbols);
    free(scratch->heap);
    *scratch = (MergeScratch){0};
}

wf_status merges_apply(const Merges *merges, MergeScratch *scratch, wf_tokens *tokens, size_t first)
{
    size_t n = tokens->count - first;
    if (n < 2) return WF_OK;
    TRY(reserve(scratch, n));
    Word word = {merges, scratch->symbols, scratch->heap, 0};
    for (int32_t i = 0; i < (int32_t)n; i++)
        word.symbols[i] =
            (Symbol){tokens->items[first + (size_t)i], i - 1, i + 1 < (int32_t)n ? i + 1 : -1};
    for (int32_t i = 0; i + 1 < (int32_t)n; i++) propose(&word, i);
    while (word.n_heap) {
        Candidate candidate = pop(&word);
        if (holds(&word, candidate)) join(&word, candidate);
    }
    tokens->count = first;
    for (int32_t i = 0; i >= 0; i = word.symbols[i].next)
        tokens->items[tokens->count++] = word.symbols[i].token;
    return WF_OK;
}
