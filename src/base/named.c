#include "base/named.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    return strcmp(((const Named *)a)->name, ((const Named *)b)->name);
}

void named_sort(Named *list, int count)
{
    qsort(list, (size_t)count, sizeof *list, compare);
}

int named_find(const Named *list, int count, const char *name)
{
    Named wanted = {.name = name};
    const Named *found =
        count ? bsearch(&wanted, list, (size_t)count, sizeof *list, compare) : NULL;
    return found ? found->index : -1;
}
