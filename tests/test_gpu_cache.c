/* Kept files: what comes back, what does not, and how much there is of it. */
#include "tests/scratch.h"
#include "tests/support.h"

#include "backends/gpu/cache.h"
#include "base/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static GpuCache open_for(const char *device)
{
    GpuCache cache;
    gpu_cache_open(&cache, device, strlen(device));
    return cache;
}

static int use_folder(void **state)
{
    (void)state;
    folder_run("rm -rf kept");
    return setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
}

static bool holds(const GpuCache *cache, const char *name, const char *expected, size_t size)
{
    void *data = NULL;
    size_t length = 0;
    if (!gpu_cache_load(cache, name, &data, &length)) return false;
    assert_int_equal(length, size);
    assert_memory_equal(data, expected, size);
    free(data);
    return true;
}

static void what_is_stored_comes_back(void **state)
{
    (void)state;
    GpuCache a = open_for("device a"), b = open_for("device b");
    assert_false(holds(&a, "x", "", 0));
    gpu_cache_store(&a, "x", "four\0six", 8);
    gpu_cache_store(&a, "empty", "", 0);
    assert_true(holds(&a, "x", "four\0six", 8));
    assert_true(holds(&a, "empty", "", 0));
    assert_false(holds(&a, "y", "", 0));
    assert_false(holds(&b, "x", "", 0));
    gpu_cache_store(&a, "x", "new", 3);
    gpu_cache_store(&b, "x", "other", 5);
    assert_true(holds(&a, "x", "new", 3));
    assert_true(holds(&b, "x", "other", 5));
    gpu_cache_forget(&a, "x");
    assert_false(holds(&a, "x", "", 0));
    assert_true(holds(&b, "x", "other", 5));
    gpu_cache_close(&a);
    gpu_cache_close(&b);
}

/* The path of the one file there is; freed by the caller. */
static char *only_file(void)
{
    FolderList list;
    test_ok(folder_list(IN_FOLDER("kept"), &list));
    assert_int_equal(list.count, 1);
    char *path = path_join(IN_FOLDER("kept"), list.names[0]);
    folder_list_destroy(&list);
    return path;
}

static void write_plainly(const char *path, const char *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

/* Every length it can be cut to, every bit that can turn, and bytes too many. */
static void damaged_files_are_not_given_out(void **state)
{
    (void)state;
    GpuCache cache = open_for("device");
    gpu_cache_store(&cache, "name", "content", 7);
    char *path = only_file(), *whole, more[256];
    size_t size;
    test_ok(file_read(path, 256, &whole, &size));
    for (size_t n = 0; n < size; n++) {
        write_plainly(path, whole, n);
        assert_false(holds(&cache, "name", "", 0));
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        memcpy(more, whole, size);
        more[bit / 8] = (char)(more[bit / 8] ^ 1 << bit % 8);
        write_plainly(path, more, size);
        assert_false(holds(&cache, "name", "", 0));
    }
    memcpy(more, whole, size);
    more[size] = 0;
    write_plainly(path, more, size + 1);
    assert_false(holds(&cache, "name", "", 0));
    gpu_cache_store(&cache, "name", "content", 7);
    assert_true(holds(&cache, "name", "content", 7));
    free(path);
    free(whole);
    gpu_cache_close(&cache);
}

/* A file under another's name: hashes may meet, devices may not. */
static void foreign_files_are_not_given_out(void **state)
{
    (void)state;
    GpuCache a = open_for("device a"), b = open_for("device b");
    gpu_cache_store(&b, "x", "b", 1);
    char *of_b = only_file();
    assert_int_equal(rename(of_b, IN_FOLDER("saved")), 0);
    gpu_cache_store(&a, "x", "a", 1);
    char *of_a = only_file();
    assert_int_equal(rename(IN_FOLDER("saved"), of_a), 0);
    assert_false(holds(&a, "x", "", 0));
    unlink(of_a);
    assert_int_equal(mkdir(of_a, 0777), 0);
    assert_false(holds(&a, "x", "", 0));
    assert_int_equal(rmdir(of_a), 0);
    gpu_cache_store(&a, "x", "a", 1);
    assert_int_equal(rename(of_a, IN_FOLDER("saved")), 0);
    assert_int_equal(symlink(IN_FOLDER("saved"), of_a), 0);
    assert_false(holds(&a, "x", "", 0)); /* links may lead to what others write */
    free(of_a);
    free(of_b);
    gpu_cache_close(&a);
    gpu_cache_close(&b);
}

static int64_t bytes_kept(void)
{
    FolderList list;
    int64_t total = 0;
    test_ok(folder_list(IN_FOLDER("kept"), &list));
    for (int i = 0; i < list.count; i++) {
        struct stat info;
        char *path = path_join(IN_FOLDER("kept"), list.names[i]);
        assert_int_equal(stat(path, &info), 0);
        total += info.st_size;
        free(path);
    }
    folder_list_destroy(&list);
    return total;
}

static void the_longest_unused_go_first(void **state)
{
    (void)state;
    enum { SIZE = 1000, FILES = 12 };
    char name[32], *content = test_memory(SIZE);
    GpuCache cache = open_for("device");
    cache.limit = 10 * SIZE;
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "file %d", i);
        gpu_cache_store(&cache, name, content, SIZE);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        assert_true(holds(&cache, "file 0", content, SIZE)); /* used every time */
        assert_true(bytes_kept() <= cache.limit);
    }
    assert_false(holds(&cache, "file 1", content, SIZE));
    assert_false(holds(&cache, "file 2", content, SIZE));
    assert_true(holds(&cache, "file 11", content, SIZE));
    gpu_cache_store(&cache, "too large", test_memory(11 * SIZE), 11 * SIZE);
    assert_true(holds(&cache, "file 11", content, SIZE));
    write_plainly(IN_FOLDER("kept/notes.txt"), "mine", 4); /* not ours: stays */
    cache.limit = 1200;
    gpu_cache_store(&cache, "last", content, SIZE);
    assert_true(holds(&cache, "last", content, SIZE));
    assert_false(holds(&cache, "file 11", content, SIZE));
    assert_true(file_exists(IN_FOLDER("kept/notes.txt")));
    gpu_cache_close(&cache);
}

