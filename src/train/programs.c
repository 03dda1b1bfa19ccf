#include "train/programs.h"

#include "train/settings.h"

#include <stdio.h>
#include <stdlib.h>

wf_status programs_params(const wf_trainer_params *settings, const Config *config,
                          ProgramsParams *out)
{
    *out = (ProgramsParams){
        .batch = settings->batch_size,
        .tokens = settings->sequence_length,
        .recompute = settings->recompute,
    };
    return model_evaluator(config, settings->evaluator, &out->evaluator);
}

wf_status programs_plan(Programs *programs, const wf_model *model, const ProgramsParams *params)
{
    *programs = (Programs){0};
    TRY(optimizer_layout(&programs->optimizer, model));
    PassParams pass = {
        .batch = params->batch,
        .tokens = params->tokens,
        .evaluator = params->evaluator,
        .recompute = params->recompute,
    };
    programs->weights = sequence_bytes(&model->copies.sequence);
    TRY(pass_plan(&programs->evaluate, model, &pass));
    pass.gradients = &programs->optimizer.gradients;
    TRY(pass_plan(&programs->accumulate, model, &pass));
    return optimizer_plan(&programs->optimizer, model, &programs->accumulate.tally);
}

void programs_memory(const Programs *programs, MemoryPlan *memory)
{
    const Optimizer *optimizer = &programs->optimizer;
    *memory = (MemoryPlan){
        /* All four float32 sequences have one layout. */
        .parameters = sequence_bytes(&optimizer->gradients) + programs->weights,
        .gradients = sequence_bytes(&optimizer->gradients),
        .moments = sequence_bytes(&optimizer->first) + sequence_bytes(&optimizer->second),
        .activations = pass_activation_bytes(&programs->accumulate) +
                       pass_activation_bytes(&programs->evaluate) + plan_memory(optimizer->plan),
        .inputs = pass_input_bytes(&programs->accumulate) + pass_input_bytes(&programs->evaluate) +
                  optimizer->region.size,
    };
    memory->total = memory->parameters + memory->gradients + memory->moments + memory->activations +
                    memory->inputs;
}

static wf_status memory_of(const wf_model *model, const ProgramsParams *params, MemoryPlan *memory)
{
    Programs *programs = malloc(sizeof *programs);
    if (!programs) return fail(WF_ERROR_MEMORY, "out of memory for the plans of a trainer");
    wf_status status = programs_plan(programs, model, params);
    if (!status) programs_memory(programs, memory);
    programs_destroy(programs);
    free(programs);
    return status;
}

static double gib(int64_t bytes)
{
    return (double)bytes / (1 << 30);
}

/* ---- what does not fit ---- */

/* The largest batch below `params->batch`, by halving, that fits into `available`; 0: none does. */
static int64_t batch_that_fits(const wf_model *model, ProgramsParams params, int64_t available)
{
    while (params.batch > 1) {
        params.batch /= 2;
        MemoryPlan memory;
        if (memory_of(model, &params, &memory)) return 0;
        if (memory.total <= available) return params.batch;
    }
    return 0;
}

/* Adds to the present message what would fit. */
static wf_status advise(const wf_model *model, const ProgramsParams *params, int64_t available,
                        const char *problem)
{
    const wf_status status = WF_ERROR_MEMORY;
    ProgramsParams lean = *params;
    MemoryPlan memory;
    int64_t lean_batch = 0;
    lean.recompute = true;
    if (!params->recompute && !memory_of(model, &lean, &memory)) {
        if (memory.total <= available)
            return fail(status, "%stry --recompute, which needs %.2f GiB", problem,
                        gib(memory.total));
        lean_batch = batch_that_fits(model, lean, available);
    }
    int64_t batch = batch_that_fits(model, *params, available);
    if (lean_batch > batch)
        return fail(status,
                    "%stry --recompute and batch size %lld instead of %lld, with more accumulation",
                    problem, (long long)lean_batch, (long long)params->batch);
    if (batch)
        return fail(status, "%stry batch size %lld instead of %lld, with more accumulation",
                    problem, (long long)batch, (long long)params->batch);
    return fail(status,
                "%sbatch size 1 does not fit either; try fewer tokens than %lld a sequence, or a "
                "smaller configuration",
                problem, (long long)params->tokens);
}

wf_status programs_check_memory(const wf_model *model, const ProgramsParams *params,
                                const MemoryPlan *memory)
{
    int64_t available = model->device->limits.total;
    if (available == 0 || memory->total <= available) return WF_OK;
    char problem[512];
    snprintf(problem, sizeof problem,
             "training needs %.2f GiB (parameters %.2f, gradients %.2f, moments %.2f, activations "
             "%.2f, inputs %.2f), the device has %.2f GiB: ",
             gib(memory->total), gib(memory->parameters), gib(memory->gradients),
             gib(memory->moments), gib(memory->activations), gib(memory->inputs), gib(available));
    return advise(model, params, available, problem);
}

/* ---- without a trainer ---- */

/* The plans of a training, and a model to plan them with, which the caller destroys. */
static wf_status outline(Device *device, const Config *config, const wf_trainer_params *params,
                         ProgramsParams *plans, wf_model **model)
{
    wf_trainer_params settings;
    TRY(settings_resolve(params, config, &settings));
    TRY(programs_params(&settings, config, plans));
    TRY(model_outline(device, config, model));
    wf_status status = model_outline_precision(*model, settings.precision);
    if (status) wf_model_destroy(*model);
    return status;
}

wf_status training_memory(Device *device, const Config *config, const wf_trainer_params *params,
                          MemoryPlan *memory)
{
    ProgramsParams plans;
    wf_model *model;
    TRY(outline(device, config, params, &plans, &model));
    wf_status status = memory_of(model, &plans, memory);
    wf_model_destroy(model);
    return status;
}

wf_status training_check_memory(Device *device, const Config *config,
                                const wf_trainer_params *params)
{
    ProgramsParams plans;
    MemoryPlan memory;
    wf_model *model;
    TRY(outline(device, config, params, &plans, &model));
    wf_status status = memory_of(model, &plans, &memory);
    if (!status) status = programs_check_memory(model, &plans, &memory);
    wf_model_destroy(model);
    return status;
}

/* ---- of a trainer ---- */

wf_status programs_allocate(Programs *programs, const wf_model *model,
                            const double rate[GROUP_COUNT])
{
    TRY(optimizer_allocate(&programs->optimizer, model, rate));
    TRY(pass_allocate(&programs->accumulate, model));
    TRY(pass_allocate(&programs->evaluate, model));
    return optimizer_record(&programs->optimizer, model->device);
}

void programs_destroy(Programs *programs)
{
    pass_destroy(&programs->accumulate);
    pass_destroy(&programs->evaluate);
    optimizer_destroy(&programs->optimizer);
}

wf_status programs_step(Programs *programs, const OptimizerStep *step)
{
    Tally *tally = &programs->accumulate.tally;
    TallyValues sums;
    TRY(tally_clear(tally));
    TRY(tally_forgive(tally));
    TRY(pass_run(&programs->accumulate));
    TRY(optimizer_load(&programs->optimizer, step));
    TRY(optimizer_run(&programs->optimizer));
    return tally_read(tally, &sums);
}
