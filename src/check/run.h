/* Running one case on one device. */
#ifndef CHECK_RUN_H
#define CHECK_RUN_H

#include "check/case.h"
#include "check/outputs.h"

typedef struct CaseRun {
    const CheckCase *of;
    Device *device;
    bool reference; /* the device is the double one */
    bool bench;     /* time it */
    DType storage;
} CaseRun;

/* WF_ERROR_UNSUPPORTED where the device lacks an op. `outputs` starts empty; the caller destroys
 * it. */
wf_status case_run(const CaseRun *run, Outputs *outputs);

/* model_cases.c: a tiny model's logits, streamed logits, loss and gradients. */
wf_status model_case_run(const CaseRun *run, Outputs *outputs);

/* Every byte of a plan's own slabs, NaN. */
wf_status poison_plan(const Plan *plan);

#endif
