/* Text to shards (wf_shards_write). */
#include "data/encode.h"
#include "data/shard.h"
#include "data/sources.h"
#include "data/split.h"
#include "wavefield/data.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char TRAINING[] = "train", HELD_OUT[] = "val";

typedef struct Writing {
    const wf_shards_params *params;
    int64_t most; /* tokens a shard */
    char *folder; /* the unfinished one */
    int lock;     /* on it */
    Encoder encoder;
    ShardWriter *training, *held_out;
    int64_t reported; /* bytes at the last report */
    wf_shards_result result;
} Writing;

static wf_status out_of_memory(const char *path)
{
    return fail(WF_ERROR_MEMORY, "%s: out of memory", path);
}

/* ---- the folder ---- */

static bool is_ours(const char *name)
{
    static const char *const begins[] = {"train_", "val_", "tokenizer."};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(name, begins[i], strlen(begins[i])) == 0) return true;
    return false;
}

static wf_status remove_ours(const char *partial, const FolderList *list)
{
    wf_status status = WF_OK;
    for (int i = 0; i < list->count; i++)
        if (!is_ours(list->names[i]))
            return fail(WF_ERROR_IO, "%s: not removed: it holds \"%s\", which is not a shard",
                        partial, list->names[i]);
    for (int i = 0; i < list->count && !status; i++) {
        char *path = path_join(partial, list->names[i]);
        status = path ? file_remove(path) : out_of_memory(partial);
        free(path);
    }
    return status;
}

/* Removes what an earlier call left unfinished. */
static wf_status clear_partial(const char *partial)
{
    FolderList list;
    TRY(folder_list(partial, &list));
    wf_status status = remove_ours(partial, &list);
    folder_list_destroy(&list);
    return status;
}

/* The folder too, after a failure, whose message stays. */
static void discard_partial(const char *partial, wf_status status)
{
    char *message = strdup(wf_error_message());
    if (!clear_partial(partial)) folder_remove(partial, NULL, 0);
    if (message) fail(status, "%s", message);
    free(message);
}

static wf_status check_free(const char *folder)
{
    FolderList list;
    if (path_is_link(folder))
        return fail(WF_ERROR_ARGUMENT,
                    "%s: the folder for new shards is put there whole, which a link does not allow",
                    folder);
    if (!file_exists(folder)) return WF_OK;
    TRY(folder_list(folder, &list));
    wf_status status = WF_OK;
    if (list.count)
        status = fail(WF_ERROR_ARGUMENT,
                      "%s: the folder for new shards must be empty or absent; it holds \"%s\"",
                      folder, list.names[0]);
    folder_list_destroy(&list);
    return status;
}

/* "FOLDER.part"; NULL: out of memory. */
static char *partial_path(const char *folder)
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') length--;
    char *path = malloc(length + sizeof ".part");
    if (path) snprintf(path, length + sizeof ".part", "%.*s.part", (int)length, folder);
    return path;
}

/* ---- tokens ---- */

static void report(Writing *w)
{
    enum { EVERY = 1 << 24 }; /* bytes */
    w->result.documents = w->encoder.documents;
    w->result.bytes = w->encoder.bytes;
    w->result.training = shard_writer_tokens(w->training);
    w->result.training_shards = shard_writer_shards(w->training);
    if (!w->params->progress || w->result.bytes - w->reported < EVERY) return;
    w->reported = w->result.bytes;
    w->params->progress(w->params->context, &w->result);
}

static wf_status take(void *context, const int32_t *tokens, int64_t n)
{
    Writing *w = context;
    TRY(shard_writer_write(w->training, tokens, n));
    report(w);
    return WF_OK;
}

static wf_status encode_files(Writing *w)
{
    const wf_shards_params *params = w->params;
    for (int i = 0; i < params->n_files; i++) {
        if (source_kind(params->files[i]) == SOURCE_SHARD)
            return fail(WF_ERROR_ARGUMENT, "%s: has tokens already: text or .jsonl is expected",
                        params->files[i]);
        TRY(encode_file(&w->encoder, params->files[i]));
    }
    TRY(shard_writer_finish(w->training));
    report(w);
    if (w->result.training > 0) return WF_OK;
    return fail(WF_ERROR_FORMAT, "%s: no text", params->n_files ? params->files[0] : "no files");
}

/* ---- the split ---- */

/* Copies the tokens of a shard from `first` to `last` - 1 to a writer. */
static wf_status copy_tokens(const Shard *shard, int64_t first, int64_t last, ShardWriter *to)
{
    enum { BLOCK = 4096 };
    for (int64_t at = first; at < last; at += BLOCK) {
        int32_t tokens[BLOCK];
        int64_t n = last - at < BLOCK ? last - at : BLOCK;
        shard_read(shard, at, n, tokens);
        TRY(shard_writer_write(to, tokens, n));
    }
    return WF_OK;
}

