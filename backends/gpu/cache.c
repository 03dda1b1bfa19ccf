#include "backends/gpu/cache.h"

#include "base/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file: this, then what it depends on, its name, its content. */
typedef struct Header {
    char magic[8];
    uint32_t depends, name; /* bytes */
    uint64_t content;       /* bytes */
    uint64_t checksum;      /* of all that follows */
} Header;

static const char magic[8] = "WFCACHE1"; /* no NUL */

uint64_t gpu_hash(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* ---- where ---- */

static char *folder_under(const char *variable, const char *between)
{
    const char *value = getenv(variable);
    if (!value || !*value) return NULL;
    size_t size = strlen(value) + strlen(between) + 1;
    char *folder = malloc(size);
    if (folder) snprintf(folder, size, "%s%s", value, between);
    return folder;
}

static char *choose_folder(void)
{
    const char *own = getenv("WAVEFIELD_CACHE");
    if (own) return *own && strcmp(own, "off") != 0 ? strdup(own) : NULL;
    char *folder = folder_under("XDG_CACHE_HOME", "/wavefield");
#ifdef _WIN32
    if (!folder) folder = folder_under("LOCALAPPDATA", "\\wavefield");
#endif
    return folder ? folder : folder_under("HOME", "/.cache/wavefield");
}

/* Only files of this ending in the folder are ours to count and remove. */
static const char ending[] = ".kernels";

static char *file_path(const GpuCache *cache, const char *name)
{
    uint64_t hash = gpu_hash(GPU_HASH_START, cache->depends, cache->size);
    hash = gpu_hash(hash, name, strlen(name));
    char file[64];
    snprintf(file, sizeof file, "%016llx%s", (unsigned long long)hash, ending);
    return path_join(cache->folder, file);
}

void gpu_cache_open(GpuCache *cache, const void *depends, size_t size)
{
    *cache = (GpuCache){.folder = choose_folder(), .size = size, .limit = GPU_CACHE_LIMIT};
    cache->depends = malloc(size + 1);
    if (cache->depends)
        memcpy(cache->depends, depends, size);
    else
        gpu_cache_close(cache);
}

void gpu_cache_close(GpuCache *cache)
{
    free(cache->folder);
    free(cache->depends);
    *cache = (GpuCache){0};
}

/* ---- the thread's message, which callers may be about to show ---- */

static char *keep_message(void)
{
    return strdup(wf_error_message());
}

static void put_message_back(char *message)
{
    fail(WF_OK, "%s", message ? message : "");
    free(message);
}

/* ---- one file ---- */

static size_t lead_size(const GpuCache *cache, const char *name)
{
    return sizeof(Header) + cache->size + strlen(name);
}

/* Does the file hold what was stored under this name? */
static bool is_whole(const GpuCache *cache, const char *name, const char *file, size_t size)
{
    Header header;
    size_t lead = lead_size(cache, name), length = strlen(name);
    if (size < lead) return false;
    memcpy(&header, file, sizeof header);
    return !memcmp(header.magic, magic, sizeof magic) && header.depends == cache->size &&
           header.name == length && header.content == size - lead &&
           header.checksum ==
               gpu_hash(GPU_HASH_START, file + sizeof header, size - sizeof header) &&
           !memcmp(file + sizeof header, cache->depends, cache->size) &&
           !memcmp(file + sizeof header + cache->size, name, length);
}

/* Drivers trust what they are given, so files come from this user only. */
static bool is_own(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid();
}

static bool load(const GpuCache *cache, const char *name, const char *path, void **data,
                 size_t *size)
{
    char *file = NULL;
    size_t length = 0, lead = lead_size(cache, name);
    if (!is_own(path) || file_read(path, GPU_CACHE_LARGEST + lead, &file, &length)) return false;
    bool whole = is_whole(cache, name, file, length);
    void *content = whole ? malloc(length - lead + 1) : NULL;
    if (content) {
        *size = length - lead;
        memcpy(content, file + lead, *size);
        *data = content;
    }
    free(file);
    return content != NULL;
}

bool gpu_cache_load(const GpuCache *cache, const char *name, void **data, size_t *size)
{
    if (!cache->folder) return false;
    char *message = keep_message(), *path = file_path(cache, name);
    bool loaded = path && load(cache, name, path, data, size);
    if (loaded) utimensat(AT_FDCWD, path, NULL, 0); /* used now */
    free(path);
    put_message_back(message);
    return loaded;
}

bool gpu_cache_has(const GpuCache *cache, const char *name)
{
    struct stat info;
    char *path = cache->folder ? file_path(cache, name) : NULL;
    bool has = path && lstat(path, &info) == 0;
    free(path);
    return has;
}

void gpu_cache_forget(const GpuCache *cache, const char *name)
{
    char *path = cache->folder ? file_path(cache, name) : NULL;
    if (path) unlink(path);
    free(path);
}

/* ---- all files ---- */

typedef struct Found {
    char *path;
    int64_t size;
    struct timespec used;
} Found;

static int older_first(const void *a, const void *b)
{
    const struct timespec *s = &((const Found *)a)->used, *t = &((const Found *)b)->used;
    if (s->tv_sec != t->tv_sec) return s->tv_sec < t->tv_sec ? -1 : 1;
    return (s->tv_nsec > t->tv_nsec) - (s->tv_nsec < t->tv_nsec);
}

/* Our files among the names, unfinished ones too. */
static int find_files(const char *folder, const FolderList *names, Found *found)
{
    int count = 0;
    for (int i = 0; i < names->count; i++) {
        struct stat info;
        char *path = strstr(names->names[i], ending) ? path_join(folder, names->names[i]) : NULL;
        if (!path) continue;
        if (lstat(path, &info) == 0 && S_ISREG(info.st_mode))
            found[count++] = (Found){path, (int64_t)info.st_size, info.st_mtim};
        else
            free(path);
    }
    return count;
}

/* Removes the longest unused files until `coming` more bytes fit. */
static void make_room(const GpuCache *cache, int64_t coming)
{
    FolderList names;
    if (folder_list(cache->folder, &names)) return;
    Found *found = malloc(((size_t)names.count + 1) * sizeof *found);
    int count = found ? find_files(cache->folder, &names, found) : 0;
    int64_t total = coming;
    for (int i = 0; i < count; i++) total += found[i].size;
    if (count) qsort(found, (size_t)count, sizeof *found, older_first);
    for (int i = 0; i < count; i++) {
        if (total > cache->limit && unlink(found[i].path) == 0) total -= found[i].size;
        free(found[i].path);
    }
    free(found);
    folder_list_destroy(&names);
}

/* The file's bytes, or NULL. */
static char *compose(const GpuCache *cache, const char *name, const void *data, size_t size)
{
    size_t lead = lead_size(cache, name);
    char *file = malloc(lead + size);
    if (!file) return NULL;
    char *rest = file + sizeof(Header);
    memcpy(rest, cache->depends, cache->size);
    memcpy(rest + cache->size, name, strlen(name));
    memcpy(file + lead, data, size);
    Header header = {
        .depends = (uint32_t)cache->size, .name = (uint32_t)strlen(name), .content = size};
    memcpy(header.magic, magic, sizeof magic);
    header.checksum = gpu_hash(GPU_HASH_START, rest, lead + size - sizeof header);
    memcpy(file, &header, sizeof header);
    return file;
}

/* Under another name first, for another process may be writing the same. */
static void put_in_place(const char *path, const char *file, size_t size)
{
    size_t length = strlen(path) + 32;
    char *own = malloc(length);
    if (!own) return;
    snprintf(own, length, "%s.%ld", path, (long)getpid());
    if (!file_write_atomic(own, file, size) && file_rename(own, path)) unlink(own);
    free(own);
}

void gpu_cache_store(const GpuCache *cache, const char *name, const void *data, size_t size)
{
    if (!cache->folder || size > GPU_CACHE_LARGEST) return;
    size_t whole = lead_size(cache, name) + size;
    if ((int64_t)whole > cache->limit) return;
    char *message = keep_message(), *path = file_path(cache, name);
    char *file = compose(cache, name, data, size);
    if (path && file && !folder_make(cache->folder)) {
        make_room(cache, (int64_t)whole);
        put_in_place(path, file, whole);
    }
    free(file);
    free(path);
    put_message_back(message);
}
