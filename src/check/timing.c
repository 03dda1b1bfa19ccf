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