/* Moves the tokens of training shard `number` from `first` on to the held-out ones; the rest of it,
 * written under the same number, takes its place. */
static wf_status move_tail(Writing *w, const char *path, int64_t number, int64_t first)
{
    Shard shard;
    ShardWriter *rest = NULL;
    TRY(shard_open(path, &shard));
    wf_status status = copy_tokens(&shard, first, shard.count, w->held_out);
    if (!status && first > 0)
        status = shard_writer_create(w->folder, TRAINING, number, w->most, &rest);
    if (!status && first > 0) status = copy_tokens(&shard, 0, first, rest);
    if (!status && first > 0) status = shard_writer_finish(rest);
    shard_writer_destroy(rest);
    shard_close(&shard);
    if (!status && first == 0) status = file_remove(path);
    return status;
}

/* The end of the training shards becomes the held-out ones: how much that is shows only now. */
static wf_status split_shards(Writing *w)
{
    int64_t held_out = split_held_out(w->result.training, w->params->held_out);
    int64_t training = w->result.training - held_out, shard = training / w->most;
    int64_t first = training % w->most;
    if (held_out == 0) return WF_OK;
    if (held_out == 1)
        return fail(WF_ERROR_ARGUMENT,
                    "the share to hold out of %lld tokens is 1 token, at least 2 are needed: one "
                    "to predict the next from; use a larger share, none, or more text",
                    (long long)w->result.training);
    for (; shard < w->result.training_shards; shard++, first = 0) {
        char *path = path_join(w->folder, SHARD_NAME(TRAINING, shard));
        if (!path) return out_of_memory(w->folder);
        wf_status status = move_tail(w, path, shard, first);
        free(path);
        TRY(status);
    }
    TRY(shard_writer_finish(w->held_out));
    w->result.training = training;
    w->result.training_shards = (training + w->most - 1) / w->most;
    w->result.held_out = held_out;
    w->result.held_out_shards = shard_writer_shards(w->held_out);
    return WF_OK;
}

/* ---- all of it ---- */

static wf_status check_params(const wf_shards_params *params)
{
    int64_t vocabulary = params->tokenizer ? wf_tokenizer_vocabulary(params->tokenizer) : 0;
    TRY(split_check(params->held_out));
    if (!params->tokenizer) return fail(WF_ERROR_ARGUMENT, "shards are written with a tokenizer");
    if (vocabulary <= SHARD_VOCABULARY) return WF_OK;
    return fail(WF_ERROR_UNSUPPORTED,
                "the tokenizer has %lld tokens: a shard holds 16-bit tokens, at most %d different "
                "ones",
                (long long)vocabulary, SHARD_VOCABULARY);
}

static wf_status write_partial(Writing *w)
{
    TRY(clear_partial(w->folder));
    TRY(shard_writer_create(w->folder, TRAINING, 0, w->most, &w->training));
    TRY(shard_writer_create(w->folder, HELD_OUT, 0, w->most, &w->held_out));
    TRY(encode_files(w));
    TRY(split_shards(w));
    TRY(wf_tokenizer_save(w->params->tokenizer, w->folder));
    return folder_sync(w->folder);
}

/* Shards that cannot be put in place, be it that the folder is a mount or was filled meanwhile, are
 * kept: they may be the work of hours. */
static wf_status put_in_place(const Writing *w, const char *folder)
{
    wf_status status = file_rename(w->folder, folder);
    if (status && folder_exists(w->folder))
        fail_within(status, "the shards are complete and stay in %s", w->folder);
    return status;
}

/* With the unfinished folder held. */
static wf_status write_held(Writing *w, const char *folder)
{
    wf_status status = check_free(folder); /* still: another process may just have filled it */
    if (!status) status = write_partial(w);
    shard_writer_destroy(w->training);
    shard_writer_destroy(w->held_out);
    if (!status) return put_in_place(w, folder);
    discard_partial(w->folder, status);
    return status;
}

wf_status wf_shards_write(const wf_shards_params *params, const char *folder,
                          wf_shards_result *result)
{
    TRY(check_params(params));
    TRY(check_free(folder));
    Writing w = {
        .params = params,
        .most = params->shard_tokens ? params->shard_tokens : SHARD_USUAL,
        .folder = partial_path(folder),
        .encoder = {.tokenizer = params->tokenizer,
                    .field = params->text_field ? params->text_field : "text",
                    .sink = take},
    };
    if (!w.folder) return out_of_memory(folder);
    w.encoder.context = &w;
    wf_status status = folder_lock(w.folder, &w.lock);
    if (!status) {
        status = write_held(&w, folder);
        folder_unlock(w.lock);
    }
    if (!status && result) *result = w.result;
    free(w.folder);
    return status;
}
