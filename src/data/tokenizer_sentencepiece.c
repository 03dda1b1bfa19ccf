/* A SentencePiece model, unigram or BPE (Kudo and Richardson, 2018), trained here or loaded.
 *
 * Models trained here lose nothing: characters are taken as they are (no normalisation: "①" stays
 * "①" and accents stay as they were typed), no space is put before a text, none is taken away, and
 * what has no piece is written as bytes. The one exception is the library's own mark for a space,
 * U+2581, which decodes to a space. Lines are learned apart, so no piece reaches over a line's end.
 */
#include "base/files.h"
#include "base/text.h"
#include "data/names.h"
#include "data/sentencepiece_file.h"
#include "data/sentencepiece_library.h"
#include "data/tokenizer.h"
#include "data/word_cache.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_VOCABULARY = 4096,
    LARGEST_VOCABULARY = 1 << 20,
    LONGEST_SENTENCE = 4096,   /* bytes of a line that are learned as one */
    LARGEST_SAMPLE = 16 << 20, /* bytes learned from; unigram needs some 20 bytes for each */
};

/* What of a text is one call of the library. The tokens are those of the whole text either way, but
 * a call takes memory many times its text, sums scores in float, and knows no cache. */
typedef enum Unit {
    UNIT_TEXT,
    UNIT_LINE, /* a line's end is a space, which every text gets first, and is left out */
    UNIT_WORD  /* no piece reaches over a line's end or has a space after something else */
} Unit;

typedef struct Model {
    SpLibrary *library;
    Unit unit;
    bool prefixed;    /* the library puts a space before every text */
    int32_t space;    /* the piece of a space alone, -1: none */
    char *bytes;      /* of the pieces, one after the other */
    uint32_t *offset; /* [vocabulary + 1] */
    Text names_text;  /* what the names point into */
    Names special;
} Model;

static void destroy(wf_tokenizer *tokenizer)
{
    Model *model = tokenizer->data;
    if (!model) return;
    sp_library_close(model->library);
    names_destroy(&model->special);
    text_destroy(&model->names_text);
    free(model->bytes);
    free(model->offset);
    free(model);
}

static wf_status out_of_memory(void)
{
    return fail(WF_ERROR_MEMORY, "out of memory for a tokenizer");
}

/* ---- reading a model ---- */

static const char SPACE[] = "\xE2\x96\x81";
enum { SPACE_LENGTH = sizeof SPACE - 1 };

/* The text of a piece: its name with spaces for the marks of them. */
static void append_name(Text *text, SpBytes name)
{
    for (size_t at = 0; at < name.size;) {
        bool space = name.size - at >= SPACE_LENGTH && !memcmp(name.data + at, SPACE, SPACE_LENGTH);
        text_append_bytes(text, space ? " " : name.data + at, 1);
        at += space ? SPACE_LENGTH : 1;
    }
}

static wf_status append_piece(Text *text, const SpFile *file, const SpPiece *piece)
{
    unsigned value;
    int used = 0;
    char name[16], byte;
    switch (piece->kind) {
    case SP_CONTROL: break;
    case SP_UNKNOWN:
        text_append_bytes(text, file->unknown_surface.data, file->unknown_surface.size);
        break;
    case SP_BYTE:
        snprintf(name, sizeof name, "%.*s", (int)(piece->name.size & 15), piece->name.data);
        if (sscanf(name, "<0x%2X>%n", &value, &used) != 1 || used != 6 || piece->name.size != 6)
            return fail(WF_ERROR_FORMAT, "byte piece \"%.*s\" is not of the form <0x0A>",
                        (int)piece->name.size, piece->name.data);
        byte = (char)value;
        text_append_bytes(text, &byte, 1);
        break;
    default: append_name(text, piece->name);
    }
    return WF_OK;
}

static wf_status read_pieces(const SpFile *file, Model *model)
{
    Text text = {0};
    wf_status status = WF_OK;
    model->offset = calloc((size_t)file->count + 1, sizeof *model->offset);
    if (!model->offset) return out_of_memory();
    for (int i = 0; i < file->count && !status; i++) {
        status = append_piece(&text, file, &file->pieces[i]);
        if (!status && text.length > UINT32_MAX)
            status = fail(WF_ERROR_FORMAT, "the pieces have more than 4 GiB of text");
        model->offset[i + 1] = (uint32_t)text.length;
    }
    model->bytes = text.data;
    if (!status && text.failed) status = out_of_memory();
    return status;
}

