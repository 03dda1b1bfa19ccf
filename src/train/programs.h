/* The three programs of a trainer, and the memory they need.
 *
 * `accumulate` runs a micro-batch forward and backward and adds to the gradients, `update` (in the
 * optimizer) applies them, `evaluate` runs a batch forward only. All are planned before anything is
 * allocated, so that what does not fit is refused with numbers. */
#ifndef TRAIN_PROGRAMS_H
#define TRAIN_PROGRAMS_H

#include "train/optimizer.h"
#include "train/pass.h"
#include "wavefield/train.h"

typedef struct Programs {
    Pass accumulate, evaluate;
    Optimizer optimizer;
    int64_t weights; /* bytes of the copies in 16 bits */
} Programs;

/* Bytes on the device. */
typedef struct MemoryPlan {
    int64_t parameters; /* their copies in 16 bits included */
    int64_t gradients;
    int64_t moments;     /* AdamW's two */
    int64_t activations; /* of both passes, scratch included */
    int64_t inputs;      /* batches, positions, sums, the optimizer's tables */
    int64_t total;
} MemoryPlan;

typedef struct ProgramsParams {
    int64_t batch, tokens;
    FieldEvaluator evaluator;
    bool recompute; /* see wf_trainer_params */
} ProgramsParams;

/* What the programs are of settings that settings_resolve() gave. */
wf_status programs_params(const wf_trainer_params *settings, const Config *config,
                          ProgramsParams *out);

/* Allocates nothing on the device; the model's values need no buffers. Must not move afterwards. On
 * failure too, programs_destroy() releases what was made. */
wf_status programs_plan(Programs *programs, const wf_model *model, const ProgramsParams *params);
void programs_memory(const Programs *programs, MemoryPlan *memory);

/* WF_ERROR_MEMORY, with what is needed, what the device has and what to change (recompute where
 * that is enough, else the batch), if `memory` (of programs of these params) is more than the
 * device has. */
wf_status programs_check_memory(const wf_model *model, const ProgramsParams *params,
                                const MemoryPlan *memory);

/* What training of a configuration would need on a device; allocates nothing there. `params` as for
 * wf_trainer_create(). */
wf_status training_memory(Device *device, const Config *config, const wf_trainer_params *params,
                          MemoryPlan *memory);

/* Refuses such a training as programs_check_memory() does, before there is a model. */
wf_status training_check_memory(Device *device, const Config *config,
                                const wf_trainer_params *params);

wf_status programs_allocate(Programs *programs, const wf_model *model,
                            const double rate[GROUP_COUNT]);
void programs_destroy(Programs *programs);

/* One step of the micro-batch that is loaded, waited for: what a measurement times. */
wf_status programs_step(Programs *programs, const OptimizerStep *step);

#endif
