#include "check/measure.h"

#include "base/clock.h"
#include "check/timing.h"

const MeasureRow measure_rows[] = {
    {"field-copy",
     "the field by scan, forward, over a copy of the same bytes (1 x 8192 tokens, 12 heads of 64)",
     3, measure_field_copy},
    {"field-scan",
     "the field by scan over the field by fft, forward and backward (2048 cells, 12 heads of 64)",
     1, measure_field_scan},
    {"step", "a training step of v4-20m, batch 1 x 512, over its matrix products alone", 1.5,
     measure_step},
    {"ahead", "eight steps of demo, batch 1 x 64, each begun ahead, over eight waited for", 1.05,
     measure_ahead},
    {"decode", "a token decoded at position 100,000 over one at position 100", 1.1, measure_decode},
};
const int n_measure_rows = (int)(sizeof measure_rows / sizeof *measure_rows);

static wf_status timed(MeasureAction action, void *context, double *seconds)
{
    double start = clock_seconds();
    wf_status status = action(context);
    *seconds = clock_seconds() - start;
    return status;
}

wf_status measure_in_turns(MeasureAction action, MeasureAction other, void *context, int repeats,
                           Measurement *out)
{
    enum { MOST = 256 };
    double a[MOST], b[MOST];
    int n = repeats < MOST ? repeats : MOST;
    TRY(action(context)); /* once to warm up */
    TRY(other(context));
    for (int i = 0; i < n; i++) {
        TRY(timed(action, context, &a[i]));
        TRY(timed(other, context, &b[i]));
    }
    out->seconds = median(a, n);
    out->against = median(b, n);
    out->ratio = out->seconds / out->against;
    return WF_OK;
}
