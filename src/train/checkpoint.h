/* Folders of checkpoints: one folder step-NNNNNNNN a checkpoint, there whole or not at all.
 *
 * A checkpoint is written into step-NNNNNNNN.partial, made durable, and renamed. One that must make
 * room for another of the same step waits as step-NNNNNNNN.replaced until that one stands; one that
 * goes is renamed step-NNNNNNNN.removed before its first file is removed. So whatever instant the
 * process dies at, a folder named step-NNNNNNNN, or .replaced where that is missing, is complete.
 * One process at a time writes under a folder. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "base/status.h"

#include <stdint.h>

#define CHECKPOINT_STATE     "state.json"
#define CHECKPOINT_OPTIMIZER "optimizer.safetensors"

/* Makes `folder` if absent, removes what killed writers left there, and makes an empty folder to
 * write the files of step `step` into. The caller frees *partial. */
wf_status checkpoint_begin(const char *folder, int64_t step, char **partial);

/* Makes the written files' folder durable and puts it in place. */
wf_status checkpoint_publish(const char *folder, int64_t step, const char *partial);

/* Removes a checkpoint that could not be finished. Keeps the present failure's message. */
void checkpoint_discard(const char *partial);

/* Removes all checkpoints but the newest `keep` (0: none is removed) and that of step `step`. One
 * in which somebody put files of their own is left alone. */
wf_status checkpoint_prune(const char *folder, int64_t step, int keep);

/* The newest complete checkpoint under `folder`, or `folder` itself if it is one. The caller frees
 * *path. WF_ERROR_IO if there is none. */
wf_status checkpoint_find(const char *folder, char **path);

#endif
