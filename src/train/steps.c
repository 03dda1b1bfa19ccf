/* Steps: enqueued one ahead of what the host has seen.
 *
 * While the device is at step k, the host draws and enqueues step k + 1, and reads the sums of step
 * k only then. If step k was not finite, its update did nothing, and nor did that of k + 1, for the
 * count of what is not finite stands until it is forgiven (tally.h). The host then goes back to
 * where it stood before step k, and the run is the same as if it had never gone on. */
#include "train/explain.h"

#include <math.h>

/* ---- where the host stands ---- */

static Stand stand_of(const wf_trainer *trainer)
{
    return (Stand){trainer->batches->cursor, trainer->loss_scale, trainer->progress};
}

static wf_status go_to(wf_trainer *trainer, const Stand *stand)
{
    trainer->loss_scale = stand->loss_scale;
    trainer->progress = stand->progress;
    return batches_seek(trainer->batches, stand->cursor);
}

/* The failed step's message is the one to keep. */
static wf_status go_back(wf_trainer *trainer, const Stand *stand, wf_status failure)
{
    (void)go_to(trainer, stand); /* it stood there before */
    return failure;
}

/* ---- enqueueing ---- */

static wf_status clean(wf_trainer *trainer)
{
    Sequence *gradients = &trainer->programs.optimizer.gradients;
    for (int page = 0; page < gradients->layout->n_pages; page++)
        TRY(device_clear(&gradients->pages[page]));
    return tally_forgive(&trainer->programs.accumulate.tally);
}

/* From here on a failure leaves parameters of which nobody knows what they are. */
static wf_status enqueue_update(wf_trainer *trainer, int64_t step)
{
    wf_status status = optimizer_run(&trainer->programs.optimizer);
    if (!status) return WF_OK;
    trainer->lost = true;
    return fail_within(status,
                       "step %lld: its update, which may have changed a part of the parameters",
                       (long long)step);
}

static wf_status enqueue(wf_trainer *trainer, StepUnderWay *this)
{
    Programs *programs = &trainer->programs;
    int64_t step = trainer->progress.step + 1;
    OptimizerStep update = {
        .step = step,
        .learning_rate = schedule_rate(&trainer->schedule, step),
        .clip = trainer->settings.clip,
        .decay = trainer->settings.weight_decay,
        .scale = trainer->loss_scale.scale,
    };
    TRY(model_ready(trainer->model));
    if (trainer->unclean) TRY(clean(trainer));
    trainer->unclean = true;
    TRY(tally_clear(&programs->accumulate.tally));
    for (int64_t micro = 0; micro < trainer->settings.accumulation; micro++) {
        TRY(trainer_load_micro_batch(trainer, micro));
        TRY(pass_run(&programs->accumulate));
    }
    TRY(optimizer_load(&programs->optimizer, &update));
    TRY(enqueue_update(trainer, step));
    trainer->unclean = false;
    this->read_begun = tally_read_begin(&programs->accumulate.tally, this->sums) == WF_OK;
    return WF_OK;
}

/* Enqueues the step after `before`, and then stands behind it; on failure at `before`. */
static wf_status launch(wf_trainer *trainer, Stand before, LossScale scale)
{
    int slot = (trainer->oldest + trainer->n_under_way) % STEPS_UNDER_WAY;
    StepUnderWay *this = &trainer->under_way[slot];
    this->before = before;
    this->scale = scale;
    wf_status status = go_to(trainer, &before);
    trainer->loss_scale = scale;
    if (!status) status = enqueue(trainer, this);
    if (status) return go_back(trainer, &before, status);
    trainer->n_under_way++;
    loss_scale_good(&trainer->loss_scale, trainer->model->storage);
    trainer->progress.step++;
    trainer->progress.tokens += trainer_step_targets(trainer);
    return WF_OK;
}

/* ---- finding out ---- */

static wf_status read_sums(wf_trainer *trainer, StepUnderWay *this, TallyValues *sums)
{
    const Tally *tally = &trainer->programs.accumulate.tally;
    if (!this->read_begun) TRY(tally_read_begin(tally, this->sums));
    this->read_begun = true;
    return tally_read_end(tally, this->sums, sums);
}

