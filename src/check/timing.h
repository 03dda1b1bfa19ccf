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

/* Waits until the device has done what was asked of it. */
wf_status timing_wait(const Region *region);

#endif
