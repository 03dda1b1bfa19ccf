/* Texts as data: a letter that chooses the tokenizer, the text it is made from, and another. */
#include "data/batches.h"
#include "data/tokenizer.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check_batches(const wf_dataset *data)
{
    enum { WINDOWS = 5, LENGTH = 3 };
    int32_t token[WINDOWS * LENGTH], target[WINDOWS * LENGTH];
    Batches *batches;
    if (!fuzz_ok(batches_create(data, LENGTH, 1, &batches))) return;
    for (int round = 0; round < 3; round++) {
        batches_next(batches, WINDOWS, token, target);
        for (int i = 0; i < WINDOWS * LENGTH; i++) {
            REQUIRE(token[i] >= 0 && token[i] < data->vocabulary);
            REQUIRE(target[i] >= 0 && target[i] < data->vocabulary);
            if ((i + 1) % LENGTH) REQUIRE(target[i] == token[i + 1]);
        }
    }
    batches_destroy(batches);
}

static void check_dataset(const wf_dataset *data, size_t bytes)
{
    int64_t training, held_out, held_out_bytes;
    wf_dataset_size(data, &training, &held_out, &held_out_bytes);
    REQUIRE(training >= 0 && held_out >= 0 && training + held_out == data->count);
    REQUIRE(held_out_bytes >= held_out);
    REQUIRE(dataset_bytes(data, (TokenSpan){0, data->count}) == (int64_t)bytes);
    for (int64_t i = 0; i < data->count; i++)
        REQUIRE(data->tokens[i] >= 0 && data->tokens[i] < data->vocabulary);
    check_batches(data);
}

bool fuzz_one(const uint8_t *data, size_t size)
{
    Part parts[3];
    wf_tokenizer *tokenizer;
    wf_dataset *dataset;
    fuzz_split(data, size, parts, 3);
    bool bytes = parts[0].size && *parts[0].data == 'b';
    const char *from = fuzz_write("from", parts[1]), *other = fuzz_write("other", parts[2]);
    const char *files[] = {from, other};
    int n_files = parts[2].size ? 2 : 1;
    if (!fuzz_ok(wf_tokenizer_create(bytes ? "byte" : "char", &from, 1, &tokenizer))) return false;
    REQUIRE(wf_tokenizer_vocabulary(tokenizer) > 0);
    bool opened = fuzz_ok(wf_dataset_open(files, n_files, tokenizer, 0.25, &dataset));
    wf_tokenizer_destroy(tokenizer);
    if (!opened) return false;
    check_dataset(dataset, parts[1].size + parts[2].size);
    wf_dataset_destroy(dataset);
    return true;
}
