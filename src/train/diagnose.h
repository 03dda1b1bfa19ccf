/* Finds where a NaN or an infinity first appears, by running a pass node after node. */
#ifndef TRAIN_DIAGNOSE_H
#define TRAIN_DIAGNOSE_H

#include "train/pass.h"

typedef struct BadTensor {
    const Tensor *tensor; /* NULL: every element of every tensor is finite */
    int64_t element;      /* the first bad one */
    double value;
} BadTensor;

/* Replays the pass on the inputs it was last loaded with. What a node reads from outside (a
 * parameter) is looked at before the node runs, what it writes right afterwards. */
wf_status diagnose_pass(const Pass *pass, BadTensor *bad);

#endif
