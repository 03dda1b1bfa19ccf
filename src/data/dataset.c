#include "data/dataset.h"

#include "base/array.h"
#include "data/encode.h"
#include "data/sources.h"
#include "data/split.h"

#include <stdlib.h>
#include <string.h>

static wf_status out_of_memory(void)
{
    return fail(WF_ERROR_MEMORY, "out of memory for the data's tokens");
}

/* ---- files ---- */

/* The file with place `at` of the stream. */
static int find_file(const wf_dataset *dataset, int64_t at)
{
    int low = 0, high = dataset->n_files - 1;
    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (dataset->files[middle].first <= at)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Begins an empty file at the end of the stream. */
static wf_status add_token_file(wf_dataset *dataset, const char *path, TokenFile **out)
{
    if (!array_reserve((void **)&dataset->files, dataset->n_files, &dataset->capacity,
                       sizeof *dataset->files))
        return out_of_memory();
    char *copy = path ? strdup(path) : NULL;
    if (path && !copy) return out_of_memory();
    *out = &dataset->files[dataset->n_files++];
    **out = (TokenFile){.path = copy, .first = dataset->count};
    return WF_OK;
}

static void end_token_file(wf_dataset *dataset, const TokenFile *file)
{
    dataset->count += file->count;
    if (file->count == 0) dataset->n_files--;
}

static void token_file_destroy(TokenFile *file)
{
    free(file->path);
    free(file->tokens);
    shard_close(&file->shard);
}

/* ---- reading ---- */

static wf_status fail_token(const wf_dataset *dataset, const TokenFile *file, int64_t first,
                            const int32_t *tokens)
{
    int64_t i = 0;
    while (tokens[i] < dataset->vocabulary) i++;
    return fail(WF_ERROR_FORMAT,
                "%s: token %lld is %d, outside the vocabulary of %lld: the shard was made with "
                "another tokenizer, or is damaged",
                file->path, (long long)(first + i), (int)tokens[i], (long long)dataset->vocabulary);
}

static wf_status read_from(const wf_dataset *dataset, const TokenFile *file, int64_t first,
                           int64_t n, int32_t *tokens)
{
    if (file->tokens) {
        memcpy(tokens, file->tokens + first, (size_t)n * sizeof *tokens);
        return WF_OK;
    }
    int32_t largest = shard_read(&file->shard, first, n, tokens);
    return largest < dataset->vocabulary ? WF_OK : fail_token(dataset, file, first, tokens);
}

/* How many of the n tokens from place `first` on stand in this file. */
static int64_t tokens_within(const TokenFile *file, int64_t first, int64_t n)
{
    int64_t left = file->first + file->count - first;
    return n < left ? n : left;
}

wf_status dataset_read(const wf_dataset *dataset, int64_t first, int64_t n, int32_t *tokens)
{
    for (int i = find_file(dataset, first); n > 0; i++) {
        const TokenFile *file = &dataset->files[i];
        int64_t here = tokens_within(file, first, n);
        TRY(read_from(dataset, file, first - file->first, here, tokens));
        first += here;
        tokens += here;
        n -= here;
    }
    return WF_OK;
}

void dataset_soon(const wf_dataset *dataset, int64_t first, int64_t n)
{
    for (int i = find_file(dataset, first); n > 0; i++) {
        const TokenFile *file = &dataset->files[i];
        int64_t here = tokens_within(file, first, n);
        if (!file->tokens) shard_soon(&file->shard, first - file->first, here);
        first += here;
        n -= here;
    }
}

/* ---- what a run remembers ---- */

enum { HASH_WHOLE = 1 << 26, HASH_BLOCKS = 1024, HASH_BLOCK = 1024 }; /* tokens, blocks, tokens */

/* FNV-1a over 64-bit words. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * 0x100000001B3u;
}

typedef struct HashBlocks {
    int64_t count, blocks; /* tokens of the stream */
} HashBlocks;

static HashBlocks hash_blocks(int64_t count)
{
    bool whole = count <= HASH_WHOLE;
    return (HashBlocks){count, whole ? (count + HASH_BLOCK - 1) / HASH_BLOCK : HASH_BLOCKS};
}

static int64_t block_start(const HashBlocks *h, int64_t block)
{
    if (h->count <= HASH_WHOLE) return block * HASH_BLOCK;
    return (h->count - HASH_BLOCK) * block / (h->blocks - 1);
}

