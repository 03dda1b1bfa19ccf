/* One forward pass of a model over whole sequences, whose results the caller chooses:
 *
 *     Forward forward = {0};
 *     Region result = {.name = "hidden"};
 *     status = forward_begin(&forward, model, batch, n, evaluator);
 *     if (!status) forward_keep(&forward, transformer_hidden(&forward.builder), &result);
 *     if (!status) status = forward_run(&forward, tokens);
 *     … read `result` …
 *     forward_end(&forward);
 *     device_release(&result);
 *
 * A graph's failures are sticky: forward_run() returns the first. */
#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include "backends/backend.h"
#include "model/builder.h"
#include "model/model.h"

typedef struct Forward {
    wf_model *model;
    ModelInputs inputs;
    Graph *graph;
    Builder builder;
    Runnable run;
} Forward;

/* Checks the sizes and begins the graph. The Forward must stay where it is. */
wf_status forward_begin(Forward *forward, wf_model *model, int64_t batch, int64_t n,
                        const char *evaluator);

/* Keeps a tensor's values, from the region's first byte on; forward_run() gives the region memory,
 * which is the caller's to release. */
void forward_keep(Forward *forward, TensorId tensor, Region *result);

/* Plans and runs: tokens [batch, n] from position 0 on. */
wf_status forward_run(Forward *forward, const int32_t *tokens);

void forward_end(Forward *forward); /* whatever happened before */

#endif
