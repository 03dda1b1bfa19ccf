/* Folders of checkpoints: one folder NAME a checkpoint, there whole or not at all. NAME is
 * step-NNNNNNNN, or "best" for the one of the lowest held-out loss.
 *
 * A checkpoint is written into NAME.partial, made durable, and renamed. One that must make room for
 * another of the same name waits as NAME.replaced until that one stands; one that goes is renamed
 * NAME.removed before its first file is removed. So whatever instant the process dies at, a folder
 * called NAME, or NAME.replaced where that is missing, is complete. A replaced one into which
 * somebody put files of their own stays, as NAME.kept-1 or a later number, and is no checkpoint to
 * find any more. One process at a time writes under a folder. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "base/status.h"

#include <stdint.h>

#define CHECKPOINT_STATE     "state.json"
#define CHECKPOINT_OPTIMIZER "optimizer.safetensors"

#define CHECKPOINT_BEST "best"

typedef struct CheckpointName {
    char text[32];
} CheckpointName;

/* "step-00000012"; returns its text. */
const char *checkpoint_name(int64_t step, CheckpointName *name);

/* Makes `folder` if absent, removes what killed writers left there (a .replaced whose successor is
 * missing takes its name back), and makes an empty folder to write the files of the checkpoint
 * `name` into. The caller frees *partial. */
wf_status checkpoint_begin(const char *folder, const char *name, char **partial);

/* Makes the written files' folder durable and puts it in place. */
wf_status checkpoint_publish(const char *folder, const char *name, const char *partial);

/* Removes a checkpoint that could not be finished. Keeps the present failure's message. */
void checkpoint_discard(const char *partial);

/* Removes all checkpoints of steps but the newest `keep` (0: none is removed) and that of `step`.
 * One in which somebody put files of their own is left alone. */
wf_status checkpoint_prune(const char *folder, int64_t step, int keep);

/* The newest complete checkpoint under `folder`, or `folder` itself if it is one (or was about to
 * be replaced by one). The caller frees *path. WF_ERROR_IO if there is none. */
wf_status checkpoint_find(const char *folder, char **path);

#endif
