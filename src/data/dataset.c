#include "data/dataset.h"

#include "base/files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static wf_status out_of_memory(void)
{
    return fail(WF_ERROR_MEMORY, "out of memory for the data's tokens");
}

/* ---- tokens ---- */

/* Makes room for `more` tokens at the end. */
static wf_status reserve(wf_dataset *dataset, size_t more)
{
    size_t count = (size_t)dataset->count;
    if (more > SIZE_MAX / sizeof *dataset->tokens - count) return out_of_memory();
    int32_t *grown = realloc(dataset->tokens, (count + more + 1) * sizeof *grown);
    if (!grown) return out_of_memory();
    dataset->tokens = grown;
    return WF_OK;
}

static wf_status append_file(wf_dataset *dataset, const wf_tokenizer *tokenizer, const char *path)
{
    FileMap map;
    size_t count = (size_t)dataset->count;
    wf_tokens tokens = {dataset->tokens, count, count};
    TRY(file_map(path, &map));
    wf_status status = wf_tokenizer_encode(tokenizer, (const char *)map.data, map.size, 0, &tokens);
    if (status) fail_within(status, "%s", path);
    file_unmap(&map);
    dataset->tokens = tokens.items;
    dataset->count = (int64_t)tokens.count;
    return status;
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

/* FNV-1a over 64-bit words. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * 0x100000001B3u;
}

static uint64_t fingerprint(const wf_dataset *dataset)
{
    uint64_t hash = 0xCBF29CE484222325u;
    hash = mix(hash, (uint64_t)dataset->count);
    hash = mix(hash, (uint64_t)dataset->training);
    hash = mix(hash, (uint64_t)dataset->vocabulary);
    for (int64_t i = 0; i < dataset->count; i++) hash = mix(hash, (uint64_t)dataset->tokens[i]);
    return hash;
}

static void split(wf_dataset *dataset, double held_out)
{
    dataset->training = dataset->count - (int64_t)ceil((double)dataset->count * held_out);
    dataset->fingerprint = fingerprint(dataset);
}

/* ---- public ---- */

static wf_status check_share(double held_out)
{
    if (held_out >= 0 && held_out <= 0.5) return WF_OK;
    return fail(WF_ERROR_ARGUMENT, "the held-out share is %g, expected 0 to 0.5", held_out);
}

static wf_status create(int64_t vocabulary, double held_out, wf_dataset **out)
{
    TRY(check_share(held_out));
    *out = calloc(1, sizeof **out);
    if (!*out) return out_of_memory();
    (*out)->vocabulary = vocabulary;
    return WF_OK;
}

wf_status wf_dataset_open(const char *const *files, int n_files, const wf_tokenizer *tokenizer,
                          double held_out, wf_dataset **out)
{
    wf_dataset *dataset;
    TRY(create(wf_tokenizer_vocabulary(tokenizer), held_out, &dataset));
    wf_status status = measure_pieces(dataset, tokenizer);
    for (int i = 0; i < n_files && !status; i++) status = append_file(dataset, tokenizer, files[i]);
    if (!status && dataset->count == 0)
        status = fail(WF_ERROR_FORMAT, "%s: no text", n_files ? files[0] : "no data file");
    if (!status) status = reserve(dataset, 0); /* gives back what the encoder did not need */
    if (status) {
        wf_dataset_destroy(dataset);
        return status;
    }
    split(dataset, held_out);
    *out = dataset;
    return WF_OK;
}

static wf_status copy_tokens(wf_dataset *dataset, const int32_t *tokens, int64_t n)
{
    if (n < 1) return fail(WF_ERROR_ARGUMENT, "a dataset of %lld tokens", (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= dataset->vocabulary)
            return fail(WF_ERROR_ARGUMENT, "token %lld is %d, outside the vocabulary of %lld",
                        (long long)i, (int)tokens[i], (long long)dataset->vocabulary);
    TRY(reserve(dataset, (size_t)n));
    memcpy(dataset->tokens, tokens, (size_t)n * sizeof *tokens);
    dataset->count = n;
    return WF_OK;
}

wf_status wf_dataset_from_tokens(const int32_t *tokens, int64_t n, int64_t vocabulary,
                                 double held_out, wf_dataset **out)
{
    wf_dataset *dataset;
    TRY(create(vocabulary, held_out, &dataset));
    wf_status status = copy_tokens(dataset, tokens, n);
    if (status) {
        wf_dataset_destroy(dataset);
        return status;
    }
    split(dataset, held_out);
    *out = dataset;
    return WF_OK;
}

void wf_dataset_destroy(wf_dataset *dataset)
{
    if (!dataset) return;
    free(dataset->tokens);
    free(dataset->piece_bytes);
    free(dataset);
}

void wf_dataset_size(const wf_dataset *dataset, int64_t *training, int64_t *held_out,
                     int64_t *held_out_bytes)
{
    TokenSpan tail = {dataset->training, dataset->count};
    if (training) *training = dataset->training;
    if (held_out) *held_out = dataset->count - dataset->training;
    if (held_out_bytes) *held_out_bytes = dataset_bytes(dataset, tail);
}

/* ---- spans ---- */

TokenSpan dataset_held_out(const wf_dataset *dataset)
{
    int64_t first = dataset->training > 1 ? dataset->training : 1;
    return (TokenSpan){first, dataset->count};
}

TokenSpan dataset_whole(const wf_dataset *dataset)
{
    return (TokenSpan){1, dataset->count};
}

int64_t dataset_bytes(const wf_dataset *dataset, TokenSpan span)
{
    int64_t bytes = 0;
    if (!dataset->piece_bytes) return 0;
    for (int64_t i = span.first; i < span.last; i++)
        bytes += dataset->piece_bytes[dataset->tokens[i]];
    return bytes;
}