static wf_status take_fingerprint(wf_dataset *dataset)
{
    HashBlocks h = hash_blocks(dataset->count);
    uint64_t hash = 0xCBF29CE484222325u;
    hash = mix(hash, (uint64_t)dataset->count);
    hash = mix(hash, (uint64_t)dataset->training);
    for (int64_t b = 0; b < h.blocks; b++) {
        int64_t first = block_start(&h, b), left = dataset->count - first;
        dataset_soon(dataset, first, left < HASH_BLOCK ? left : HASH_BLOCK);
    }
    for (int64_t b = 0; b < h.blocks; b++) {
        int32_t tokens[HASH_BLOCK];
        int64_t first = block_start(&h, b), left = dataset->count - first;
        int64_t n = left < HASH_BLOCK ? left : HASH_BLOCK;
        TRY(dataset_read(dataset, first, n, tokens));
        for (int64_t i = 0; i < n; i++) hash = mix(hash, (uint64_t)tokens[i]);
    }
    dataset->fingerprint = hash;
    return WF_OK;
}

/* ---- opening files ---- */

/* Tokens of a text that comes in pieces. */
typedef struct Growing {
    TokenFile *file;
    int64_t capacity;
} Growing;

static wf_status append(void *context, const int32_t *tokens, int64_t n)
{
    Growing *growing = context;
    TokenFile *file = growing->file;
    if (n == 0) return WF_OK; /* a text of nothing but spaces may have none */
    if (n > growing->capacity - file->count) {
        int64_t larger = file->count + n + growing->capacity;
        int32_t *grown = realloc(file->tokens, (size_t)larger * sizeof *grown);
        if (!grown) return out_of_memory();
        file->tokens = grown;
        growing->capacity = larger;
    }
    memcpy(file->tokens + file->count, tokens, (size_t)n * sizeof *tokens);
    file->count += n;
    return WF_OK;
}

static wf_status add_text(wf_dataset *dataset, const wf_dataset_params *params, const char *path)
{
    Growing growing = {0};
    Encoder encoder = {
        .tokenizer = params->tokenizer,
        .field = params->text_field ? params->text_field : "text",
        .sink = append,
        .context = &growing,
    };
    if (!params->tokenizer)
        return fail(WF_ERROR_ARGUMENT, "%s: text needs a tokenizer, and there is none", path);
    TRY(add_token_file(dataset, path, &growing.file));
    wf_status status = encode_file(&encoder, path);
    TokenFile *file = growing.file;
    if (file->count) { /* gives back what was not needed */
        int32_t *fitting = realloc(file->tokens, (size_t)file->count * sizeof *fitting);
        if (fitting) file->tokens = fitting;
    } else {
        token_file_destroy(file);
    }
    end_token_file(dataset, file);
    return status;
}

static wf_status add_shard(wf_dataset *dataset, const char *path)
{
    Shard shard;
    TokenFile *file;
    TRY(shard_open(path, &shard));
    wf_status status = add_token_file(dataset, path, &file);
    if (status) {
        shard_close(&shard);
        return status;
    }
    file->shard = shard;
    file->count = shard.count;
    end_token_file(dataset, file);
    return WF_OK;
}

static wf_status measure_pieces(wf_dataset *dataset, const wf_tokenizer *tokenizer)
{
    dataset->piece_bytes = calloc((size_t)dataset->vocabulary + 1, sizeof *dataset->piece_bytes);
    if (!dataset->piece_bytes) return out_of_memory();
    for (int32_t token = 0; token < dataset->vocabulary; token++) {
        const char *text;
        size_t length;
        TRY(wf_tokenizer_piece(tokenizer, token, &text, &length));
        dataset->piece_bytes[token] = (int32_t)length;
    }
    return WF_OK;
}

static wf_status create(int64_t vocabulary, wf_dataset **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return out_of_memory();
    (*out)->vocabulary = vocabulary;
    return WF_OK;
}

/* Sets the split by the share, or checks the one by files. */
static wf_status split(wf_dataset *dataset, double share)
{
    if (dataset->separate) {
        int64_t held_out = dataset->count - dataset->training;
        if (share > 0)
            return fail(WF_ERROR_ARGUMENT,
                        "a share of %g of the data is to be held out, and there are held-out files "
                        "too: one of them only",
                        share);
        if (held_out < 2)
            return fail(WF_ERROR_FORMAT,
                        "the held-out data has %lld tokens, at least 2 are needed: one to predict "
                        "the next from",
                        (long long)held_out);
        return WF_OK;
    }
    dataset->training = dataset->count - split_held_out(dataset->count, share);
    return WF_OK;
}

static wf_status add_files(wf_dataset *dataset, const wf_dataset_params *params,
                           const Sources *sources)
{
    for (int i = 0; i < sources->count; i++) {
        const Source *source = &sources->items[i];
        if (source->kind == SOURCE_SHARD)
            TRY(add_shard(dataset, source->path));
        else
            TRY(add_text(dataset, params, source->path));
        dataset->separate |= source->held_out;
        if (!source->held_out) dataset->training = dataset->count;
    }
    if (dataset->count == 0) return fail(WF_ERROR_FORMAT, "%s: no text", sources->items[0].path);
    return split(dataset, params->held_out);
}

