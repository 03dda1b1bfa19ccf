/* The field, forward and backward, in bytes a second against the device's own copy. */
#include "check/rates.h"

#include "check/measure_parts.h"
#include "check/timing.h"

#include <stdio.h>

/* Forward reads u and writes r; backward reads u and r's gradient and writes u's. */
static wf_status measure(const Rates *rates, DType dtype, unsigned part, Rate *rate)
{
    FieldBench bench;
    FieldSize size = {.batch = rates->params->quick ? 1 : 32,
                      .tokens = 2048,
                      .cells = 2048,
                      .parts = part,
                      .evaluator = FIELD_SCAN,
                      .storage = dtype};
    int64_t bytes = size.batch * size.tokens * MEASURED_HEADS * MEASURED_WIDTH *
                    rates->device->limits.dtype_size[dtype];
    *rate = (Rate){.figure = "field", .unit = "B/s"};
    rate->per_run = (part == FIELD_FORWARD ? 2.0 : 3.0) * (double)bytes;
    rate->floor = rate->per_run / rates->copy;
    snprintf(rate->title, sizeof rate->title, "%s %s by scan, %lld x %lld tokens, %d heads of %d",
             dtype_name(dtype), part == FIELD_FORWARD ? "forward" : "backward",
             (long long)size.batch, (long long)size.tokens, MEASURED_HEADS, MEASURED_WIDTH);
    wf_status status = field_bench_create(rates->device, size, &bench);
    if (!status)
        status = time_back_to_back(replay_program, bench.runnable.program, &bench.region, 2,
                                   &rate->seconds);
    field_bench_destroy(&bench);
    return status;
}

wf_status rates_field(Rates *rates)
{
    static const DType types[] = {DTYPE_REAL, DTYPE_F16, DTYPE_BF16};
    static const unsigned parts[] = {FIELD_FORWARD, FIELD_BACKWARD};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            if (rates->device->limits.dtype_size[types[i]] == 0) continue;
            Rate rate;
            wf_status status = measure(rates, types[i], parts[k], &rate);
            TRY(rates_report(rates, &rate, status));
        }
    return WF_OK;
}
