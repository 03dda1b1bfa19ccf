/* The figures the project stands by, each measured as a ratio of two things timed in turns. */
#ifndef CHECK_MEASURE_H
#define CHECK_MEASURE_H

#include "backends/backend.h"
#include "check/timing.h"

typedef struct Measurement {
    double seconds, against; /* medians of a run */
    double ratio;            /* seconds / against */
    double bytes;            /* moved by a run of either; 0: not a matter of bytes */
} Measurement;

typedef struct MeasureRow {
    const char *name;  /* "field-copy" */
    const char *title; /* what is timed, against what */
    double target;     /* the ratio should be at most this */
    wf_status (*run)(Device *device, Measurement *out);
} MeasureRow;

extern const MeasureRow measure_rows[];
extern const int n_measure_rows;

wf_status measure_field_copy(Device *device, Measurement *out);
wf_status measure_field_scan(Device *device, Measurement *out);
wf_status measure_step(Device *device, Measurement *out);
wf_status measure_ahead(Device *device, Measurement *out);
wf_status measure_decode(Device *device, Measurement *out);

/* Times two actions in turns and sets seconds, against and ratio from the medians of `repeats`. */
wf_status measure_in_turns(MeasureAction action, MeasureAction other, void *context, int repeats,
                           Measurement *out);

#endif
