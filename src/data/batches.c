#include "data/batches.h"

#include "base/rng.h"

#include <stdbool.h>
#include <stdlib.h>

/* Cuts the cursor's epoch into windows and chooses their order. */
static void load_epoch(Batches *batches)
{
    int64_t training = batches->dataset->training, length = batches->length;
    uint64_t seed = batches->cursor.seed;
    uint32_t epoch = (uint32_t)batches->cursor.epoch;
    Rng rng = {.seed = seed, .stream = rng_stream(RNG_DATA, epoch)};
    int64_t offsets = training - length < length ? training - length : length;
    batches->offset = (int64_t)rng_below(&rng, (uint64_t)offsets);
    batches->windows = (training - 1 - batches->offset) / length;
    batches->order = permutation_make(batches->windows, seed, epoch);
}

wf_status batches_create(const wf_dataset *dataset, int64_t length, uint64_t seed, Batches **out)
{
    if (length < 1) return fail(WF_ERROR_ARGUMENT, "sequences of %lld tokens", (long long)length);
    if (dataset->training <= length)
        return fail(WF_ERROR_ARGUMENT,
                    "the data has %lld tokens for training, a sequence of %lld and its last target "
                    "take %lld: use a shorter sequence length or more text",
                    (long long)dataset->training, (long long)length, (long long)length + 1);
    Batches *batches = malloc(sizeof *batches);
    if (!batches) return fail(WF_ERROR_MEMORY, "out of memory for the order of the data");
    *batches = (Batches){.dataset = dataset, .length = length, .cursor = {.seed = seed}};
    load_epoch(batches);
    *out = batches;
    return WF_OK;
}

void batches_destroy(Batches *batches)
{
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

/* Where the window at a position of the epoch begins. */
static int64_t window_start(const Batches *batches, int64_t position)
{
    return batches->offset + permutation_at(&batches->order, position) * batches->length;
}

static wf_status next_window(Batches *batches, int32_t *token, int32_t *target)
{
    if (batches->cursor.position == batches->windows) {
        batches->cursor.epoch++;
        batches->cursor.position = 0;
        load_epoch(batches);
    }
    int64_t first = window_start(batches, batches->cursor.position++), length = batches->length;
    TRY(dataset_read(batches->dataset, first, length, token));
    return dataset_read(batches->dataset, first + 1, length, target);
}

/* The next n windows of this epoch. */
static void next_windows_soon(const Batches *batches, int64_t n)
{
    int64_t from = batches->cursor.position;
    for (int64_t i = from; i < from + n && i < batches->windows; i++)
        dataset_soon(batches->dataset, window_start(batches, i), batches->length + 1);
}

wf_status batches_next(Batches *batches, int64_t n, int32_t *token, int32_t *target)
{
    BatchCursor before = batches->cursor;
    wf_status status = WF_OK;
    for (int64_t i = 0; i < n && !status; i++)
        status = next_window(batches, token + i * batches->length, target + i * batches->length);
    if (!status) {
        next_windows_soon(batches, n);
        return WF_OK;
    }
    batches->cursor = before;
    load_epoch(batches);
    return status;
}

/* ---- evaluation ---- */

int64_t span_batches(TokenSpan span, int64_t n, int64_t length)
{
    int64_t targets = span.last > span.first ? span.last - span.first : 0;
    int64_t windows = targets / length + (targets % length != 0);
    return windows / n + (windows % n != 0);
}

wf_status span_batch(const wf_dataset *dataset, TokenSpan span, int64_t index, int64_t n,
                     int64_t length, int32_t *token, int32_t *target)
{
    int64_t first = span.first + index * n * length, left = span.last - first;
    int64_t counted = left < n * length ? left : n * length, next = left - counted;
    TRY(dataset_read(dataset, first - 1, counted, token));
    TRY(dataset_read(dataset, first, counted, target));
    for (int64_t i = counted; i < n * length; i++) {
        token[i] = 0;
        target[i] = TARGET_NONE;
    }
    dataset_soon(dataset, first + counted, next < n * length ? next : n * length);
    return WF_OK;
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
