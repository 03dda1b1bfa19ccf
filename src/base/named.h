/* Finding one of many things by its name. */
#ifndef BASE_NAMED_H
#define BASE_NAMED_H

typedef struct Named {
    const char *name; /* borrowed */
    int index;        /* of the thing in the owner's list */
} Named;

/* Sorts by name. */
void named_sort(Named *list, int count);

/* The index of a name in a sorted list, -1 if it is not there; of equal names, any one's. */
int named_find(const Named *list, int count, const char *name);

#endif
