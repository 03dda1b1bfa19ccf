/* One run of the model over a batch: its loss, and with gradients also the way back.
 *
 * The two plans of a trainer that see the model are passes: `accumulate` adds to the gradients,
 * `evaluate` has none. A pass is planned first, so that its memory is known, and allocated later;
 * it must not move in between, because its graph points into it. */
#ifndef TRAIN_PASS_H
#define TRAIN_PASS_H

#include "model/builder.h"
#include "model/model.h"
#include "train/tally.h"

typedef struct Pass {
    ModelInputs inputs;
    Tally tally; /* sums over all runs since tally_clear() */
    Graph *graph;
    Plan *plan;
    Program *program;
} Pass;

typedef struct PassParams {
    int64_t batch, tokens;
    FieldEvaluator evaluator;
    const Sequence *gradients; /* NULL: loss only, without dropout */
    bool recompute; /* with gradients: layers' activations are computed twice, not kept */
} PassParams;

/* Builds and plans; allocates nothing on the device. The model's values need no buffers yet. On
 * failure too, pass_destroy() releases what was made. */
wf_status pass_plan(Pass *pass, const wf_model *model, const PassParams *params);

/* Bytes it will allocate: activations with scratch, and inputs with sums. */
int64_t pass_activation_bytes(const Pass *pass);
int64_t pass_input_bytes(const Pass *pass);

/* Allocates and records; the model's values (and the gradients) must have buffers. */
wf_status pass_allocate(Pass *pass, const wf_model *model);
void pass_destroy(Pass *pass);

/* What changes from run to run. Arrays of batch·tokens. */
typedef struct PassBatch {
    const int32_t *token, *target;
    const int32_t *order; /* see OP_EMBED_BACKWARD; NULL in a pass without gradients */
    uint32_t key[2];      /* dropout: seed and step */
    double seed;          /* ∂L/∂(loss of one target): 1 / targets of the whole step */
} PassBatch;

wf_status pass_load(Pass *pass, const PassBatch *batch);
wf_status pass_run(Pass *pass);

#endif
