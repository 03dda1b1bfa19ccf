/* Files that are replaced whole or not at all, folders, and text. */
#include "base/files.h"
#include "base/text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

/* FOLDER/name, in one of a few buffers used in turn. */
static const char *at(const char *name)
{
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/wavefield-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

/* Every test removes what it made; a folder that is not empty is a failure. */
static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void assert_content(const char *path, const char *expected)
{
    char *data;
    size_t size;
    assert_int_equal(file_read(path, 1 << 20, &data, &size), WF_OK);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(data, expected);
    free(data);
}

static void a_write_replaces_the_whole_file(void **state)
{
    (void)state;
    assert_false(file_exists(at("f")));
    assert_int_equal(file_write_atomic(at("f"), "a longer text", 13), WF_OK);
    assert_int_equal(file_write_atomic(at("f"), "short", 5), WF_OK);
    assert_content(at("f"), "short");
    assert_int_equal(file_write_atomic(at("f"), "", 0), WF_OK);
    assert_content(at("f"), "");
    assert_false(file_exists(at("f.part")));
    unlink(at("f"));
}

static void discarding_leaves_the_old_file(void **state)
{
    (void)state;
    FileWriter *writer;
    assert_int_equal(file_write_atomic(at("f"), "old", 3), WF_OK);
    assert_int_equal(file_writer_create(at("f"), 100, &writer), WF_OK);
    assert_int_equal(file_writer_write(writer, "new", 3), WF_OK);
    assert_content(at("f"), "old");
    file_writer_discard(writer);
    file_writer_discard(NULL);
    assert_content(at("f"), "old");
    assert_false(file_exists(at("f.part")));
    unlink(at("f"));
}

/* The limit on file sizes stands in for a full disk: the write fails half way. */
static void a_failing_write_leaves_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(file_write_atomic(at("f"), "old", 3), WF_OK);
    struct rlimit before, small = {.rlim_cur = 4096};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char *data = calloc(1, 10000);
    wf_status status = file_write_atomic(at("f"), data, 10000);
    free(data);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), at("f")));
    assert_non_null(strstr(wf_error_message(), "File too large"));
    assert_non_null(strstr(wf_error_message(), "4096 of 10000 bytes"));
    assert_content(at("f"), "old");
    assert_false(file_exists(at("f.part")));
    unlink(at("f"));
}

/* ---- several writers of one file ---- */

static FileWriter *begin_writing(const char *text)
{
    FileWriter *writer;
    assert_int_equal(file_writer_create(at("f"), 0, &writer), WF_OK);
    assert_int_equal(file_writer_write(writer, text, strlen(text)), WF_OK);
    return writer;
}

/* Each writes a file of its own; the one put in place last stays, and who gives up takes nothing of
 * the others along. */
static void writers_of_one_file_do_not_mix(void **state)
{
    (void)state;
    FileWriter *first = begin_writing("first"), *second = begin_writing("second");
    FileWriter *third = begin_writing("third");
    assert_true(file_exists(at("f.part")) && file_exists(at("f.part-1")));
    file_writer_discard(third);
    assert_int_equal(file_writer_write(first, " half", 5), WF_OK);
    assert_int_equal(file_writer_commit(second), WF_OK);
    assert_content(at("f"), "second");
    second = begin_writing("again");
    assert_int_equal(file_writer_write(first, " of it", 6), WF_OK);
    assert_int_equal(file_writer_commit(first), WF_OK);
    assert_content(at("f"), "first half of it");
    assert_int_equal(file_writer_commit(second), WF_OK);
    assert_content(at("f"), "again");
    unlink(at("f")); /* and nothing else is left, or tear_down() fails */
}

static void a_writer_that_fails_leaves_nothing(void **state)
{
    (void)state;
    FileWriter *first = begin_writing("first"), *second = begin_writing("second");
    assert_int_equal(folder_make(at("f")), WF_OK); /* no file replaces a folder */
    assert_int_equal(file_writer_commit(second), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "f: cannot put in place: Is a directory"));
    assert_true(file_exists(at("f.part")));
    assert_false(file_exists(at("f.part-1")));
    file_writer_discard(first);
    assert_int_equal(rmdir(at("f")), 0);
}

static void writers_are_counted(void **state)
{
    (void)state;
    FileWriter *writers[100], *more;
    for (int i = 0; i < 100; i++) writers[i] = begin_writing("text");
    assert_int_equal(file_writer_create(at("f"), 0, &more), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "100 others are being written"));
    for (int i = 0; i < 100; i++) file_writer_discard(writers[i]);
}