static void the_folder_may_be_of_no_use(void **state)
{
    (void)state;
    write_plainly(IN_FOLDER("plain"), "", 0);
    setenv("WAVEFIELD_CACHE", IN_FOLDER("plain/kept"), 1);
    GpuCache cache = open_for("device");
    (void)(fail)(WF_ERROR_IO, "what was wrong before");
    gpu_cache_store(&cache, "x", "1", 1);
    assert_false(holds(&cache, "x", "", 0));
    assert_string_equal(wf_error_message(), "what was wrong before");
    gpu_cache_close(&cache);

    use_folder(NULL);
    cache = open_for("device");
    gpu_cache_store(&cache, "x", "1", 1);
    assert_int_equal(chmod(IN_FOLDER("kept"), 0555), 0);
    gpu_cache_store(&cache, "y", "2", 1); /* root may write all the same */
    assert_true(holds(&cache, "x", "1", 1));
    assert_string_equal(wf_error_message(), "what was wrong before");
    assert_int_equal(chmod(IN_FOLDER("kept"), 0777), 0);
    gpu_cache_close(&cache);
}

static void the_environment_names_the_folder(void **state)
{
    (void)state;
    GpuCache cache;
    static const char *const none[] = {"off", ""};
    for (int i = 0; i < 2; i++) {
        setenv("WAVEFIELD_CACHE", none[i], 1);
        cache = open_for("device");
        assert_null(cache.folder);
        gpu_cache_store(&cache, "x", "1", 1);
        assert_false(holds(&cache, "x", "", 0));
        gpu_cache_close(&cache);
    }
    unsetenv("WAVEFIELD_CACHE");
    setenv("HOME", IN_FOLDER("home"), 1);
    setenv("XDG_CACHE_HOME", IN_FOLDER("xdg"), 1);
    cache = open_for("device");
    gpu_cache_store(&cache, "x", "1", 1);
    assert_true(folder_exists(IN_FOLDER("xdg/wavefield")));
    gpu_cache_close(&cache);
    unsetenv("XDG_CACHE_HOME");
    cache = open_for("device");
    gpu_cache_store(&cache, "x", "1", 1);
    assert_true(folder_exists(IN_FOLDER("home/.cache/wavefield")));
    gpu_cache_close(&cache);
    unsetenv("HOME");
    cache = open_for("device");
    assert_null(cache.folder);
    gpu_cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_stored_comes_back, use_folder, test_release),
        cmocka_unit_test_setup_teardown(damaged_files_are_not_given_out, use_folder, test_release),
        cmocka_unit_test_setup_teardown(foreign_files_are_not_given_out, use_folder, test_release),
        cmocka_unit_test_setup_teardown(the_longest_unused_go_first, use_folder, test_release),
        cmocka_unit_test_setup_teardown(the_folder_may_be_of_no_use, use_folder, test_release),
        cmocka_unit_test_setup_teardown(the_environment_names_the_folder, use_folder, test_release),
    };
    return cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
}