/* Control pieces are known by name where special tokens are asked for. */
static wf_status read_special(const SpFile *file, Model *model)
{
    Text *text = &model->names_text;
    for (int i = 0; i < file->count; i++)
        if (file->pieces[i].kind == SP_CONTROL)
            text_append_bytes(text, file->pieces[i].name.data, file->pieces[i].name.size);
    if (text->failed) return out_of_memory();
    const char *at = text->data;
    for (int i = 0; i < file->count; i++) {
        SpBytes name = file->pieces[i].name;
        if (file->pieces[i].kind != SP_CONTROL) continue;
        TRY(names_add(&model->special, (Name){at, name.size, i}));
        at += name.size;
    }
    names_sort(&model->special);
    return WF_OK;
}

/* Does a piece have a line's end beside something else? */
static bool reaches_over_lines(const SpFile *file)
{
    for (int i = 0; i < file->count; i++) {
        SpBytes name = file->pieces[i].name;
        if (name.size > 1 && memchr(name.data, '\n', name.size)) return true;
    }
    return false;
}

/* Does a piece have a space after something else? */
static bool reaches_over_words(const SpFile *file)
{
    for (int i = 0; i < file->count; i++) {
        SpBytes name = file->pieces[i].name;
        bool begun = false;
        for (size_t at = 0; at < name.size;) {
            bool space = name.data[at] == ' ' || (name.size - at >= SPACE_LENGTH &&
                                                  !memcmp(name.data + at, SPACE, SPACE_LENGTH));
            if (space && begun) return true;
            begun |= !space;
            at += space && name.data[at] != ' ' ? SPACE_LENGTH : 1;
        }
    }
    return false;
}

/* The piece of a space alone, -1: none; then unknown words side by side become one token. */
static int32_t find_space(const SpFile *file)
{
    for (int i = 0; i < file->count; i++)
        if (file->pieces[i].name.size == SPACE_LENGTH &&
            !memcmp(file->pieces[i].name.data, SPACE, SPACE_LENGTH))
            return i;
    return -1;
}

static bool same_tokens(const Model *model, const char *a, const char *b)
{
    int32_t *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    bool same = !sp_library_encode(model->library, a, strlen(a), &x, &n) &&
                !sp_library_encode(model->library, b, strlen(b), &y, &m) && n == m &&
                !memcmp(x, y, n * sizeof *x);
    free(x);
    free(y);
    return same;
}

static Unit choose_unit(const SpFile *file, const Model *model)
{
    if (reaches_over_words(file) || model->space < 0) return UNIT_TEXT;
    if (!file->rules && !file->remove_spaces && file->byte_fallback && !reaches_over_lines(file))
        return UNIT_WORD;
    if (file->dummy_prefix && file->remove_spaces && same_tokens(model, "a\na", "a a"))
        return UNIT_LINE;
    return UNIT_TEXT;
}

static LeadingSpaces leading_spaces(const SpFile *file)
{
    if (file->remove_spaces) return LEADING_ALL_DROPPED;
    return file->dummy_prefix ? LEADING_ONE_DROPPED : LEADING_KEPT;
}

static wf_status build(wf_tokenizer *tokenizer, const SpFile *file, const char *bytes,
                       size_t length)
{
    Model *model = tokenizer->data = calloc(1, sizeof *model);
    if (!model) return out_of_memory();
    TRY(sp_library_open(bytes, length, &model->library));
    TRY(read_pieces(file, model));
    TRY(read_special(file, model));
    int32_t end = sp_library_end_of_text(model->library);
    tokenizer->vocabulary = file->count;
    /* The library takes any piece of the right name. */
    if (end >= 0 && end < file->count && file->pieces[end].kind == SP_CONTROL)
        tokenizer->end_of_text = end;
    for (int i = 0; i < file->count; i++)
        if (file->pieces[i].kind == SP_UNKNOWN) tokenizer->unknown = i;
    tokenizer->leading_spaces = leading_spaces(file);
    model->prefixed = file->dummy_prefix;
    model->space = find_space(file);
    model->unit = choose_unit(file, model);
    return WF_OK;
}

static wf_status read(wf_tokenizer *tokenizer, const char *bytes, size_t length, const char *path)
{
    SpFile file;
    wf_status status = sp_file_read(bytes, length, &file);
    if (status) return fail_within(status, "%s", path);
    status = build(tokenizer, &file, bytes, length);
    sp_file_destroy(&file);
    return status ? fail_within(status, "%s", path) : WF_OK;
}

/* ---- learning ---- */

