/* Datasets and batches: every window once an epoch, the same again from a saved cursor, every
 * held-out target once. */
#include "base/files.h"
#include "data/batches.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_message(const char *part)
{
    if (!strstr(wf_error_message(), part))
        fail_msg("\"%s\" is not in: %s", part, wf_error_message());
}

/* Tokens 0, 1, 2, …: a token tells where it stands. */
static wf_dataset *counting(int64_t n, double held_out)
{
    wf_dataset *dataset;
    int32_t *tokens = malloc((size_t)n * sizeof *tokens);
    for (int64_t i = 0; i < n; i++) tokens[i] = (int32_t)i;
    assert_int_equal(wf_dataset_from_tokens(tokens, n, n, held_out, &dataset), WF_OK);
    free(tokens);
    return dataset;
}

static wf_status open_files(const char *const *files, int n, const wf_tokenizer *tokenizer,
                            double held_out, wf_dataset **out)
{
    return wf_dataset_open(
        &(wf_dataset_params){
            .files = files, .n_files = n, .tokenizer = tokenizer, .held_out = held_out},
        out);
}

static int64_t bytes_of(const wf_dataset *dataset, TokenSpan span)
{
    int64_t bytes;
    assert_int_equal(dataset_bytes(dataset, span, &bytes), WF_OK);
    return bytes;
}

/* ---- datasets ---- */

static void files_are_joined_and_split(void **state)
{
    (void)state;
    char paths[2][64] = {"/tmp/wavefield-test-XXXXXX", "/tmp/wavefield-test-XXXXXX"};
    for (int i = 0; i < 2; i++) close(mkstemp(paths[i]));
    const char *files[] = {paths[0], paths[1]};
    file_write_atomic(paths[0], "abc\xC3\xA9", 5);
    file_write_atomic(paths[1], "\xE2\x82\xAC", 3);
    wf_tokenizer *tokenizer, *narrow;
    wf_dataset *dataset;
    int64_t training, held_out, bytes;
    assert_int_equal(
        wf_tokenizer_create("char", wf_tokenizer_params(.files = files, .n_files = 2), &tokenizer),
        WF_OK);
    assert_int_equal(open_files(files, 2, tokenizer, 0.4, &dataset), WF_OK);
    wf_dataset_size(dataset, &training, &held_out, &bytes);
    assert_int_equal(training, 3);
    assert_int_equal(held_out, 2);
    assert_int_equal(bytes, 5); /* é and € */
    static const int32_t expected[] = {0, 1, 2, 3, 4};
    int32_t tokens[5];
    assert_int_equal(dataset_read(dataset, 0, 5, tokens), WF_OK);
    assert_memory_equal(tokens, expected, sizeof expected);
    assert_int_equal(bytes_of(dataset, dataset_whole(dataset)), 7);
    wf_dataset_size(dataset, NULL, NULL, NULL);
    wf_dataset_destroy(dataset);

    assert_int_equal(
        wf_tokenizer_create("char", wf_tokenizer_params(.files = files, .n_files = 1), &narrow),
        WF_OK);
    assert_int_equal(open_files(files, 2, narrow, 0, &dataset), WF_ERROR_FORMAT);
    assert_message(paths[1]);
    assert_message("byte 0: the character U+20AC");
    wf_tokenizer_destroy(narrow);

    file_write_atomic(paths[0], "", 0);
    assert_int_equal(open_files(files, 1, tokenizer, 0.1, &dataset), WF_ERROR_FORMAT);
    assert_message("no text");
    for (int i = 0; i < 2; i++) unlink(paths[i]);
    assert_int_equal(open_files(files, 2, tokenizer, 0.1, &dataset), WF_ERROR_IO);
    assert_message(paths[0]);
    wf_tokenizer_destroy(tokenizer);
}

