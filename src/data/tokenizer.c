#include "data/tokenizer.h"

#include "base/files.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_TOKENIZER = 64 << 20 }; /* bytes of a tokenizer.json */

static const char FILE_NAME[] = "tokenizer.json";

static const TokenizerType *const types[] = {&tokenizer_byte, &tokenizer_char};
enum { N_TYPES = sizeof types / sizeof *types };

static wf_status find_type(const char *name, const char *where, const TokenizerType **type)
{
    const char *names[N_TYPES];
    Text known = {0};
    for (int i = 0; i < N_TYPES; i++) {
        names[i] = types[i]->name;
        text_append(&known, "%s\"%s\"", i ? ", " : "", names[i]);
        if (strcmp(name, names[i])) continue;
        text_destroy(&known);
        *type = types[i];
        return WF_OK;
    }
    const char *nearest = text_nearest(name, names, N_TYPES);
    wf_status status =
        fail(WF_ERROR_UNSUPPORTED, "%stokenizer type \"%s\" is not one this build has: %s%s%s%s",
             where, name, known.failed ? "" : known.data, nearest ? "; did you mean \"" : "",
             nearest ? nearest : "", nearest ? "\"?" : "");
    text_destroy(&known);
    return status;
}

static wf_status allocate(const TokenizerType *type, wf_tokenizer **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return fail(WF_ERROR_MEMORY, "out of memory for a tokenizer");
    (*out)->type = type;
    return WF_OK;
}

wf_status wf_tokenizer_create(const char *type, const char *const *files, int n_files,
                              wf_tokenizer **out)
{
    const TokenizerType *found;
    wf_tokenizer *tokenizer;
    TRY(find_type(type, "", &found));
    TRY(allocate(found, &tokenizer));
    wf_status status = found->create(tokenizer, files, n_files);
    if (status) {
        wf_tokenizer_destroy(tokenizer);
        return status;
    }
    *out = tokenizer;
    return WF_OK;
}

void wf_tokenizer_destroy(wf_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    tokenizer->type->destroy(tokenizer);
    free(tokenizer);
}

/* ---- tokenizer.json ---- */

static wf_status parse(const json_t *root, const char *path, wf_tokenizer **out)
{
    const char *name = json_string_value(json_object_get(root, "type"));
    if (!name)
        return fail(WF_ERROR_FORMAT, "%s: expected a JSON object with a \"type\", such as \"byte\"",
                    path);
    const TokenizerType *type;
    wf_tokenizer *tokenizer;
    char where[512];
    snprintf(where, sizeof where, "%s: ", path);
    TRY(find_type(name, where, &type));
    TRY(allocate(type, &tokenizer));
    wf_status status = type->parse(tokenizer, root, path);
    if (status) {
        wf_tokenizer_destroy(tokenizer);
        return status;
    }
    *out = tokenizer;
    return WF_OK;
}

static wf_status load_file(const char *path, wf_tokenizer **out)
{
    char *text;
    size_t length;
    TRY(file_read(path, LARGEST_TOKENIZER, &text, &length));
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    free(text);
    if (!root)
        return fail(WF_ERROR_FORMAT, "%s: line %d, column %d: %s", path, error.line, error.column,
                    error.text);
    wf_status status = parse(root, path, out);
    json_decref(root);
    return status;
}

wf_status wf_tokenizer_load(const char *path, wf_tokenizer **out)
{
    if (!folder_exists(path)) return load_file(path, out);
    char *file = path_join(path, FILE_NAME);
    if (!file) return fail(WF_ERROR_MEMORY, "%s: out of memory", path);
    wf_status status = load_file(file, out);
    free(file);
    return status;
}

wf_status wf_tokenizer_save(const wf_tokenizer *tokenizer, const char *folder)
{
    char *path = path_join(folder, FILE_NAME), *text = NULL;
    json_t *root = json_object();
    if (root && json_object_set_new(root, "type", json_string(tokenizer->type->name)) == 0 &&
        tokenizer->type->print(tokenizer, root))
        text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    wf_status status = path && text ? file_write_atomic(path, text, strlen(text))
                                    : fail(WF_ERROR_MEMORY, "%s: out of memory", folder);
    free(text);
    free(path);
    return status;
}

/* ---- use ---- */

const char *wf_tokenizer_type(const wf_tokenizer *tokenizer)
{
    return tokenizer->type->name;
}

int64_t wf_tokenizer_vocabulary(const wf_tokenizer *tokenizer)
{
    return tokenizer->vocabulary;
}

wf_status wf_tokenizer_encode(const wf_tokenizer *tokenizer, const char *text, size_t length,
                              int32_t *tokens, size_t capacity, size_t *count)
{
    return tokenizer->type->encode(tokenizer, text, length, tokens, capacity, count);
}

wf_status wf_tokenizer_piece(const wf_tokenizer *tokenizer, int32_t token, const char **text,
                             size_t *length)
{
    if (token < 0 || token >= tokenizer->vocabulary)
        return fail(WF_ERROR_ARGUMENT, "token %d is outside the tokenizer's vocabulary of %lld",
                    (int)token, (long long)tokenizer->vocabulary);
    tokenizer->type->piece(tokenizer, token, text, length);
    return WF_OK;
}
