#include "train/checkpoint.h"

#include "base/files.h"
#include "wavefield/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const FILES[] = {"config.json",     "model.safetensors",  "tokenizer.json",
                                    "tokenizer.model", CHECKPOINT_OPTIMIZER, CHECKPOINT_STATE};
enum { N_FILES = sizeof FILES / sizeof *FILES };

static const char PARTIAL[] = ".partial", REPLACED[] = ".replaced", REMOVED[] = ".removed";

static wf_status out_of_memory(void)
{
    return fail(WF_ERROR_MEMORY, "out of memory for the name of a checkpoint");
}

/* "folder/step-00000012SUFFIX"; NULL: out of memory. */
static char *step_path(const char *folder, int64_t step, const char *suffix)
{
    char name[64];
    snprintf(name, sizeof name, "step-%08" PRId64 "%s", step, suffix);
    return path_join(folder, name);
}

/* Is `name` that of a step with this suffix? */
static bool parse_name(const char *name, const char *suffix, int64_t *step)
{
    char canonical[64];
    if (sscanf(name, "step-%18" SCNd64, step) != 1 || *step < 0) return false;
    snprintf(canonical, sizeof canonical, "step-%08" PRId64 "%s", *step, suffix);
    return strcmp(name, canonical) == 0;
}

static bool is_ours(const char *name)
{
    for (int i = 0; i < N_FILES; i++) {
        size_t length = strlen(FILES[i]);
        if (strncmp(name, FILES[i], length) == 0 &&
            (name[length] == 0 || strcmp(name + length, ".part") == 0))
            return true;
    }
    return false;
}

static bool holds_only_ours(const char *path)
{
    FolderList list;
    if (folder_list(path, &list)) return false;
    bool ours = true;
    for (int i = 0; i < list.count; i++) ours = ours && is_ours(list.names[i]);
    folder_list_destroy(&list);
    return ours;
}

/* ---- removing ---- */

/* Renames first, so that a half-removed checkpoint never bears the name of a whole one. */
static wf_status remove_checkpoint(const char *folder, int64_t step, const char *suffix)
{
    char *path = step_path(folder, step, suffix), *removed = step_path(folder, step, REMOVED);
    wf_status status = path && removed ? WF_OK : out_of_memory();
    if (!status && folder_exists(path) && holds_only_ours(path)) {
        status = file_rename(path, removed);
        if (!status) status = folder_remove(removed, FILES, N_FILES);
    }
    free(path);
    free(removed);
    return status;
}

static wf_status remove_leftover(const char *folder, const char *name)
{
    int64_t step;
    bool unfinished = parse_name(name, PARTIAL, &step) || parse_name(name, REMOVED, &step);
    bool replaced = parse_name(name, REPLACED, &step);
    if (!unfinished && !replaced) return WF_OK;
    if (replaced) {
        char *successor = step_path(folder, step, "");
        if (!successor) return out_of_memory();
        bool stands = folder_exists(successor);
        free(successor);
        return stands ? remove_checkpoint(folder, step, REPLACED) : WF_OK;
    }
    char *path = path_join(folder, name);
    if (!path) return out_of_memory();
    wf_status status = folder_remove(path, FILES, N_FILES);
    free(path);
    return status;
}

static wf_status remove_leftovers(const char *folder)
{
    FolderList list;
    TRY(folder_list(folder, &list));
    wf_status status = WF_OK;
    for (int i = 0; i < list.count && !status; i++) status = remove_leftover(folder, list.names[i]);
    folder_list_destroy(&list);
    return status;
}

wf_status checkpoint_prune(const char *folder, int64_t step, int keep)
{
    if (keep <= 0) return WF_OK;
    FolderList list;
    TRY(folder_list(folder, &list));
    int64_t *steps = malloc((size_t)(list.count + 1) * sizeof *steps);
    wf_status status = steps ? WF_OK : out_of_memory();
    int count = 0;
    for (int i = 0; i < list.count && !status; i++) {
        int64_t at = 0;
        if (!parse_name(list.names[i], "", &at)) continue;
        int place = count++; /* sorted, oldest first: names of more than 8 digits sort otherwise */
        for (; place > 0 && steps[place - 1] > at; place--) steps[place] = steps[place - 1];
        steps[place] = at;
    }
    for (int i = 0; i < count - keep && !status; i++)
        if (steps[i] != step) status = remove_checkpoint(folder, steps[i], "");
    free(steps);
    folder_list_destroy(&list);
    return status;
}

/* ---- writing ---- */

wf_status checkpoint_begin(const char *folder, int64_t step, char **partial)
{
    TRY(folder_make(folder));
    TRY(remove_leftovers(folder));
    char *path = step_path(folder, step, PARTIAL);
    if (!path) return out_of_memory();
    wf_status status = folder_make(path);
    if (status) {
        free(path);
        return status;
    }
    *partial = path;
    return WF_OK;
}

wf_status checkpoint_publish(const char *folder, int64_t step, const char *partial)
{
    char *path = step_path(folder, step, ""), *replaced = step_path(folder, step, REPLACED);
    wf_status status = path && replaced ? folder_sync(partial) : out_of_memory();
    bool replaces = !status && folder_exists(path);
    if (replaces) status = file_rename(path, replaced);
    if (!status) status = file_rename(partial, path);
    if (!status && replaces) status = remove_checkpoint(folder, step, REPLACED);
    free(path);
    free(replaced);
    return status;
}

void checkpoint_discard(const char *partial)
{
    char *message = strdup(wf_error_message());
    folder_remove(partial, FILES, N_FILES);
    if (message) fail(WF_ERROR_IO, "%s", message);
    free(message);
}

/* ---- finding ---- */

static bool is_checkpoint(const char *path)
{
    char *state = path_join(path, CHECKPOINT_STATE);
    bool found = state && file_exists(state);
    free(state);
    return found;
}

static wf_status newest_in(const char *folder, char **path)
{
    FolderList list;
    TRY(folder_list(folder, &list));
    int64_t newest = -1;
    int chosen = -1;
    for (int i = 0; i < list.count; i++) {
        int64_t step = 0;
        bool plain = parse_name(list.names[i], "", &step);
        if (!plain && !parse_name(list.names[i], REPLACED, &step)) continue;
        if (step < newest || (step == newest && !plain)) continue;
        newest = step;
        chosen = i;
    }
    wf_status status = WF_OK;
    if (chosen < 0)
        status = fail(WF_ERROR_IO, "%s: holds no checkpoint (a folder step-NNNNNNNN)", folder);
    else if (!(*path = path_join(folder, list.names[chosen])))
        status = out_of_memory();
    folder_list_destroy(&list);
    return status;
}

wf_status checkpoint_find(const char *folder, char **path)
{
    if (!is_checkpoint(folder)) return newest_in(folder, path);
    *path = strdup(folder);
    return *path ? WF_OK : out_of_memory();
}

wf_status wf_checkpoint_latest(const char *folder, char *path, size_t size)
{
    char *found;
    TRY(checkpoint_find(folder, &found));
    wf_status status = WF_OK;
    if ((size_t)snprintf(path, size, "%s", found) >= size)
        status = fail(WF_ERROR_ARGUMENT, "%s: the path needs %zu bytes, %zu are given", found,
                      strlen(found) + 1, size);
    free(found);
    return status;
}
