/* A training step of a model: tokens a second and the memory that was planned for it. */
#include "check/rates.h"

#include "base/clock.h"
#include "base/rng.h"
#include "check/timing.h"
#include "data/batches.h"
#include "model/flops.h"
#include "train/loss_scale.h"
#include "train/programs.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct TrainingBench {
    wf_model *model;
    int64_t batch, tokens;
    Programs programs;
    int64_t memory;
    double floor; /* seconds of a step */
    OptimizerStep step;
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

static wf_status plan(const Rates *rates, TrainingBench *bench)
{
    ProgramsParams params = {bench->batch, bench->tokens, FIELD_SCAN, false};
    MemoryPlan memory;
    TRY(model_evaluator(bench->model->config, "auto", &params.evaluator));
    TRY(programs_plan(&bench->programs, bench->model, &params));
    programs_memory(&bench->programs, &memory);
    bench->memory = memory.total;
    bench->floor = step_floor(rates, bench->model, bench->batch, bench->tokens);
    return programs_check_memory(bench->model, &params, &memory);
}

/* The batch that was asked for; else the largest up to 8 that fits and whose step has a floor below
 * a second. */
static wf_status choose_batch(const Rates *rates, TrainingBench *bench)
{
    const double longest = 1;
    bench->batch = rates->params->batch ? rates->params->batch : 8;
    while (!rates->params->batch && bench->batch > 1 &&
           step_floor(rates, bench->model, bench->batch, bench->tokens) > longest)
        bench->batch /= 2;
    for (;;) {
        wf_status status = plan(rates, bench);
        if (status != WF_ERROR_MEMORY || rates->params->batch || bench->batch == 1) return status;
        programs_destroy(&bench->programs);
        bench->batch /= 2;
    }
}

static wf_status load(TrainingBench *bench)
{
    size_t n = (size_t)(bench->batch * bench->tokens);
    int64_t vocabulary = bench->model->config->vocab_size;
    int32_t *token = malloc(n * sizeof *token), *target = malloc(n * sizeof *target);
    int32_t *order = malloc(n * sizeof *order);
    wf_status status = token && target && order ? WF_OK : fail(WF_ERROR_MEMORY, "out of memory");
    Rng rng = {.seed = 1};
    for (size_t i = 0; !status && i < n; i++) {
        token[i] = (int32_t)rng_below(&rng, (uint64_t)vocabulary);
        target[i] = (int32_t)rng_below(&rng, (uint64_t)vocabulary);
    }
    bench->step.scale = loss_scale_first(bench->model->storage).scale;
    if (!status) status = token_order(token, (int64_t)n, vocabulary, order);
    if (!status)
        status =
            pass_load(&bench->programs.accumulate,
                      &(PassBatch){token, target, order, {1, 1}, bench->step.scale / (double)n});
    free(token);
    free(target);
    free(order);
    return status;
}

static wf_status run_step(TrainingBench *bench)
{
    bench->step.step++;
    bench->step.learning_rate = 1e-5;
    bench->step.clip = 1;
    bench->step.decay = 0.1;
    return programs_step(&bench->programs, &bench->step);
}

/* A step ends with reading whether it was finite, so it is waited for. */
static wf_status time_steps(TrainingBench *bench, bool quick, double *seconds)
{
    enum { MOST = 21 };
    double times[MOST], start = clock_seconds(), budget = quick ? 2 : 8;
    int n = 0;
    TRY(run_step(bench)); /* to warm up */
    while (n < MOST && (n == 0 || clock_seconds() - start < budget)) {
        double from = clock_seconds();
        TRY(run_step(bench));
        times[n++] = clock_seconds() - from;
    }
    *seconds = median(times, n);
    return WF_OK;
}

wf_status rates_training(Rates *rates, wf_model *model)
{
    static const double multiplier[GROUP_COUNT] = {1, 3, 10};
    const RateParams *params = rates->params;
    TrainingBench *bench = calloc(1, sizeof *bench);
    if (!bench) return fail(WF_ERROR_MEMORY, "out of memory for a step");
    bench->model = model;
    bench->tokens = params->tokens ? params->tokens : int64_min(2048, model->config->max_seq_len);
    Rate rate = {.figure = "training", .unit = "tokens/s"};
    wf_status status = choose_batch(rates, bench);
    if (!status) status = model_ready(model);
    if (!status) status = programs_allocate(&bench->programs, model, multiplier);
    if (!status) status = load(bench);
    if (!status) status = time_steps(bench, params->quick, &rate.seconds);
    snprintf(rate.title, sizeof rate.title, "%s %s, batch %lld x %lld", params->name,
             dtype_name(model->storage), (long long)bench->batch, (long long)bench->tokens);
    rate.per_run = (double)(bench->batch * bench->tokens);
    rate.floor = bench->floor;
    rate.memory = bench->memory;
    status = rates_report(rates, &rate, status);
    programs_destroy(&bench->programs);
    free(bench);
    return status;
}
