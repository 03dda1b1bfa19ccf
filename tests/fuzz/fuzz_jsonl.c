/* Lines of JSON: read as data, and written as shards that hold the same tokens. */
#include "reading.h"

#include "base/files.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static wf_tokenizer *tokenizer;

static int32_t *tokens_of(const wf_dataset *data)
{
    int32_t *tokens = malloc((size_t)data->count * sizeof *tokens);
    REQUIRE(tokens);
    MUST(dataset_read(data, 0, data->count, tokens));
    return tokens;
}

static void compare(const wf_dataset *a, const wf_dataset *b)
{
    int64_t a_training, b_training;
    REQUIRE(a->count == b->count);
    MUST(wf_dataset_size(a, &a_training, NULL, NULL));
    MUST(wf_dataset_size(b, &b_training, NULL, NULL));
    REQUIRE(a_training == b_training);
    int32_t *x = tokens_of(a), *y = tokens_of(b);
    REQUIRE(memcmp(x, y, (size_t)a->count * sizeof *x) == 0);
    free(x);
    free(y);
}

static void remove_shards(const char *folder)
{
    FolderList list;
    if (!folder_exists(folder)) return;
    MUST(folder_list(folder, &list));
    for (int i = 0; i < list.count; i++) {
        char *file = path_join(folder, list.names[i]);
        REQUIRE(file && unlink(file) == 0);
        free(file);
    }
    folder_list_destroy(&list);
    rmdir(folder);
}

static void write_shards(const char *path, const wf_dataset *data)
{
    wf_shards_result result;
    wf_dataset *shards;
    const char *folder = fuzz_path("shards");
    remove_shards(folder);
    wf_status status =
        wf_shards_write(wf_shards_params(.files = &path, .n_files = 1, .tokenizer = tokenizer,
                                         .shard_tokens = 7, .held_out = 0.25),
                        folder, &result);
    if (!fuzz_ok(status)) { /* one held-out token alone is not enough */
        REQUIRE(data->count - data->training == 1 && !folder_exists(folder));
        return;
    }
    REQUIRE(result.training + result.held_out == data->count);
    MUST(wf_dataset_open(wf_dataset_params(.files = &folder, .n_files = 1, .tokenizer = tokenizer),
                         &shards));
    compare(data, shards);
    wf_dataset_destroy(shards);
}

bool fuzz_one(const uint8_t *data, size_t size)
{
    wf_dataset *dataset;
    if (!tokenizer) MUST(wf_tokenizer_create("byte", NULL, &tokenizer));
    const char *path = fuzz_write("lines.jsonl", (Part){data, size});
    wf_status status = wf_dataset_open(
        wf_dataset_params(.files = &path, .n_files = 1, .tokenizer = tokenizer, .held_out = 0.25),
        &dataset);
    if (!fuzz_ok(status)) return false;
    REQUIRE(read_dataset(dataset));
    if (dataset->count < 2000) write_shards(path, dataset);
    wf_dataset_destroy(dataset);
    return true;
}
