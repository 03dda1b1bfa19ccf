/* Tokens in memory, split into a part for training and a held-out tail. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include "base/status.h"
#include "wavefield/data.h"

struct wf_dataset {
    int32_t *tokens; /* [count], each in 0 … vocabulary-1 */
    int64_t count;
    int64_t training; /* tokens 0 … training-1 are for training, the rest is held out */
    int64_t vocabulary;
    int32_t *piece_bytes; /* [vocabulary]: bytes of text a token stands for; NULL: unknown */
    uint64_t fingerprint; /* of the tokens and the split: a run resumes on the same data only */
};

/* Targets first … last-1 to evaluate on; each is predicted from the token before it, so first ≥ 1.
 */
typedef struct TokenSpan {
    int64_t first, last;
} TokenSpan;

/* Every held-out token as a target (the first is predicted from the last training token). */
TokenSpan dataset_held_out(const wf_dataset *dataset);
/* Every token but the first. */
TokenSpan dataset_whole(const wf_dataset *dataset);

/* Bytes of text the tokens of a span stand for, 0 where unknown. */
int64_t dataset_bytes(const wf_dataset *dataset, TokenSpan span);

#endif
