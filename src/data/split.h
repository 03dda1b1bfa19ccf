/* How much of a stream of tokens is held out. */
#ifndef DATA_SPLIT_H
#define DATA_SPLIT_H

#include "base/status.h"

#include <stdint.h>

/* A share held out is in 0 … 0.5; negative: the default. */
wf_status split_check(double share);

/* Tokens held out at the end of `count`. */
int64_t split_held_out(int64_t count, double share);

#endif
