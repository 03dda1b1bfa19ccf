/* What the names given as data stand for: which files, of which kind, for training or held out.
 *
 * A file's ending says its kind: .bin is a shard of tokens, .jsonl JSON lines, anything else text.
 * A folder stands for its .bin files in the order of their names; those with the word "val" in
 * their name (val_000000.bin, fineweb_val_000001.bin) are held out, the others are for training. */
#ifndef DATA_SOURCES_H
#define DATA_SOURCES_H

#include "base/status.h"

#include <stdbool.h>

typedef enum SourceKind { SOURCE_TEXT, SOURCE_JSONL, SOURCE_SHARD } SourceKind;

typedef struct Source {
    char *path;
    SourceKind kind;
    bool held_out;
} Source;

/* Starts as {0}. */
typedef struct Sources {
    Source *items;
    int count, capacity;
} Sources;

SourceKind source_kind(const char *path);

/* The files that `names` stand for, and those that `held_out_names` stand for. Where there are
 * names of the second kind, they alone are held out: shards of the first that bear the word "val"
 * are left out. A folder among the second stands for its "val" shards, or for all if there are
 * none. */
wf_status sources_find(const char *const *names, int n_names, const char *const *held_out_names,
                       int n_held_out_names, Sources *out);
void sources_destroy(Sources *sources);

/* The first folder with a tokenizer in it, of those among the names and those that shards among
 * them stand in. The caller frees it; NULL: there is none. */
char *sources_tokenizer(const char *const *names, int n_names);

/* Whether no text would have to be read. */
bool sources_are_shards(const char *const *names, int n_names);

#endif
