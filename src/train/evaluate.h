/* Loss and accuracy over a span of a dataset. */
#ifndef TRAIN_EVALUATE_H
#define TRAIN_EVALUATE_H

#include "data/dataset.h"
#include "train/pass.h"
#include "wavefield/train.h"

/* Runs a pass without gradients over every target of the span, each once. WF_ERROR_NUMERIC if the
 * loss is not finite. */
wf_status evaluate_span(Pass *pass, const wf_dataset *data, TokenSpan span, wf_evaluation *result);

/* Whether every token of `data` is one of the model's; else WF_ERROR_ARGUMENT with both sizes. */
wf_status check_vocabulary(const wf_model *model, const wf_dataset *data);

#endif
