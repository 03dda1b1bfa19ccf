#include "train/trainer.h"

#include "train/evaluate.h"
#include "train/settings.h"

#include <stdlib.h>

/* ---- creation ---- */

static wf_status allocate_tokens(wf_trainer *trainer)
{
    const wf_trainer_params *s = &trainer->settings;
    size_t n = (size_t)(s->batch_size * s->sequence_length);
    trainer->token = malloc(n * sizeof *trainer->token);
    trainer->target = malloc(n * sizeof *trainer->target);
    trainer->order = malloc(n * sizeof *trainer->order);
    if (!trainer->token || !trainer->target || !trainer->order)
        return fail(WF_ERROR_MEMORY, "out of memory for a batch of %zu tokens", n);
    return WF_OK;
}

/* Plans, and refuses what does not fit. */
static wf_status plan_programs(wf_trainer *trainer)
{
    ProgramsParams params;
    MemoryPlan memory;
    TRY(programs_params(&trainer->settings, trainer->model->config, &params));
    TRY(programs_plan(&trainer->programs, trainer->model, &params));
    programs_memory(&trainer->programs, &memory);
    return programs_check_memory(trainer->model, &params, &memory);
}

static wf_status allocate_programs(wf_trainer *trainer)
{
    const wf_trainer_params *s = &trainer->settings;
    wf_model *model = trainer->model;
    const double rate[GROUP_COUNT] = {
        [GROUP_BASE] = 1,
        [GROUP_QK] = s->qk_lr_mult,
        [GROUP_KERNEL] = s->kernel_lr_mult,
    };
    TRY(model_outline_precision(model, s->precision));
    wf_status status = plan_programs(trainer);
    if (!status) status = model_allocate_precision(model);
    if (!status) return programs_allocate(&trainer->programs, model, rate);
    wf_model_set_precision(model, NULL); /* what is only sized cannot run */
    return status;
}

static bool has_held_out(const wf_dataset *data)
{
    TokenSpan held_out = dataset_held_out(data);
    return held_out.first < held_out.last;
}

/* Without evaluations patience would never run out, however long the run. */
static wf_status check_patience(const wf_trainer_params *settings, const wf_dataset *data)
{
    if (settings->patience == 0 || has_held_out(data)) return WF_OK;
    return fail(WF_ERROR_ARGUMENT,
                "patience: expected 0, as the data holds nothing out to evaluate on, found %lld",
                (long long)settings->patience);
}

static wf_status allocate_readbacks(wf_trainer *trainer)
{
    for (int i = 0; i < STEPS_UNDER_WAY; i++)
        TRY(tally_readback_create(&trainer->programs.accumulate.tally,
                                  &trainer->under_way[i].sums));
    return WF_OK;
}

wf_status wf_trainer_create(wf_model *model, wf_dataset *data, const wf_trainer_params *params,
                            wf_trainer **out)
{
    wf_trainer_params settings;
    TRY(settings_resolve(params, model->config, &settings));
    TRY(check_vocabulary(model, data));
    TRY(check_patience(&settings, data));
    wf_trainer *trainer = calloc(1, sizeof *trainer);
    if (!trainer) return fail(WF_ERROR_MEMORY, "out of memory for a trainer");
    trainer->model = model;
    trainer->data = data;
    trainer->settings = settings;
    trainer->schedule = settings_schedule(&settings);
    trainer->progress.steps = settings.steps;
    wf_status status =
        batches_create(data, settings.sequence_length, settings.seed, &trainer->batches);
    if (!status) status = allocate_programs(trainer);
    trainer->loss_scale = loss_scale_first(model->storage);
    if (!status) status = allocate_readbacks(trainer);
    if (!status) status = allocate_tokens(trainer); /* of a batch that fits the device */
    if (status) {
        wf_trainer_destroy(trainer);
        return status;
    }
    *out = trainer;
    return WF_OK;
}

void wf_trainer_destroy(wf_trainer *trainer)
{
    if (!trainer) return;
    for (int i = 0; i < STEPS_UNDER_WAY; i++)
        trainer->model->device->backend->readback_destroy(trainer->under_way[i].sums);
    programs_destroy(&trainer->programs);
    batches_destroy(trainer->batches);
    free(trainer->token);
    free(trainer->target);
    free(trainer->order);
    free(trainer);
}

void wf_trainer_settings(const wf_trainer *trainer, wf_trainer_params *settings)
{
    *settings = trainer->settings;
}

void wf_trainer_progress(const wf_trainer *trainer, wf_progress *progress)
{
    *progress = trainer->progress;
}

bool wf_trainer_done(const wf_trainer *trainer)
{
    const wf_progress *progress = &trainer->progress;
    int64_t patience = trainer->settings.patience;
    return progress->step >= trainer->settings.steps ||
           (patience > 0 && progress->since_best >= patience);
}

bool wf_trainer_evaluation_due(const wf_trainer *trainer)
{
    const wf_progress *progress = &trainer->progress;
    int64_t every = trainer->settings.eval_every;
    if (progress->step == 0 || progress->evaluated == progress->step) return false;
    if (!has_held_out(trainer->data)) return false;
    return progress->step >= trainer->settings.steps || (every > 0 && progress->step % every == 0);
}

/* ---- micro-batches ---- */

int64_t trainer_step_targets(const wf_trainer *trainer)
{
    const wf_trainer_params *s = &trainer->settings;
    return s->accumulation * s->batch_size * s->sequence_length;
}

wf_status trainer_load_micro_batch(wf_trainer *trainer, int64_t micro)
{
    const wf_trainer_params *s = &trainer->settings;
    PassBatch batch = {
        .token = trainer->token,
        .target = trainer->target,
        .order = trainer->order,
        .key = {(uint32_t)(s->seed ^ s->seed >> 32),
                (uint32_t)((uint64_t)trainer->progress.step * (uint64_t)s->accumulation +
                           (uint64_t)micro)},
        .seed = trainer->loss_scale.scale / (double)trainer_step_targets(trainer),
    };
    TRY(batches_next(trainer->batches, s->batch_size, trainer->token, trainer->target));
    TRY(token_order(batch.token, s->batch_size * s->sequence_length,
                    trainer->model->config->vocab_size, trainer->order));
    return pass_load(&trainer->programs.accumulate, &batch);
}

/* ---- evaluation ---- */

wf_status wf_trainer_evaluate(wf_trainer *trainer, wf_evaluation *result)
{
    wf_progress *progress = &trainer->progress;
    TRY(trainer_settle(trainer));
    TRY(model_ready(trainer->model));
    TRY(evaluate_span(&trainer->programs.evaluate, trainer->data, dataset_held_out(trainer->data),
                      result));
    progress->evaluated = progress->step;
    progress->since_best++;
    bool first = progress->best_loss == 0 && progress->best_step == 0;
    if (first || result->loss < progress->best_loss) {
        progress->best_loss = result->loss;
        progress->best_step = progress->step;
        progress->since_best = 0;
    }
    return WF_OK;
}
