/* Data from files: shards and folders of them, what is wrong with them, and that how tokens are cut
 * into files changes nothing. */
#include "data/batches.h"
#include "data/sources.h"

#include "dataset_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_word(uint8_t *header, int word, int32_t value)
{
    for (int i = 0; i < 4; i++) header[4 * word + i] = (uint8_t)((uint32_t)value >> 8 * i);
}

/* A shard with this header and the tokens 0, 1, 2, … modulo 256. */
static void write_shard(const char *name, int32_t magic, int32_t version, int32_t count, int tokens)
{
    uint8_t data[1024 + 2 * 512] = {0};
    assert_true(tokens <= 512);
    put_word(data, 0, magic);
    put_word(data, 1, version);
    put_word(data, 2, count);
    for (int i = 0; i < tokens; i++) data[1024 + 2 * i] = (uint8_t)i;
    write_file(name, data, (size_t)(1024 + 2 * tokens));
}

static void hostile_shards_are_refused(void **state)
{
    (void)state;
    enum { MAGIC = 20240520 };
    static const struct {
        int32_t magic, version, count;
        int tokens;
        wf_status status;
        const char *says;
    } cases[] = {
        {MAGIC + 1, 1, 5, 5, WF_ERROR_FORMAT, "expected 20240520 at its start, found 20240521"},
        {MAGIC, 2, 5, 5, WF_ERROR_UNSUPPORTED, "version 2, expected version 1"},
        {MAGIC, 1, 0, 0, WF_ERROR_FORMAT, "counts 0 tokens, expected 1 to 2147483647"},
        {MAGIC, 1, 0, 5, WF_ERROR_FORMAT, "counts 0 tokens"},
        {MAGIC, 1, -5, 5, WF_ERROR_FORMAT, "counts -5 tokens"},
        {MAGIC, 1, INT32_MIN, 5, WF_ERROR_FORMAT, "counts -2147483648 tokens"},
        {MAGIC, 1, 6, 5, WF_ERROR_FORMAT,
         "counts 6 tokens, which take 1036 bytes; the file has 1034"},
        {MAGIC, 1, 4, 5, WF_ERROR_FORMAT, "which take 1032 bytes; the file has 1034"},
        {MAGIC, 1, INT32_MAX, 5, WF_ERROR_FORMAT, "which take 4294968318 bytes; the file has 1034"},
    };
    wf_dataset *dataset;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_shard("hostile.bin", cases[i].magic, cases[i].version, cases[i].count,
                    cases[i].tokens);
        assert_int_equal(open_name("hostile.bin", &dataset), cases[i].status);
        assert_message("hostile.bin: ");
        assert_message(cases[i].says);
    }
    static const size_t sizes[] = {0, 1, 12, 1023};
    for (int i = 0; i < 4; i++) {
        uint8_t data[1024] = {0};
        put_word(data, 0, MAGIC);
        write_file("hostile.bin", data, sizes[i]);
        assert_int_equal(open_name("hostile.bin", &dataset), WF_ERROR_FORMAT);
        assert_message("begins with a header of 1024");
    }
    assert_int_equal(open_name("absent.bin", &dataset), WF_ERROR_IO);
    assert_message("absent.bin");
    must(folder_make(IN_FOLDER("folder.bin")));
    assert_int_equal(open_name("folder.bin", &dataset), WF_ERROR_IO);
    assert_message("holds no shards");
    write_shard("fine.bin", MAGIC, 1, 5, 5);
    must(open_name("fine.bin", &dataset));
    wf_dataset_destroy(dataset);
}