/* Runs in a process of its own, which ends by what it does or when it is killed. */
static pid_t start(void (*run)(int), int number)
{
    pid_t child = fork();
    if (child == 0) {
        run(number);
        _exit(0);
    }
    assert_true(child > 0);
    return child;
}

static void wait_for(pid_t child, bool killed)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(killed ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

enum { CHILDREN = 4, WRITES = 40, LENGTH = 20000 };

/* LENGTH times the same letter, piece by piece. */
static void write_letters(int number)
{
    char piece[LENGTH / 20];
    memset(piece, 'a' + number, sizeof piece);
    for (int i = 0; i < WRITES; i++) {
        FileWriter *writer;
        if (file_writer_create(at("f"), LENGTH, &writer)) _exit(1);
        for (int k = 0; k < 20; k++) (void)file_writer_write(writer, piece, sizeof piece);
        if (file_writer_commit(writer)) _exit(2);
    }
}

static void assert_one_letter(void)
{
    char *data;
    size_t size;
    assert_int_equal(file_read(at("f"), 1 << 20, &data, &size), WF_OK);
    assert_int_equal(size, LENGTH);
    for (size_t i = 0; i < size; i++) assert_int_equal(data[i], data[0]);
    free(data);
}

/* What stands there is always whole, and of one of them. */
static void processes_write_one_file_at_once(void **state)
{
    (void)state;
    pid_t children[CHILDREN];
    write_letters(0);
    for (int i = 0; i < CHILDREN; i++) children[i] = start(write_letters, i);
    for (int i = 0; i < 200; i++) assert_one_letter();
    for (int i = 0; i < CHILDREN; i++) wait_for(children[i], false);
    assert_one_letter();
    unlink(at("f"));
}

static void be_killed(int number)
{
    (void)number;
    begin_writing("half");
    raise(SIGKILL);
}

/* What killed writers left is not in the way, and does not become more. */
static void what_a_killed_writer_left_is_removed(void **state)
{
    (void)state;
    FileWriter *alive = begin_writing("first");
    for (int i = 0; i < 3; i++) wait_for(start(be_killed, i), true);
    assert_true(file_exists(at("f.part-1")));
    assert_false(file_exists(at("f.part-2")));
    assert_int_equal(file_write_atomic(at("f"), "second", 6), WF_OK);
    assert_false(file_exists(at("f.part-1")));
    assert_int_equal(file_writer_commit(alive), WF_OK);
    assert_content(at("f"), "first");
    wait_for(start(be_killed, 0), true);
    assert_true(file_exists(at("f.part")));
    assert_int_equal(file_check_writable(at("f")), WF_OK);
    unlink(at("f"));
}

static void a_folder_in_the_way_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(folder_make(at("f.part")), WF_OK);
    assert_int_equal(file_write_atomic(at("f"), "text", 4), WF_OK);
    assert_content(at("f"), "text");
    unlink(at("f"));
    assert_int_equal(rmdir(at("f.part")), 0);
}

/* ---- places and folders ---- */

static void places_for_results_are_tried(void **state)
{
    (void)state;
    assert_int_equal(file_write_atomic(at("f"), "old", 3), WF_OK);
    assert_int_equal(file_check_writable(at("f")), WF_OK);
    assert_content(at("f"), "old");
    assert_int_equal(file_check_writable(at("g")), WF_OK);
    assert_false(file_exists(at("g")) || file_exists(at("g.part")));
    assert_int_equal(file_check_writable(at("nowhere/g")), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "nowhere/g.part: cannot create: No such file"));
    assert_int_equal(file_check_writable(at("f/g")), WF_ERROR_IO);
    assert_int_equal(file_check_writable(folder), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "is a folder, a file is expected"));
    assert_int_equal(folder_make(at("f")), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "f: is a file, a folder is expected"));
    assert_int_equal(unlink(at("f")), 0);

    /* A rename would put a file in their place. */
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    assert_int_equal(symlink("/dev/null", at("null")), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(file_check_writable(at(i ? "null" : "pipe")), WF_ERROR_IO);
        assert_int_equal(file_write_atomic(at(i ? "null" : "pipe"), "new", 3), WF_ERROR_IO);
        assert_non_null(strstr(wf_error_message(), "is a device, a pipe or a standard stream"));
        assert_int_equal(unlink(at(i ? "null" : "pipe")), 0);
    }
    int kept = dup(STDIN_FILENO), file = open(at("printed"), O_RDWR | O_CREAT, 0600);
    assert_true(file >= 0);
    assert_int_equal(dup2(file, STDIN_FILENO), STDIN_FILENO);
    wf_status status = file_check_writable(at("printed"));
    if (kept < 0) close(STDIN_FILENO);
    if (kept >= 0) dup2(kept, STDIN_FILENO);
    assert_int_equal(status, WF_ERROR_IO);
    assert_int_equal(file_check_writable(at("printed")), WF_OK);
    close(kept);
    close(file);
    assert_int_equal(unlink(at("printed")), 0);
}

