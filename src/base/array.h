/* Arrays that grow. */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include <stdbool.h>
#include <stdlib.h>

/* Makes room for element number `count` of *array, doubling it when full. False: out of memory, and
 * the array is as it was. */
static inline bool array_reserve(void **array, int count, int *capacity, size_t element)
{
    if (count < *capacity) return true;
    int larger = *capacity ? 2 * *capacity : 64;
    void *grown = realloc(*array, (size_t)larger * element);
    if (!grown) return false;
    *array = grown;
    *capacity = larger;
    return true;
}

#endif
