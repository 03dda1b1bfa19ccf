#include "data/tokenizer.h"

#include "base/files.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST_TOKENIZER = 64 << 20 }; /* bytes of a file */

static const char JSON_FILE[] = "tokenizer.json", MODEL_FILE[] = "tokenizer.model";

/* ---- types ---- */

/* What can be made from texts. A type that is NULL is not in this build, for want of `needs`. */
typedef struct Recipe {
    const char *name, *variant;
    const TokenizerType *type;
    const char *needs;
} Recipe;

#ifdef WAVEFIELD_SENTENCEPIECE
#define SENTENCEPIECE (&tokenizer_sentencepiece)
#else
#define SENTENCEPIECE NULL
#endif
#ifdef WAVEFIELD_BPE
#define BPE (&tokenizer_bpe)
#else
#define BPE NULL
#endif
static const char needs_sentencepiece[] = "SentencePiece (libsentencepiece-dev)",
                  needs_bpe[] = "PCRE2 (libpcre2-dev)";

static const Recipe recipes[] = {
    {"byte", NULL, &tokenizer_byte, NULL},
    {"char", NULL, &tokenizer_char, NULL},
    {"sentencepiece-bpe", "bpe", SENTENCEPIECE, needs_sentencepiece},
    {"sentencepiece-unigram", "unigram", SENTENCEPIECE, needs_sentencepiece},
};
enum { N_RECIPES = sizeof recipes / sizeof *recipes };

static wf_status fail_absent(const char *name, const char *needs)
{
    return fail(WF_ERROR_UNSUPPORTED,
                "this build has no \"%s\" tokenizers: install %s and build again", name, needs);
}

static wf_status fail_unknown_type(const char *name)
{
    const char *names[N_RECIPES];
    Text known = {0};
    for (int i = 0; i < N_RECIPES; i++) {
        names[i] = recipes[i].name;
        text_append(&known, "%s\"%s\"", i ? ", " : "", names[i]);
    }
    const char *nearest = text_nearest(name, names, N_RECIPES);
    wf_status status =
        fail(WF_ERROR_UNSUPPORTED, "tokenizer type \"%s\" is not one of %s%s%s%s", name,
             known.failed ? "" : known.data, nearest ? "; did you mean \"" : "",
             nearest ? nearest : "", nearest ? "\"?" : "");
    text_destroy(&known);
    return status;
}

static wf_status find_recipe(const char *name, const Recipe **out)
{
    for (int i = 0; i < N_RECIPES; i++) {
        *out = &recipes[i];
        if (strcmp(name, recipes[i].name)) continue;
        return recipes[i].type ? WF_OK : fail_absent(name, recipes[i].needs);
    }
    if (!strcmp(name, "sentencepiece"))
        return fail(WF_ERROR_UNSUPPORTED,
                    "tokenizers of type \"sentencepiece\" are made as \"sentencepiece-bpe\" or "
                    "\"sentencepiece-unigram\", or loaded from a tokenizer.model");
    if (!strcmp(name, "bpe"))
        return fail(WF_ERROR_UNSUPPORTED,
                    "tokenizers of type \"bpe\" are loaded from a tokenizer.json, not made here; "
                    "\"sentencepiece-bpe\" can be made");
    return fail_unknown_type(name);
}

static wf_status allocate(const TokenizerType *type, wf_tokenizer **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return fail(WF_ERROR_MEMORY, "out of memory for a tokenizer");
    (*out)->type = type;
    (*out)->end_of_text = (*out)->unknown = -1;
    return WF_OK;
}

/* Hands over a tokenizer that was made, or frees it. */
static wf_status hand_over(wf_status status, wf_tokenizer *tokenizer, wf_tokenizer **out)
{
    if (status)
        wf_tokenizer_destroy(tokenizer);
    else
        *out = tokenizer;
    return status;
}

static bool learns_vocabulary(const Recipe *recipe)
{
    return recipe->variant != NULL;
}