static void a_folder_is_held_by_one(void **state)
{
    (void)state;
    int lock, other;
    assert_int_equal(folder_lock(at("held"), &lock), WF_OK);
    assert_int_equal(folder_lock(at("held"), &other), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "held: another process is writing"));
    assert_int_equal(file_rename(at("held"), at("done")), WF_OK);
    assert_int_equal(folder_lock(at("held"), &other), WF_OK); /* another folder */
    folder_unlock(other);
    folder_unlock(lock);
    assert_int_equal(folder_lock(at("held"), &lock), WF_OK);
    folder_unlock(lock);
    assert_int_equal(symlink("done", at("link")), 0);
    assert_int_equal(folder_lock(at("link"), &lock), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "it is a link"));
    assert_int_equal(unlink(at("link")), 0);
    assert_int_equal(rmdir(at("held")), 0);
    assert_int_equal(rmdir(at("done")), 0);
}

static void missing_and_wrong_files_are_named(void **state)
{
    (void)state;
    char *data;
    size_t size;
    FileMap map;
    assert_int_equal(file_read(at("none"), 100, &data, &size), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), at("none")));
    assert_non_null(strstr(wf_error_message(), "No such file"));
    assert_int_equal(file_read(folder, 100, &data, &size), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "not a plain file"));
    assert_int_equal(file_map(at("none"), &map), WF_ERROR_IO);
    assert_int_equal(file_write_atomic(at("none/f"), "x", 1), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), at("none/f")));
    assert_int_equal(file_write_atomic(at("f"), "0123456789", 10), WF_OK);
    assert_int_equal(file_read(at("f"), 10, &data, &size), WF_OK);
    free(data);
    assert_int_equal(file_read(at("f"), 9, &data, &size), WF_ERROR_FORMAT);
    assert_non_null(strstr(wf_error_message(), "has 10 bytes, expected at most 9"));
    unlink(at("f"));
}

static void pipes_and_devices_are_refused_at_once(void **state)
{
    (void)state;
    char *data;
    size_t size;
    FileMap map;
    FILE *file;
    assert_int_equal(mkfifo(at("pipe"), 0600), 0); /* no one writes to it */
    const char *const paths[] = {at("pipe"), "/dev/zero"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(file_read(paths[i], 100, &data, &size), WF_ERROR_IO);
        assert_non_null(strstr(wf_error_message(), paths[i]));
        assert_non_null(strstr(wf_error_message(), "not a plain file"));
        assert_int_equal(file_map(paths[i], &map), WF_ERROR_IO);
        assert_int_equal(file_open(paths[i], &file), WF_ERROR_IO);
        assert_non_null(strstr(wf_error_message(), "not a plain file"));
    }
    unlink(at("pipe"));
}

static void links_are_read_and_not_written_through(void **state)
{
    (void)state;
    assert_int_equal(file_write_atomic(at("old"), "old", 3), WF_OK);
    assert_int_equal(symlink(at("old"), at("link")), 0);
    assert_content(at("link"), "old");
    assert_int_equal(symlink(at("old"), at("f.part")), 0); /* where f will be written */
    assert_int_equal(file_write_atomic(at("f"), "new", 3), WF_OK);
    assert_content(at("f"), "new");
    assert_content(at("old"), "old");
    assert_int_equal(mkfifo(at("f.part"), 0600), 0);
    assert_int_equal(file_write_atomic(at("f"), "newer", 5), WF_OK);
    assert_content(at("f"), "newer");
    unlink(at("link"));
    unlink(at("old"));
    unlink(at("f"));
}

static void maps(void **state)
{
    (void)state;
    FileMap map;
    assert_int_equal(file_write_atomic(at("f"), "0123456789", 10), WF_OK);
    assert_int_equal(file_map(at("f"), &map), WF_OK);
    assert_int_equal(map.size, 10);
    assert_memory_equal(map.data, "0123456789", 10);
    file_unmap(&map);
    assert_int_equal(file_write_atomic(at("f"), "", 0), WF_OK);
    assert_int_equal(file_map(at("f"), &map), WF_OK);
    assert_int_equal(map.size, 0);
    file_unmap(&map);
    unlink(at("f"));
}

