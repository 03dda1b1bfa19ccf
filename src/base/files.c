#include "base/files.h"

#include "base/array.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file being written: PATH.part, or PATH.part-1, … where others write the same. */
static const char PART[] = ".part";
enum { WRITERS = 100, PART_SIZE = sizeof PART + 4 }; /* at once; bytes for what follows PATH */

static wf_status fail_errno(const char *path, const char *what)
{
    int error = errno;
    return fail(error == ENOMEM ? WF_ERROR_MEMORY : WF_ERROR_IO, "%s: cannot %s: %s", path, what,
                strerror(error));
}

static wf_status out_of_memory(const char *path)
{
    return fail(WF_ERROR_MEMORY, "%s: out of memory", path);
}

bool file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool folder_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool path_is_link(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
}

/* ---- reading ---- */

static wf_status open_to_read(const char *path, int *file, size_t *size)
{
    struct stat info;
    *size = 0;
    /* A pipe without a writer is refused below, not waited for; a plain file never blocks. */
    *file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (*file < 0) return fail_errno(path, "open");
    wf_status status = WF_OK;
    if (fstat(*file, &info))
        status = fail_errno(path, "inspect");
    else if (!S_ISREG(info.st_mode))
        status = fail(WF_ERROR_IO, "%s: not a plain file", path);
    else if ((uintmax_t)info.st_size > SIZE_MAX / 2)
        status = fail(WF_ERROR_IO, "%s: larger than the address space", path);
    else
        *size = (size_t)info.st_size;
    if (status) close(*file);
    return status;
}

static wf_status read_all(int file, const char *path, char *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(file, data + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(path, "read");
        if (n == 0) return fail(WF_ERROR_IO, "%s: became shorter while it was read", path);
        done += (size_t)n;
    }
    return WF_OK;
}

wf_status file_read(const char *path, size_t limit, char **data, size_t *size)
{
    int file;
    size_t length;
    TRY(open_to_read(path, &file, &length));
    wf_status status = WF_OK;
    char *bytes = NULL;
    if (length > limit)
        status =
            fail(WF_ERROR_FORMAT, "%s: has %zu bytes, expected at most %zu", path, length, limit);
    else if (!(bytes = malloc(length + 1)))
        status = out_of_memory(path);
    else
        status = read_all(file, path, bytes, length);
    close(file);
    if (status) {
        free(bytes);
        return status;
    }
    bytes[length] = 0;
    *data = bytes;
    *size = length;
    return WF_OK;
}

wf_status file_open(const char *path, FILE **out)
{
    int file;
    size_t size;
    TRY(open_to_read(path, &file, &size));
    *out = fdopen(file, "rb");
    if (*out) return WF_OK;
    wf_status status = fail_errno(path, "open");
    close(file);
    return status;
}

wf_status file_map(const char *path, FileMap *out)
{
    int file;
    size_t size;
    TRY(open_to_read(path, &file, &size));
    void *data = NULL;
    if (size > 0) data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    wf_status status = data == MAP_FAILED ? fail_errno(path, "map into memory") : WF_OK;
    close(file);
    if (!status) *out = (FileMap){data, size};
    return status;
}

void file_unmap(FileMap *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (FileMap){0};
}

void file_map_random(const FileMap *map)
{
    if (map->data) posix_madvise((void *)(uintptr_t)map->data, map->size, POSIX_MADV_RANDOM);
}

void file_map_soon(const FileMap *map, size_t offset, size_t size)
{
    if (offset >= map->size) return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = offset % page;
    size_t rest = map->size - offset;
    const uint8_t *from = map->data + offset - before; /* advice begins at a page */
    posix_madvise((void *)(uintptr_t)from, (size < rest ? size : rest) + before,
                  POSIX_MADV_WILLNEED);
}

/* ---- locks ---- */

/* Locks what was opened for as long as it is open, unless somebody else has. A file system that
 * knows no locks lets everybody have it. */
