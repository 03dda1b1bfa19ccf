/* Gives files to a fuzz target where libFuzzer does not: TARGET [--taken | --refused] FILE|FOLDER…
 * With an option every input must be taken, or refused. */
#include "fuzz.h"

#include "base/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* The data a good input needs, library and device included: one that claims gigabytes is refused
 * for its size, not for want of memory. Sanitizers take more for themselves. */
static void limit_memory(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return;
#endif
#endif
    const struct rlimit limit = {(rlim_t)1 << 29, (rlim_t)1 << 29};
    if (setrlimit(RLIMIT_DATA, &limit)) abort();
}

typedef enum Expectation { ANY, TAKEN, REFUSED } Expectation;

static bool replay_file(const char *path, Expectation expected)
{
    char *data;
    size_t size;
    if (file_read(path, (size_t)1 << 24, &data, &size)) {
        fprintf(stderr, "%s\n", wf_error_message());
        return false;
    }
    fail(WF_OK, "%s", "");
    /* A copy of just these bytes, so that reading past them shows under a sanitizer. */
    uint8_t *bytes = malloc(size ? size : 1);
    if (!bytes) abort();
    memcpy(bytes, data, size);
    free(data);
    bool taken = fuzz_one(bytes, size);
    free(bytes);
    bool right = expected == ANY || taken == (expected == TAKEN);
    if (!right) fprintf(stderr, "%s: was %s\n", path, taken ? "taken" : "refused");
    return right;
}

static bool replay_folder(const char *path, Expectation expected)
{
    FolderList list;
    if (folder_list(path, &list) || list.count == 0) {
        fprintf(stderr, "%s: no inputs\n", path);
        return false;
    }
    bool right = true;
    for (int i = 0; i < list.count; i++) {
        char *file = path_join(path, list.names[i]);
        if (!file) abort();
        if (!replay_file(file, expected)) right = false;
        free(file);
    }
    folder_list_destroy(&list);
    return right;
}

int main(int argc, char **argv)
{
    Expectation expected = ANY;
    bool right = argc > 1;
    limit_memory();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--taken") == 0)
            expected = TAKEN;
        else if (strcmp(argv[i], "--refused") == 0)
            expected = REFUSED;
        else if (folder_exists(argv[i]))
            right &= replay_folder(argv[i], expected);
        else
            right &= replay_file(argv[i], expected);
    }
    if (argc < 2) fprintf(stderr, "usage: %s [--taken | --refused] FILE|FOLDER…\n", argv[0]);
    return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
