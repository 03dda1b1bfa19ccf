/* One token a Unicode character (code point). */
#include "base/files.h"
#include "base/text.h"
#include "data/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { N_CODES = 0x110000 }; /* code points there are */

typedef struct Character {
    char bytes[4]; /* UTF-8 */
    uint8_t length;
} Character;

typedef struct Characters {
    Character *items; /* [vocabulary] */
    int32_t *token;   /* [codes], by code point; -1: none */
    uint32_t codes;   /* beyond the largest character; those from here on have no token */
} Characters;

static void destroy(wf_tokenizer *tokenizer)
{
    Characters *characters = tokenizer->data;
    if (!characters) return;
    free(characters->items);
    free(characters->token);
    free(characters);
}

static wf_status out_of_memory(void)
{
    return fail(WF_ERROR_MEMORY, "out of memory for a tokenizer");
}

/* ---- the table ---- */

static int32_t token_of(const Characters *characters, uint32_t code)
{
    return code < characters->codes ? characters->token[code] : -1;
}

/* Makes the table reach a code point. */
static wf_status extend(Characters *characters, uint32_t code)
{
    enum { LEAST = 256 };
    uint32_t codes = 2 * characters->codes;
    if (codes < LEAST) codes = LEAST;
    if (codes > N_CODES) codes = N_CODES;
    if (codes <= code) codes = code + 1;
    int32_t *grown = realloc(characters->token, codes * sizeof *grown);
    if (!grown) return out_of_memory();
    for (uint32_t i = characters->codes; i < codes; i++) grown[i] = -1;
    characters->token = grown;
    characters->codes = codes;
    return WF_OK;
}

static wf_status set_token(Characters *characters, uint32_t code, int32_t token)
{
    if (code >= characters->codes) TRY(extend(characters, code));
    characters->token[code] = token;
    return WF_OK;
}

/* ---- making and loading ---- */

/* Marks the characters of a text in token[]. */
static wf_status mark(Characters *characters, const char *path)
{
    FileMap map;
    TRY(file_map(path, &map));
    const char *text = (const char *)map.data;
    wf_status status = WF_OK;
    for (size_t at = 0; at < map.size && !status;) {
        uint32_t code;
        int n = utf8_decode(text + at, map.size - at, &code);
        if (n)
            status = set_token(characters, code, 0);
        else
            status = fail_within(fail_invalid_utf8(at), "%s", path);
        at += (size_t)n;
    }
    file_unmap(&map);
    return status;
}

static Character character(uint32_t code)
{
    Character c = {.length = 0};
    c.length = (uint8_t)utf8_encode(code, c.bytes);
    return c;
}

/* Numbers the marked characters in the order of their code points. */
static wf_status number(wf_tokenizer *tokenizer, Characters *characters)
{
    int32_t count = 0;
    for (uint32_t code = 0; code < characters->codes; code++)
        if (characters->token[code] >= 0) characters->token[code] = count++;
    characters->items = calloc((size_t)count + 1, sizeof *characters->items);
    if (!characters->items) return out_of_memory();
    for (uint32_t code = 0; code < characters->codes; code++)
        if (characters->token[code] >= 0)
            characters->items[characters->token[code]] = character(code);
    tokenizer->vocabulary = count;
    return WF_OK;
}

static wf_status create(wf_tokenizer *tokenizer, const char *variant,
                        const wf_tokenizer_params *params)
{
    (void)variant;
    Characters *characters = tokenizer->data = calloc(1, sizeof *characters);
    if (!characters) return out_of_memory();
    for (int i = 0; i < params->n_files; i++) TRY(mark(characters, params->files[i]));
    TRY(number(tokenizer, characters));
    if (tokenizer->vocabulary == 0)
        return fail(WF_ERROR_FORMAT, "a \"char\" tokenizer is made from text; there is none%s%s",
                    params->n_files ? " in " : "", params->n_files ? params->files[0] : "");
    return WF_OK;
}

static wf_status parse(wf_tokenizer *tokenizer, const json_t *object, const char *file)
{
    const json_t *list = json_object_get(object, "characters");
    const char *text = json_string_value(list);
    size_t length = json_string_length(list);
    if (!text || length == 0)
        return fail(WF_ERROR_FORMAT, "%s: type \"char\" needs \"characters\", a string of them",
                    file);
    Characters *characters = tokenizer->data = calloc(1, sizeof *characters);
    if (!characters) return out_of_memory();
    characters->items = calloc(length, sizeof *characters->items);
    if (!characters->items) return out_of_memory();
    int32_t count = 0;
    for (size_t at = 0; at < length;) {
        uint32_t code;
        int n = utf8_decode(text + at, length - at, &code);
        if (n == 0) return fail(WF_ERROR_FORMAT, "%s: \"characters\" are not valid UTF-8", file);
        if (token_of(characters, code) >= 0)
            return fail(WF_ERROR_FORMAT, "%s: \"characters\": U+%04X stands there twice", file,
                        (unsigned)code);
        TRY(set_token(characters, code, count));
        characters->items[count++] = character(code);
        at += (size_t)n;
    }
    tokenizer->vocabulary = count;
    return WF_OK;
}

static bool print(const wf_tokenizer *tokenizer, json_t *object)
{
    const Characters *characters = tokenizer->data;
    Text text = {0};
    for (int64_t i = 0; i < tokenizer->vocabulary; i++)
        text_append_bytes(&text, characters->items[i].bytes, characters->items[i].length);
    bool ok = !text.failed &&
              json_object_set_new(object, "characters", json_stringn(text.data, text.length)) == 0;
    text_destroy(&text);
    return ok;
}

/* ---- use ---- */

static wf_status fail_unknown(uint32_t code, const char *bytes, int n, size_t offset)
{
    bool visible = code > 0x20 && code != 0x7F;
    return fail(WF_ERROR_FORMAT,
                "byte %zu: the character U+%04X%s%.*s%s is not in the tokenizer's vocabulary",
                offset, (unsigned)code, visible ? " \"" : "", visible ? n : 0, bytes,
                visible ? "\"" : "");
}

static wf_status encode(const wf_tokenizer *tokenizer, const char *text, size_t length, int flags,
                        wf_tokens *tokens)
{
    const Characters *characters = tokenizer->data;
    (void)flags;
    TRY(tokens_reserve(tokens, length));
    for (size_t at = 0; at < length;) {
        uint32_t code;
        int n = utf8_decode(text + at, length - at, &code);
        if (n == 0) return fail_invalid_utf8(at);
        int32_t token = token_of(characters, code);
        if (token < 0) return fail_unknown(code, text + at, n, at);
        tokens->items[tokens->count++] = token;
        at += (size_t)n;
    }
    return WF_OK;
}

static void piece(const wf_tokenizer *tokenizer, int32_t token, const char **text, size_t *length)
{
    const Characters *characters = tokenizer->data;
    *text = characters->items[token].bytes;
    *length = characters->items[token].length;
}

const TokenizerType tokenizer_char = {.name = "char",
                                      .file_name = "tokenizer.json",
                                      .create = create,
                                      .parse = parse,
                                      .print = print,
                                      .destroy = destroy,
                                      .encode = encode,
                                      .piece = piece};
