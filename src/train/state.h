/* state.json of a checkpoint: where a training run stood, and what it ran with. */
#ifndef TRAIN_STATE_H
#define TRAIN_STATE_H

#include "data/batches.h"
#include "train/computed_by.h"
#include "train/loss_scale.h"
#include "wavefield/train.h"

typedef struct TrainingState {
    wf_trainer_params settings; /* resolved */
    wf_progress progress;
    LossScale loss_scale; /* of training in f16 */
    BatchCursor cursor;
    uint64_t fingerprint; /* of the data */
    ComputedBy computed_by;
} TrainingState;

wf_status state_save(const TrainingState *state, const char *path);

/* WF_ERROR_FORMAT, with the file and the key, for anything missing or of the wrong kind. */
wf_status state_load(const char *path, TrainingState *state);

#endif
