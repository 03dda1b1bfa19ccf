/* Data: tokens to train and evaluate on. */
#ifndef WAVEFIELD_DATA_H
#define WAVEFIELD_DATA_H

#include <stdint.h>

#include "wavefield/status.h"
#include "wavefield/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wf_dataset wf_dataset;

/* UTF-8 text files, one after the other, as tokens. The last `held_out` share of the tokens (0 …
 * 0.5) is kept for evaluation. Errors name the file and the byte offset. The tokenizer is only used
 * here. */
WF_API wf_status wf_dataset_open(const char *const *files, int n_files,
                                 const wf_tokenizer *tokenizer, double held_out, wf_dataset **out);

/* Tokens of the caller's own (copied), each in 0 … vocabulary-1. */
WF_API wf_status wf_dataset_from_tokens(const int32_t *tokens, int64_t n, int64_t vocabulary,
                                        double held_out, wf_dataset **out);

WF_API void wf_dataset_destroy(wf_dataset *dataset); /* NULL is allowed */

/* Tokens for training, tokens held out, and the bytes of text the held-out ones stand for (0 where
 * unknown). Each may be NULL. */
WF_API void wf_dataset_size(const wf_dataset *dataset, int64_t *training, int64_t *held_out,
                            int64_t *held_out_bytes);

#ifdef __cplusplus
}
#endif
#endif
