/* Data: tokens to train and evaluate on.
 *
 * Files are told apart by their ending (docs/file-formats.md describes each):
 *
 *   .bin     a shard: a header and 16-bit tokens, the layout of llm.c. It is mapped into memory and
 *            read where it is needed, so that data may be larger than memory. It must not become
 *            shorter while it is open.
 *   .jsonl   a JSON object a line, the text under a key of it
 *   others   UTF-8 text
 *
 * A folder stands for its .bin files in the order of their names; those with the word "val" in
 * their name (val_000000.bin, fineweb_val_000000.bin) are held out. All files are one stream of
 * tokens, and a training sequence may cross from one into the next. */
#ifndef WAVEFIELD_DATA_H
#define WAVEFIELD_DATA_H

#include <stdint.h>

#include "wavefield/status.h"
#include "wavefield/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Macros of parameters state defaults, which the initialisers of a call override. GCC (-Wextra) and
 * Clang take an overridden initialiser for a mistake, and a macro cannot tell them otherwise within
 * an expression. So that warning ends here; a program that wants it for structs of its own has it
 * back after its includes by #pragma GCC diagnostic warning "-Woverride-init". */
#if defined(__GNUC__) && !defined(__cplusplus)
#pragma GCC diagnostic ignored "-Woverride-init"
#endif

typedef struct wf_dataset wf_dataset;

typedef struct wf_dataset_params {
    const char *const *files; /* files and folders */
    int n_files;
    /* Files and folders kept for evaluation. Where there are some, "val" shards of folders among
     * `files` are left out; a folder here stands for its "val" shards, or all if it has none. */
    const char *const *held_out_files;
    int n_held_out_files;
    /* Share of the tokens, at their end, kept for evaluation: 0 … 0.5. Negative: 0.05, or 0 where
     * there are held-out files. */
    double held_out;
    const wf_tokenizer *tokenizer; /* only used in the call; NULL: the data are all shards */
    int64_t vocabulary;            /* without a tokenizer: the tokens of the shards are below it */
    const char *text_field;        /* key of the text in a .jsonl file; NULL: "text" */
} wf_dataset_params;
#define wf_dataset_params(...) (&(wf_dataset_params){.held_out = -1, __VA_ARGS__})

/* Opens data. Errors name the file, and the line or the byte offset. The header and size of each
 * shard are checked here, its tokens against the vocabulary when they are read (a sample of them
 * here too): a bad one makes that training step or evaluation fail with WF_ERROR_FORMAT, naming
 * file and index.
 *
 * What a training run remembers of its data is a hash of the number of tokens, the split, and the
 * tokens: all of them up to 2^26, else 1024 runs of 1024 tokens spread evenly. Names, and how the
 * tokens are cut into files, make no difference; a change between the runs goes unnoticed. */
WF_API wf_status wf_dataset_open(const wf_dataset_params *params, wf_dataset **out);

/* Tokens of the caller's own (copied), each in 0 … vocabulary-1. The last `held_out` share (0 …
 * 0.5) is kept for evaluation. */
WF_API wf_status wf_dataset_from_tokens(const int32_t *tokens, int64_t n, int64_t vocabulary,
                                        double held_out, wf_dataset **out);

WF_API void wf_dataset_destroy(wf_dataset *dataset); /* NULL is allowed */

/* Tokens for training, tokens held out, and the bytes of text the held-out ones stand for (0 where
 * there was no tokenizer; they are read to count them). Each may be NULL. */
WF_API wf_status wf_dataset_size(const wf_dataset *dataset, int64_t *training, int64_t *held_out,
                                 int64_t *held_out_bytes);

/* ---- writing shards ---- */

typedef struct wf_shards_result {
    int64_t documents;          /* lines of .jsonl files, and one a text file */
    int64_t bytes;              /* of the files read */
    int64_t training, held_out; /* tokens; while writing, all count as training */
    int64_t training_shards, held_out_shards;
} wf_shards_result;

typedef struct wf_shards_params {
    const char *const *files; /* text and .jsonl */
    int n_files;
    const wf_tokenizer *tokenizer; /* of at most 65,536 tokens */
    const char *text_field;        /* as above */
    int64_t shard_tokens;          /* tokens a shard; 0: 100,000,000 */
    double held_out;               /* as above */
    void (*progress)(void *context, const wf_shards_result *so_far); /* now and then; may be NULL */
    void *context;
} wf_shards_params;
#define wf_shards_params(...) (&(wf_shards_params){.held_out = -1, __VA_ARGS__})

/* Writes the tokens of text as shards train_000000.bin, … and val_000000.bin, … into a new folder,
 * with the tokenizer's file. The tokens and the split are those wf_dataset_open() would make of the
 * same files; a split that holds out a single token, which shards of its own cannot be evaluated
 * on, is WF_ERROR_ARGUMENT. Memory does not grow with the text. The folder is written as
 * FOLDER.part and appears under its name when it is complete; if it exists, it must be empty, and
 * no link. Complete shards that cannot be given the name stay in FOLDER.part. WF_ERROR_IO while
 * another process writes there. */
WF_API wf_status wf_shards_write(const wf_shards_params *params, const char *folder,
                                 wf_shards_result *result);

#ifdef __cplusplus
}
#endif
#endif
