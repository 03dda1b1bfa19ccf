/* Data from files: shards, JSON lines and text, what is wrong with them, and that how tokens are
 * cut into files changes nothing. */
#include "base/files.h"
#include "base/rng.h"
#include "base/text.h"
#include "data/batches.h"
#include "data/documents.h"
#include "data/sources.h"
#include "scratch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void must(wf_status status)
{
    if (status) fail_msg("%s: %s", wf_status_name(status), wf_error_message());
}

static void assert_message(const char *part)
{
    if (!strstr(wf_error_message(), part))
        fail_msg("\"%s\" is not in: %s", part, wf_error_message());
}

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(IN_FOLDER(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

/* ---- datasets ---- */

static wf_tokenizer *bytes;

static wf_tokenizer *characters_of(const char *path)
{
    wf_tokenizer *tokenizer;
    must(
        wf_tokenizer_create("char", wf_tokenizer_params(.files = &path, .n_files = 1), &tokenizer));
    return tokenizer;
}

static wf_status open_names(const char *const *names, int n, double held_out, wf_dataset **out)
{
    return wf_dataset_open(
        &(wf_dataset_params){
            .files = names, .n_files = n, .tokenizer = bytes, .held_out = held_out},
        out);
}

static wf_status open_name(const char *name, wf_dataset **out)
{
    const char *path = IN_FOLDER(name);
    return open_names(&path, 1, 0, out);
}

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

/* ---- large data ---- */

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

/* ---- folders ---- */

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

/* ---- JSON lines ---- */

static void assert_tokens(const wf_dataset *dataset, const char *text, size_t length)
{
    assert_int_equal(dataset->count, length);
    int32_t *tokens = malloc(length * sizeof *tokens);
    must(dataset_read(dataset, 0, (int64_t)length, tokens));
    for (size_t i = 0; i < length; i++) assert_int_equal(tokens[i], (unsigned char)text[i]);
    free(tokens);
}

static void json_lines_become_documents(void **state)
{
    (void)state;
    static const char lines[] = "{\"text\": \"one\", \"id\": 7}\n"
                                "\n  \t\r\n"
                                "{\"text\": \"\"}\n"
                                "{\"id\": [1, {}, 18446744073709551615], \"text\": "
                                "\"a\\nb\\u0000\\u00e9\\ud83c\\udf0a\"}\r\n"
                                "{\"text\":\"last\"}";
    static const char expected[] = "one\na\nb\0\xC3\xA9\xF0\x9F\x8C\x8A\nlast\n";
    wf_dataset *dataset;
    write_text("fine.jsonl", lines);
    must(open_name("fine.jsonl", &dataset));
    assert_tokens(dataset, expected, sizeof expected - 1);
    wf_dataset_destroy(dataset);
    const char *path = IN_FOLDER("fine.jsonl");
    assert_int_equal(wf_dataset_open(
                         &(wf_dataset_params){
                             .files = &path, .n_files = 1, .tokenizer = bytes, .text_field = "id"},
                         &dataset),
                     WF_ERROR_FORMAT);
    assert_message("fine.jsonl: line 1: key \"id\": expected a string, found a number");
}

static void errors_in_json_lines_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"text\": \"x\"}\n\n{\"content\": 1, \"url\": 2}\n",
         "line 3: no key \"text\"; the object has \"content\", \"url\""},
        {"{}", "line 1: no key \"text\"; the object has none"},
        {"{\"text\": null}", "line 1: key \"text\": expected a string, found null"},
        {"{\"text\": {}}", "expected a string, found an object"},
        {"{\"text\": \"x\"}\n[1]\n", "line 2: expected a JSON object, found an array"},
        {"{\"text\": \"x\"}\n{\"text\": \"y\n\"}", "line 2, column"},
        {"{\"text\": \"x\"} {\"text\": \"y\"}\n", "line 1, column"},
        {"\n{\"text\": \"x\", \"text\": \"y\"}\n", "line 2, column 20: duplicate object key"},
        {"{\"text\": \"a\xFFz\"}\n", "line 1, column"},
        {"{\"text\": \"\\ud800\"}\n", "line 1, column"},
        {"\n\n\n", "no text"},
        {"", "no text"},
    };
    wf_dataset *dataset;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("bad.jsonl", cases[i].text);
        assert_int_equal(open_name("bad.jsonl", &dataset), WF_ERROR_FORMAT);
        assert_message("bad.jsonl: ");
        assert_message(cases[i].says);
    }
    static const char nul[] = "{\"text\": \"x\"}\n\0\n";
    write_file("bad.jsonl", nul, sizeof nul - 1);
    assert_int_equal(open_name("bad.jsonl", &dataset), WF_ERROR_FORMAT);
    assert_message("bad.jsonl: line 2");
    /* A line without an end is not read into memory without an end. */
    FILE *file = fopen(IN_FOLDER("endless.jsonl"), "wb");
    assert_non_null(file);
    assert_int_equal(fputs("{\"text\": \"x\"}\n", file) < 0, 0);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(ftruncate(fileno(file), INT64_C(1) << 33), 0);
    fclose(file);
    assert_int_equal(open_name("endless.jsonl", &dataset), WF_ERROR_FORMAT);
    assert_message("endless.jsonl: line 2 has more than 67108864 bytes");
    must(file_remove(IN_FOLDER("endless.jsonl")));
    /* Arrays as deep as that would overflow a stack. */
    static char deep[200001];
    memset(deep, '[', sizeof deep - 1);
    write_text("bad.jsonl", deep);
    assert_int_equal(open_name("bad.jsonl", &dataset), WF_ERROR_FORMAT);
    assert_message("bad.jsonl: line 1");
    /* A character the tokenizer has not: file, line and place. */
    wf_tokenizer *narrow;
    write_text("narrow.txt", "xyz\n");
    const char *path = IN_FOLDER("narrow.txt");
    narrow = characters_of(path);
    write_text("bad.jsonl", "{\"text\": \"x\"}\n{\"text\": \"yyw\"}\n");
    path = IN_FOLDER("bad.jsonl");
    assert_int_equal(
        wf_dataset_open(&(wf_dataset_params){.files = &path, .n_files = 1, .tokenizer = narrow},
                        &dataset),
        WF_ERROR_FORMAT);
    assert_message("bad.jsonl: line 2: byte 2: the character U+0077");
    wf_tokenizer_destroy(narrow);
    write_text("narrow.txt", "xyz"); /* no newline, so nothing to separate documents by */
    path = IN_FOLDER("narrow.txt");
    narrow = characters_of(path);
    path = IN_FOLDER("bad.jsonl");
    assert_int_equal(
        wf_dataset_open(&(wf_dataset_params){.files = &path, .n_files = 1, .tokenizer = narrow},
                        &dataset),
        WF_ERROR_FORMAT);
    assert_message("bad.jsonl: documents cannot be separated");
    wf_tokenizer_destroy(narrow);
}

