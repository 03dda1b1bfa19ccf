#include "data/shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC = 20240520, VERSION = 1, HEADER_WORDS = 256, HEADER = 4 * HEADER_WORDS, WIDTH = 2 };

/* ---- reading ---- */

static int32_t header_word(const uint8_t *header, int i)
{
    const uint8_t *p = header + 4 * i;
    return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                     (uint32_t)p[3] << 24);
}

static wf_status check(const char *path, const FileMap *map)
{
    if (map->size < HEADER)
        return fail(WF_ERROR_FORMAT,
                    "%s: has %zu bytes, a shard of tokens begins with a header of %d", path,
                    map->size, HEADER);
    int32_t magic = header_word(map->data, 0), version = header_word(map->data, 1);
    int32_t count = header_word(map->data, 2);
    if (magic != MAGIC)
        return fail(WF_ERROR_FORMAT,
                    "%s: not a shard of tokens: expected %d at its start, found %d", path, MAGIC,
                    (int)magic);
    if (version != VERSION)
        return fail(WF_ERROR_UNSUPPORTED,
                    "%s: a shard of version %d, expected version %d (16-bit tokens)", path,
                    (int)version, VERSION);
    if (count < 1)
        return fail(WF_ERROR_FORMAT, "%s: the header counts %d tokens, expected 1 to %d", path,
                    (int)count, SHARD_MOST);
    uint64_t expected = HEADER + (uint64_t)count * WIDTH;
    if (map->size != expected)
        return fail(WF_ERROR_FORMAT,
                    "%s: the header counts %d tokens, which take %llu bytes; the file has %zu",
                    path, (int)count, (unsigned long long)expected, map->size);
    return WF_OK;
}

wf_status shard_open(const char *path, Shard *out)
{
    FileMap map;
    TRY(file_map(path, &map));
    wf_status status = check(path, &map);
    if (status) {
        file_unmap(&map);
        return status;
    }
    file_map_random(&map);
    *out = (Shard){.map = map, .count = header_word(map.data, 2)};
    return WF_OK;
}

void shard_close(Shard *shard)
{
    file_unmap(&shard->map);
    *shard = (Shard){0};
}

int32_t shard_read(const Shard *shard, int64_t first, int64_t n, int32_t *tokens)
{
    const uint8_t *from = shard->map.data + HEADER + WIDTH * first;
    int32_t largest = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t token = from[2 * i] | from[2 * i + 1] << 8;
        largest = token > largest ? token : largest;
        tokens[i] = token;
    }
    return largest;
}

void shard_soon(const Shard *shard, int64_t first, int64_t n)
{
    file_map_soon(&shard->map, (size_t)(HEADER + WIDTH * first), (size_t)(WIDTH * n));
}

const char *shard_name(const char *series, int64_t number, char *name, size_t size)
{
    snprintf(name, size, "%s_%06lld.bin", series, (long long)number);
    return name;
}

/* ---- writing ---- */

enum { BUFFER = 1 << 16 }; /* tokens */

struct ShardWriter {
    char *folder, *series;
    int64_t first;         /* number of the first shard */
    int64_t most;          /* tokens a shard */
    int64_t shards, total; /* begun; tokens in all */
    int64_t count;         /* tokens of the open shard */
    FileWriter *file;      /* NULL: no shard is open */
    int buffered;
    uint8_t buffer[BUFFER * WIDTH];
};

wf_status shard_writer_create(const char *folder, const char *series, int64_t first, int64_t most,
                              ShardWriter **out)
{
    if (most < 1 || most > SHARD_MOST)
        return fail(WF_ERROR_ARGUMENT, "shards of %lld tokens, expected 1 to %d", (long long)most,
                    SHARD_MOST);
    ShardWriter *writer = calloc(1, sizeof *writer);
    if (writer) {
        writer->folder = strdup(folder);
        writer->series = strdup(series);
        writer->first = first;
        writer->most = most;
    }
    if (!writer || !writer->folder || !writer->series) {
        shard_writer_destroy(writer);
        return fail(WF_ERROR_MEMORY, "%s: out of memory", folder);
    }
    *out = writer;
    return WF_OK;
}

static void header_print(int64_t count, uint8_t header[HEADER])
{
    const uint32_t words[] = {MAGIC, VERSION, (uint32_t)count};
    memset(header, 0, HEADER);
    for (int i = 0; i < 3; i++)
        for (int byte = 0; byte < 4; byte++) header[4 * i + byte] = (uint8_t)(words[i] >> 8 * byte);
}

static wf_status begin_shard(ShardWriter *writer)
{
    uint8_t header[HEADER];
    int64_t number = writer->first + writer->shards;
    if (number >= SHARD_FILES_MOST)
        return fail(WF_ERROR_ARGUMENT,
                    "%s: %d shards of %lld tokens are not enough: use more tokens a shard",
                    writer->folder, SHARD_FILES_MOST, (long long)writer->most);
    char *path = path_join(writer->folder, SHARD_NAME(writer->series, number));
    if (!path) return fail(WF_ERROR_MEMORY, "%s: out of memory", writer->folder);
    wf_status status = file_writer_create(path, 0, &writer->file);
    free(path);
    TRY(status);
    writer->shards++;
    writer->count = 0;
    header_print(0, header); /* the number of tokens follows at the end */
    return file_writer_write(writer->file, header, HEADER);
}

static wf_status flush(ShardWriter *writer)
{
    size_t bytes = (size_t)writer->buffered * WIDTH;
    writer->buffered = 0;
    return file_writer_write(writer->file, writer->buffer, bytes);
}

static wf_status end_shard(ShardWriter *writer)
{
    uint8_t header[HEADER];
    TRY(flush(writer));
    header_print(writer->count, header);
    TRY(file_writer_patch(writer->file, 0, header, HEADER));
    FileWriter *file = writer->file;
    writer->file = NULL;
    return file_writer_commit(file);
}

wf_status shard_writer_write(ShardWriter *writer, const int32_t *tokens, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (!writer->file) TRY(begin_shard(writer));
        uint8_t *to = writer->buffer + WIDTH * writer->buffered++;
        to[0] = (uint8_t)tokens[i];
        to[1] = (uint8_t)(tokens[i] >> 8);
        writer->total++;
        if (++writer->count == writer->most)
            TRY(end_shard(writer));
        else if (writer->buffered == BUFFER)
            TRY(flush(writer));
    }
    return WF_OK;
}

wf_status shard_writer_finish(ShardWriter *writer)
{
    return writer->file ? end_shard(writer) : WF_OK;
}

int64_t shard_writer_tokens(const ShardWriter *writer)
{
    return writer->total;
}

int64_t shard_writer_shards(const ShardWriter *writer)
{
    return writer->shards;
}

void shard_writer_destroy(ShardWriter *writer)
{
    if (!writer) return;
    file_writer_discard(writer->file);
    free(writer->folder);
    free(writer->series);
    free(writer);
}
