/* What a step adds up on the device. It lies in one region, so that one read fetches all of it: at
 * once, or late, while the device is at the next step. */
#ifndef TRAIN_TALLY_H
#define TRAIN_TALLY_H

#include "backends/backend.h"

typedef struct Tally {
    Region region;
    int64_t loss;   /* byte offsets: real [1], nats */
    int64_t counts; /* i32 [2]: targets counted, argmax hits */
    /* Of an update; no pass writes them. */
    int64_t norm2;   /* real [1]: the sum of the gradients' squares */
    int64_t scratch; /* real [1]: a sum of squares that nobody reads */
    int64_t bad;     /* i32 [1]: numbers that were not finite, since tally_forgive() */
} Tally;

typedef struct TallyValues {
    double loss;
    int64_t targets, hits;
    double norm2;
    bool all_finite;
} TallyValues;

void tally_layout(Tally *tally, const Limits *limits);

/* All sums are 0; `bad` stays. As long as it is not 0 updates change nothing, so that a step after
 * one that failed can be on its way before the failure is known. */
wf_status tally_clear(Tally *tally);
/* `bad` is 0 again. */
wf_status tally_forgive(Tally *tally);

/* Waits for the device. */
wf_status tally_read(const Tally *tally, TallyValues *values);

/* The values as they are between what is enqueued before and after this call; the readback is one
 * that tally_readback_create() made. */
wf_status tally_readback_create(const Tally *tally, Readback **out);
wf_status tally_read_begin(const Tally *tally, Readback *readback);
wf_status tally_read_end(const Tally *tally, Readback *readback, TallyValues *values);

#endif
