#include "cli/data.h"

#include "base/files.h"
#include "data/documents.h"
#include "data/sources.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- text to learn from ---- */

static wf_status copy_texts(const char *path, const char *field, FileWriter *to)
{
    Documents *documents;
    TextPiece piece;
    TRY(documents_open(path, field, &documents));
    wf_status status;
    while (!(status = documents_next(documents, &piece)) && piece.length) {
        status = file_writer_write(to, piece.text, piece.length);
        if (!status && piece.ends) status = file_writer_write(to, "\n", 1);
        if (status) break;
    }
    documents_close(documents);
    return status;
}

/* The texts of all .jsonl files among the data, a newline after each. */
static wf_status write_texts(const TokenizerChoice *choice, const char *path)
{
    FileWriter *writer;
    wf_status status = WF_OK;
    TRY(file_writer_create(path, 0, &writer));
    for (int i = 0; i < choice->data->count && !status; i++)
        if (source_kind(choice->data->items[i]) == SOURCE_JSONL)
            status = copy_texts(choice->data->items[i], choice->text_field, writer);
    if (!status) return file_writer_commit(writer);
    file_writer_discard(writer);
    return status;
}

static bool is_learned(const char *type)
{
    return strncmp(type, "sentencepiece-", 14) == 0;
}

/* Tokens to learn: what is asked for, else what the configuration has room for beyond the bytes'
 * 256, else the library's default. */
static int64_t to_learn(const TokenizerChoice *choice, const char *type)
{
    if (choice->size > 0) return choice->size;
    return is_learned(type) && choice->room > 256 ? choice->room : 0;
}

/* Learns from the text files, and from `texts` if there is such a file. */
static wf_status learn(const TokenizerChoice *choice, const char *type, const char *texts,
                       wf_tokenizer **out)
{
    int count = 0;
    const char **files = calloc((size_t)choice->data->count + 1, sizeof *files);
    if (!files) return fail(WF_ERROR_MEMORY, "out of memory for the data's names");
    for (int i = 0; i < choice->data->count; i++) {
        const char *name = choice->data->items[i];
        if (!folder_exists(name) && source_kind(name) == SOURCE_TEXT) files[count++] = name;
    }
    if (texts) files[count++] = texts;
    wf_status status = wf_tokenizer_create(
        type,
        wf_tokenizer_params(.files = files, .n_files = count, .vocabulary = to_learn(choice, type)),
        out);
    free(files);
    return status == WF_ERROR_ARGUMENT ? fail_within(status, "--tokenizer-size") : status;
}

static wf_status learn_with_texts(const TokenizerChoice *choice, const char *type,
                                  wf_tokenizer **out)
{
    const char *folder = getenv("TMPDIR");
    char *path = path_join(folder && *folder ? folder : "/tmp", "wavefield-text-XXXXXX");
    int file = path ? mkstemp(path) : -1;
    wf_status status = WF_OK;
    if (file < 0)
        status = fail(WF_ERROR_IO, "%s: cannot make a file for the text of the data",
                      path ? path : "out of memory");
    else
        close(file);
    if (!status) status = write_texts(choice, path);
    if (!status) status = learn(choice, type, path, out);
    if (file >= 0) unlink(path);
    free(path);
    return status;
}

static wf_status create(const TokenizerChoice *choice, const char *type, wf_tokenizer **out)
{
    bool lines = false;
    for (int i = 0; i < choice->data->count; i++)
        lines |= source_kind(choice->data->items[i]) == SOURCE_JSONL;
    if (lines && strcmp(type, "byte")) return learn_with_texts(choice, type, out);
    return learn(choice, type, NULL, out);
}

/* ---- which tokenizer ---- */

static wf_status load(const TokenizerChoice *choice, const char *path, wf_tokenizer **out)
{
    if (choice->size > 0)
        return fail(WF_ERROR_ARGUMENT,
                    "--tokenizer-size %lld is for tokenizers made from the data; that of %s has a "
                    "size of its own",
                    (long long)choice->size, path);
    return wf_tokenizer_load(path, out);
}

/* A type by name, or a path. A file that is called like a type is given as ./NAME. */
static wf_status open_given(const TokenizerChoice *choice, wf_tokenizer **out)
{
    if (strpbrk(choice->given, "/.")) return load(choice, choice->given, out);
    wf_status status = create(choice, choice->given, out);
    if (status != WF_ERROR_UNSUPPORTED || !file_exists(choice->given)) return status;
    return load(choice, choice->given, out);
}

wf_status tokenizer_choose(const TokenizerChoice *choice, wf_tokenizer **out)
{
    const TextList *data = choice->data;
    *out = NULL;
    if (choice->given) return open_given(choice, out);
    char *folder = sources_tokenizer(data->items, data->count);
    wf_status status = WF_OK;
    if (folder)
        status = load(choice, folder, out);
    else if (!sources_are_shards(data->items, data->count))
        status = create(choice, choice->fallback, out);
    free(folder);
    return status;
}

/* ---- two tokenizers ---- */

static bool same_pieces(const wf_tokenizer *a, const wf_tokenizer *b)
{
    for (int32_t token = 0; token < wf_tokenizer_vocabulary(a); token++) {
        const char *texts[2];
        size_t lengths[2];
        if (wf_tokenizer_piece(a, token, &texts[0], &lengths[0]) ||
            wf_tokenizer_piece(b, token, &texts[1], &lengths[1]))
            return false;
        if (lengths[0] != lengths[1] || memcmp(texts[0], texts[1], lengths[0])) return false;
    }
    return true;
}

static wf_status compare(const wf_tokenizer *mine, const wf_tokenizer *theirs, const char *folder)
{
    long long n = wf_tokenizer_vocabulary(mine), m = wf_tokenizer_vocabulary(theirs);
    if (n == m && same_pieces(mine, theirs)) return WF_OK;
    return fail(WF_ERROR_ARGUMENT,
                "the shards in %s were made with another tokenizer (%s, vocabulary of %lld) than "
                "the model's (%s, vocabulary of %lld)",
                folder, wf_tokenizer_type(theirs), m, wf_tokenizer_type(mine), n);
}

static wf_status check_folder(const wf_tokenizer *tokenizer, const char *folder)
{
    wf_tokenizer *theirs;
    TRY(wf_tokenizer_load(folder, &theirs));
    wf_status status = compare(tokenizer, theirs, folder);
    wf_tokenizer_destroy(theirs);
    return status;
}

wf_status tokenizer_check(const wf_tokenizer *tokenizer, const TextList *data)
{
    char *checked = NULL; /* shards named one by one mostly stand in the same folder */
    wf_status status = WF_OK;
    for (int i = 0; i < data->count && tokenizer && !status; i++) {
        char *folder = sources_tokenizer(&data->items[i], 1);
        if (folder && (!checked || strcmp(folder, checked)))
            status = check_folder(tokenizer, folder);
        if (!folder) continue;
        free(checked);
        checked = folder;
    }
    free(checked);
    return status;
}
