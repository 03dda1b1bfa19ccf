/* What a wf_trainer is inside the library. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "data/batches.h"
#include "train/loss_scale.h"
#include "train/programs.h"
#include "train/schedule.h"
#include "wavefield/train.h"

struct wf_trainer {
    wf_model *model;  /* borrowed */
    wf_dataset *data; /* borrowed */
    wf_trainer_params settings;
    Schedule schedule;
    Programs programs;
    LossScale loss_scale;
    Batches *batches;
    wf_progress progress;
    bool interrupted;        /* a step failed half-way: gradients may be left over */
    int32_t *token, *target; /* of one micro-batch: [B, N] */
    int32_t *order;          /* [B·N] */
};

#endif
