/* metrics.jsonl: one JSON object a line, for each step and each evaluation of a training run. */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include "base/status.h"
#include "wavefield/train.h"

typedef struct Metrics Metrics;

/* Opens folder/metrics.jsonl, keeping what it has of the steps up to `step`. */
wf_status metrics_open(const char *folder, int64_t step, Metrics **out);
void metrics_close(Metrics *metrics); /* NULL is allowed */

wf_status metrics_step(Metrics *metrics, const wf_step_stats *stats, double seconds);
wf_status metrics_evaluation(Metrics *metrics, int64_t step, const wf_evaluation *evaluation);

#endif
