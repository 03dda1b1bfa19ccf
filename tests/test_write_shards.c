/* Shards written from text: whole or not at all, by one process, and the same data as the text. */
#include "base/rng.h"
#include "base/text.h"
#include "data/batches.h"

#include "dataset_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static wf_status write_shards(const char *file, const wf_tokenizer *tokenizer, int64_t shard_tokens,
                              double held_out, const char *name, wf_shards_result *result)
{
    return wf_shards_write(&(wf_shards_params){.files = &file,
                                               .n_files = 1,
                                               .tokenizer = tokenizer,
                                               .shard_tokens = shard_tokens,
                                               .held_out = held_out},
                           IN_FOLDER(name), result);
}

static void remove_shards(const char *name)
{
    char line[256];
    snprintf(line, sizeof line, "rm -rf %s", IN_FOLDER(name));
    assert_int_equal(system(line), 0);
}

/* However the tokens are cut into shards: the same stream, split, windows and identity. */
static void shards_equal_the_text(void **state)
{
    (void)state;
    enum { N = 47, LENGTH = 5, WINDOWS = 100 };
    char text[N + 1];
    Rng rng = {.seed = 3};
    for (int i = 0; i < N; i++) text[i] = (char)('a' + rng_below(&rng, 26));
    text[N] = 0;
    write_text("round.txt", text);
    static const double shares[] = {0, 0.05, 0.5};
    static const int64_t sizes[] = {9, 23, 24, 44, 45, 47, 100000};
    for (int s = 0; s < 3; s++) {
        const char *path = IN_FOLDER("round.txt"), *shards = IN_FOLDER("round");
        wf_dataset *direct, *dataset;
        must(open_names(&path, 1, shares[s], &direct));
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            wf_shards_result result;
            int64_t size = sizes[k], training, held_out;
            must(write_shards(path, bytes, size, shares[s], "round", &result));
            assert_false(file_exists(IN_FOLDER("round.part")));
            assert_int_equal(result.documents, 1);
            assert_int_equal(result.bytes, N);
            must(wf_dataset_size(direct, &training, &held_out, NULL));
            assert_int_equal(result.training, training);
            assert_int_equal(result.held_out, held_out);
            assert_int_equal(result.training_shards, (training + size - 1) / size);
            assert_int_equal(result.held_out_shards, (held_out + size - 1) / size);
            FolderList list;
            must(folder_list(shards, &list));
            assert_int_equal(list.count, result.training_shards + result.held_out_shards + 1);
            assert_string_equal(list.names[0], "tokenizer.json");
            assert_string_equal(list.names[1], "train_000000.bin");
            folder_list_destroy(&list);

            must(open_names(&shards, 1, -1, &dataset));
            assert_tokens(dataset, text, N);
            assert_int_equal(dataset->training, shares[s] > 0 ? training : N - 3);
            if (shares[s] > 0) assert_true(dataset->fingerprint == direct->fingerprint);
            Batches *a, *b;
            must(batches_create(direct, LENGTH, 5, &a));
            must(batches_create(dataset, LENGTH, 5, &b));
            for (int w = 0; w < WINDOWS && shares[s] > 0; w++) {
                int32_t token[2][LENGTH], target[2][LENGTH];
                must(batches_next(a, 1, token[0], target[0]));
                must(batches_next(b, 1, token[1], target[1]));
                assert_memory_equal(token[0], token[1], sizeof token[0]);
                assert_memory_equal(target[0], target[1], sizeof target[0]);
            }
            batches_destroy(a);
            batches_destroy(b);
            wf_dataset_destroy(dataset);
            remove_shards("round");
        }
        wf_dataset_destroy(direct);
    }
}