static void splits_and_arguments(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        double share;
        int64_t held_out;
    } cases[] = {{100, 0, 0}, {100, 0.1, 10}, {101, 0.1, 11}, {3, 0.1, 1}, {10, 0.5, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wf_dataset *dataset = counting(cases[i].n, cases[i].share);
        int64_t training, held_out, bytes;
        wf_dataset_size(dataset, &training, &held_out, &bytes);
        assert_int_equal(held_out, cases[i].held_out);
        assert_int_equal(training, cases[i].n - cases[i].held_out);
        assert_int_equal(bytes, 0);
        wf_dataset_destroy(dataset);
    }
    static const int32_t tokens[] = {1, 2, 3};
    wf_dataset *dataset;
    assert_int_equal(wf_dataset_from_tokens(tokens, 3, 3, 0, &dataset), WF_ERROR_ARGUMENT);
    assert_message("token 2 is 3, outside the vocabulary of 3");
    assert_int_equal(wf_dataset_from_tokens(tokens, 0, 3, 0, &dataset), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_dataset_from_tokens(tokens, 3, 4, 0.6, &dataset), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_dataset_from_tokens(tokens, 3, 4, -0.1, &dataset), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_dataset_from_tokens(tokens, 3, 4, 0.0 / 0.0, &dataset), WF_ERROR_ARGUMENT);
    wf_dataset_destroy(NULL);
}

static void fingerprints_tell_data_apart(void **state)
{
    (void)state;
    wf_dataset *same[2] = {counting(50, 0.1), counting(50, 0.1)};
    wf_dataset *other[2] = {counting(50, 0.2), counting(51, 0.1)};
    assert_true(same[0]->fingerprint == same[1]->fingerprint);
    for (int i = 0; i < 2; i++) assert_true(same[0]->fingerprint != other[i]->fingerprint);
    int32_t tokens[50];
    assert_int_equal(dataset_read(same[0], 0, 50, tokens), WF_OK);
    tokens[49] = 48;
    wf_dataset *changed;
    assert_int_equal(wf_dataset_from_tokens(tokens, 50, 50, 0.1, &changed), WF_OK);
    assert_true(same[0]->fingerprint != changed->fingerprint);
    wf_dataset_destroy(changed);
    for (int i = 0; i < 2; i++) wf_dataset_destroy(same[i]);
    for (int i = 0; i < 2; i++) wf_dataset_destroy(other[i]);
}

/* ---- training ---- */

static Batches *batches_of(const wf_dataset *dataset, int64_t length, uint64_t seed)
{
    Batches *batches;
    assert_int_equal(batches_create(dataset, length, seed, &batches), WF_OK);
    return batches;
}

/* One epoch of windows of `length` over `training` counting tokens. */
static void check_epoch(Batches *batches, int64_t training, bool *shuffled, int64_t *offset)
{
    int64_t length = batches->length, windows = batches->windows, previous = -1;
    int32_t *token = malloc((size_t)length * sizeof *token);
    int32_t *target = malloc((size_t)length * sizeof *target);
    bool *seen = calloc((size_t)training, sizeof *seen);
    *offset = training;
    assert_true(windows >= 1);
    for (int64_t w = 0; w < windows; w++) {
        assert_int_equal(batches_next(batches, 1, token, target), WF_OK);
        for (int64_t i = 0; i < length; i++) {
            assert_int_equal(token[i], token[0] + i);
            assert_int_equal(target[i], token[i] + 1);
            assert_in_range(target[i], 1, training - 1);
            assert_false(seen[token[i]]);
            seen[token[i]] = true;
        }
        if (token[0] < previous) *shuffled = true;
        if (token[0] < *offset) *offset = token[0];
        previous = token[0];
    }
    /* Nothing between the first window and the last that still fits is left out. */
    assert_in_range(*offset, 0, length - 1);
    for (int64_t i = *offset; i < *offset + windows * length; i++) assert_true(seen[i]);
    assert_true(training - 1 - (*offset + windows * length) < length);
    free(token);
    free(target);
    free(seen);
}

