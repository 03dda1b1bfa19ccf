#include "data/batches.h"

#include "base/rng.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Cuts the cursor's epoch into windows and shuffles them (Fisher and Yates). */
static void load_epoch(Batches *batches)
{
    int64_t training = batches->dataset->training, length = batches->length;
    Rng rng = {.seed = batches->cursor.seed,
               .stream = rng_stream(RNG_DATA, (uint32_t)batches->cursor.epoch)};
    int64_t offsets = training - length < length ? training - length : length;
    batches->offset = (int64_t)rng_below(&rng, (uint64_t)offsets);
    batches->windows = (training - 1 - batches->offset) / length;
    for (int64_t i = 0; i < batches->windows; i++) {
        int64_t j = (int64_t)rng_below(&rng, (uint64_t)i + 1);
        batches->order[i] = batches->order[j];
        batches->order[j] = i;
    }
}

wf_status batches_create(const wf_dataset *dataset, int64_t length, uint64_t seed, Batches **out)
{
    if (length < 1) return fail(WF_ERROR_ARGUMENT, "sequences of %lld tokens", (long long)length);
    if (dataset->training <= length)
        return fail(WF_ERROR_ARGUMENT,
                    "the data has %lld tokens for training, a sequence of %lld and its last target "
                    "take %lld: use a shorter sequence length or more text",
                    (long long)dataset->training, (long long)length, (long long)length + 1);
    Batches *batches = calloc(1, sizeof *batches);
    int64_t most = (dataset->training - 1) / length;
    int64_t *order = malloc((size_t)most * sizeof *order);
    if (!batches || !order) {
        free(batches);
        free(order);
        return fail(WF_ERROR_MEMORY, "out of memory for the order of %lld sequences",
                    (long long)most);
    }
    *batches =
        (Batches){.dataset = dataset, .length = length, .cursor = {.seed = seed}, .order = order};
    load_epoch(batches);
    *out = batches;
    return WF_OK;
}

void batches_destroy(Batches *batches)
{
    if (!batches) return;
    free(batches->order);
    free(batches);
}

wf_status batches_seek(Batches *batches, BatchCursor cursor)
{
    BatchCursor before = batches->cursor;
    bool valid = cursor.epoch >= 0 && cursor.epoch <= UINT32_MAX;
    if (valid) {
        batches->cursor = cursor;
        load_epoch(batches);
        valid = cursor.position >= 0 && cursor.position <= batches->windows;
    }
    if (valid) return WF_OK;
    batches->cursor = before;
    load_epoch(batches);
    return fail(WF_ERROR_FORMAT, "data cursor: no sequence %lld in epoch %lld of this data",
                (long long)cursor.position, (long long)cursor.epoch);
}

static void next_window(Batches *batches, int32_t *token, int32_t *target)
{
    if (batches->cursor.position == batches->windows) {
        batches->cursor.epoch++;
        batches->cursor.position = 0;
        load_epoch(batches);
    }
    int64_t window = batches->order[batches->cursor.position++], length = batches->length;
    const int32_t *from = batches->dataset->tokens + batches->offset + window * length;
    memcpy(token, from, (size_t)length * sizeof *token);
    memcpy(target, from + 1, (size_t)length * sizeof *target);
}

void batches_next(Batches *batches, int64_t n, int32_t *token, int32_t *target)
{
    for (int64_t i = 0; i < n; i++)
        next_window(batches, token + i * batches->length, target + i * batches->length);
}

/* ---- evaluation ---- */

int64_t span_batches(TokenSpan span, int64_t n, int64_t length)
{
    int64_t targets = span.last > span.first ? span.last - span.first : 0;
    int64_t windows = targets / length + (targets % length != 0);
    return windows / n + (windows % n != 0);
}

void span_batch(const wf_dataset *dataset, TokenSpan span, int64_t index, int64_t n, int64_t length,
                int32_t *token, int32_t *target)
{
    int64_t first = span.first + index * n * length;
    for (int64_t i = 0; i < n * length; i++) {
        bool counts = first + i < span.last;
        token[i] = counts ? dataset->tokens[first + i - 1] : 0;
        target[i] = counts ? dataset->tokens[first + i] : TARGET_NONE;
    }
}

/* ---- order ---- */

wf_status token_order(const int32_t *token, int64_t n, int64_t vocabulary, int32_t *order)
{
    int64_t *start = calloc((size_t)vocabulary + 1, sizeof *start);
    if (!start) return fail(WF_ERROR_MEMORY, "out of memory for the order of a batch");
    for (int64_t i = 0; i < n; i++) start[token[i] + 1]++;
    for (int64_t t = 0; t < vocabulary; t++) start[t + 1] += start[t];
    for (int64_t i = 0; i < n; i++) order[start[token[i]]++] = (int32_t)i;
    free(start);
    return WF_OK;
}
