/* Timing of programs. */
#ifndef CHECK_TIMING_H
#define CHECK_TIMING_H

#include "backends/backend.h"

/* Sorts `values`. */
double median(double *values, int n);

typedef struct Timing {
    int least, most; /* repetitions: at least so many, */
    double budget;   /* then until so many seconds have gone */
} Timing;

/* Median seconds of a replay, waited for by reading from `region`, which the program uses. */
wf_status time_program(Program *program, const Region *region, const Timing *timing,
                       double *seconds);

/* Something to time: enqueues work, or does it. */
typedef wf_status (*MeasureAction)(void *context);

/* Median seconds of one action among several enqueued back to back, so that what is measured is the
 * device's work and not the wait for it. Five rounds, fewer after `budget` seconds. `region` is one
 * that the work uses; NULL: it is done when the action returns. */
wf_status time_back_to_back(MeasureAction action, void *context, const Region *region,
                            double budget, double *seconds);

/* An action that enqueues a replay; `context` is the program. */
wf_status replay_program(void *program);

/* Waits until the device has done what was asked of it. */
wf_status timing_wait(const Region *region);

#endif