static bool lock_opened(int file)
{
    return flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

/* Whether what was opened still has this name. */
static bool is_still(int file, const char *path)
{
    struct stat opened, named;
    return fstat(file, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* ---- writing ---- */

struct FileWriter {
    char *path, *part;
    int file;
    int64_t expected, written; /* bytes */
    wf_status failure;
};

static void writer_free(FileWriter *writer)
{
    if (writer->file >= 0) close(writer->file);
    free(writer->path);
    free(writer->part);
    free(writer);
}

/* Removes what is where a file is to be written, if nobody is writing it: what a killed process
 * left, or no plain file. False: it stays. */
static bool remove_abandoned(const char *part)
{
    struct stat info;
    if (lstat(part, &info)) return errno == ENOENT;
    if (!S_ISREG(info.st_mode)) return unlink(part) == 0; /* a link, a pipe: not written to */
    int file = open(part, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0) return errno == ENOENT;
    bool gone = lock_opened(file) && (!is_still(file, part) || unlink(part) == 0);
    close(file);
    return gone;
}

/* Makes writer->part, locked. WF_OK with writer->file < 0: another writer has it. */
static wf_status claim_part(FileWriter *writer)
{
    for (int tries = 0; tries < WRITERS; tries++) {
        int file = open(writer->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file < 0 && errno != EEXIST) return fail_errno(writer->part, "create");
        /* Before it is locked another may take it for abandoned. */
        if (file >= 0 && lock_opened(file) && is_still(file, writer->part)) {
            writer->file = file;
            return WF_OK;
        }
        if (file >= 0) close(file);
        if (!remove_abandoned(writer->part)) break;
    }
    return WF_OK;
}

static wf_status create_part(FileWriter *writer)
{
    size_t length = strlen(writer->path);
    for (int i = 0; i < WRITERS; i++) {
        char number[16] = "";
        if (i > 0) snprintf(number, sizeof number, "-%d", i);
        snprintf(writer->part, length + PART_SIZE, "%s%s%s", writer->path, PART, number);
        TRY(claim_part(writer));
        if (writer->file >= 0) return WF_OK;
    }
    return fail(WF_ERROR_IO, "%s: cannot create a file beside it: %d others are being written",
                writer->path, WRITERS);
}

/* Is it /dev/null, a pipe, or, as /dev/stdout can be, a file that a standard stream goes to? A
 * rename would put a file in its place. */
static bool is_stream(const char *path)
{
    struct stat there, open_one;
    if (stat(path, &there)) return false;
    bool is = !S_ISREG(there.st_mode);
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        is |= fstat(i, &open_one) == 0 && open_one.st_dev == there.st_dev &&
              open_one.st_ino == there.st_ino;
    return is;
}

wf_status file_writer_create(const char *path, int64_t size, FileWriter **out)
{
    if (folder_exists(path)) return fail(WF_ERROR_IO, "%s: is a folder, a file is expected", path);
    if (is_stream(path))
        return fail(WF_ERROR_IO, "%s: is a device, a pipe or a standard stream, a file is expected",
                    path);
    FileWriter *writer = calloc(1, sizeof *writer);
    if (!writer) return out_of_memory(path);
    writer->file = -1;
    writer->expected = size;
    writer->path = strdup(path);
    writer->part = malloc(strlen(path) + PART_SIZE);
    wf_status status = writer->path && writer->part ? create_part(writer) : out_of_memory(path);
    if (status) {
        writer_free(writer);
        return status;
    }
    *out = writer;
    return WF_OK;
}

/* "…: cannot write: No space left on device (12 of 4096 bytes written; the file is as it was)" */
static wf_status writer_fail(FileWriter *writer, const char *what)
{
    int error = errno;
    char needed[32] = "";
    if (writer->expected > 0)
        snprintf(needed, sizeof needed, " of %lld", (long long)writer->expected);
    writer->failure = WF_ERROR_IO;
    return fail(WF_ERROR_IO,
                "%s: cannot %s: %s (%lld%s bytes written; what was there before is untouched)",
                writer->path, what, strerror(error), (long long)writer->written, needed);
}

wf_status file_writer_write(FileWriter *writer, const void *data, size_t size)
{
    const char *bytes = data;
    if (writer->failure) return writer->failure;
    while (size > 0) {
        ssize_t n = write(writer->file, bytes, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return writer_fail(writer, "write");
        bytes += n;
        size -= (size_t)n;
        writer->written += n;
    }
    return WF_OK;
}

wf_status file_writer_patch(FileWriter *writer, int64_t offset, const void *data, size_t size)
{
    const char *bytes = data;
    if (writer->failure) return writer->failure;
    while (size > 0) {
        ssize_t n = pwrite(writer->file, bytes, size, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return writer_fail(writer, "write");
        bytes += n;
        size -= (size_t)n;
        offset += n;
    }
    return WF_OK;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static wf_status sync_parent(const char *path)
{
    char *parent = parent_of(path);
    if (!parent) return out_of_memory(path);
    wf_status status = folder_sync(parent);
    free(parent);
    return status;
}

static wf_status writer_finish(FileWriter *writer)
{
    if (writer->failure) return writer->failure;
    if (fsync(writer->file)) return writer_fail(writer, "synchronise");
    if (!is_still(writer->file, writer->part)) /* where locks are unknown */
        return fail(WF_ERROR_IO, "%s: not written: another process began to write it",
                    writer->path);
    /* Closed only afterwards: without its lock it would be taken for abandoned. */
    if (rename(writer->part, writer->path)) return writer_fail(writer, "put in place");
    return WF_OK;
}

wf_status file_writer_commit(FileWriter *writer)
{
    wf_status status = writer_finish(writer);
    if (status) {
        file_writer_discard(writer);
        return status;
    }
    status = sync_parent(writer->path);
    writer_free(writer);
    return status;
}

void file_writer_discard(FileWriter *writer)
{
    if (!writer) return;
    unlink(writer->part);
    writer_free(writer);
}

wf_status file_write_atomic(const char *path, const void *data, size_t size)
{
    FileWriter *writer;
    TRY(file_writer_create(path, (int64_t)size, &writer));
    /* A failed write is remembered and comes back from the commit, message unchanged. */
    (void)file_writer_write(writer, data, size);
    return file_writer_commit(writer);
}

wf_status file_check_writable(const char *path)
{
    FileWriter *writer;
    TRY(file_writer_create(path, 0, &writer));
    file_writer_discard(writer);
    return WF_OK;
}

wf_status file_rename(const char *from, const char *to)
{
    if (rename(from, to))
        return fail(WF_ERROR_IO, "cannot rename %s to %s: %s", from, to, strerror(errno));
    return sync_parent(to);
}

wf_status file_remove(const char *path)
{
    return unlink(path) ? fail_errno(path, "remove") : WF_OK;
}

/* ---- folders ---- */

char *path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder), size = length + strlen(name) + 2;
    const char *between = length && folder[length - 1] != '/' ? "/" : "";
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s%s%s", folder, between, name);
    return path;
}

/* Makes one folder whose parent exists. */
static wf_status make_one(const char *path)
{
    if (mkdir(path, 0777) == 0) return sync_parent(path);
    int error = errno;
    if (folder_exists(path)) return WF_OK;
    if (error == EEXIST) return fail(WF_ERROR_IO, "%s: is a file, a folder is expected", path);
    errno = error;
    return fail_errno(path, "make the folder");
}

wf_status folder_make(const char *path)
{
    char *prefix = strdup(path);
    if (!prefix) return out_of_memory(path);
    size_t length = strlen(prefix);
    while (length > 1 && prefix[length - 1] == '/') prefix[--length] = 0;
    wf_status status = length ? WF_OK : fail(WF_ERROR_ARGUMENT, "a folder's name is empty");
    for (size_t i = 1; i < length && !status; i++) {
        if (prefix[i] != '/' || prefix[i - 1] == '/') continue;
        prefix[i] = 0;
        if (!folder_exists(prefix)) status = make_one(prefix);
        prefix[i] = '/';
    }
    if (!status && !folder_exists(prefix)) status = make_one(prefix);
    free(prefix);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static wf_status list_entries(DIR *folder, const char *path, FolderList *list)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) return errno ? fail_errno(path, "list the folder") : WF_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (!array_reserve((void **)&list->names, list->count, &list->capacity, sizeof(char *)))
            return out_of_memory(path);
        list->names[list->count] = strdup(entry->d_name);
        if (!list->names[list->count]) return out_of_memory(path);
        list->count++;
    }
}

wf_status folder_list(const char *path, FolderList *out)
{
    DIR *folder = opendir(path);
    if (!folder) return fail_errno(path, "list the folder");
    FolderList list = {0};
    wf_status status = list_entries(folder, path, &list);
    closedir(folder);
    if (status) {
        folder_list_destroy(&list);
        return status;
    }
    if (list.count) qsort(list.names, (size_t)list.count, sizeof *list.names, compare_names);
    *out = list;
    return WF_OK;
}

void folder_list_destroy(FolderList *list)
{
    for (int i = 0; i < list->count; i++) free(list->names[i]);
    free(list->names);
    *list = (FolderList){0};
}

wf_status folder_sync(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return fail_errno(path, "open the folder");
    /* Some file systems have nothing to synchronise for a folder and say EINVAL. */
    bool failed = fsync(folder) && errno != EINVAL;
    wf_status status = failed ? fail_errno(path, "synchronise the folder") : WF_OK;
    close(folder);
    return status;
}

wf_status folder_lock(const char *path, int *lock)
{
    if (path_is_link(path)) return fail(WF_ERROR_IO, "%s: not written to: it is a link", path);
    TRY(folder_make(path));
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*lock < 0) return fail_errno(path, "open the folder");
    /* One who had it may have renamed it. */
    if (lock_opened(*lock) && is_still(*lock, path)) return WF_OK;
    folder_unlock(*lock);
    return fail(WF_ERROR_IO, "%s: another process is writing to this folder", path);
}

void folder_unlock(int lock)
{
    close(lock);
}

bool file_is_named(const char *entry, const char *const *names, int n_names)
{
    for (int i = 0; i < n_names; i++) {
        size_t length = strlen(names[i]), tail = sizeof PART - 1;
        if (strncmp(entry, names[i], length)) continue;
        const char *rest = entry + length;
        if (!*rest) return true;
        if (strncmp(rest, PART, tail)) continue;
        rest += tail;
        if (!*rest || (*rest == '-' && rest[1] && !rest[1 + strspn(rest + 1, "0123456789")]))
            return true;
    }
    return false;
}

/* Whether every entry is a plain file of one of the names. */
static wf_status check_removable(const char *path, const FolderList *list, const char *const *names,
                                 int n_names)
{
    for (int i = 0; i < list->count; i++) {
        char *file = path_join(path, list->names[i]);
        if (!file) return out_of_memory(path);
        struct stat info;
        bool plain = lstat(file, &info) == 0 && S_ISREG(info.st_mode);
        free(file);
        if (!plain || !file_is_named(list->names[i], names, n_names))
            return fail(WF_ERROR_IO, "%s: not removed: it also holds \"%s\", which is not ours",
                        path, list->names[i]);
    }
    return WF_OK;
}

static wf_status remove_entries(const char *path, const FolderList *list)
{
    for (int i = 0; i < list->count; i++) {
        char *file = path_join(path, list->names[i]);
        if (!file) return out_of_memory(path);
        wf_status status = file_remove(file);
        free(file);
        if (status) return status;
    }
    return rmdir(path) ? fail_errno(path, "remove the folder") : WF_OK;
}

wf_status folder_remove(const char *path, const char *const *names, int n_names)
{
    FolderList list;
    if (path_is_link(path)) return fail(WF_ERROR_IO, "%s: not removed: it is a link", path);
    TRY(folder_list(path, &list));
    wf_status status = check_removable(path, &list, names, n_names);
    if (!status) status = remove_entries(path, &list);
    folder_list_destroy(&list);
    return status;
}
