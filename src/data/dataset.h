/* A stream of tokens: all files of a dataset one after the other, those for training before those
 * held out. A shard's tokens are read where they are mapped, a text's are in memory. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include "base/status.h"
#include "data/shard.h"
#include "wavefield/data.h"

/* The tokens of one file. */
typedef struct TokenFile {
    char *path;      /* NULL: the caller's tokens */
    int64_t first;   /* place of the first token in the stream */
    int64_t count;   /* at least 1 */
    int32_t *tokens; /* [count], each in 0 … vocabulary-1; NULL: those of the shard */
    Shard shard;
} TokenFile;

struct wf_dataset {
    TokenFile *files;
    int n_files, capacity;
    int64_t count;
    int64_t training; /* tokens 0 … training-1 are for training, the rest is held out */
    bool separate;    /* the held-out tokens are files of their own, not the end of others */
    int64_t vocabulary;
    int32_t *piece_bytes; /* [vocabulary]: bytes of text a token stands for; NULL: unknown */
    uint64_t fingerprint; /* of the tokens and the split: a run resumes on the same data only */
};

/* Targets first … last-1 to evaluate on; each is predicted from the token before it, so first ≥ 1.
 */
typedef struct TokenSpan {
    int64_t first, last;
} TokenSpan;

/* Every held-out token as a target, the first predicted from the last training token; the first one
 * of separate held-out files serves as context only. */
TokenSpan dataset_held_out(const wf_dataset *dataset);
/* Every token but the first. */
TokenSpan dataset_whole(const wf_dataset *dataset);

/* Tokens first … first+n-1 of the stream. WF_ERROR_FORMAT with file and index for a token of a
 * shard outside the vocabulary: a shard's tokens are looked at when they are read. */
wf_status dataset_read(const wf_dataset *dataset, int64_t first, int64_t n, int32_t *tokens);

/* These will be read soon: loading them from storage starts, and the call does not wait. */
void dataset_soon(const wf_dataset *dataset, int64_t first, int64_t n);

/* Bytes of text the tokens of a span stand for, 0 where unknown. Reads the span. */
wf_status dataset_bytes(const wf_dataset *dataset, TokenSpan span, int64_t *bytes);

#endif