static void folders_are_made_and_listed(void **state)
{
    (void)state;
    FolderList list;
    assert_int_equal(folder_make(at("a//b/c/")), WF_OK);
    assert_int_equal(folder_make(at("a/b/c")), WF_OK);
    assert_true(folder_exists(at("a/b/c")));
    for (char name[] = "a/n9"; name[3] > '0'; name[3]--)
        assert_int_equal(file_write_atomic(at(name), "", 0), WF_OK);
    assert_int_equal(folder_list(at("a"), &list), WF_OK);
    assert_int_equal(list.count, 10);
    assert_string_equal(list.names[0], "b");
    assert_string_equal(list.names[1], "n1");
    assert_string_equal(list.names[9], "n9");
    folder_list_destroy(&list);
    assert_int_equal(folder_make(at("a/n1")), WF_ERROR_IO);
    assert_int_equal(folder_make(at("a/n1/x")), WF_ERROR_IO);
    assert_int_equal(folder_make(""), WF_ERROR_ARGUMENT);
    assert_int_equal(folder_list(at("none"), &list), WF_ERROR_IO);
    for (char name[] = "a/n9"; name[3] > '0'; name[3]--) unlink(at(name));
    rmdir(at("a/b/c"));
    rmdir(at("a/b"));
    rmdir(at("a"));
}

static void only_our_files_are_removed(void **state)
{
    (void)state;
    static const char *const ours[] = {"config.json", "model.safetensors"};
    assert_int_equal(folder_make(at("d")), WF_OK);
    file_write_atomic(at("d/config.json"), "x", 1);
    file_write_atomic(at("d/model.safetensors.part"), "x", 1);
    file_write_atomic(at("d/config.json.part-12"), "x", 1);
    file_write_atomic(at("d/notes.txt"), "x", 1);
    assert_int_equal(folder_remove(at("d"), ours, 2), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "notes.txt"));
    assert_true(file_exists(at("d/config.json")));
    assert_int_equal(unlink(at("d/notes.txt")), 0);
    static const char *const others[] = {"config.json.part-", "config.json.part-1x", "config.jso",
                                         "config.json.partial", "config.json-1"};
    for (int i = 0; i < 5; i++) assert_false(file_is_named(others[i], ours, 2));

    assert_int_equal(folder_make(at("d/model.safetensors")), WF_OK);
    assert_int_equal(folder_remove(at("d"), ours, 2), WF_ERROR_IO); /* ours are plain files */
    rmdir(at("d/model.safetensors"));
    assert_int_equal(symlink("/etc/passwd", at("d/model.safetensors")), 0);
    assert_int_equal(folder_remove(at("d"), ours, 2), WF_ERROR_IO);
    unlink(at("d/model.safetensors"));

    assert_int_equal(symlink(at("d"), at("link")), 0);
    assert_int_equal(folder_remove(at("link"), ours, 2), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "link"));
    assert_true(file_exists(at("d/config.json")));
    unlink(at("link"));

    assert_int_equal(folder_remove(at("d"), ours, 2), WF_OK);
    assert_false(file_exists(at("d")));
}

static void renames(void **state)
{
    (void)state;
    assert_int_equal(folder_make(at("d")), WF_OK);
    assert_int_equal(file_rename(at("d"), at("e")), WF_OK);
    assert_true(folder_exists(at("e")));
    assert_int_equal(file_rename(at("d"), at("f")), WF_ERROR_IO);
    rmdir(at("e"));
}

static void paths_join(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
    for (int i = 0; i < 4; i++) {
        char *path = path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        free(path);
    }
}

/* ---- text ---- */

static void text_grows(void **state)
{
    (void)state;
    Text text = {0};
    for (int i = 0; i < 1000; i++) text_append(&text, "%d,", i);
    text_append_bytes(&text, "a\0b", 3);
    assert_false(text.failed);
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    assert_int_equal(strlen(text.data), text.length - 2);
    assert_memory_equal(text.data, "0,1,2,", 6);
    assert_memory_equal(text.data + text.length - 8, ",999,a\0b", 9);
    text_destroy(&text);
}