static void tokens_outside_the_vocabulary_are_named(void **state)
{
    (void)state;
    uint8_t data[1024 + 2 * 100] = {0};
    wf_dataset *dataset;
    put_word(data, 0, 20240520);
    put_word(data, 1, 1);
    put_word(data, 2, 100);
    data[1024 + 2 * 73 + 1] = 1; /* 256 */
    write_file("wide.bin", data, sizeof data);
    assert_int_equal(open_name("wide.bin", &dataset), WF_ERROR_FORMAT);
    assert_message("wide.bin: token 73 is 256, outside the vocabulary of 256");
    const char *path = IN_FOLDER("wide.bin");
    wf_dataset_params params = {.files = &path, .n_files = 1, .vocabulary = 257};
    must(wf_dataset_open(&params, &dataset));
    int64_t held_out_bytes;
    must(wf_dataset_size(dataset, NULL, NULL, &held_out_bytes));
    assert_int_equal(held_out_bytes, 0);
    wf_dataset_destroy(dataset);
    params.vocabulary = 0;
    assert_int_equal(wf_dataset_open(&params, &dataset), WF_ERROR_ARGUMENT);
    assert_message("a tokenizer or the size of its vocabulary");
    write_text("plain.txt", "text");
    path = IN_FOLDER("plain.txt");
    params.vocabulary = 256;
    assert_int_equal(wf_dataset_open(&params, &dataset), WF_ERROR_ARGUMENT);
    assert_message("plain.txt: text needs a tokenizer");
}

/* A file of `count` tokens, all 0 but those given: holes take no space. False: no such files here.
 */
typedef struct SparseToken {
    int64_t at;
    uint16_t token;
} SparseToken;

static bool write_sparse(const char *name, int32_t count, const SparseToken *tokens, int n)
{
    uint8_t header[1024] = {0};
    FILE *file = fopen(IN_FOLDER(name), "wb");
    assert_non_null(file);
    put_word(header, 0, 20240520);
    put_word(header, 1, 1);
    put_word(header, 2, count);
    bool fine = fwrite(header, 1, sizeof header, file) == sizeof header && fflush(file) == 0 &&
                ftruncate(fileno(file), 1024 + 2 * (off_t)count) == 0;
    for (int i = 0; i < n && fine; i++) {
        const uint8_t pair[2] = {(uint8_t)tokens[i].token, (uint8_t)(tokens[i].token >> 8)};
        fine =
            fseeko(file, 1024 + 2 * tokens[i].at, SEEK_SET) == 0 && fwrite(pair, 1, 2, file) == 2;
    }
    return fclose(file) == 0 && fine;
}

static void more_than_four_billion_tokens(void **state)
{
    (void)state;
    enum { MOST = INT32_MAX, LENGTH = 1000 };
    const SparseToken first[] = {{MOST - 1, 11}}, second[] = {{0, 12}}, third[] = {{MOST - 1, 13}};
    if (!write_sparse("a.bin", MOST, first, 1) || !write_sparse("b.bin", MOST, second, 1) ||
        !write_sparse("c.bin", MOST, third, 1)) {
        print_message("skipped: no room for sparse files of 4 GiB\n");
        skip();
    }
    const char *names[] = {IN_FOLDER("a.bin"), IN_FOLDER("b.bin"), IN_FOLDER("c.bin")};
    int64_t training, held_out, most = MOST;
    wf_dataset *dataset;
    Batches *batches;
    must(open_names(names, 3, 0.25, &dataset));
    must(wf_dataset_size(dataset, &training, &held_out, NULL));
    assert_true(training + held_out == 3 * most);
    assert_true(training == 3 * most - (3 * most + 3) / 4);
    int32_t token[LENGTH], target[LENGTH];
    must(dataset_read(dataset, most - 2, 5, token));
    static const int32_t seam[] = {0, 11, 12, 0, 0};
    assert_memory_equal(token, seam, sizeof seam);
    must(dataset_read(dataset, 3 * most - 1, 1, token));
    assert_int_equal(token[0], 13);

    must(batches_create(dataset, LENGTH, 4, &batches));
    assert_true(batches->windows > (training - LENGTH) / LENGTH - 1);
    must(batches_next(batches, 1, token, target));
    must(batches_seek(batches, (BatchCursor){4, 3, batches->windows - 2}));
    must(batches_next(batches, 1, token, target));
    batches_destroy(batches);

    TokenSpan tail = dataset_held_out(dataset);
    int64_t count = span_batches(tail, 1, LENGTH);
    must(span_batch(dataset, tail, count - 1, 1, LENGTH, token, target));
    int64_t in_last = (tail.last - tail.first - 1) % LENGTH;
    assert_int_equal(target[in_last], 13);
    for (int64_t i = in_last + 1; i < LENGTH; i++) assert_int_equal(target[i], TARGET_NONE);
    wf_dataset_destroy(dataset);
    for (int i = 0; i < 3; i++) must(file_remove(names[i]));
}

