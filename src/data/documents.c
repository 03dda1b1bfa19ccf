#include "data/documents.h"

#include "base/files.h"
#include "base/text.h"
#include "data/sources.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Documents {
    char *path, *field;
    FILE *file;
    bool lines; /* of JSON */
    bool ended; /* the whole file is in the buffer or behind it */
    /* Bytes of the file not yet used: data[start … end-1]. */
    char *data;
    size_t start, end, capacity;
    int64_t read; /* bytes of the file */
    int64_t line; /* the one read last, counted from 1 */
    /* Of the present line. */
    json_t *object;
    const char *text;
    size_t length, taken;
    int64_t piece_at; /* the last piece's place in its text or file */
};

static wf_status out_of_memory(const Documents *documents)
{
    return fail(WF_ERROR_MEMORY, "%s: out of memory", documents->path);
}

wf_status documents_open(const char *path, const char *field, Documents **out)
{
    Documents *documents = calloc(1, sizeof *documents);
    if (!documents) return fail(WF_ERROR_MEMORY, "%s: out of memory", path);
    documents->path = strdup(path);
    documents->field = strdup(field);
    documents->capacity = PIECE_MOST + 1; /* a piece, and whether there is more */
    documents->data = malloc(documents->capacity);
    documents->lines = source_kind(path) == SOURCE_JSONL;
    wf_status status = WF_OK;
    if (!documents->path || !documents->field || !documents->data)
        status = fail(WF_ERROR_MEMORY, "%s: out of memory", path);
    else
        status = file_open(path, &documents->file);
    if (status) {
        documents_close(documents);
        return status;
    }
    *out = documents;
    return WF_OK;
}

void documents_close(Documents *documents)
{
    if (!documents) return;
    if (documents->file) fclose(documents->file);
    json_decref(documents->object);
    free(documents->path);
    free(documents->field);
    free(documents->data);
    free(documents);
}

int64_t documents_bytes(const Documents *documents)
{
    return documents->read;
}

wf_status documents_fail_within(const Documents *documents, wf_status status)
{
    char place[64] = "";
    if (documents->lines) snprintf(place, sizeof place, ": line %lld", (long long)documents->line);
    const char *path = documents->path;
    if (documents->piece_at == 0) return fail_within(status, "%s%s", path, place);
    return fail_within(status, "%s%s: counted from byte %lld on", path, place,
                       (long long)documents->piece_at);
}

/* ---- the buffer ---- */

/* Moves what is left to the front and reads on until the buffer is full or the file ends. */
static wf_status fill(Documents *documents)
{
    size_t left = documents->end - documents->start;
    memmove(documents->data, documents->data + documents->start, left);
    documents->start = 0;
    documents->end = left;
    if (documents->ended) return WF_OK;
    errno = 0;
    size_t n = fread(documents->data + left, 1, documents->capacity - left, documents->file);
    documents->end += n;
    documents->read += (int64_t)n;
    if (ferror(documents->file))
        return fail(WF_ERROR_IO, "%s: cannot read: %s", documents->path, strerror(errno));
    documents->ended = documents->end < documents->capacity;
    return WF_OK;
}

static wf_status grow(Documents *documents)
{
    if (documents->capacity > LINE_MOST)
        return fail(WF_ERROR_FORMAT, "%s: line %lld has more than %d bytes", documents->path,
                    (long long)documents->line, LINE_MOST);
    char *grown = realloc(documents->data, 2 * documents->capacity);
    if (!grown) return out_of_memory(documents);
    documents->data = grown;
    documents->capacity *= 2;
    return WF_OK;
}

/* ---- pieces ---- */

/* The last line's end in the second half of the text; one after a letter or digit if `after`. */
static size_t last_newline(const char *text, size_t length, bool after)
{
    for (size_t at = length - 1; at > length / 2; at--)
        if (text[at] == '\n' && (!after || isalnum((unsigned char)text[at - 1]))) return at;
    return 0;
}

/* The last place where a character begins. */
static size_t last_character(const char *text, size_t length)
{
    size_t at = length - 1, least = length > 4 ? length - 4 : 1;
    while (at > least && ((unsigned char)text[at] & 0xC0) == 0x80) at--;
    return at;
}

size_t piece_cut(const char *text, size_t length)
{
    size_t at = last_newline(text, length, true);
    if (!at) at = last_newline(text, length, false);
    return at ? at : last_character(text, length);
}