static void nearest_words(void **state)
{
    (void)state;
    static const char *const keys[] = {"num_heads", "num_layers", "field_size", "dropout"};
    assert_string_equal(text_nearest("num_head", keys, 4), "num_heads");
    assert_string_equal(text_nearest("num_layer", keys, 4), "num_layers");
    assert_string_equal(text_nearest("feild_size", keys, 4), "field_size");
    assert_string_equal(text_nearest("fieldsize", keys, 4), "field_size");
    assert_string_equal(text_nearest("droput", keys, 4), "dropout");
    assert_null(text_nearest("learning_rate", keys, 4));
    assert_null(text_nearest("x", keys, 4));
    assert_null(text_nearest("", keys, 4));
    assert_null(text_nearest("dropout", keys, 0));
    char endless[300];
    memset(endless, 'd', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    assert_null(text_nearest(endless, keys, 4));
}

static void utf8_round_trips(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x110800; code++) {
        char bytes[4];
        uint32_t back;
        int n = utf8_encode(code, bytes);
        bool valid = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        assert_int_equal(n > 0, valid);
        if (!valid) continue;
        assert_int_equal(utf8_decode(bytes, (size_t)n, &back), n);
        assert_int_equal(back, code);
        assert_int_equal(utf8_decode(bytes, (size_t)n - 1, &back), 0); /* cut short */
    }
}

/* Every kind of error: Unicode 15, section 3.9, table 3-7. */
static void utf8_is_strict(void **state)
{
    (void)state;
    static const char *const invalid[] = {"\x80",
                                          "\xBF",
                                          "\xC0\x80",
                                          "\xC1\xBF",
                                          "\xC2",
                                          "\xC2\x41",
                                          "\xE0\x9F\xBF",
                                          "\xE0\x80\x80",
                                          "\xED\xA0\x80",
                                          "\xED\xBF\xBF",
                                          "\xE2\x82",
                                          "\xE2\x28\xA1",
                                          "\xF0\x8F\xBF\xBF",
                                          "\xF4\x90\x80\x80",
                                          "\xF5\x80\x80\x80",
                                          "\xF8\x88\x80",
                                          "\xFE",
                                          "\xFF",
                                          "\xF0\x9F\x98"};
    uint32_t code;
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        assert_int_equal(utf8_decode(invalid[i], strlen(invalid[i]), &code), 0);
        char text[16] = "ab";
        strcat(text, invalid[i]);
        assert_int_equal(utf8_check(text, strlen(text)), 2);
    }
    static const char good[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\0z";
    assert_int_equal(utf8_check(good, sizeof good - 1), sizeof good - 1);
}

/* ---- messages ---- */

/* (fail) is the library's, fail cmocka's macro. */
static void messages_are_printable(void **state)
{
    (void)state;
    (fail)(WF_ERROR_FORMAT, "%s", "a\x1b[31m\a\r\x7f\xc2\x9b\xff\t\n\xc3\xa9");
    assert_string_equal(wf_error_message(), "a?[31m??????\t\n\xc3\xa9");
    fail_within(WF_ERROR_FORMAT, "\x1b");
    assert_string_equal(wf_error_message(), "?: a?[31m??????\t\n\xc3\xa9");
    Text text = {0};
    for (int i = 0; i < 3000; i++) text_append(&text, "\xc3\xa9"); /* more than a message holds */
    for (int shift = 0; shift < 2; shift++) {
        (fail)(WF_ERROR_FORMAT, "%.*s%s", shift, "x", text.data);
        const char *message = wf_error_message();
        assert_true(strlen(message) > 1000);
        assert_int_equal(utf8_check(message, strlen(message)), strlen(message));
    }
    text_destroy(&text);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_write_replaces_the_whole_file),
        CASE(discarding_leaves_the_old_file),
        CASE(a_failing_write_leaves_the_old_file),
        CASE(writers_of_one_file_do_not_mix),
        CASE(a_writer_that_fails_leaves_nothing),
        CASE(writers_are_counted),
        CASE(processes_write_one_file_at_once),
        CASE(what_a_killed_writer_left_is_removed),
        CASE(a_folder_in_the_way_is_left_alone),
        CASE(places_for_results_are_tried),
        CASE(a_folder_is_held_by_one),
        CASE(missing_and_wrong_files_are_named),
        CASE(pipes_and_devices_are_refused_at_once),
        CASE(links_are_read_and_not_written_through),
        CASE(maps),
        CASE(folders_are_made_and_listed),
        CASE(only_our_files_are_removed),
        CASE(renames),
        cmocka_unit_test(paths_join),
        cmocka_unit_test(text_grows),
        cmocka_unit_test(nearest_words),
        cmocka_unit_test(utf8_round_trips),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(messages_are_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