/* A token that the sample at opening does not see fails the step that reads it, and only that. */
static void a_bad_token_fails_when_it_is_read(void **state)
{
    (void)state;
    enum { COUNT = (1 << 26) + 100000, BAD = 3000, LENGTH = 1024 };
    const SparseToken bad[] = {{BAD, 300}};
    if (!write_sparse("late.bin", COUNT, bad, 1)) skip();
    wf_dataset *dataset;
    Batches *batches;
    must(open_name("late.bin", &dataset));
    must(batches_create(dataset, LENGTH, 2, &batches));
    int64_t window = (BAD - batches->offset) / LENGTH, position = 0;
    while (permutation_at(&batches->order, position) != window) position++;
    static int32_t token[3 * LENGTH], target[3 * LENGTH];
    must(batches_seek(batches, (BatchCursor){2, 0, position - 2}));
    BatchCursor before = batches->cursor;
    assert_int_equal(batches_next(batches, 3, token, target), WF_ERROR_FORMAT);
    assert_message("late.bin: token 3000 is 300, outside the vocabulary of 256");
    assert_memory_equal(&batches->cursor, &before, sizeof before);
    must(batches_next(batches, 2, token, target));
    assert_int_equal(batches_next(batches, 1, token, target), WF_ERROR_FORMAT);
    int64_t sum;
    assert_int_equal(dataset_bytes(dataset, (TokenSpan){1, BAD + 1}, &sum), WF_ERROR_FORMAT);
    must(dataset_bytes(dataset, (TokenSpan){1, BAD}, &sum));
    assert_int_equal(sum, BAD - 1);
    assert_int_equal(span_batch(dataset, (TokenSpan){BAD, BAD + 1}, 0, 1, 4, token, target),
                     WF_ERROR_FORMAT);
    batches_destroy(batches);
    wf_dataset_destroy(dataset);
}

static void write_marked(const char *name, int32_t mark)
{
    write_shard(name, 20240520, 1, 3 + mark, 3 + mark);
}

static void assert_sources(const Sources *sources, const char *expected)
{
    char found[512] = "";
    for (int i = 0; i < sources->count; i++) {
        const Source *source = &sources->items[i];
        strcat(found, source->held_out ? " -" : " +");
        strcat(found, strrchr(source->path, '/') + 1);
    }
    assert_string_equal(found, expected);
}

static void folders_stand_for_their_shards(void **state)
{
    (void)state;
    must(folder_make(IN_FOLDER("shards")));
    must(folder_make(IN_FOLDER("only")));
    static const char *const names[] = {
        "shards/train_000001.bin", "shards/train_000000.bin", "shards/fineweb_val_000000.bin",
        "shards/val_000001.bin",   "shards/interval_2.bin",   "shards/values.bin",
        "only/tiny-val.bin"};
    for (int i = 0; i < 7; i++) write_marked(names[i], i);
    write_text("shards/notes.txt", "no data");
    write_text("more.jsonl", "{\"text\": \"more\"}");
    const char *given[] = {IN_FOLDER("more.jsonl"), IN_FOLDER("shards")};
    const char *only = IN_FOLDER("only");
    Sources sources;
    must(sources_find(given, 2, NULL, 0, &sources));
    assert_sources(&sources, " +more.jsonl +interval_2.bin +train_000000.bin +train_000001.bin "
                             "+values.bin -fineweb_val_000000.bin -val_000001.bin");
    sources_destroy(&sources);
    must(sources_find(given, 2, &given[1], 1, &sources)); /* named: the same */
    assert_sources(&sources, " +more.jsonl +interval_2.bin +train_000000.bin +train_000001.bin "
                             "+values.bin -fineweb_val_000000.bin -val_000001.bin");
    sources_destroy(&sources);
    must(sources_find(&given[1], 1, given, 1, &sources)); /* others: instead */
    assert_sources(&sources, " +interval_2.bin +train_000000.bin +train_000001.bin +values.bin "
                             "-more.jsonl");
    sources_destroy(&sources);
    must(sources_find(&only, 1, NULL, 0, &sources));
    assert_sources(&sources, " -tiny-val.bin");
    sources_destroy(&sources);
    assert_int_equal(sources_find(NULL, 0, NULL, 0, &sources), WF_ERROR_ARGUMENT);
    /* A folder is never passed over in silence, whatever else there is. */
    must(folder_make(IN_FOLDER("texts")));
    write_text("texts/text.txt", "no shard");
    const char *with_texts[] = {given[0], IN_FOLDER("texts"), given[1]};
    for (int held_out = 0; held_out < 2; held_out++) {
        assert_int_equal(held_out ? sources_find(given, 2, with_texts, 3, &sources)
                                  : sources_find(with_texts, 3, NULL, 0, &sources),
                         WF_ERROR_IO);
        assert_message("texts: the folder holds no shards");
    }
    must(sources_find(&only, 1, given, 1, &sources)); /* "val" shards alone, left out */
    assert_sources(&sources, " -more.jsonl");
    sources_destroy(&sources);

    assert_null(sources_tokenizer(given, 2));
    must(wf_tokenizer_save(bytes, IN_FOLDER("shards")));
    char *found = sources_tokenizer(given, 2);
    assert_string_equal(found, given[1]);
    free(found);
    const char *shard = IN_FOLDER("shards/values.bin");
    found = sources_tokenizer(&shard, 1);
    assert_non_null(found);
    assert_memory_equal(found, given[1], strlen(given[1]));
    free(found);
    assert_true(sources_are_shards(&given[1], 1) && sources_are_shards(&shard, 1));
    assert_false(sources_are_shards(given, 2));
}

