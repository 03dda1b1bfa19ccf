/* Text: growing strings, the nearest of several words, strict UTF-8. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A string that grows; starts as {0}. A failed allocation is remembered: later appends do nothing,
 * and the owner asks `failed` once at the end. */
typedef struct Text {
    char *data; /* NUL-terminated; NULL before the first append */
    size_t length, capacity;
    bool failed;
} Text;

void text_append(Text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void text_append_bytes(Text *text, const char *bytes, size_t length);
void text_destroy(Text *text);

/* The candidate with the smallest edit distance to `word`, or NULL if none is near enough to be a
 * typing error of it. */
const char *text_nearest(const char *word, const char *const *candidates, int n_candidates);

/* The character at the start of `bytes`: its length 1 … 4 and its code point. 0 if the bytes are
 * not UTF-8: cut short, overlong, a surrogate, or above U+10FFFF (Unicode 15, table 3-7). */
int utf8_decode(const char *bytes, size_t length, uint32_t *code);

/* Writes the character of a code point, 1 … 4 bytes, and returns how many. 0 for a surrogate or a
 * number above U+10FFFF. */
int utf8_encode(uint32_t code, char out[4]);

/* How many bytes a byte-order mark takes at the start: 3, or 0. Editors put one before text that
 * other programs do not expect one in (RFC 8259, section 8.1: of JSON, it may be passed over). */
size_t utf8_mark(const char *bytes, size_t length);

/* The offset of the first byte that is not part of UTF-8; `length` if all of it is. */
size_t utf8_check(const char *bytes, size_t length);

#endif
