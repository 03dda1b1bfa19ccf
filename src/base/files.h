/* Files and folders. A file is replaced whole or not at all: its new content is written beside it,
 * synchronised, and renamed over it. Messages name the path and the operating system's reason. */
#ifndef BASE_FILES_H
#define BASE_FILES_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

bool file_exists(const char *path); /* of any kind */
bool folder_exists(const char *path);
bool path_is_link(const char *path);

/* Only plain files are read: a folder, pipe or device is WF_ERROR_IO, at once. */

/* A whole file, NUL-terminated after *size bytes; the caller frees *data. WF_ERROR_FORMAT if it is
 * larger than `limit` bytes. */
wf_status file_read(const char *path, size_t limit, char **data, size_t *size);

/* A file to be read piece by piece; the caller closes it. */
wf_status file_open(const char *path, FILE **out);

/* A file's bytes in memory, read-only, loaded as they are touched. A file that another process
 * shortens while it is mapped ends this one with SIGBUS, so only large files, whose bytes are read
 * for long, are mapped; they are replaced by renaming, which leaves a map as it was. */
typedef struct FileMap {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
} FileMap;

wf_status file_map(const char *path, FileMap *out);
void file_unmap(FileMap *map);

/* Advice, which changes speed only. Reads will jump about: what is near one is not loaded with it.
 */
void file_map_random(const FileMap *map);
/* These bytes will be read soon: loading them starts now, and the call does not wait. */
void file_map_soon(const FileMap *map, size_t offset, size_t size);

/* A file being written beside `path`, as PATH.part, or PATH.part-1, -2, … while others, of this or
 * of other processes, write to the same path: each puts a whole file in place, and the last one
 * stays. The writer holds a lock on it; what is there without one was left by a killed process, and
 * goes when a writer needs its name. (Where a file system knows no locks, writers of one path still
 * get in each other's way.) */
typedef struct FileWriter FileWriter;

/* `size` is the number of bytes that will come, for messages; 0: unknown. Nothing is put in the
 * place of a device, a pipe or what a standard stream goes to (/dev/stdout). */
wf_status file_writer_create(const char *path, int64_t size, FileWriter **out);
/* A failure is remembered: file_writer_commit() returns it again. */
wf_status file_writer_write(FileWriter *writer, const void *data, size_t size);
/* Writes over bytes that are written already, such as a header that counts what follows it. */
wf_status file_writer_patch(FileWriter *writer, int64_t offset, const void *data, size_t size);
/* Puts the file in place and frees the writer. On failure the old file is left as it was. */
wf_status file_writer_commit(FileWriter *writer);
/* Gives up: removes what was written and frees the writer. NULL is allowed. */
void file_writer_discard(FileWriter *writer);

wf_status file_write_atomic(const char *path, const void *data, size_t size);

/* Whether a file could be put there now: to learn it before the work whose result it is for. Leaves
 * nothing, and what is there as it is. */
wf_status file_check_writable(const char *path);

/* Renames a file or folder, replacing what a rename may replace, and synchronises the parent. */
wf_status file_rename(const char *from, const char *to);

wf_status file_remove(const char *path);

/* "folder/name"; the caller frees it. NULL: out of memory. */
char *path_join(const char *folder, const char *name);

/* Makes the folder and those above it, if absent. */
wf_status folder_make(const char *path);

/* The names in a folder, sorted, without "." and ".."; freed by folder_list_destroy(). */
typedef struct FolderList {
    char **names;
    int count, capacity;
} FolderList;

wf_status folder_list(const char *path, FolderList *out);
void folder_list_destroy(FolderList *list);

/* Makes the folder's entries durable. */
wf_status folder_sync(const char *path);

/* Makes the folder, if absent, and holds it for as long as the process lives or until
 * folder_unlock(): of several that want it at once one gets it, the others are told so
 * (WF_ERROR_IO). A file system that knows no locks lets everybody have it. A link is refused. The
 * folder may be renamed while it is held, and is nobody's then. */
wf_status folder_lock(const char *path, int *lock);
void folder_unlock(int lock);

/* Whether an entry of a folder is a file of one of the names, or an unfinished one of them. */
bool file_is_named(const char *entry, const char *const *names, int n_names);

/* Removes a folder if it holds nothing but plain files of the given names (or unfinished
 * ones of them). If there is anything else, or it is a link, removes nothing and says so. */
wf_status folder_remove(const char *path, const char *const *names, int n_names);

#endif
