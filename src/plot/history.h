/* What a training run's metrics.jsonl says, checked line by line. */
#ifndef PLOT_HISTORY_H
#define PLOT_HISTORY_H

#include "base/status.h"

#include <stdint.h>

/* A training step. */
typedef struct HistoryStep {
    int64_t step;
    double loss; /* nats a token */
    double accuracy, gradient_norm, learning_rate;
    double tokens, seconds; /* of this step */
} HistoryStep;

/* An evaluation on the held-out text. */
typedef struct HistoryEvaluation {
    int64_t step;
    double loss, accuracy;
} HistoryEvaluation;

typedef struct History {
    HistoryStep *steps; /* in increasing order of step */
    int n_steps, step_capacity;
    HistoryEvaluation *evaluations;
    int n_evaluations, evaluation_capacity;
    int64_t unfinished; /* number of a half-written last line, which is left out; 0: none */
} History;

/* Reads a file; history_destroy() frees what it holds. WF_ERROR_FORMAT names file, line and key of
 * what is wrong. A last line that a killed run left half-written is no error. */
wf_status history_read(const char *path, History *out);
void history_destroy(History *history);

#endif
