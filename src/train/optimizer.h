/* AdamW over all parameters: the gradients, both moments, and the program that applies them.
 *
 * The update program adds up the squares of every gradient, counts what is not finite (the loss and
 * the norm themselves included), and then, page by page, clips, steps and clears the gradients.
 * With anything not finite it only clears. Decoupled decay: Loshchilov and Hutter, "Decoupled
 * weight decay regularization", 2019; groups and their rates: spec §6. */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include "model/model.h"
#include "train/pass.h"

/* Of one step. */
typedef struct OptimizerStep {
    int64_t step; /* 1, 2, … */
    double learning_rate, clip, decay;
    double scale; /* the gradients are this many times too large */
} OptimizerStep;

typedef struct OptimizerOutcome {
    double norm;     /* of the gradients, before clipping */
    bool all_finite; /* otherwise the parameters were left alone */
} OptimizerOutcome;

typedef struct Optimizer {
    Sequence gradients, first, second;
    Region region;                             /* what follows; byte offsets */
    int64_t record, rate, norm2, bad, scratch; /* see OP_ADAMW; scratch: a norm² nobody reads */
    int64_t *segments;                         /* a page's table, i32 [count, 4] */
    int32_t *segment_counts;
    Graph *graph;
    Plan *plan;
    Program *program;
} Optimizer;

/* The gradients' and moments' layout, without buffers, so that passes can be planned. */
wf_status optimizer_layout(Optimizer *optimizer, const wf_model *model);
/* Plans the update; `tally` is the one whose loss must be finite. Must not move afterwards. */
wf_status optimizer_plan(Optimizer *optimizer, const wf_model *model, Tally *tally);
/* Allocates everything, zero, and writes the tables; then, once the model's values and the tally
 * have buffers too, records the update. */
wf_status optimizer_allocate(Optimizer *optimizer, const wf_model *model,
                             const double rate[GROUP_COUNT]);
wf_status optimizer_record(Optimizer *optimizer, Device *device);
void optimizer_destroy(Optimizer *optimizer);

/* Applies the gradients that have been added up, and clears them. */
wf_status optimizer_step(Optimizer *optimizer, const OptimizerStep *step,
                         OptimizerOutcome *outcome);

#endif