static void held_out_files_are_kept_apart(void **state)
{
    (void)state;
    int64_t training, held_out;
    wf_dataset *dataset;
    const char *given = IN_FOLDER("shards"), *text = IN_FOLDER("heldout.txt");
    write_text("heldout.txt", "held");
    wf_dataset_params params = {.files = &given, .n_files = 1, .tokenizer = bytes, .held_out = -1};
    must(wf_dataset_open(&params, &dataset));
    must(wf_dataset_size(dataset, &training, &held_out, NULL));
    assert_int_equal(training, 3 + 4 + 7 + 8);
    assert_int_equal(held_out, 5 + 6);
    TokenSpan span = dataset_held_out(dataset); /* its first token is only context */
    assert_int_equal(span.first, training + 1);
    assert_int_equal(span.last, training + held_out);
    wf_dataset_destroy(dataset);

    params.held_out_files = &text;
    params.n_held_out_files = 1;
    must(wf_dataset_open(&params, &dataset));
    must(wf_dataset_size(dataset, &training, &held_out, NULL));
    assert_int_equal(training, 22);
    assert_int_equal(held_out, 4);
    int32_t token[3], target[3];
    must(span_batch(dataset, dataset_held_out(dataset), 0, 1, 3, token, target));
    static const int32_t context[] = {'h', 'e', 'l'}, next[] = {'e', 'l', 'd'};
    assert_memory_equal(token, context, sizeof token);
    assert_memory_equal(target, next, sizeof target);
    wf_dataset_destroy(dataset);

    params.held_out = 0.1;
    assert_int_equal(wf_dataset_open(&params, &dataset), WF_ERROR_ARGUMENT);
    assert_message("one of them only");
    params.held_out = -1;
    write_text("heldout.txt", "1");
    assert_int_equal(wf_dataset_open(&params, &dataset), WF_ERROR_FORMAT);
    assert_message("at least 2");
    /* By default a twentieth where there is nothing else. */
    given = IN_FOLDER("shards/values.bin");
    params.n_held_out_files = 0;
    must(wf_dataset_open(&params, &dataset));
    must(wf_dataset_size(dataset, &training, &held_out, NULL));
    assert_int_equal(training, 7);
    assert_int_equal(held_out, 1);
    wf_dataset_destroy(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_shards_are_refused),
        cmocka_unit_test(tokens_outside_the_vocabulary_are_named),
        cmocka_unit_test(more_than_four_billion_tokens),
        cmocka_unit_test(a_bad_token_fails_when_it_is_read),
        cmocka_unit_test(folders_stand_for_their_shards),
        cmocka_unit_test(held_out_files_are_kept_apart),
    };
    must(wf_tokenizer_create("byte", NULL, &bytes));
    int failures = cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
    wf_tokenizer_destroy(bytes);
    return failures;
}
