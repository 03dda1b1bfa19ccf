#include "check/timing.h"

#include "base/clock.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

wf_status timing_wait(const Region *region)
{
    int32_t word;
    return device_read_ints(region, 0, &word, 1);
}

wf_status time_program(Program *program, const Region *region, const Timing *timing,
                       double *seconds)
{
    double *times = calloc((size_t)timing->most, sizeof *times), total = 0;
    if (!times) return fail(WF_ERROR_MEMORY, "out of memory for %d timings", timing->most);
    wf_status status = timing_wait(region);
    int n = 0;
    while (!status && (n < timing->least || (n < timing->most && total < timing->budget))) {
        double start = clock_seconds();
        status = program->device->backend->program_run(program);
        if (!status) status = timing_wait(region);
        times[n] = clock_seconds() - start;
        total += times[n++];
    }
    if (!status) *seconds = median(times, n);
    free(times);
    return status;
}

wf_status replay_program(void *program)
{
    Program *this = program;
    return this->device->backend->program_run(this);
}

static wf_status time_round(MeasureAction action, void *context, const Region *region, int n,
                            double *seconds)
{
    double start = clock_seconds();
    for (int i = 0; i < n; i++) TRY(action(context));
    if (region) TRY(timing_wait(region));
    *seconds = (clock_seconds() - start) / n;
    return WF_OK;
}

wf_status time_back_to_back(MeasureAction action, void *context, const Region *region,
                            double budget, double *seconds)
{
    enum { ROUNDS = 5, MOST_IN_A_ROUND = 64 };
    const double round = 0.02;
    double times[ROUNDS], start = clock_seconds();
    TRY(time_round(action, context, region, 1, &times[0])); /* to warm up */
    TRY(time_round(action, context, region, 1, &times[0]));
    int n = times[0] > round ? 1 : (int)(round / (times[0] + round / MOST_IN_A_ROUND)) + 1, done;
    for (done = 0; done < ROUNDS; done++) {
        if (done > 0 && clock_seconds() - start > budget) break;
        TRY(time_round(action, context, region, n, &times[done]));
    }
    *seconds = median(times, done);
    return WF_OK;
}