static void every_window_once_an_epoch(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{2, 1},   {9, 8},    {100, 7}, {101, 10},
                                       {17, 16}, {1000, 1}, {997, 31}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int64_t training = sizes[k][0], length = sizes[k][1], offsets = 0, last = -1;
        wf_dataset *dataset = counting(training, 0);
        Batches *batches = batches_of(dataset, length, 3);
        bool shuffled = false;
        for (int epoch = 0; epoch < 10; epoch++) {
            int64_t offset;
            check_epoch(batches, training, &shuffled, &offset);
            assert_int_equal(batches->cursor.position, batches->windows);
            offsets += offset != last;
            last = offset;
            int32_t *room = malloc((size_t)length * 2 * sizeof *room);
            BatchCursor cursor = batches->cursor; /* the next window is of the next epoch */
            assert_int_equal(batches_next(batches, 1, room, room + length), WF_OK);
            assert_int_equal(batches->cursor.epoch, cursor.epoch + 1);
            assert_int_equal(batches_seek(batches, (BatchCursor){cursor.seed, cursor.epoch + 1, 0}),
                             WF_OK);
            free(room);
        }
        if (training > 20 * length) assert_true(shuffled);
        if (training > 2 * length && length > 5) assert_true(offsets > 3);
        batches_destroy(batches);
        wf_dataset_destroy(dataset);
    }
    batches_destroy(NULL);
}

/* A saved cursor continues to the bit, at any place, batches larger than an epoch included. */
static void a_saved_cursor_continues(void **state)
{
    (void)state;
    enum { N = 5, B = 4, STEPS = 40 };
    wf_dataset *dataset = counting(64, 0);
    static int32_t all[STEPS][2][B * N];
    Batches *unbroken = batches_of(dataset, N, 11);
    BatchCursor cursors[STEPS];
    for (int s = 0; s < STEPS; s++) {
        cursors[s] = unbroken->cursor;
        assert_int_equal(batches_next(unbroken, B, all[s][0], all[s][1]), WF_OK);
    }
    assert_true(unbroken->cursor.epoch > 5);
    for (int s = 0; s < STEPS; s++) {
        Batches *resumed = batches_of(dataset, N, 999);
        assert_int_equal(batches_seek(resumed, cursors[s]), WF_OK);
        for (int t = s; t < STEPS; t++) {
            int32_t token[B * N], target[B * N];
            assert_int_equal(batches_next(resumed, B, token, target), WF_OK);
            assert_memory_equal(token, all[t][0], sizeof token);
            assert_memory_equal(target, all[t][1], sizeof target);
        }
        assert_memory_equal(&resumed->cursor, &unbroken->cursor, sizeof resumed->cursor);
        batches_destroy(resumed);
    }
    Batches *other = batches_of(dataset, N, 12);
    int32_t token[B * N], target[B * N];
    assert_int_equal(batches_next(other, B, token, target), WF_OK);
    assert_memory_not_equal(token, all[0][0], sizeof token);
    batches_destroy(other);
    batches_destroy(unbroken);
    wf_dataset_destroy(dataset);
}

static void impossible_cursors_are_refused(void **state)
{
    (void)state;
    wf_dataset *dataset = counting(64, 0);
    Batches *batches = batches_of(dataset, 5, 11);
    int32_t token[10], target[10], expected[10];
    assert_int_equal(batches_next(batches, 1, token, target), WF_OK);
    BatchCursor before = batches->cursor;
    assert_int_equal(batches_next(batches, 1, expected, target), WF_OK);
    assert_int_equal(batches_seek(batches, before), WF_OK);
    static const BatchCursor bad[] = {{11, -1, 0}, {11, 0, -1}, {11, 0, 14}, {11, INT64_MAX, 0}};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(batches_seek(batches, bad[i]), WF_ERROR_FORMAT);
        assert_message("data cursor");
    }
    assert_int_equal(batches_next(batches, 1, token, target),
                     WF_OK); /* a refused seek changes nothing */
    assert_memory_equal(token, expected, 5 * sizeof *token);
    batches_destroy(batches);
    wf_dataset_destroy(dataset);
}

static void data_shorter_than_a_sequence_is_refused(void **state)
{
    (void)state;
    Batches *batches;
    wf_dataset *dataset = counting(20, 0.5);
    assert_int_equal(batches_create(dataset, 10, 1, &batches), WF_ERROR_ARGUMENT);
    assert_message("10 tokens for training");
    assert_message("take 11");
    assert_int_equal(batches_create(dataset, 0, 1, &batches), WF_ERROR_ARGUMENT);
    assert_int_equal(batches_create(dataset, 9, 1, &batches), WF_OK);
    batches_destroy(batches);
    wf_dataset_destroy(dataset);
}

