#include "train/checkpoint.h"

#include "base/files.h"
#include "train/state.h"
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

/* "folder/NAMESUFFIX"; NULL: out of memory. */
static char *suffixed_path(const char *folder, const char *name, const char *suffix)
{
    char text[64];
    snprintf(text, sizeof text, "%s%s", name, suffix);
    return path_join(folder, text);
}

const char *checkpoint_name(int64_t step, CheckpointName *name)
{
    snprintf(name->text, sizeof name->text, "step-%08" PRId64, step);
    return name->text;
}

static bool parse_step(const char *name, int64_t *step)
{
    CheckpointName canonical;
    if (sscanf(name, "step-%18" SCNd64, step) != 1 || *step < 0) return false;
    return strcmp(name, checkpoint_name(*step, &canonical)) == 0;
}

/* Is `entry` a checkpoint's name with this suffix? */
static bool parse_name(const char *entry, const char *suffix, CheckpointName *name)
{
    int64_t step;
    size_t length = strlen(entry), tail = strlen(suffix);
    if (length < tail || length - tail >= sizeof name->text) return false;
    if (strcmp(entry + length - tail, suffix) != 0) return false;
    snprintf(name->text, sizeof name->text, "%.*s", (int)(length - tail), entry);
    return strcmp(name->text, CHECKPOINT_BEST) == 0 || parse_step(name->text, &step);
}

static bool holds_only_ours(const char *path)
{
    FolderList list;
    if (path_is_link(path) || folder_list(path, &list)) return false;
    bool ours = true;
    for (int i = 0; i < list.count; i++)
        ours = ours && file_is_named(list.names[i], FILES, N_FILES);
    folder_list_destroy(&list);
    return ours;
}

/* ---- removing ---- */

/* Renames first, so that a half-removed checkpoint never bears the name of a whole one. */
static wf_status remove_checkpoint(const char *folder, const char *name, const char *suffix)
{
    char *path = suffixed_path(folder, name, suffix);
    char *removed = suffixed_path(folder, name, REMOVED);
    wf_status status = path && removed ? WF_OK : out_of_memory();
    if (!status && folder_exists(path) && holds_only_ours(path)) {
        status = file_rename(path, removed);
        if (!status) status = folder_remove(removed, FILES, N_FILES);
    }
    free(path);
    free(removed);
    return status;
}

/* Gives NAME.replaced, into which somebody put files of their own, the first free name NAME.kept-1,
 * NAME.kept-2, …, so that the next one to be replaced finds its place. */
static wf_status set_aside(const char *folder, const char *name)
{
    char *replaced = suffixed_path(folder, name, REPLACED), *kept = NULL;
    wf_status status = replaced ? WF_OK : out_of_memory();
    for (int i = 1; !status; i++) {
        char suffix[24];
        snprintf(suffix, sizeof suffix, ".kept-%d", i);
        kept = suffixed_path(folder, name, suffix);
        if (!kept) status = out_of_memory();
        if (!kept || !file_exists(kept)) break;
        free(kept);
    }
    if (!status) status = file_rename(replaced, kept);
    free(replaced);
    free(kept);
    return status;
}

/* Makes way for the next NAME.replaced. */
static wf_status clear_replaced(const char *folder, const char *name)
{
    TRY(remove_checkpoint(folder, name, REPLACED));
    char *replaced = suffixed_path(folder, name, REPLACED);
    if (!replaced) return out_of_memory();
    wf_status status = file_exists(replaced) ? set_aside(folder, name) : WF_OK;
    free(replaced);
    return status;
}

/* Does the checkpoint that was to replace NAME.replaced stand? */
static bool successor_stands(const char *folder, const char *name)
{
    char *successor = suffixed_path(folder, name, "");
    bool stands = successor && folder_exists(successor);
    free(successor);
    return stands;
}

/* A checkpoint whose successor never came takes its name back. */
static wf_status restore_replaced(const char *folder, const char *name)
{
    char *path = suffixed_path(folder, name, ""), *replaced = suffixed_path(folder, name, REPLACED);
    wf_status status = path && replaced ? file_rename(replaced, path) : out_of_memory();
    free(path);
    free(replaced);
    return status;
}

