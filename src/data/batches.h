/* Batches of a dataset: token and target arrays [B, N], target[b,n] the token that follows.
 *
 * For training, an epoch cuts the training part into windows of N tokens from a random offset on
 * and takes them in a random order; epoch after epoch, without end. Which window comes when is a
 * function of the seed and the cursor only, computed as it comes: the order takes no memory, and a
 * saved cursor continues exactly. For evaluation, a
 * span of targets is cut into windows in order and each target is counted once. */
#ifndef DATA_BATCHES_H
#define DATA_BATCHES_H

#include "data/dataset.h"
#include "data/permutation.h"

/* The target of a place that does not count. */
enum { TARGET_NONE = -100 };

/* Where training stands in its data; plain data. */
typedef struct BatchCursor {
    uint64_t seed;
    int64_t epoch;
    int64_t position; /* windows of this epoch already taken */
} BatchCursor;

typedef struct Batches {
    const wf_dataset *dataset; /* borrowed */
    int64_t length;            /* N */
    BatchCursor cursor;        /* of the next window */
    /* of the epoch at the cursor */
    int64_t offset, windows;
    Permutation order; /* of the windows */
} Batches;

/* Stands at the first window of epoch 0. WF_ERROR_ARGUMENT if the training part is shorter than one
 * window and the token after it. */
wf_status batches_create(const wf_dataset *dataset, int64_t length, uint64_t seed, Batches **out);
void batches_destroy(Batches *batches); /* NULL is allowed */

/* Continues at a saved cursor. WF_ERROR_FORMAT if it cannot be one of this data. */
wf_status batches_seek(Batches *batches, BatchCursor cursor);

/* The next n windows into token and target, [n, N] each; loading of the n after them from storage
 * is begun. On a failure to read them the cursor stays. */
wf_status batches_next(Batches *batches, int64_t n, int32_t *token, int32_t *target);

/* Batches of n windows that a span takes; the last may be padded. */
int64_t span_batches(TokenSpan span, int64_t n, int64_t length);

/* Batch `index` of a span, [n, length] each. Places past its end have target TARGET_NONE, token 0.
 * Loading of the batch after it is begun. */
wf_status span_batch(const wf_dataset *dataset, TokenSpan span, int64_t index, int64_t n,
                     int64_t length, int32_t *token, int32_t *target);

/* The places 0 … n-1 of `token` sorted by token, ties in order of place, into order (for
 * OP_EMBED_BACKWARD). Tokens are in 0 … vocabulary-1. */
wf_status token_order(const int32_t *token, int64_t n, int64_t vocabulary, int32_t *order);

#endif