/* ---- pieces ---- */

static void texts_are_cut_between_words(void **state)
{
    (void)state;
    static char text[PIECE_MOST];
    memset(text, 'a', sizeof text);
    assert_int_equal(piece_cut(text, sizeof text), PIECE_MOST - 1);
    text[900000] = '\n'; /* after a letter */
    memcpy(text + 950000, ".\n", 2);
    text[1000] = '\n';
    assert_int_equal(piece_cut(text, sizeof text), 900000);
    text[900000] = 'a';
    assert_int_equal(piece_cut(text, sizeof text), 950001);
    text[950001] = 'a'; /* a newline in the first half is too far back */
    memcpy(text + PIECE_MOST - 3, "\xE2\x82\xAC", 3);
    assert_int_equal(piece_cut(text, sizeof text), PIECE_MOST - 3);
    memset(text, 0x80, sizeof text); /* not UTF-8 */
    assert_in_range(piece_cut(text, sizeof text), PIECE_MOST - 4, PIECE_MOST - 1);
}

/* A large text of characters of all lengths; newlines where `lines`. The caller frees it. */
static char *large_text(size_t length, bool lines, uint64_t seed)
{
    static const char *const words[] = {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8A"};
    char *text = malloc(length + 1);
    Rng rng = {.seed = seed};
    size_t at = 0;
    assert_non_null(text);
    while (at + 4 <= length) {
        const char *word = words[rng_below(&rng, 4)];
        if (lines && rng_below(&rng, 30) == 0) word = "\n";
        memcpy(text + at, word, strlen(word));
        at += strlen(word);
    }
    memset(text + at, 'a', length - at);
    text[length] = 0;
    return text;
}

/* Text longer than a piece gives the tokens of the whole, as text and as a line of JSON. */
static void large_texts_come_whole(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        char *text = large_text((size_t)(5 * PIECE_MOST / 2 + i), i > 0, (uint64_t)i);
        size_t length = strlen(text);
        wf_dataset *dataset;
        write_file("large.txt", text, length);
        must(open_name("large.txt", &dataset));
        assert_tokens(dataset, text, length);
        uint64_t fingerprint = dataset->fingerprint;
        wf_dataset_destroy(dataset);

        /* Characters: no cut may fall into one. */
        wf_tokenizer *characters;
        const char *path = IN_FOLDER("large.txt");
        characters = characters_of(path);
        must(wf_dataset_open(
            &(wf_dataset_params){.files = &path, .n_files = 1, .tokenizer = characters}, &dataset));
        int64_t sum;
        must(dataset_bytes(dataset, (TokenSpan){0, dataset->count}, &sum));
        assert_int_equal(sum, length);
        wf_dataset_destroy(dataset);
        wf_tokenizer_destroy(characters);

        FILE *file = fopen(IN_FOLDER("large.jsonl"), "wb");
        fputs("{\"text\": \"", file);
        for (size_t at = 0; at < length; at++)
            if (text[at] == '\n')
                fputs("\\n", file);
            else
                putc(text[at], file);
        fputs("\"}\n", file);
        fclose(file);
        must(open_name("large.jsonl", &dataset));
        text[length] = '\n';
        assert_tokens(dataset, text, length + 1);
        assert_true(dataset->fingerprint != fingerprint);
        wf_dataset_destroy(dataset);
        free(text);
    }
    /* What is wrong far inside is found by its place. */
    char *text = large_text(2 * PIECE_MOST, true, 9);
    size_t bad = (size_t)PIECE_MOST + 77777;
    while (((unsigned char)text[bad] & 0x80) != 0) bad++;
    wf_tokenizer *characters;
    wf_dataset *dataset;
    const char *path = IN_FOLDER("large.txt");
    characters = characters_of(path);
    text[bad] = '\xFF';
    write_file("large.txt", text, strlen(text));
    assert_int_equal(
        wf_dataset_open(&(wf_dataset_params){.files = &path, .n_files = 1, .tokenizer = characters},
                        &dataset),
        WF_ERROR_FORMAT);
    long long base, offset;
    const char *place = strstr(wf_error_message(), "large.txt: counted from byte ");
    assert_non_null(place);
    assert_int_equal(
        sscanf(place, "large.txt: counted from byte %lld on: byte %lld is not", &base, &offset), 2);
    assert_int_equal(base + offset, bad);
    wf_tokenizer_destroy(characters);
    free(text);
}

/* ---- writing shards ---- */

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

/* ---- two processes and one folder ---- */

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
        cmocka_unit_test(hostile_shards_are_refused),
        cmocka_unit_test(tokens_outside_the_vocabulary_are_named),
        cmocka_unit_test(more_than_four_billion_tokens),
        cmocka_unit_test(a_bad_token_fails_when_it_is_read),
        cmocka_unit_test(folders_stand_for_their_shards),
        cmocka_unit_test(held_out_files_are_kept_apart),
        cmocka_unit_test(json_lines_become_documents),
        cmocka_unit_test(errors_in_json_lines_name_the_line),
        cmocka_unit_test(texts_are_cut_between_words),
        cmocka_unit_test(large_texts_come_whole),
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