static wf_status remove_leftover(const char *folder, const char *entry)
{
    CheckpointName name;
    if (parse_name(entry, REPLACED, &name))
        return successor_stands(folder, name.text) ? clear_replaced(folder, name.text)
                                                   : restore_replaced(folder, name.text);
    if (!parse_name(entry, PARTIAL, &name) && !parse_name(entry, REMOVED, &name)) return WF_OK;
    char *path = path_join(folder, entry);
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
    CheckpointName name;
    for (int i = 0; i < list.count && !status; i++) {
        int64_t at = 0;
        if (!parse_step(list.names[i], &at)) continue;
        int place = count++; /* sorted, oldest first: names of more than 8 digits sort otherwise */
        for (; place > 0 && steps[place - 1] > at; place--) steps[place] = steps[place - 1];
        steps[place] = at;
    }
    for (int i = 0; i < count - keep && !status; i++)
        if (steps[i] != step)
            status = remove_checkpoint(folder, checkpoint_name(steps[i], &name), "");
    free(steps);
    folder_list_destroy(&list);
    return status;
}

/* ---- writing ---- */

wf_status checkpoint_begin(const char *folder, const char *name, char **partial)
{
    TRY(folder_make(folder));
    TRY(remove_leftovers(folder));
    char *path = suffixed_path(folder, name, PARTIAL);
    if (!path) return out_of_memory();
    wf_status status = folder_make(path);
    if (status) {
        free(path);
        return status;
    }
    *partial = path;
    return WF_OK;
}

wf_status checkpoint_publish(const char *folder, const char *name, const char *partial)
{
    char *path = suffixed_path(folder, name, ""), *replaced = suffixed_path(folder, name, REPLACED);
    wf_status status = path && replaced ? folder_sync(partial) : out_of_memory();
    bool replaces = !status && folder_exists(path);
    if (replaces) status = file_rename(path, replaced);
    if (!status) status = file_rename(partial, path);
    if (!status) status = clear_replaced(folder, name);
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

/* The step of the best checkpoint, which its name does not tell. */
static bool read_step(const char *folder, const char *entry, int64_t *step)
{
    TrainingState state;
    char *path = path_join(folder, entry);
    char *file = path ? path_join(path, CHECKPOINT_STATE) : NULL;
    bool read = file && state_load(file, &state) == WF_OK;
    if (read) *step = state.progress.step;
    free(path);
    free(file);
    return read;
}

/* Has it the file that is written last? Others may have things of such a name. */
static bool is_whole(const char *folder, const char *entry)
{
    char *path = path_join(folder, entry);
    bool whole = path && is_checkpoint(path);
    free(path);
    return whole;
}

/* Is `entry` a whole checkpoint under `folder`, and of which step? */
static bool is_candidate(const char *folder, const char *entry, int64_t *step)
{
    CheckpointName name;
    if (parse_name(entry, REPLACED, &name)) {
        if (successor_stands(folder, name.text)) return false;
    } else if (!parse_name(entry, "", &name)) {
        return false;
    }
    if (!is_whole(folder, entry)) return false;
    return parse_step(name.text, step) || read_step(folder, entry, step);
}

static wf_status newest_in(const char *folder, char **path)
{
    FolderList list;
    TRY(folder_list(folder, &list));
    int64_t newest = -1;
    int chosen = -1;
    for (int i = 0; i < list.count; i++) {
        int64_t step = 0;
        if (!is_candidate(folder, list.names[i], &step) || step < newest) continue;
        newest = step;
        chosen = i;
    }
    wf_status status = WF_OK;
    if (chosen < 0)
        status =
            fail(WF_ERROR_IO, "%s: holds no checkpoint (a folder step-NNNNNNNN or best)", folder);
    else if (!(*path = path_join(folder, list.names[chosen])))
        status = out_of_memory();
    folder_list_destroy(&list);
    return status;
}

wf_status checkpoint_find(const char *folder, char **path)
{
    char *replaced = malloc(strlen(folder) + sizeof REPLACED);
    if (!replaced) return out_of_memory();
    strcpy(replaced, folder);
    strcat(replaced, REPLACED);
    const char *named = NULL;
    if (is_checkpoint(folder))
        named = folder;
    else if (!folder_exists(folder) && is_checkpoint(replaced))
        named = replaced;
    if (named) *path = strdup(named);
    wf_status status = named ? (*path ? WF_OK : out_of_memory()) : newest_in(folder, path);
    free(replaced);
    return status;
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
