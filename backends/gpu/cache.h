/* What a driver compiled, kept in files for the next start.
 *
 * A file is found under a name and what else its content depends on (device, driver, versions), and
 * holds both, its size and a checksum: what is cut short, damaged, of another device or of another
 * user is not given out, and is replaced by the next store. All files of the folder together stay
 * below a limit; the longest unused go first. A cache only makes things faster: nothing here fails,
 * a folder that cannot be read or written keeps nothing, and no call touches the thread's message.
 *
 * The folder is $WAVEFIELD_CACHE, else wavefield/ in $XDG_CACHE_HOME, ~/.cache, or on Windows
 * %LOCALAPPDATA%. WAVEFIELD_CACHE=off keeps nothing. */
#ifndef BACKENDS_GPU_CACHE_H
#define BACKENDS_GPU_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GPU_CACHE_LIMIT = 256 << 20, GPU_CACHE_LARGEST = 64 << 20 }; /* bytes: of all, of one */

typedef struct GpuCache {
    char *folder;  /* NULL: nothing is kept */
    char *depends; /* what all its files depend on */
    size_t size;   /* of `depends` */
    int64_t limit; /* bytes of all files */
} GpuCache;

/* `depends` is any bytes that say what the files depend on beside their names; copied. */
void gpu_cache_open(GpuCache *cache, const void *depends, size_t size);
void gpu_cache_close(GpuCache *cache);

/* The content stored last under this name: *data, *size bytes, freed by the caller. False: none. */
bool gpu_cache_load(const GpuCache *cache, const char *name, void **data, size_t *size);
/* Is there a file under this name, whether or not it can be used? */
bool gpu_cache_has(const GpuCache *cache, const char *name);
void gpu_cache_store(const GpuCache *cache, const char *name, const void *data, size_t size);
/* For content that turned out to be of no use. */
void gpu_cache_forget(const GpuCache *cache, const char *name);

/* FNV-1a, 64 bits; starts from GPU_HASH_START or the hash of what came before. */
#define GPU_HASH_START 0xcbf29ce484222325u
uint64_t gpu_hash(uint64_t hash, const void *data, size_t size);

#endif
