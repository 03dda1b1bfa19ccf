/* AdamW over all parameters: the gradients, both moments, and the program that applies them.
 *
 * The update program adds up the squares of every gradient, counts what is not finite (the loss and
 * the norm themselves included), and then, page by page, clips, steps and clears the gradients.
 * With anything not finite, in this step or one before that was not forgiven (tally.h), it only
 * clears. Decoupled decay: Loshchilov and Hutter, "Decoupled
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

typedef struct Optimizer {
    Sequence gradients, first, second;
    Region region;        /* what follows; byte offsets */
    int64_t record, rate; /* see OP_ADAMW */
    int64_t *segments;    /* a page's table, i32 [count, 4] */
    int32_t *segment_counts;
    Graph *graph;
    Plan *plan;
    Program *program;
} Optimizer;

/* The gradients' and moments' layout, without buffers, so that passes can be planned. */
wf_status optimizer_layout(Optimizer *optimizer, const wf_model *model);
/* Plans the update; `tally` is the one whose loss must be finite, and which it adds the squares to.
 * Must not move afterwards. */
wf_status optimizer_plan(Optimizer *optimizer, const wf_model *model, Tally *tally);
/* Allocates everything, zero, and writes the tables; then, once the model's values and the tally
 * have buffers too, records the update. */
wf_status optimizer_allocate(Optimizer *optimizer, const wf_model *model,
                             const double rate[GROUP_COUNT]);
wf_status optimizer_record(Optimizer *optimizer, Device *device);
void optimizer_destroy(Optimizer *optimizer);

/* Enqueue what the next update goes by, and it: it applies the gradients that have been added up,
 * if all were finite, and clears them. Where running it fails it may have been enqueued in part. */
wf_status optimizer_load(Optimizer *optimizer, const OptimizerStep *step);
wf_status optimizer_run(Optimizer *optimizer);

#endif