wf_status wf_tokenizer_create(const char *type, const wf_tokenizer_params *params,
                              wf_tokenizer **out)
{
    static const wf_tokenizer_params defaults = {0};
    const Recipe *recipe;
    wf_tokenizer *tokenizer;
    if (!params) params = &defaults;
    TRY(find_recipe(type, &recipe));
    if (params->vocabulary && !learns_vocabulary(recipe))
        return fail(WF_ERROR_ARGUMENT,
                    "a vocabulary of %lld is asked for; that of \"%s\" is given by the text",
                    (long long)params->vocabulary, type);
    TRY(allocate(recipe->type, &tokenizer));
    return hand_over(recipe->type->create(tokenizer, recipe->variant, params), tokenizer, out);
}

void wf_tokenizer_destroy(wf_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    tokenizer->type->destroy(tokenizer);
    free(tokenizer->file);
    free(tokenizer);
}

/* ---- files ---- */

/* The type of a tokenizer.json: ours has a "type", Hugging Face's a "model". */
static wf_status type_of_json(const json_t *root, const TokenizerType **type)
{
    const char *name = json_string_value(json_object_get(root, "type"));
    *type = BPE;
    if (json_object_get(root, "model")) return *type ? WF_OK : fail_absent("bpe", needs_bpe);
    if (!name)
        return fail(WF_ERROR_FORMAT,
                    "expected a JSON object with a \"type\", such as \"byte\", or a \"model\"");
    for (int i = 0; i < N_RECIPES; i++) {
        *type = recipes[i].type;
        if (*type && (*type)->print && !strcmp(name, recipes[i].name)) return WF_OK;
    }
    return fail_unknown_type(name);
}

static wf_status parse_json(const char *text, size_t length, const char *path, wf_tokenizer **out)
{
    json_error_t error;
    const TokenizerType *type;
    size_t mark = utf8_mark(text, length);
    json_t *root =
        json_loadb(text + mark, length - mark, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!root)
        return fail(WF_ERROR_FORMAT, "%s: line %d, column %d: %s", path, error.line, error.column,
                    error.text);
    wf_tokenizer *tokenizer = NULL;
    wf_status status = type_of_json(root, &type);
    if (status) fail_within(status, "%s", path);
    if (!status) status = allocate(type, &tokenizer);
    if (!status) status = hand_over(type->parse(tokenizer, root, path), tokenizer, out);
    json_decref(root);
    return status;
}

static wf_status read_model(const char *bytes, size_t length, const char *path, wf_tokenizer **out)
{
    const TokenizerType *type = SENTENCEPIECE;
    wf_tokenizer *tokenizer;
    if (!type) return fail_within(fail_absent("sentencepiece", needs_sentencepiece), "%s", path);
    TRY(allocate(type, &tokenizer));
    return hand_over(type->read(tokenizer, bytes, length, path), tokenizer, out);
}

/* JSON begins with a brace; a SentencePiece model, a protocol buffer, with its first field. */
static bool is_model(const char *bytes, size_t length)
{
    size_t space = strspn(bytes, " \t\r\n");
    return length > 0 && bytes[0] == '\n' && !(space < length && bytes[space] == '{');
}

static wf_status load_file(const char *path, wf_tokenizer **out)
{
    char *bytes;
    size_t length;
    TRY(file_read(path, LARGEST_TOKENIZER, &bytes, &length));
    wf_status status = is_model(bytes, length) ? read_model(bytes, length, path, out)
                                               : parse_json(bytes, length, path, out);
    if (!status && !(*out)->type->print) {
        (*out)->file = bytes;
        (*out)->file_size = length;
        return WF_OK;
    }
    free(bytes);
    return status;
}

static wf_status load_folder(const char *folder, wf_tokenizer **out)
{
    char *json = path_join(folder, JSON_FILE), *model = path_join(folder, MODEL_FILE);
    wf_status status;
    if (!json || !model)
        status = fail(WF_ERROR_MEMORY, "%s: out of memory", folder);
    else if (!file_exists(model))
        status = load_file(json, out);
    else if (!file_exists(json))
        status = load_file(model, out);
    else
        status = fail(WF_ERROR_FORMAT, "%s holds both %s and %s: name one, or remove the other",
                      folder, JSON_FILE, MODEL_FILE);
    free(json);
    free(model);
    return status;
}

wf_status wf_tokenizer_load(const char *path, wf_tokenizer **out)
{
    return folder_exists(path) ? load_folder(path, out) : load_file(path, out);
}

