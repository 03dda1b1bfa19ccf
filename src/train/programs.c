#include "train/programs.h"

#include "train/settings.h"

#include <stdlib.h>

wf_status programs_plan(Programs *programs, const wf_model *model, const ProgramsParams *params)
{
    *programs = (Programs){0};
    TRY(optimizer_layout(&programs->optimizer, model));
    PassParams pass = {
        .batch = params->batch,
        .tokens = params->tokens,
        .evaluator = params->evaluator,
    };
    TRY(pass_plan(&programs->evaluate, model, &pass));
    pass.gradients = &programs->optimizer.gradients;
    TRY(pass_plan(&programs->accumulate, model, &pass));
    return optimizer_plan(&programs->optimizer, model, &programs->accumulate.tally);
}

void programs_memory(const Programs *programs, MemoryPlan *memory)
{
    const Optimizer *optimizer = &programs->optimizer;
    *memory = (MemoryPlan){
        .parameters = sequence_bytes(&optimizer->gradients), /* all four have one layout */
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

wf_status training_memory(Device *device, const Config *config, int64_t batch, int64_t tokens,
                          const char *evaluator, MemoryPlan *memory)
{
    ProgramsParams params = {.batch = batch, .tokens = tokens};
    TRY(model_evaluator(config, evaluator, &params.evaluator));
    wf_model *model;
    TRY(model_outline(device, config, &model));
    wf_status status = memory_of(model, &params, memory);
    wf_model_destroy(model);
    return status;
}

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

static double gib(int64_t bytes)
{
    return (double)bytes / (1 << 30);
}

wf_status programs_check_memory(const wf_model *model, const ProgramsParams *params,
                                const MemoryPlan *memory)
{
    int64_t available = model->device->limits.total;
    if (available == 0 || memory->total <= available) return WF_OK;
    int64_t batch = batch_that_fits(model, *params, available);
    wf_status status = fail(
        WF_ERROR_MEMORY,
        "training needs %.2f GiB (parameters %.2f, gradients %.2f, moments %.2f, activations %.2f, "
        "inputs %.2f), the device has %.2f GiB: ",
        gib(memory->total), gib(memory->parameters), gib(memory->gradients), gib(memory->moments),
        gib(memory->activations), gib(memory->inputs), gib(available));
    if (batch)
        return fail(status, "%stry batch size %lld instead of %lld, with more accumulation",
                    wf_error_message(), (long long)batch, (long long)params->batch);
    return fail(status,
                "%sbatch size 1 does not fit either; try fewer tokens than %lld a sequence, or a "
                "smaller configuration",
                wf_error_message(), (long long)params->tokens);
}

static wf_status check_outline(const wf_model *model, const ProgramsParams *params)
{
    MemoryPlan memory;
    TRY(memory_of(model, params, &memory));
    return programs_check_memory(model, params, &memory);
}

wf_status training_check_memory(Device *device, const Config *config,
                                const wf_trainer_params *params)
{
    wf_trainer_params settings;
    TRY(settings_resolve(params, config, &settings));
    ProgramsParams plans = {.batch = settings.batch_size, .tokens = settings.sequence_length};
    TRY(model_evaluator(config, settings.evaluator, &plans.evaluator));
    wf_model *model;
    TRY(model_outline(device, config, &model));
    wf_status status = check_outline(model, &plans);
    wf_model_destroy(model);
    return status;
}

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
