#include "train/trainer.h"

#include "train/diagnose.h"
#include "train/evaluate.h"
#include "train/settings.h"

#include <float.h>
#include <math.h>
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

/* ---- one step ---- */

/* Every place of a training sequence has a target. */
static int64_t step_targets(const wf_trainer_params *s)
{
    return s->accumulation * s->batch_size * s->sequence_length;
}

/* Draws the step's next micro-batch, which is its `micro`-th. Its dropout masks are its own,
 * whatever came before. */
static wf_status load_micro_batch(wf_trainer *trainer, int64_t micro)
{
    const wf_trainer_params *s = &trainer->settings;
    PassBatch batch = {
        .token = trainer->token,
        .target = trainer->target,
        .order = trainer->order,
        .key = {(uint32_t)(s->seed ^ s->seed >> 32),
                (uint32_t)((uint64_t)trainer->progress.step * (uint64_t)s->accumulation +
                           (uint64_t)micro)},
        .seed = trainer->loss_scale.scale / (double)step_targets(s),
    };
    TRY(batches_next(trainer->batches, s->batch_size, trainer->token, trainer->target));
    TRY(token_order(batch.token, s->batch_size * s->sequence_length,
                    trainer->model->config->vocab_size, trainer->order));
    return pass_load(&trainer->programs.accumulate, &batch);
}

static wf_status clear_gradients(wf_trainer *trainer)
{
    Sequence *gradients = &trainer->programs.optimizer.gradients;
    for (int page = 0; page < gradients->layout->n_pages; page++)
        TRY(device_clear(&gradients->pages[page]));
    return WF_OK;
}

/* Forward, backward and update, once, of the sequences from `first` on. */
static wf_status try_step(wf_trainer *trainer, BatchCursor first, OptimizerOutcome *outcome,
                          TallyValues *sum)
{
    Programs *programs = &trainer->programs;
    int64_t step = trainer->progress.step + 1;
    if (trainer->interrupted) TRY(clear_gradients(trainer));
    trainer->interrupted = true;
    TRY(batches_seek(trainer->batches, first));
    TRY(tally_clear(&programs->accumulate.tally));
    for (int64_t micro = 0; micro < trainer->settings.accumulation; micro++) {
        TRY(load_micro_batch(trainer, micro));
        TRY(pass_run(&programs->accumulate));
    }
    OptimizerStep update = {
        .step = step,
        .learning_rate = schedule_rate(&trainer->schedule, step),
        .clip = trainer->settings.clip,
        .decay = trainer->settings.weight_decay,
        .scale = trainer->loss_scale.scale,
    };
    TRY(optimizer_step(&programs->optimizer, &update, outcome));
    return tally_read(&programs->accumulate.tally, sum);
}

/* Where gradients overflow 16 bits the same step is tried again with a smaller scale: a try that
 * failed has changed nothing. */
static wf_status run_step(wf_trainer *trainer, BatchCursor first, OptimizerOutcome *outcome,
                          TallyValues *sum)
{
    TRY(model_ready(trainer->model));
    do TRY(try_step(trainer, first, outcome, sum));
    while (!outcome->all_finite && loss_scale_overflow(&trainer->loss_scale));
    return WF_OK;
}

/* The largest gradient, and the sum of all squares. */
typedef struct GradientSummary {
    const char *name; /* of the parameter with the largest */
    double largest, norm2;
} GradientSummary;

static wf_status summarise_gradients(const wf_trainer *trainer, GradientSummary *summary)
{
    const ParameterList *parameters = &trainer->model->parameters;
    *summary = (GradientSummary){.name = ""};
    for (int i = 0; i < parameters->count; i++) {
        const Parameter *parameter = &parameters->items[i];
        int64_t n = shape_elements(parameter->shape);
        float *values = malloc((size_t)n * sizeof *values);
        if (!values) return fail(WF_ERROR_MEMORY, "out of memory for %s", parameter->name);
        wf_status status = sequence_read(&trainer->programs.optimizer.gradients, i, values);
        for (int64_t k = 0; k < n && !status; k++) {
            double size = fabs((double)values[k]);
            summary->norm2 += size * size;
            if (size <= summary->largest) continue;
            summary->largest = size;
            summary->name = parameter->name;
        }
        free(values);
        TRY(status);
    }
    return WF_OK;
}

/* Every tensor was finite: either the norm is beyond the device's range, or the second run was not
 * like the first. */
static wf_status explain_norm(const wf_trainer *trainer)
{
    long long step = trainer->progress.step + 1;
    GradientSummary gradients;
    TRY(summarise_gradients(trainer, &gradients));
    if (gradients.norm2 < (double)FLT_MAX)
        return fail(WF_ERROR_DEVICE,
                    "step %lld: the loss or a gradient was not finite, but the same step run again "
                    "node by node is: the device does not repeat its results",
                    step);
    return fail(WF_ERROR_NUMERIC,
                "step %lld: the norm of the gradients is not finite; the largest is %g, of %s; the "
                "parameters are still those of step %lld",
                step, gradients.largest, gradients.name, step - 1);
}

/* Draws the step's micro-batches from `first` on again and runs them, node by node, to the first
 * tensor that is not finite. */
static wf_status explain(wf_trainer *trainer, BatchCursor first)
{
    long long step = trainer->progress.step + 1;
    TRY(batches_seek(trainer->batches, first));
    TRY(tally_clear(&trainer->programs.accumulate.tally));
    for (int64_t micro = 0; micro < trainer->settings.accumulation; micro++) {
        BadTensor bad;
        TRY(load_micro_batch(trainer, micro));
        TRY(diagnose_pass(&trainer->programs.accumulate, &bad));
        if (!bad.tensor) continue;
        return fail(WF_ERROR_NUMERIC,
                    "step %lld: %s: element %lld of %s is %s; the parameters are still those of "
                    "step %lld",
                    step, bad.tensor->name, (long long)bad.element, SHAPE_TEXT(bad.tensor->shape),
                    isnan(bad.value) ? "NaN" : "infinite", step - 1);
    }
    return explain_norm(trainer);
}

wf_status wf_trainer_step(wf_trainer *trainer, wf_step_stats *stats)
{
    const BatchCursor before = trainer->batches->cursor;
    const LossScale scale_before = trainer->loss_scale;
    OptimizerOutcome outcome;
    TallyValues sum;
    wf_status status = run_step(trainer, before, &outcome, &sum);
    if (!status && !outcome.all_finite) status = explain(trainer, before);
    if (status) { /* as if the step had not been tried */
        batches_seek(trainer->batches, before);
        trainer->loss_scale = scale_before;
        return status;
    }
    double scale = trainer->loss_scale.scale;
    loss_scale_good(&trainer->loss_scale, trainer->model->storage);
    trainer->interrupted = false;
    trainer->progress.step++;
    trainer->progress.tokens += step_targets(&trainer->settings);
    if (stats)
        *stats = (wf_step_stats){
            .step = trainer->progress.step,
            .loss = sum.loss / (double)sum.targets,
            .accuracy = (double)sum.hits / (double)sum.targets,
            .gradient_norm = outcome.norm,
            .learning_rate = schedule_rate(&trainer->schedule, trainer->progress.step),
            .loss_scale = scale,
            .tokens = sum.targets,
            .total_tokens = trainer->progress.tokens,
        };
    return WF_OK;
}

wf_status wf_trainer_evaluate(wf_trainer *trainer, wf_evaluation *result)
{
    wf_progress *progress = &trainer->progress;
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
