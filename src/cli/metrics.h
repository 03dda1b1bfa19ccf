/* metrics.jsonl: one JSON object a line, for each step and each evaluation of a training run.
 *
 * Both have step and total_tokens (trained on so far). A step has loss, accuracy, gradient_norm,
 * learning_rate, tokens (of the step) and seconds (it took); an evaluation held_out_loss,
 * _perplexity (null where no double holds it), _accuracy, _bits_per_byte (0: unknown) and
 * _tokens. */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include "base/status.h"
#include "wavefield/train.h"

#include <jansson.h>

typedef struct Metrics Metrics;

/* Opens folder/metrics.jsonl, keeping what it has of the steps up to `step`. */
wf_status metrics_open(const char *folder, int64_t step, Metrics **out);
void metrics_close(Metrics *metrics); /* NULL is allowed */

wf_status metrics_step(Metrics *metrics, const wf_step_stats *stats, double seconds);
wf_status metrics_evaluation(Metrics *metrics, const wf_progress *at,
                             const wf_evaluation *evaluation);

/* A number, or null where it is infinite, for which JSON has no form. */
json_t *metrics_number(double value);

#endif
