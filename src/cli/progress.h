/* What a training run shows: one line rewritten in place on a terminal, else a line now and then.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "wavefield/train.h"

#include <stdbool.h>

typedef struct Progress {
    bool terminal;
    int64_t every;       /* steps a line where it is not one */
    int64_t steps;       /* in all */
    int64_t since;       /* steps since the last line */
    double loss;         /* their sum */
    double step_seconds; /* smoothed */
    double shown;        /* when */
    bool open;           /* a rewritten line stands without its end */
} Progress;

void progress_begin(Progress *progress, int64_t every, int64_t steps);

/* After a step that took `seconds`. */
void progress_step(Progress *progress, const wf_step_stats *stats, double seconds);

/* Ends the rewritten line, so that something else can be printed. */
void progress_break(Progress *progress);

#endif
