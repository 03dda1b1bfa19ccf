#include "fuzz.h"

#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- checks ---- */

void fuzz_broken(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\nlast message: %s\n", file, line, condition,
            wf_error_message());
    abort();
}

/* Not empty, not of an earlier call, and nothing in it that a terminal would obey. */
static void check_message(const char *message)
{
    REQUIRE(*message);
    for (const char *c = message; *c; c++)
        REQUIRE(((unsigned char)*c >= 0x20 && *c != 0x7F) || *c == '\n' || *c == '\t');
    REQUIRE(utf8_check(message, strlen(message)) == strlen(message));
}

bool fuzz_ok(wf_status status)
{
    if (!status) return true;
    const char *message = wf_error_message();
    check_message(message);
    /* Too much may be refused, but not for having been tried. */
    if (status == WF_ERROR_MEMORY)
        REQUIRE(!strstr(message, "out of memory") && !strstr(message, "the host has no"));
    fail(WF_OK, "%s", ""); /* so that the next failure cannot pass with this message */
    return false;
}

void fuzz_must(wf_status status, const char *call, const char *file, int line)
{
    if (status) fuzz_broken(call, file, line);
}

/* ---- inputs ---- */

void fuzz_split(const uint8_t *data, size_t size, Part *parts, int n)
{
    const size_t mark = strlen(FUZZ_MARK);
    for (int i = 0; i < n; i++) {
        const uint8_t *end = i + 1 < n && size ? memmem(data, size, FUZZ_MARK, mark) : NULL;
        parts[i] = (Part){data, end ? (size_t)(end - data) : size};
        size_t used = parts[i].size + (end ? mark : 0);
        data += used;
        size -= used;
    }
}

/* ---- files ---- */

enum { PATH_SIZE = 256 };

static char folder[PATH_SIZE / 2];

static void remove_tree(const char *path)
{
    char entry[2 * PATH_SIZE];
    DIR *list = opendir(path);
    for (struct dirent *e; list && (e = readdir(list));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        snprintf(entry, sizeof entry, "%s/%s", path, e->d_name);
        if (unlink(entry)) remove_tree(entry);
    }
    if (list) closedir(list);
    rmdir(path);
}

static void remove_folder(void)
{
    remove_tree(folder);
}

static void make_folder(void)
{
    const char *base = getenv("TMPDIR");
    if (!base) base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/wavefield-fuzz-XXXXXX", base);
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(EXIT_FAILURE);
    }
    atexit(remove_folder);
}

const char *fuzz_path(const char *name)
{
    static char paths[8][PATH_SIZE];
    static unsigned next;
    if (!*folder) make_folder();
    char *path = paths[next++ % 8];
    snprintf(path, PATH_SIZE, "%s/%s", folder, name);
    return path;
}

const char *fuzz_write(const char *name, Part part)
{
    const char *path = fuzz_path(name);
    if (part.size == 0) {
        unlink(path);
        return path;
    }
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = file >= 0;
    for (size_t done = 0; ok && done < part.size;) {
        ssize_t n = write(file, part.data + done, part.size - done);
        ok = n > 0;
        if (ok) done += (size_t)n;
    }
    if (!ok || close(file)) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    return path;
}

/* ---- libFuzzer ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_one(data, size);
    return 0;
}