static void conclude(wf_trainer *trainer, const StepUnderWay *this, const TallyValues *sums)
{
    int64_t step = this->before.progress.step + 1;
    trainer->finished = (wf_step_stats){
        .step = step,
        .loss = sums->loss / (double)sums->targets,
        .accuracy = (double)sums->hits / (double)sums->targets,
        .gradient_norm = sqrt(sums->norm2) / this->scale.scale,
        .learning_rate = schedule_rate(&trainer->schedule, step),
        .loss_scale = this->scale.scale,
        .tokens = sums->targets,
        .total_tokens = this->before.progress.tokens + trainer_step_targets(trainer),
    };
    trainer->oldest = (trainer->oldest + 1) % STEPS_UNDER_WAY;
    trainer->n_under_way--;
}

/* The device is where it was before the step that came to nothing, but for what enqueue() cleans.
 */
static void drop_steps(wf_trainer *trainer)
{
    trainer->n_under_way = 0;
    trainer->unclean = true;
}

static wf_status explain(wf_trainer *trainer, const Stand *before, LossScale scale)
{
    wf_status status = go_to(trainer, before);
    trainer->loss_scale = scale;
    if (!status) status = explain_step(trainer);
    return go_back(trainer, before, status);
}

/* Waits for the oldest step under way. Where its gradients overflowed 16 bits it is done again with
 * a smaller scale, and what was under way behind it is not any more. Where the sums cannot be read
 * the step stays under way, to be asked for again. */
static wf_status settle_oldest(wf_trainer *trainer)
{
    for (;;) {
        StepUnderWay *this = &trainer->under_way[trainer->oldest];
        TallyValues sums;
        TRY(read_sums(trainer, this, &sums));
        if (sums.all_finite) {
            conclude(trainer, this, &sums);
            return WF_OK;
        }
        Stand before = this->before;
        LossScale scale = this->scale;
        drop_steps(trainer);
        if (!loss_scale_overflow(&scale)) return explain(trainer, &before, scale);
        TRY(launch(trainer, before, scale));
    }
}

static wf_status check_parameters(const wf_trainer *trainer)
{
    if (!trainer->lost) return WF_OK;
    return fail(WF_ERROR_DEVICE,
                "a device failed while parameters were being changed, and they may "
                "be those of no step: resume from a checkpoint");
}

wf_status trainer_settle(wf_trainer *trainer)
{
    TRY(check_parameters(trainer));
    while (trainer->n_under_way > 0) TRY(settle_oldest(trainer));
    return WF_OK;
}

void trainer_forget_steps(wf_trainer *trainer)
{
    drop_steps(trainer);
    trainer->finished = (wf_step_stats){0};
}

/* ---- the interface ---- */

static void give_out(wf_trainer *trainer, wf_step_stats *stats)
{
    if (stats) *stats = trainer->finished;
    trainer->finished = (wf_step_stats){0};
}

/* Can the next step be enqueued behind the one under way? Not where it would write over what that
 * one left to be read, and not behind a failure. */
static bool may_go_ahead(const wf_trainer *trainer)
{
    if (trainer->n_under_way == STEPS_UNDER_WAY) return false;
    return trainer->n_under_way == 0 ||
           (!trainer->unclean && trainer->under_way[trainer->oldest].read_begun);
}

wf_status wf_trainer_begin_step(wf_trainer *trainer, wf_step_stats *previous)
{
    TRY(check_parameters(trainer));
    if (!may_go_ahead(trainer)) TRY(trainer_settle(trainer));
    int64_t step = trainer->progress.step + 1;
    while (trainer->progress.step < step) { /* twice where the one before had to be done again */
        TRY(launch(trainer, stand_of(trainer), trainer->loss_scale));
        if (trainer->n_under_way == STEPS_UNDER_WAY) TRY(settle_oldest(trainer));
    }
    give_out(trainer, previous);
    return WF_OK;
}

wf_status wf_trainer_finish_step(wf_trainer *trainer, wf_step_stats *stats)
{
    TRY(trainer_settle(trainer));
    give_out(trainer, stats);
    return WF_OK;
}

wf_status wf_trainer_step(wf_trainer *trainer, wf_step_stats *stats)
{
    TRY(wf_trainer_finish_step(trainer, NULL));
    TRY(wf_trainer_begin_step(trainer, NULL));
    return wf_trainer_finish_step(trainer, stats);
}
