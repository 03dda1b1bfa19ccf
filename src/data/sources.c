#include "data/sources.h"

#include "base/array.h"
#include "base/files.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), n = strlen(ending);
    return length >= n && strcmp(text + length - n, ending) == 0;
}

SourceKind source_kind(const char *path)
{
    if (ends_with(path, ".bin")) return SOURCE_SHARD;
    return ends_with(path, ".jsonl") ? SOURCE_JSONL : SOURCE_TEXT;
}

/* "val" as a word of its own. */
static bool is_validation(const char *name)
{
    static const char word[] = "val";
    size_t length = strlen(word);
    for (const char *at = name; (at = strstr(at, word)); at++) {
        bool begins = at == name || !isalnum((unsigned char)at[-1]);
        if (begins && !isalnum((unsigned char)at[length])) return true;
    }
    return false;
}

static wf_status out_of_memory(const char *path)
{
    return fail(WF_ERROR_MEMORY, "%s: out of memory", path);
}

/* Takes the path. */
static wf_status add(Sources *sources, char *path, bool held_out)
{
    if (!path || !array_reserve((void **)&sources->items, sources->count, &sources->capacity,
                                sizeof *sources->items)) {
        free(path);
        return out_of_memory("data files");
    }
    sources->items[sources->count++] =
        (Source){.path = path, .kind = source_kind(path), .held_out = held_out};
    return WF_OK;
}

/* ---- folders ---- */

typedef enum FolderPart { PART_TRAINING, PART_VALIDATION } FolderPart;

static wf_status add_part(Sources *sources, const char *folder, const FolderList *list,
                          FolderPart part, bool held_out)
{
    for (int i = 0; i < list->count; i++) {
        const char *name = list->names[i];
        if (source_kind(name) != SOURCE_SHARD) continue;
        if (is_validation(name) != (part == PART_VALIDATION)) continue;
        TRY(add(sources, path_join(folder, name), held_out));
    }
    return WF_OK;
}

static bool has_shards(const FolderList *list)
{
    for (int i = 0; i < list->count; i++)
        if (source_kind(list->names[i]) == SOURCE_SHARD) return true;
    return false;
}

/* The folder's shards for training, or held out; *added says how many. A folder without any is an
 * error: whoever named it would think that what it holds is read. */
static wf_status add_folder(Sources *sources, const char *folder, FolderPart part, bool held_out,
                            int *added)
{
    FolderList list;
    int before = sources->count;
    TRY(folder_list(folder, &list));
    wf_status status =
        has_shards(&list)
            ? add_part(sources, folder, &list, part, held_out)
            : fail(WF_ERROR_IO, "%s: the folder holds no shards (files that end in .bin)", folder);
    folder_list_destroy(&list);
    *added = sources->count - before;
    return status;
}

/* What a name has for training. */
static wf_status add_training(Sources *sources, const char *name)
{
    int added;
    if (folder_exists(name)) return add_folder(sources, name, PART_TRAINING, false, &added);
    return add(sources, strdup(name), false);
}

/* What a folder among the names for training has for evaluation. */
static wf_status add_validation(Sources *sources, const char *name)
{
    int added;
    return folder_exists(name) ? add_folder(sources, name, PART_VALIDATION, true, &added) : WF_OK;
}

static wf_status add_held_out_name(Sources *sources, const char *name)
{
    int added;
    if (!folder_exists(name)) return add(sources, strdup(name), true);
    TRY(add_folder(sources, name, PART_VALIDATION, true, &added));
    return added ? WF_OK : add_folder(sources, name, PART_TRAINING, true, &added);
}

static wf_status find(const char *const *names, int n_names, const char *const *held_out_names,
                      int n_held_out_names, Sources *sources)
{
    for (int i = 0; i < n_names; i++) TRY(add_training(sources, names[i]));
    for (int i = 0; i < n_held_out_names; i++) TRY(add_held_out_name(sources, held_out_names[i]));
    for (int i = 0; i < n_names && !n_held_out_names; i++) TRY(add_validation(sources, names[i]));
    return sources->count ? WF_OK : fail(WF_ERROR_ARGUMENT, "no data files");
}

wf_status sources_find(const char *const *names, int n_names, const char *const *held_out_names,
                       int n_held_out_names, Sources *out)
{
    Sources sources = {0};
    wf_status status = find(names, n_names, held_out_names, n_held_out_names, &sources);
    if (status) {
        sources_destroy(&sources);
        return status;
    }
    *out = sources;
    return WF_OK;
}

void sources_destroy(Sources *sources)
{
    for (int i = 0; i < sources->count; i++) free(sources->items[i].path);
    free(sources->items);
    *sources = (Sources){0};
}

/* ---- the tokenizer ---- */

static bool holds_tokenizer(const char *folder)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++) {
        char *path = path_join(folder, names[i]);
        found = path && file_exists(path);
        free(path);
    }
    return found;
}

/* The folder itself, or the one a shard stands in; NULL for other files. */
static char *folder_of(const char *name)
{
    if (folder_exists(name)) return strdup(name);
    if (source_kind(name) != SOURCE_SHARD) return NULL;
    const char *slash = strrchr(name, '/');
    return slash ? strndup(name, (size_t)(slash - name) + 1) : strdup(".");
}

char *sources_tokenizer(const char *const *names, int n_names)
{
    for (int i = 0; i < n_names; i++) {
        char *folder = folder_of(names[i]);
        if (folder && holds_tokenizer(folder)) return folder;
        free(folder);
    }
    return NULL;
}

bool sources_are_shards(const char *const *names, int n_names)
{
    for (int i = 0; i < n_names; i++)
        if (!folder_exists(names[i]) && source_kind(names[i]) != SOURCE_SHARD) return false;
    return true;
}
