/* Why a step came to nothing. */
#ifndef TRAIN_EXPLAIN_H
#define TRAIN_EXPLAIN_H

#include "train/trainer.h"

/* For a trainer that stands before a step that was not finite: a failure that names the step and
 * the first bad tensor. Leaves the data behind the step's, and gradients. */
wf_status explain_step(wf_trainer *trainer);

#endif