static wf_status write_json(const wf_tokenizer *tokenizer, const char *path)
{
    json_t *root = json_object();
    char *text = NULL;
    if (root && json_object_set_new(root, "type", json_string(tokenizer->type->name)) == 0 &&
        tokenizer->type->print(tokenizer, root))
        text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    wf_status status = text ? file_write_atomic(path, text, strlen(text))
                            : fail(WF_ERROR_MEMORY, "%s: out of memory", path);
    free(text);
    return status;
}

wf_status wf_tokenizer_save(const wf_tokenizer *tokenizer, const char *folder)
{
    const char *name = tokenizer->type->file_name;
    char *path = path_join(folder, name);
    char *other = path_join(folder, strcmp(name, JSON_FILE) ? JSON_FILE : MODEL_FILE);
    wf_status status = WF_OK;
    if (!path || !other)
        status = fail(WF_ERROR_MEMORY, "%s: out of memory", folder);
    else if (tokenizer->type->print)
        status = write_json(tokenizer, path);
    else
        status = file_write_atomic(path, tokenizer->file, tokenizer->file_size);
    if (!status && file_exists(other) && unlink(other))
        status = fail(WF_ERROR_IO, "%s: cannot be removed, and is another tokenizer's", other);
    free(path);
    free(other);
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

int32_t wf_tokenizer_end_of_text(const wf_tokenizer *tokenizer)
{
    return tokenizer->end_of_text;
}

wf_status tokens_reserve(wf_tokens *tokens, size_t more)
{
    size_t limit = SIZE_MAX / sizeof *tokens->items / 2;
    if (more <= tokens->capacity - tokens->count) return WF_OK;
    size_t needed = more < limit - tokens->count ? tokens->count + more : limit;
    size_t capacity = tokens->capacity + tokens->capacity / 2;
    if (capacity < needed) capacity = needed;
    int32_t *grown = capacity < limit ? realloc(tokens->items, capacity * sizeof *grown) : NULL;
    if (!grown) return fail(WF_ERROR_MEMORY, "out of memory for %zu tokens", needed);
    tokens->items = grown;
    tokens->capacity = capacity;
    return WF_OK;
}

void wf_tokens_free(wf_tokens *tokens)
{
    free(tokens->items);
    *tokens = (wf_tokens){0};
}

wf_status fail_invalid_utf8(size_t offset)
{
    return fail(WF_ERROR_FORMAT, "byte %zu is not valid UTF-8", offset);
}

wf_status wf_tokenizer_encode(const wf_tokenizer *tokenizer, const char *text, size_t length,
                              int flags, wf_tokens *tokens)
{
    size_t before = tokens->count;
    if (flags & ~WF_ENCODE_SPECIAL)
        return fail(WF_ERROR_ARGUMENT, "flags are 0x%x; known is 0x%x", (unsigned)flags,
                    (unsigned)WF_ENCODE_SPECIAL);
    wf_status status = tokenizer->type->encode(tokenizer, text, length, flags, tokens);
    if (status) tokens->count = before;
    return status;
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

/* Takes the leading spaces off a piece at the start of a text. */
static void drop_spaces(LeadingSpaces leading, const char **piece, size_t *size)
{
    if (leading == LEADING_KEPT) return;
    do {
        if (*size == 0 || **piece != ' ') return;
        ++*piece;
        --*size;
    } while (leading == LEADING_ALL_DROPPED);
}

wf_status wf_tokenizer_decode(const wf_tokenizer *tokenizer, const int32_t *tokens, size_t n,
                              char *text, size_t capacity, size_t *length)
{
    size_t used = 0;
    bool at_start = true;
    for (size_t i = 0; i < n; i++) {
        const char *piece;
        size_t size;
        TRY(wf_tokenizer_piece(tokenizer, tokens[i], &piece, &size));
        if (at_start && size) {
            LeadingSpaces leading = tokenizer->leading_spaces;
            if (tokens[i] != tokenizer->unknown) drop_spaces(leading, &piece, &size);
            at_start = leading == LEADING_ALL_DROPPED && size == 0;
        }
        if (text && size <= capacity && used <= capacity - size) memcpy(text + used, piece, size);
        used += size;
    }
    *length = used;
    if (text && used > capacity)
        return fail(WF_ERROR_ARGUMENT, "room for %zu bytes of text, %zu needed", capacity, used);
    return WF_OK;
}
