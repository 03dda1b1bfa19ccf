/* What a wf_trainer is inside the library. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "data/batches.h"
#include "train/loss_scale.h"
#include "train/programs.h"
#include "train/schedule.h"
#include "wavefield/train.h"

/* Where the host stands between two steps; the device is told all of it anew with every step. */
typedef struct Stand {
    BatchCursor cursor;
    LossScale loss_scale;
    wf_progress progress;
} Stand;

/* A step that is enqueued as a whole, and whose sums the host has not seen. */
typedef struct StepUnderWay {
    Stand before;    /* what the host goes back to if the step comes to nothing */
    LossScale scale; /* that it runs under: smaller than before where it is done again */
    Readback *sums;  /* kept from step to step */
    bool read_begun; /* else that failed, and the sums are still where the step put them */
} StepUnderWay;

/* While the device is at one step, the next is enqueued. */
enum { STEPS_UNDER_WAY = 2 };

struct wf_trainer {
    wf_model *model;  /* borrowed */
    wf_dataset *data; /* borrowed */
    wf_trainer_params settings;
    Schedule schedule;
    Programs programs;
    /* These three as if every step under way were done, and had been good. */
    LossScale loss_scale;
    Batches *batches;
    wf_progress progress;
    StepUnderWay under_way[STEPS_UNDER_WAY];
    int oldest, n_under_way;
    wf_step_stats finished;  /* of the last step that is done; step 0: they were given out */
    bool unclean;            /* gradients may be left over, or the tally not be forgiven */
    bool lost;               /* the parameters may be those of no step */
    int32_t *token, *target; /* of one micro-batch: [B, N] */
    int32_t *order;          /* [B·N] */
};

/* Every place of a training sequence has a target. */
int64_t trainer_step_targets(const wf_trainer *trainer);

/* Draws the next micro-batch, the `micro`-th of the step after the last, and loads it. Its dropout
 * masks are its own, whatever came before. */
wf_status trainer_load_micro_batch(wf_trainer *trainer, int64_t micro);

/* steps.c: until no step is under way; the parameters are then those of progress.step, or the
 * failure says why not. */
wf_status trainer_settle(wf_trainer *trainer);
/* Forgets the steps under way, and the sums of the last: other parameters come. */
void trainer_forget_steps(wf_trainer *trainer);

#endif
