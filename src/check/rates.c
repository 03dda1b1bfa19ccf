#include "check/rates.h"

#include "check/measure_parts.h"
#include "check/timing.h"
#include "wavefield/model.h"

#include <stdio.h>
#include <string.h>

const char *const rate_figures[] = {"copy",       "product", "field", "training",
                                    "generation", "model",   NULL};

wf_status rates_report(const Rates *rates, Rate *rate, wf_status status)
{
    if (status && status != WF_ERROR_UNSUPPORTED && status != WF_ERROR_MEMORY) return status;
    if (status) rate->seconds = 0;
    rate->why = status ? wf_error_message() : "";
    rates->params->report(rates->params->context, rate);
    return WF_OK;
}

bool rates_wanted(const Rates *rates, const char *figure)
{
    const char *wanted = rates->params->figure;
    bool of_model = !strcmp(figure, "training") || !strcmp(figure, "generation");
    return !wanted || !strcmp(wanted, figure) || (of_model && !strcmp(wanted, "model"));
}

wf_status rates_copy(Rates *rates)
{
    const Limits *limits = &rates->device->limits;
    CopyBench bench;
    int64_t bytes = (int64_t)(rates->params->quick ? 32 : 256) << 20;
    if (limits->largest_allocation > 0)
        bytes = int64_min(bytes, limits->largest_allocation / 4) / 4096 * 4096;
    Rate rate = {.figure = "copy", .unit = "B/s", .per_run = 2.0 * (double)bytes};
    snprintf(rate.title, sizeof rate.title, "%lld MiB, read and written", (long long)(bytes >> 20));
    wf_status status = copy_create(rates->device, bytes, &bench);
    if (!status)
        status = time_back_to_back(copy_run, &bench, bench.from ? NULL : &bench.region, 2,
                                   &rate.seconds);
    copy_destroy(&bench);
    TRY(status); /* every floor needs it */
    rates->copy = rate.per_run / rate.seconds;
    return rates_wanted(rates, "copy") ? rates_report(rates, &rate, WF_OK) : WF_OK;
}

static wf_status measure_model(Rates *rates)
{
    const RateParams *params = rates->params;
    wf_model *model = NULL;
    Rate rate = {.figure = "training", .unit = "tokens/s"};
    snprintf(rate.title, sizeof rate.title, "%s %s", params->name, dtype_name(params->storage));
    wf_status status = wf_model_create(rates->device, params->config, 1, &model);
    if (!status) status = wf_model_set_precision(model, dtype_name(params->storage));
    if (status) {
        status = rates_report(rates, &rate, status);
    } else {
        if (rates_wanted(rates, "training")) status = rates_training(rates, model);
        /* A training that did not come about leaves the precision that needs no copies. */
        if (!status) status = wf_model_set_precision(model, dtype_name(params->storage));
        if (!status && rates_wanted(rates, "generation")) status = rates_generation(rates, model);
    }
    wf_model_destroy(model);
    return status;
}

wf_status measure_rates(Device *device, const RateParams *params)
{
    Rates rates = {.device = device, .params = params};
    bool model = rates_wanted(&rates, "training") || rates_wanted(&rates, "generation");
    TRY(rates_copy(&rates));
    if (model || rates_wanted(&rates, "product")) TRY(rates_products(&rates));
    if (rates_wanted(&rates, "field")) TRY(rates_field(&rates));
    return model ? measure_model(&rates) : WF_OK;
}