/* Whatever is written can be opened: a single held-out token could not. */
static void one_held_out_token_is_refused(void **state)
{
    (void)state;
    const char *path = IN_FOLDER("short.txt"), *shards = IN_FOLDER("short");
    for (int n = 1; n <= 45; n++) {
        int64_t expected = (n + 19) / 20, held_out;
        wf_dataset *dataset;
        write_file("short.txt", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", (size_t)n);
        wf_status status = write_shards(path, bytes, 3, -1, "short", NULL);
        if (expected < 2) {
            assert_int_equal(status, WF_ERROR_ARGUMENT);
            assert_message("1 token, at least 2 are needed");
            assert_false(file_exists(shards) || file_exists(IN_FOLDER("short.part")));
            must(write_shards(path, bytes, 3, 0, "short", NULL));
            expected = 0;
        } else {
            must(status);
        }
        must(wf_dataset_open(
            &(wf_dataset_params){.files = &shards, .n_files = 1, .tokenizer = bytes}, &dataset));
        must(wf_dataset_size(dataset, NULL, &held_out, NULL));
        assert_int_equal(held_out, expected);
        assert_int_equal(dataset->count, n);
        wf_dataset_destroy(dataset);
        remove_shards("short");
    }
}

static void a_cursor_continues_over_shards(void **state)
{
    (void)state;
    enum { LENGTH = 5, BATCH = 1, STEPS = 40 }; /* every position of the epochs */
    const char *shards = IN_FOLDER("cursor");
    wf_dataset *dataset;
    Batches *unbroken, *resumed;
    static int32_t all[STEPS][2][BATCH * LENGTH];
    BatchCursor cursors[STEPS];
    must(write_shards(IN_FOLDER("round.txt"), bytes, 4, 0.4, "cursor", NULL));
    must(open_names(&shards, 1, -1, &dataset));
    assert_true(dataset->n_files > 10);
    must(batches_create(dataset, LENGTH, 8, &unbroken));
    for (int s = 0; s < STEPS; s++) {
        cursors[s] = unbroken->cursor;
        must(batches_next(unbroken, BATCH, all[s][0], all[s][1]));
    }
    assert_true(unbroken->cursor.epoch >= 1);
    for (int s = 0; s < STEPS; s++) {
        must(batches_create(dataset, LENGTH, 0, &resumed));
        must(batches_seek(resumed, cursors[s]));
        for (int t = s; t < STEPS; t++) {
            int32_t token[BATCH * LENGTH], target[BATCH * LENGTH];
            must(batches_next(resumed, BATCH, token, target));
            assert_memory_equal(token, all[t][0], sizeof token);
            assert_memory_equal(target, all[t][1], sizeof target);
        }
        batches_destroy(resumed);
    }
    batches_destroy(unbroken);

    /* Every held-out target but the first once, each from the token before it. */
    char text[1024];
    FILE *file = fopen(IN_FOLDER("round.txt"), "r");
    size_t n = fread(text, 1, sizeof text, file);
    fclose(file);
    TokenSpan span = dataset_held_out(dataset);
    assert_int_equal(span.first, dataset->training + 1);
    int64_t next = span.first;
    for (int64_t i = 0; i < span_batches(span, BATCH, LENGTH); i++) {
        int32_t token[BATCH * LENGTH], target[BATCH * LENGTH];
        must(span_batch(dataset, span, i, BATCH, LENGTH, token, target));
        for (int k = 0; k < BATCH * LENGTH; k++) {
            if (target[k] == TARGET_NONE) continue;
            assert_int_equal(target[k], text[next]);
            assert_int_equal(token[k], text[next - 1]);
            next++;
        }
    }
    assert_int_equal(next, n);
    wf_dataset_destroy(dataset);
    remove_shards("cursor");
}

static void count_reports(void *context, const wf_shards_result *so_far)
{
    int64_t *last = context;
    assert_true(so_far->bytes > *last && so_far->training > 0);
    *last = so_far->bytes;
}

/* Somebody fills the folder while shards for it are written. */
static void fill_folder(void *context, const wf_shards_result *so_far)
{
    (void)context;
    (void)so_far;
    must(folder_make(IN_FOLDER("filled")));
    write_text("filled/letter", "mine");
}

static void complete_shards_are_not_thrown_away(void **state)
{
    (void)state;
    wf_dataset *dataset;
    char *large = large_text((size_t)17 << 20, true, 1);
    write_text("large.txt", large);
    free(large);
    const char *text = IN_FOLDER("large.txt"), *kept = IN_FOLDER("filled.part");
    assert_int_equal(wf_shards_write(&(wf_shards_params){.files = &text,
                                                         .n_files = 1,
                                                         .tokenizer = bytes,
                                                         .progress = fill_folder},
                                     IN_FOLDER("filled"), NULL),
                     WF_ERROR_IO);
    assert_message("filled.part: cannot rename");
    must(open_names(&kept, 1, 0, &dataset));
    assert_int_equal(dataset->count, 17 << 20);
    wf_dataset_destroy(dataset);
    assert_true(file_exists(IN_FOLDER("filled/letter")));
    remove_shards("filled.part");
    /* A link is known beforehand. */
    must(folder_make(IN_FOLDER("behind")));
    assert_int_equal(symlink("behind", IN_FOLDER("link")), 0);
    assert_int_equal(write_shards(IN_FOLDER("round.txt"), bytes, 0, 0, "link", NULL),
                     WF_ERROR_ARGUMENT);
    assert_message("link: the folder for new shards");
    assert_false(file_exists(IN_FOLDER("link.part")));
}

typedef struct Halt {
    int reached[2], go[2]; /* pipes */
} Halt;

/* The child writes on when the parent says so. */
static void halt(void *context, const wf_shards_result *so_far)
{
    Halt *pipes = context;
    char word = 'x';
    (void)so_far;
    if (write(pipes->reached[1], &word, 1) != 1 || read(pipes->go[0], &word, 1) != 1) _exit(9);
}

/* A process that writes shards of large.txt to the folder "shared", and is half through. */
static pid_t start_writing(Halt *pipes)
{
    char word;
    const char *text = IN_FOLDER("large.txt");
    assert_int_equal(pipe(pipes->reached), 0);
    assert_int_equal(pipe(pipes->go), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(wf_shards_write(&(wf_shards_params){.files = &text,
                                                  .n_files = 1,
                                                  .tokenizer = bytes,
                                                  .progress = halt,
                                                  .context = pipes},
                              IN_FOLDER("shared"), NULL) != WF_OK);
    assert_int_equal(read(pipes->reached[0], &word, 1), 1);
    return child;
}

static int end_writing(Halt *pipes, pid_t child)
{
    int status;
    for (int i = 0; i < 2; i++) {
        close(pipes->reached[i]);
        close(pipes->go[i]);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void two_processes_do_not_mix_their_shards(void **state)
{
    (void)state;
    Halt pipes;
    wf_dataset *dataset;
    const char *text = IN_FOLDER("second.txt"), *shared = IN_FOLDER("shared");
    char *large = large_text((size_t)17 << 20, true, 1);
    write_text("large.txt", large);
    free(large);
    write_text("second.txt", "around and around");
    pid_t child = start_writing(&pipes);
    assert_int_equal(write_shards(text, bytes, 0, 0, "shared", NULL), WF_ERROR_IO);
    assert_message("shared.part: another process is writing to this folder");
    assert_int_equal(write(pipes.go[1], "x", 1), 1);
    assert_int_equal(end_writing(&pipes, child), 0);
    must(open_names(&shared, 1, 0, &dataset));
    assert_int_equal(dataset->count, 17 << 20);
    wf_dataset_destroy(dataset);
    remove_shards("shared");

    /* One that is killed holds nothing any more. */
    child = start_writing(&pipes);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_true(WIFSIGNALED(end_writing(&pipes, child)));
    assert_true(folder_exists(IN_FOLDER("shared.part")));
    must(write_shards(text, bytes, 0, 0, "shared", NULL));
    must(open_names(&shared, 1, 0, &dataset));
    assert_int_equal(dataset->count, strlen("around and around"));
    wf_dataset_destroy(dataset);
    assert_false(file_exists(IN_FOLDER("shared.part")));
    remove_shards("shared");
}

static void shards_appear_whole_or_not_at_all(void **state)
{
    (void)state;
    wf_shards_result result;
    const char *text = IN_FOLDER("round.txt");
    must(folder_make(IN_FOLDER("taken")));
    must(write_shards(text, bytes, 0, 0, "taken", &result)); /* empty: is used */
    assert_int_equal(write_shards(text, bytes, 0, 0, "taken", &result), WF_ERROR_ARGUMENT);
    assert_message("must be empty or absent; it holds \"tokenizer.json\"");
    write_text("bad.jsonl", "{\"text\": \"fine\"}\n{\"txt\": \"not\"}\n");
    assert_int_equal(write_shards(IN_FOLDER("bad.jsonl"), bytes, 2, 0, "fails", &result),
                     WF_ERROR_FORMAT);
    assert_message("bad.jsonl: line 2: no key \"text\"");
    assert_false(file_exists(IN_FOLDER("fails")) || file_exists(IN_FOLDER("fails.part")));
    /* What a killed call left goes; what somebody else put there stays. */
    must(folder_make(IN_FOLDER("killed.part")));
    write_text("killed.part/train_000007.bin", "half");
    write_text("killed.part/val_000000.bin.part", "half");
    must(write_shards(text, bytes, 0, 0, "killed/", &result));
    assert_false(file_exists(IN_FOLDER("killed/train_000007.bin")));
    must(folder_make(IN_FOLDER("foreign.part")));
    write_text("foreign.part/letter", "mine");
    assert_int_equal(write_shards(text, bytes, 0, 0, "foreign", &result), WF_ERROR_IO);
    assert_message("\"letter\"");
    assert_true(file_exists(IN_FOLDER("foreign.part/letter")));

    assert_int_equal(write_shards(IN_FOLDER("fine.bin"), bytes, 0, 0, "x", &result),
                     WF_ERROR_ARGUMENT);
    assert_message("fine.bin: has tokens already");
    write_text("empty.txt", "");
    assert_int_equal(write_shards(IN_FOLDER("empty.txt"), bytes, 0, 0, "x", &result),
                     WF_ERROR_FORMAT);
    assert_int_equal(write_shards(text, bytes, 0, 0.6, "x", &result), WF_ERROR_ARGUMENT);
    assert_int_equal(write_shards(text, bytes, INT64_C(1) << 31, 0, "x", &result),
                     WF_ERROR_ARGUMENT);
    assert_int_equal(write_shards(text, NULL, 0, 0, "x", &result), WF_ERROR_ARGUMENT);
    assert_false(file_exists(IN_FOLDER("x")) || file_exists(IN_FOLDER("x.part")));

    int64_t last = 0;
    char *large = large_text((size_t)20 << 20, true, 1);
    write_text("large.txt", large);
    free(large);
    text = IN_FOLDER("large.txt");
    must(wf_shards_write(&(wf_shards_params){.files = &text,
                                             .n_files = 1,
                                             .tokenizer = bytes,
                                             .progress = count_reports,
                                             .context = &last},
                         IN_FOLDER("reported"), &result));
    assert_in_range(last, 1 << 24, result.bytes);
}

/* Tokens of more than 16 bits have no place in a shard; the last that has is written and read. */
static void vocabularies_of_two_bytes(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        int64_t n = 65536 + extra;
        wf_tokenizer *tokenizer;
        wf_dataset *dataset;
        char *text = malloc((size_t)n * 4);
        size_t length = 0;
        for (int64_t i = 0; i < n; i++)
            length += (size_t)utf8_encode((uint32_t)(0x10000 + i), text + length);
        write_file("many.txt", text, length);
        free(text);
        const char *path = IN_FOLDER("many.txt"), *shards = IN_FOLDER("many");
        tokenizer = characters_of(path);
        assert_int_equal(wf_tokenizer_vocabulary(tokenizer), n);
        wf_status status = write_shards(path, tokenizer, 0, 0, "many", NULL);
        if (extra) {
            assert_int_equal(status, WF_ERROR_UNSUPPORTED);
            assert_message("65537 tokens: a shard holds 16-bit tokens");
        } else {
            must(status);
            must(wf_dataset_open(
                &(wf_dataset_params){.files = &shards, .n_files = 1, .tokenizer = tokenizer},
                &dataset));
            for (int32_t i = 0; i < n; i += 257) {
                int32_t token;
                must(dataset_read(dataset, i, 1, &token));
                assert_int_equal(token, i);
            }
            wf_dataset_destroy(dataset);
            remove_shards("many");
        }
        wf_tokenizer_destroy(tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_equal_the_text),
        cmocka_unit_test(one_held_out_token_is_refused),
        cmocka_unit_test(a_cursor_continues_over_shards),
        cmocka_unit_test(complete_shards_are_not_thrown_away),
        cmocka_unit_test(two_processes_do_not_mix_their_shards),
        cmocka_unit_test(shards_appear_whole_or_not_at_all),
        cmocka_unit_test(vocabularies_of_two_bytes),
    };
    must(wf_tokenizer_create("byte", NULL, &bytes));
    int failures = cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
    wf_tokenizer_destroy(bytes);
    return failures;
}