/* Held-out tokens never reach training. */
static void training_stays_out_of_the_held_out_part(void **state)
{
    (void)state;
    wf_dataset *dataset = counting(60, 0.25);
    Batches *batches = batches_of(dataset, 4, 1);
    for (int i = 0; i < 200; i++) {
        int32_t token[12], target[12];
        assert_int_equal(batches_next(batches, 3, token, target), WF_OK);
        for (int j = 0; j < 12; j++) assert_in_range(target[j], 1, 44);
    }
    batches_destroy(batches);
    wf_dataset_destroy(dataset);
}

/* ---- evaluation ---- */

static void check_span(const wf_dataset *dataset, TokenSpan span, int64_t n, int64_t length)
{
    int64_t size = n * length, batches = span_batches(span, n, length);
    int32_t *token = malloc((size_t)size * sizeof *token);
    int32_t *target = malloc((size_t)size * sizeof *target);
    int64_t next = span.first;
    for (int64_t b = 0; b < batches; b++) {
        int64_t counted = 0;
        assert_int_equal(span_batch(dataset, span, b, n, length, token, target), WF_OK);
        for (int64_t i = 0; i < size; i++) {
            if (target[i] == TARGET_NONE) {
                assert_int_equal(token[i], 0);
                continue;
            }
            assert_int_equal(target[i], next); /* in order, each once */
            assert_int_equal(token[i], next - 1);
            next++;
            counted++;
        }
        assert_true(counted > 0);
    }
    assert_int_equal(next, span.last > span.first ? span.last : span.first);
    free(token);
    free(target);
}

static void every_held_out_target_once(void **state)
{
    (void)state;
    wf_dataset *dataset = counting(103, 0.3);
    TokenSpan held_out = dataset_held_out(dataset);
    assert_int_equal(held_out.first, 72);
    assert_int_equal(held_out.last, 103);
    for (int64_t n = 1; n < 6; n++)
        for (int64_t length = 1; length < 40; length++) {
            check_span(dataset, held_out, n, length);
            check_span(dataset, dataset_whole(dataset), n, length);
        }
    wf_dataset_destroy(dataset);
    dataset = counting(10, 0);
    held_out = dataset_held_out(dataset);
    assert_int_equal(span_batches(held_out, 4, 3), 0);
    wf_dataset_destroy(dataset);
    dataset = counting(1, 0.5); /* one token, held out, has nothing before it */
    assert_int_equal(span_batches(dataset_held_out(dataset), 4, 3), 0);
    assert_int_equal(span_batches(dataset_whole(dataset), 4, 3), 0);
    wf_dataset_destroy(dataset);
}

static void orders_are_stable(void **state)
{
    (void)state;
    static const int32_t token[] = {4, 0, 4, 1, 1, 4, 0, 6};
    static const int32_t expected[] = {1, 6, 3, 4, 0, 2, 5, 7};
    int32_t order[8];
    assert_int_equal(token_order(token, 8, 7, order), WF_OK);
    assert_memory_equal(order, expected, sizeof expected);
    assert_int_equal(token_order(token, 0, 7, order), WF_OK);
    enum { N = 5000 };
    static int32_t many[N], sorted[N];
    for (int i = 0; i < N; i++) many[i] = (int32_t)(i * 7919L % 257);
    assert_int_equal(token_order(many, N, 257, sorted), WF_OK);
    for (int i = 1; i < N; i++) {
        int32_t a = sorted[i - 1], b = sorted[i];
        assert_true(many[a] < many[b] || (many[a] == many[b] && a < b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_joined_and_split),
        cmocka_unit_test(splits_and_arguments),
        cmocka_unit_test(fingerprints_tell_data_apart),
        cmocka_unit_test(every_window_once_an_epoch),
        cmocka_unit_test(a_saved_cursor_continues),
        cmocka_unit_test(impossible_cursors_are_refused),
        cmocka_unit_test(data_shorter_than_a_sequence_is_refused),
        cmocka_unit_test(training_stays_out_of_the_held_out_part),
        cmocka_unit_test(every_held_out_target_once),
        cmocka_unit_test(orders_are_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
