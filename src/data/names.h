/* Names that stand for tokens wherever a text has them, such as "<|endoftext|>". */
#ifndef DATA_NAMES_H
#define DATA_NAMES_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Name {
    const char *text; /* borrowed; length ≥ 1 */
    size_t length;
    int32_t token;
} Name;

typedef struct Names {
    Name *items; /* sorted by first byte, longest first */
    int count, capacity;
    int first[257]; /* names that begin with byte b are items first[b] … first[b + 1] - 1 */
} Names;

wf_status names_add(Names *names, Name name);
/* After the last names_add(). */
void names_sort(Names *names);
void names_destroy(Names *names);

/* The first name in a text from byte `from` on (of those that begin there the longest), and its
 * place into *at; NULL: none, and *at is the text's length. */
const Name *names_find(const Names *names, const char *text, size_t length, size_t from,
                       size_t *at);

#endif