static wf_status next_of_file(Documents *documents, TextPiece *piece)
{
    size_t length = documents->end - documents->start;
    if (length <= PIECE_MOST && !documents->ended) {
        TRY(fill(documents));
        length = documents->end;
    }
    const char *text = documents->data + documents->start;
    if (length > PIECE_MOST) length = piece_cut(text, PIECE_MOST);
    int64_t behind = (int64_t)(documents->end - documents->start);
    documents->piece_at = documents->read - behind;
    documents->start += length;
    *piece = (TextPiece){.text = text, .length = length};
    return WF_OK;
}

/* ---- lines of JSON ---- */

/* The next line, without its end; *line is NULL at the end of the file. */
static wf_status next_line(Documents *documents, const char **line, size_t *length)
{
    size_t searched = 0;
    documents->line++;
    for (;;) {
        const char *from = documents->data + documents->start;
        size_t n = documents->end - documents->start;
        const char *end = memchr(from + searched, '\n', n - searched);
        if (end || documents->ended) {
            *length = end ? (size_t)(end - from) : n;
            *line = end || n ? from : NULL;
            documents->start += *length + (end != NULL);
            return WF_OK;
        }
        searched = n;
        if (n == documents->capacity) TRY(grow(documents));
        TRY(fill(documents));
    }
}

static bool is_blank(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!strchr(" \t\r", line[i]) || !line[i]) return false;
    return true;
}

static const char *json_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_NULL: return "null";
    default: return "true or false";
    }
}

static wf_status missing_field(const Documents *documents)
{
    Text keys = {0};
    const char *key;
    json_t *value;
    json_object_foreach(documents->object, key, value)
    {
        if (keys.length < 200) text_append(&keys, "%s\"%s\"", keys.length ? ", " : "", key);
    }
    wf_status status =
        fail(WF_ERROR_FORMAT, "%s: line %lld: no key \"%s\"; the object has %s", documents->path,
             (long long)documents->line, documents->field, keys.data ? keys.data : "none");
    text_destroy(&keys);
    return status;
}

static wf_status parse_line(Documents *documents, const char *line, size_t length)
{
    /* Other keys' numbers may be 64-bit hashes, which do not fit a signed integer. */
    enum { FLAGS = JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL };
    json_error_t error;
    long long number = documents->line;
    json_decref(documents->object);
    documents->object = json_loadb(line, length, FLAGS, &error);
    if (!documents->object)
        return fail(WF_ERROR_FORMAT, "%s: line %lld, column %d: %s", documents->path, number,
                    error.column, error.text);
    if (!json_is_object(documents->object))
        return fail(WF_ERROR_FORMAT, "%s: line %lld: expected a JSON object, found %s",
                    documents->path, number, json_kind(documents->object));
    const json_t *text = json_object_get(documents->object, documents->field);
    if (!text) return missing_field(documents);
    if (!json_is_string(text))
        return fail(WF_ERROR_FORMAT, "%s: line %lld: key \"%s\": expected a string, found %s",
                    documents->path, number, documents->field, json_kind(text));
    documents->text = json_string_value(text);
    documents->length = json_string_length(text);
    documents->taken = 0;
    return WF_OK;
}

static wf_status next_of_lines(Documents *documents, TextPiece *piece)
{
    while (documents->taken == documents->length) {
        const char *line;
        size_t length;
        TRY(next_line(documents, &line, &length));
        if (!line) {
            *piece = (TextPiece){0};
            return WF_OK;
        }
        size_t mark = documents->line == 1 ? utf8_mark(line, length) : 0;
        line += mark;
        length -= mark;
        if (!is_blank(line, length)) TRY(parse_line(documents, line, length));
    }
    const char *text = documents->text + documents->taken;
    size_t length = documents->length - documents->taken;
    bool ends = length <= PIECE_MOST;
    if (!ends) length = piece_cut(text, PIECE_MOST);
    documents->piece_at = (int64_t)documents->taken;
    documents->taken += length;
    *piece = (TextPiece){.text = text, .length = length, .ends = ends};
    return WF_OK;
}

wf_status documents_next(Documents *documents, TextPiece *piece)
{
    return documents->lines ? next_of_lines(documents, piece) : next_of_file(documents, piece);
}
