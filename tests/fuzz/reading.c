#include "reading.h"

#include "data/batches.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOWS = 5, LENGTH = 3, PLACES = WINDOWS * LENGTH };

static void check_window(const wf_dataset *data, const int32_t *token, const int32_t *target)
{
    for (int i = 0; i < PLACES; i++) {
        REQUIRE(token[i] >= 0 && token[i] < data->vocabulary);
        if (target[i] == TARGET_NONE) continue;
        REQUIRE(target[i] >= 0 && target[i] < data->vocabulary);
        if ((i + 1) % LENGTH && target[i + 1] != TARGET_NONE) REQUIRE(target[i] == token[i + 1]);
    }
}

static void check_batches(const wf_dataset *data)
{
    int32_t token[PLACES], target[PLACES];
    Batches *batches;
    if (!fuzz_ok(batches_create(data, LENGTH, 1, &batches))) return;
    for (int round = 0; round < 3; round++)
        if (fuzz_ok(batches_next(batches, WINDOWS, token, target)))
            check_window(data, token, target);
    batches_destroy(batches);
}

static void check_span(const wf_dataset *data, TokenSpan span)
{
    int32_t token[PLACES], target[PLACES];
    REQUIRE(span.first >= 1 && span.last <= data->count);
    int64_t n = span_batches(span, WINDOWS, LENGTH), counted = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!fuzz_ok(span_batch(data, span, i, WINDOWS, LENGTH, token, target))) return;
        check_window(data, token, target);
        for (int k = 0; k < PLACES; k++) counted += target[k] != TARGET_NONE;
    }
    REQUIRE(counted == (span.last > span.first ? span.last - span.first : 0));
}

static bool check_stream(const wf_dataset *data)
{
    int64_t n = data->count;
    int32_t *whole = malloc((size_t)n * sizeof *whole), *part = malloc((size_t)n * sizeof *part);
    REQUIRE(whole && part);
    bool readable = fuzz_ok(dataset_read(data, 0, n, whole));
    for (int64_t i = 0; readable && i < n; i++)
        REQUIRE(whole[i] >= 0 && whole[i] < data->vocabulary);
    for (int64_t first = 0; readable && first < n; first += 1 + first / 3) {
        int64_t length = (n - first + 1) / 2;
        dataset_soon(data, first, length);
        MUST(dataset_read(data, first, length, part));
        REQUIRE(memcmp(part, whole + first, (size_t)length * sizeof *part) == 0);
    }
    free(whole);
    free(part);
    return readable;
}

bool read_dataset(const wf_dataset *data)
{
    int64_t training, held_out, bytes;
    if (!fuzz_ok(wf_dataset_size(data, &training, &held_out, &bytes))) return false;
    REQUIRE(training >= 0 && held_out >= 0 && training + held_out == data->count && bytes >= 0);
    REQUIRE(data->count > 0);
    bool readable = check_stream(data);
    check_batches(data);
    check_span(data, dataset_whole(data));
    check_span(data, dataset_held_out(data));
    return readable;
}