static wf_status open_files(wf_dataset *dataset, const wf_dataset_params *params)
{
    Sources sources;
    if (params->tokenizer) TRY(measure_pieces(dataset, params->tokenizer));
    TRY(sources_find(params->files, params->n_files, params->held_out_files,
                     params->n_held_out_files, &sources));
    wf_status status = add_files(dataset, params, &sources);
    sources_destroy(&sources);
    return status ? status : take_fingerprint(dataset);
}

static wf_status choose_vocabulary(const wf_dataset_params *params, int64_t *vocabulary)
{
    *vocabulary = params->tokenizer ? wf_tokenizer_vocabulary(params->tokenizer) : 0;
    if (params->vocabulary > 0 && !params->tokenizer) *vocabulary = params->vocabulary;
    if (*vocabulary > 0) return WF_OK;
    return fail(WF_ERROR_ARGUMENT, "data needs a tokenizer or the size of its vocabulary");
}

wf_status wf_dataset_open(const wf_dataset_params *params, wf_dataset **out)
{
    int64_t vocabulary;
    wf_dataset *dataset;
    TRY(split_check(params->held_out));
    TRY(choose_vocabulary(params, &vocabulary));
    TRY(create(vocabulary, &dataset));
    wf_status status = open_files(dataset, params);
    if (status) {
        wf_dataset_destroy(dataset);
        return status;
    }
    *out = dataset;
    return WF_OK;
}

/* ---- the caller's tokens ---- */

static wf_status copy_tokens(wf_dataset *dataset, const int32_t *tokens, int64_t n)
{
    TokenFile *file;
    if (n < 1) return fail(WF_ERROR_ARGUMENT, "a dataset of %lld tokens", (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= dataset->vocabulary)
            return fail(WF_ERROR_ARGUMENT, "token %lld is %d, outside the vocabulary of %lld",
                        (long long)i, (int)tokens[i], (long long)dataset->vocabulary);
    TRY(add_token_file(dataset, NULL, &file));
    Growing growing = {.file = file};
    TRY(append(&growing, tokens, n));
    end_token_file(dataset, file);
    return WF_OK;
}

wf_status wf_dataset_from_tokens(const int32_t *tokens, int64_t n, int64_t vocabulary,
                                 double held_out, wf_dataset **out)
{
    wf_dataset *dataset;
    if (held_out < 0)
        return fail(WF_ERROR_ARGUMENT, "the held-out share is %g, expected 0 to 0.5", held_out);
    TRY(split_check(held_out));
    TRY(create(vocabulary, &dataset));
    wf_status status = copy_tokens(dataset, tokens, n);
    if (!status) status = split(dataset, held_out);
    if (!status) status = take_fingerprint(dataset);
    if (status) {
        wf_dataset_destroy(dataset);
        return status;
    }
    *out = dataset;
    return WF_OK;
}

void wf_dataset_destroy(wf_dataset *dataset)
{
    if (!dataset) return;
    for (int i = 0; i < dataset->n_files; i++) token_file_destroy(&dataset->files[i]);
    free(dataset->files);
    free(dataset->piece_bytes);
    free(dataset);
}

wf_status wf_dataset_size(const wf_dataset *dataset, int64_t *training, int64_t *held_out,
                          int64_t *held_out_bytes)
{
    TokenSpan tail = {dataset->training, dataset->count};
    if (training) *training = dataset->training;
    if (held_out) *held_out = dataset->count - dataset->training;
    return held_out_bytes ? dataset_bytes(dataset, tail, held_out_bytes) : WF_OK;
}

/* ---- spans ---- */

TokenSpan dataset_held_out(const wf_dataset *dataset)
{
    int64_t first = dataset->training + dataset->separate;
    return (TokenSpan){first > 1 ? first : 1, dataset->count};
}

TokenSpan dataset_whole(const wf_dataset *dataset)
{
    return (TokenSpan){1, dataset->count};
}

wf_status dataset_bytes(const wf_dataset *dataset, TokenSpan span, int64_t *bytes)
{
    enum { BLOCK = 4096 };
    int64_t sum = 0;
    for (int64_t at = span.first; dataset->piece_bytes && at < span.last; at += BLOCK) {
        int32_t tokens[BLOCK];
        int64_t n = span.last - at < BLOCK ? span.last - at : BLOCK;
        TRY(dataset_read(dataset, at, n, tokens));
        for (int64_t i = 0; i < n; i++) sum += dataset->piece_bytes[tokens[i]];
    }
    *bytes = sum;
    return WF_OK;
}
