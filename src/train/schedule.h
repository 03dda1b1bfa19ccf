/* The learning rate of each step: linear warm-up, then a cosine down to the minimum (spec §6). */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include <stdint.h>

typedef struct Schedule {
    double peak, minimum;
    int64_t warmup; /* steps of it; 0: the first step is past it */
    int64_t steps;  /* the last of them has the minimum */
} Schedule;

/* The rate of step 1, 2, …: `peak` at step `warmup`, `minimum` at step `steps` and ever after. */
double schedule_rate(const Schedule *schedule, int64_t step);

#endif
