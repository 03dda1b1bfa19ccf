#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` bytes and a NUL. */
static bool reserve(Text *text, size_t more)
{
    if (text->failed) return false;
    if (more < text->capacity - text->length) return true;
    size_t needed = text->length + more + 1;
    size_t larger = needed < 64 ? 64 : 2 * needed;
    char *grown = larger > needed ? realloc(text->data, larger) : NULL;
    if (!grown) {
        text->failed = true;
        return false;
    }
    text->data = grown;
    text->capacity = larger;
    return true;
}

void text_append_bytes(Text *text, const char *bytes, size_t length)
{
    if (!reserve(text, length)) return;
    if (length) memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = 0;
}

void text_append(Text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) text->failed = true;
    if (length >= 0 && reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

void text_destroy(Text *text)
{
    free(text->data);
    *text = (Text){0};
}

/* ---- nearest word ---- */

enum { LONGEST_WORD = 63 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b (optimal string
 * alignment). Words beyond LONGEST_WORD are compared by their beginnings. */
static int edit_distance(const char *a, const char *b)
{
    int n = (int)strnlen(a, LONGEST_WORD), m = (int)strnlen(b, LONGEST_WORD);
    int rows[3][LONGEST_WORD + 1];
    for (int j = 0; j <= m; j++) rows[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

const char *text_nearest(const char *word, const char *const *candidates, int n_candidates)
{
    const char *nearest = NULL;
    int bound = 1 + (int)(strnlen(word, LONGEST_WORD) / 3);
    for (int i = 0; i < n_candidates; i++) {
        int distance = edit_distance(word, candidates[i]);
        if (distance > bound || distance >= (int)strlen(candidates[i])) continue;
        nearest = candidates[i];
        bound = distance - 1;
    }
    return nearest;
}

/* ---- UTF-8 ---- */

int utf8_decode(const char *bytes, size_t length, uint32_t *code)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (length == 0) return 0;
    uint32_t lead = (unsigned char)bytes[0];
    int n = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (n == 0 || (size_t)n > length) return 0;
    uint32_t value = n == 1 ? lead : lead & (0x7Fu >> n);
    for (int i = 1; i < n; i++) {
        uint32_t byte = (unsigned char)bytes[i];
        if (byte >> 6 != 2) return 0;
        value = value << 6 | (byte & 0x3F);
    }
    bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    if (value < smallest[n] || surrogate || value > 0x10FFFF) return 0;
    *code = value;
    return n;
}

int utf8_encode(uint32_t code, char out[4])
{
    if ((code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF) return 0;
    int n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint32_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (int i = n - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(lead[n] | code);
    return n;
}

size_t utf8_mark(const char *bytes, size_t length)
{
    return length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

size_t utf8_check(const char *bytes, size_t length)
{
    size_t at = 0;
    uint32_t code;
    while (at < length) {
        int n = utf8_decode(bytes + at, length - at, &code);
        if (n == 0) break;
        at += (size_t)n;
    }
    return at;
}
