/* Training of a model as a run does it: tokens a second and the memory that was planned for it. */
#include "check/rates.h"

#include "base/clock.h"
#include "check/measure_parts.h"
#include "check/timing.h"
#include "model/flops.h"
#include "train/programs.h"

#include <stdio.h>

typedef struct TrainingBench {
    wf_model *model;
    wf_trainer_params settings;
    wf_dataset *data;
    wf_trainer *trainer;
} TrainingBench;

/* Three forwards' products at the best rate of one, then the optimizer's pass over values,
 * gradients and both moments, each read and written: it waits for the norm of all gradients, so the
 * two cannot overlap. */
static double step_floor(const Rates *rates, const wf_model *model, int64_t batch, int64_t tokens)
{
    Flops flops = config_flops(model->config, FIELD_SCAN, tokens);
    double work = (1 + FLOPS_BACKWARD) * flops_total(&flops) * (double)(batch * tokens);
    double best = rates->product[model->storage];
    double update = 8.0 * (double)sequence_bytes(&model->values) / rates->copy;
    return update + (best > 0 ? work / best : 0);
}

static double floor_of(const Rates *rates, const TrainingBench *bench)
{
    return step_floor(rates, bench->model, bench->settings.batch_size,
                      bench->settings.sequence_length);
}

/* The batch that was asked for; else the largest up to 8 that fits and whose step has a floor below
 * a second. */
static wf_status choose_batch(const Rates *rates, TrainingBench *bench)
{
    const double longest = 1;
    int64_t asked = rates->params->batch, *batch = &bench->settings.batch_size;
    *batch = asked ? asked : 8;
    while (!asked && *batch > 1 && floor_of(rates, bench) > longest) *batch /= 2;
    for (;;) {
        wf_status status =
            training_check_memory(rates->device, bench->model->config, &bench->settings);
        if (status != WF_ERROR_MEMORY || asked || *batch == 1) return status;
        *batch /= 2;
    }
}

static wf_status open_trainer(TrainingBench *bench)
{
    const wf_trainer_params *s = &bench->settings;
    int64_t n = 4 * s->batch_size * s->sequence_length + 1;
    TRY(measure_corpus(n, bench->model->config->vocab_size, &bench->data));
    return wf_trainer_create(bench->model, bench->data, s, &bench->trainer);
}

/* A call begins a step and waits for the one before, so that from the third on each takes as long
 * as a step: the device always has the next one. */
static wf_status time_steps(const TrainingBench *bench, bool quick, double *seconds)
{
    enum { MOST = 21 };
    double times[MOST], start = clock_seconds(), budget = quick ? 2 : 8;
    int n = 0;
    for (int i = 0; i < 2; i++) TRY(wf_trainer_begin_step(bench->trainer, NULL));
    while (n < MOST && (n == 0 || clock_seconds() - start < budget)) {
        double from = clock_seconds();
        TRY(wf_trainer_begin_step(bench->trainer, NULL));
        times[n++] = clock_seconds() - from;
    }
    TRY(wf_trainer_finish_step(bench->trainer, NULL));
    *seconds = median(times, n);
    return WF_OK;
}

wf_status rates_training(Rates *rates, wf_model *model)
{
    const RateParams *params = rates->params;
    const char *precision = dtype_name(params->storage);
    int64_t tokens = params->tokens ? params->tokens : int64_min(2048, model->config->max_seq_len);
    TrainingBench bench = {.model = model,
                           .settings =
                               *wf_trainer_params(.sequence_length = tokens, .steps = INT32_MAX,
                                                  .learning_rate = 1e-5, .precision = precision)};
    MemoryPlan memory = {0};
    Rate rate = {.figure = "training", .unit = "tokens/s"};
    wf_status status = choose_batch(rates, &bench);
    if (!status) status = training_memory(rates->device, model->config, &bench.settings, &memory);
    if (!status) status = open_trainer(&bench);
    if (!status) status = time_steps(&bench, params->quick, &rate.seconds);
    wf_trainer_destroy(bench.trainer);
    wf_dataset_destroy(bench.data);
    int64_t batch = bench.settings.batch_size;
    snprintf(rate.title, sizeof rate.title, "%s %s, batch %lld x %lld", params->name, precision,
             (long long)batch, (long long)tokens);
    rate.per_run = (double)(batch * tokens);
    rate.floor = floor_of(rates, &bench);
    rate.memory = memory.total;
    return rates_report(rates, &rate, status);
}