/* The lines of files, every `stride`th of them, long ones in parts. */
typedef struct Lines {
    const wf_tokenizer_params *params;
    int file; /* the one being read is file - 1 */
    FileMap map;
    size_t at;
    size_t stride, skipped;
    wf_status status;
} Lines;

/* How much of a text is one sentence: to the end of the line, or to the last space or character
 * that ends within the limit. */
static size_t sentence_length(const char *text, size_t length)
{
    size_t limit = length < LONGEST_SENTENCE ? length : LONGEST_SENTENCE;
    const char *end = memchr(text, '\n', limit);
    if (end) return (size_t)(end - text);
    if (limit == length) return length;
    for (size_t at = limit; at > limit / 2; at--)
        if (text[at] == ' ') return at;
    while (limit > 1 && (text[limit] & 0xC0) == 0x80) limit--;
    return limit;
}

static bool open_next(Lines *lines)
{
    if (lines->at < lines->map.size) return true;
    file_unmap(&lines->map);
    lines->map = (FileMap){0};
    lines->at = 0;
    if (lines->file == lines->params->n_files) return false;
    lines->status = file_map(lines->params->files[lines->file++], &lines->map);
    return !lines->status;
}

static bool next_line(void *context, const char **text, size_t *length)
{
    Lines *lines = context;
    while (!lines->status) {
        while (lines->at == lines->map.size)
            if (!open_next(lines)) return false;
        *text = (const char *)lines->map.data + lines->at;
        *length = sentence_length(*text, lines->map.size - lines->at);
        lines->at += *length;
        if (lines->at < lines->map.size && lines->map.data[lines->at] == '\n') lines->at++;
        if (*length && (*text)[*length - 1] == '\r') --*length;
        if (*length == 0 || ++lines->skipped < lines->stride) continue;
        lines->skipped = 0;
        return true;
    }
    return false;
}

/* Checks the files' text and finds how many lines apart a sample of them is. */
static wf_status measure(const wf_tokenizer_params *params, size_t *stride)
{
    size_t total = 0;
    for (int i = 0; i < params->n_files; i++) {
        FileMap map;
        TRY(file_map(params->files[i], &map));
        size_t valid = utf8_check((const char *)map.data, map.size), size = map.size;
        file_unmap(&map);
        if (valid < size) return fail_within(fail_invalid_utf8(valid), "%s", params->files[i]);
        total += size;
    }
    *stride = (total + LARGEST_SAMPLE - 1) / LARGEST_SAMPLE;
    if (total) return WF_OK;
    return fail(WF_ERROR_FORMAT, "a \"sentencepiece\" tokenizer is made from text; there is none");
}

static wf_status train(const char *variant, const char *size, Lines *lines, char **bytes,
                       size_t *length)
{
    const SpOption options[] = {
        {"model_type", variant},
        {"vocab_size", size},
        {"normalization_rule_name", "identity"},
        {"add_dummy_prefix", "false"},
        {"remove_extra_whitespaces", "false"},
        {"allow_whitespace_only_pieces", "true"}, /* indentation */
        {"byte_fallback", "true"},
        {"character_coverage", "0.9995"}, /* rarer ones are written as bytes */
        {"unk_id", "0"},
        {"eos_id", "1"},
        {"bos_id", "-1"},
        {"pad_id", "-1"},
        {"num_threads", "4"}, /* sums are split by it: a fixed number gives fixed bits */
        {"minloglevel", "3"},
    };
    SpTexts texts = {next_line, lines};
    TRY(sp_library_train(options, sizeof options / sizeof *options, &texts, bytes, length));
    return lines->status;
}

static wf_status create(wf_tokenizer *tokenizer, const char *variant,
                        const wf_tokenizer_params *params)
{
    Lines lines = {.params = params};
    int64_t vocabulary = params->vocabulary ? params->vocabulary : DEFAULT_VOCABULARY;
    char size[32];
    char *bytes = NULL;
    size_t length = 0;
    if (vocabulary < 0 || vocabulary > LARGEST_VOCABULARY)
        return fail(WF_ERROR_ARGUMENT, "a vocabulary of %lld: at most %d", (long long)vocabulary,
                    LARGEST_VOCABULARY);
    TRY(measure(params, &lines.stride));
    snprintf(size, sizeof size, "%lld", (long long)vocabulary);
    wf_status status = train(variant, size, &lines, &bytes, &length);
    file_unmap(&lines.map);
    if (status) {
        free(bytes);
        return fail_within(status, "training a vocabulary of %s", size);
    }
    tokenizer->file = bytes;
    tokenizer->file_size = length;
    return read(tokenizer, bytes, length, "the trained model");
}

/* ---- use ---- */

