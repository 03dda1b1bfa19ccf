/* A small model of each version, trained on a device and on the CPU: are the losses the same?
 *
 * Data, initial values and dropout are equal, so what separates the two runs is rounding, step
 * after step. The CPU itself is held against the double-precision reference. */
#ifndef CHECK_TRAINING_H
#define CHECK_TRAINING_H

#include "check/check.h"

enum { TRAINING_STEPS = 50, TRAINING_BATCH = 4, TRAINING_TOKENS = 32 };

/* Results are one a version: the error is the largest relative deviation of a step's loss. A run in
 * which nothing is learned fails, as it compares nothing. Adds to the totals. */
wf_status check_training(Device *device, const CheckParams *params, CheckTotals *totals);

/* Whether a result of this name is one of check_training(). */
bool check_is_training(const char *name);

#endif
