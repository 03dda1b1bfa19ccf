/* Sequences in a safetensors file: one F32 tensor a parameter and sequence, PREFIX and the
 * parameter's name. */
#ifndef TRAIN_SEQUENCES_H
#define TRAIN_SEQUENCES_H

#include "model/sequence.h"

typedef struct NamedSequence {
    const char *prefix; /* "first." */
    Sequence sequence;  /* a handle: its pages are shared with the owner's */
} NamedSequence;

/* Writes the file whole, replacing one that is there. */
wf_status sequences_save(const char *path, const ParameterList *parameters,
                         const NamedSequence *list, int count);

/* WF_OK if the file holds exactly these tensors; else the message names the tensor, what was
 * expected and what was found. */
wf_status sequences_check(const char *path, const ParameterList *parameters,
                          const NamedSequence *list, int count);

/* Checks, then reads every tensor into its sequence. */
wf_status sequences_load(const char *path, const ParameterList *parameters,
                         const NamedSequence *list, int count);

#endif