static wf_status encode_unit(const Model *model, const char *text, size_t length, wf_tokens *tokens)
{
    int32_t *ids = NULL;
    size_t count;
    if (length == 0) return WF_OK;
    if (length > INT_MAX / 4)
        return fail(WF_ERROR_ARGUMENT, "%zu bytes of text: this model takes at most %d at a time",
                    length, INT_MAX / 4);
    TRY(sp_library_encode(model->library, text, length, &ids, &count));
    wf_status status = tokens_reserve(tokens, count);
    if (!status && count) memcpy(tokens->items + tokens->count, ids, count * sizeof *ids);
    if (!status) tokens->count += count;
    free(ids);
    return status;
}

static wf_status encode_lines(const Model *model, const char *text, size_t length,
                              wf_tokens *tokens)
{
    for (size_t at = 0; at < length;) {
        const char *end = memchr(text + at, '\n', length - at);
        size_t line = end ? (size_t)(end - text) - at : length - at;
        TRY(encode_unit(model, text + at, line, tokens));
        at += line + 1;
    }
    return WF_OK;
}

/* A word with the spaces or the line's end before it. */
static size_t word_length(const char *text, size_t length)
{
    size_t at = 0;
    if (*text == '\n') at++;
    while (at < length && text[at] == ' ' && *text != '\n') at++;
    while (at < length && text[at] != ' ' && text[at] != '\n') at++;
    return at;
}

/* A word within a text, where the library puts a space before it as if it were a text: that is the
 * word's own first space, or a token of its own before a line's end. */
static wf_status encode_inner(const Model *model, const char *word, size_t length,
                              wf_tokens *tokens)
{
    size_t first = tokens->count;
    if (!model->prefixed) return encode_unit(model, word, length, tokens);
    if (*word == ' ' && length > 1) return encode_unit(model, word + 1, length - 1, tokens);
    if (*word != ' ') {
        TRY(encode_unit(model, word, length, tokens));
        tokens->count--;
        memmove(tokens->items + first, tokens->items + first + 1,
                (tokens->count - first) * sizeof *tokens->items);
        return WF_OK;
    }
    TRY(tokens_reserve(tokens, 1));
    tokens->items[tokens->count++] = model->space;
    return WF_OK;
}

static wf_status encode_words(const Model *model, const char *text, size_t length,
                              wf_tokens *tokens)
{
    WordCache cache = {0};
    size_t at = length ? word_length(text, length) : 0;
    wf_status status = encode_unit(model, text, at, tokens);
    while (at < length && !status) {
        size_t word = word_length(text + at, length - at), before = tokens->count;
        if (!word_cache_append(&cache, text + at, word, tokens)) {
            status = encode_inner(model, text + at, word, tokens);
            if (!status)
                word_cache_add(&cache, text + at, word, tokens->items + before,
                               tokens->count - before);
        }
        at += word;
    }
    word_cache_destroy(&cache);
    return status;
}

static wf_status encode_text(const Model *model, const char *text, size_t length, wf_tokens *tokens)
{
    switch (model->unit) {
    case UNIT_WORD: return encode_words(model, text, length, tokens);
    case UNIT_LINE: return encode_lines(model, text, length, tokens);
    default: return encode_unit(model, text, length, tokens);
    }
}

static wf_status encode(const wf_tokenizer *tokenizer, const char *text, size_t length, int flags,
                        wf_tokens *tokens)
{
    static const Names none = {0};
    const Model *model = tokenizer->data;
    const Names *special = flags & WF_ENCODE_SPECIAL ? &model->special : &none;
    size_t valid = utf8_check(text, length);
    if (valid < length) return fail_invalid_utf8(valid);
    for (size_t from = 0; from < length;) {
        size_t at;
        const Name *name = names_find(special, text, length, from, &at);
        TRY(encode_text(model, text + from, at - from, tokens));
        if (!name) break;
        TRY(tokens_reserve(tokens, 1));
        tokens->items[tokens->count++] = name->token;
        from = at + name->length;
    }
    return WF_OK;
}

static void piece(const wf_tokenizer *tokenizer, int32_t token, const char **text, size_t *length)
{
    const Model *model = tokenizer->data;
    *text = model->bytes ? model->bytes + model->offset[token] : "";
    *length = model->offset[token + 1] - model->offset[token];
}

const TokenizerType tokenizer_sentencepiece = {.name = "sentencepiece",
                                               .file_name = "tokenizer.model",
                                               .create = create,
                                               .read = read,
                                               .destroy = destroy,
                                               .encode = encode,
                                               .piece = piece};
