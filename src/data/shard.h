/* Shards: files of tokens in the layout of llm.c's .bin. A header of 256 int32 (20240520, version
 * 1, the number of tokens, zeros) and the tokens as uint16, all little-endian on every host. */
#ifndef DATA_SHARD_H
#define DATA_SHARD_H

#include "base/files.h"

enum {
    SHARD_VOCABULARY = 65536,    /* the largest whose tokens fit */
    SHARD_MOST = INT32_MAX,      /* tokens: the header counts in int32 */
    SHARD_FILES_MOST = 1000000,  /* of one series: six digits in a name */
    SHARD_USUAL = 100 * 1000000, /* tokens, as published shards have */
};

/* A shard in memory as the file is: loaded where it is touched. The file must not become shorter
 * while it is open. */
typedef struct Shard {
    FileMap map;
    int64_t count; /* tokens */
} Shard;

/* WF_ERROR_FORMAT, with what was expected and found, unless header and size of the file agree. The
 * tokens themselves are not looked at. */
wf_status shard_open(const char *path, Shard *out);
void shard_close(Shard *shard);

/* Tokens first … first+n-1. Returns the largest of them. */
int32_t shard_read(const Shard *shard, int64_t first, int64_t n, int32_t *tokens);

/* The same will be read soon. */
void shard_soon(const Shard *shard, int64_t first, int64_t n);

/* "train_000012.bin" */
const char *shard_name(const char *series, int64_t number, char *name, size_t size);
#define SHARD_NAME(series, number) shard_name((series), (number), (char[64]){0}, 64)

/* ---- writing ---- */

/* Writes tokens to folder/SERIES_000000.bin, SERIES_000001.bin, …, numbered from `first` on, `most`
 * tokens each but the last, each there whole or not at all. */
typedef struct ShardWriter ShardWriter;

wf_status shard_writer_create(const char *folder, const char *series, int64_t first, int64_t most,
                              ShardWriter **out);
/* Tokens are below SHARD_VOCABULARY. */
wf_status shard_writer_write(ShardWriter *writer, const int32_t *tokens, int64_t n);
/* Puts the last shard in place. */
wf_status shard_writer_finish(ShardWriter *writer);
/* So far, the unfinished shard included. */
int64_t shard_writer_tokens(const ShardWriter *writer);
int64_t shard_writer_shards(const ShardWriter *writer);
/* An unfinished shard is dropped. NULL is allowed. */
void shard_writer_destroy(ShardWriter *writer);

#endif
