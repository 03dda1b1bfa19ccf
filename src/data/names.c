#include "data/names.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

wf_status names_add(Names *names, Name name)
{
    if (!array_reserve((void **)&names->items, names->count, &names->capacity, sizeof name))
        return fail(WF_ERROR_MEMORY, "out of memory for the names of tokens");
    names->items[names->count++] = name;
    return WF_OK;
}

void names_destroy(Names *names)
{
    free(names->items);
    *names = (Names){0};
}

static int compare(const void *a, const void *b)
{
    const Name *x = a, *y = b;
    int order = (unsigned char)*x->text - (unsigned char)*y->text;
    if (order) return order;
    if (x->length != y->length) return x->length > y->length ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

void names_sort(Names *names)
{
    if (names->count) qsort(names->items, (size_t)names->count, sizeof *names->items, compare);
    int i = 0;
    for (int byte = 0; byte <= 256; byte++) {
        while (i < names->count && (unsigned char)*names->items[i].text < byte) i++;
        names->first[byte] = i;
    }
}

static const Name *name_at(const Names *names, const char *text, size_t length)
{
    int byte = (unsigned char)*text;
    for (int i = names->first[byte]; i < names->first[byte + 1]; i++) {
        const Name *name = &names->items[i];
        if (name->length <= length && !memcmp(name->text, text, name->length)) return name;
    }
    return NULL;
}

const Name *names_find(const Names *names, const char *text, size_t length, size_t from, size_t *at)
{
    *at = length;
    if (names->count == 0) return NULL;
    for (size_t i = from; i < length; i++) {
        const Name *name = name_at(names, text + i, length - i);
        if (!name) continue;
        *at = i;
        return name;
    }
    return NULL;
}
