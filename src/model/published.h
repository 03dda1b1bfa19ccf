/* The tensor names of published PyTorch checkpoints: which are passed over, and what those are that
 * have no place in a model (spec §8). */
#ifndef MODEL_PUBLISHED_H
#define MODEL_PUBLISHED_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* The name without what torch.compile puts into it; "", which names nothing, where it does not fit:
 * cut, it could become the name of something. */
void published_plain_name(const char *name, char *plain, size_t size);

/* Whether a tensor of this plain name is a buffer that holds nothing learned, whatever its type. */
bool published_is_buffer(const char *name);

/* Whether a tensor of this name is known to belong to a model that neither version computes. */
bool published_is_foreign(const char *name);

/* The refusal of a tensor that the configuration has no place for, with the reason where the name
 * tells it: WF_ERROR_UNSUPPORTED for a foreign one, else WF_ERROR_FORMAT. */
wf_status published_refuse(const char *path, const char *name);

/* Why a file may lack this parameter, as the end of a sentence; "" where nothing is known. */
const char *published_why_missing(const char *name);

#endif
