/* What computed a run: what its bits depend on beside its settings and its data. */
#ifndef TRAIN_COMPUTED_BY_H
#define TRAIN_COMPUTED_BY_H

#include "backends/backend.h"

enum { COMPUTED_BY_TEXT = 160 };

/* Texts are printable ASCII, what else a driver says of itself is replaced. An earlier version
 * noted of a checkpoint only the tuning: then they are "". */
typedef struct ComputedBy {
    char device[COMPUTED_BY_TEXT];   /* its name */
    char driver[COMPUTED_BY_TEXT];   /* name and version */
    char products[COMPUTED_BY_TEXT]; /* who computes them, as in wf_device_info */
    uint64_t tuning;                 /* of the products; 0: none */
} ComputedBy;

ComputedBy computed_by(const DeviceInfo *info);

/* Copies a text, cut where it is too long, with '?' for what is not printable ASCII. */
void computed_by_text(char to[COMPUTED_BY_TEXT], const char *from);

/* What changed from one to the other so that results round differently, for a message: "the driver
 * was A and is B; …". "": nothing that is known. */
void computed_by_compare(const ComputedBy *before, const ComputedBy *now, char *text, size_t size);

#endif
