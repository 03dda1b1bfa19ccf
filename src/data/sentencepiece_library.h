/* The SentencePiece library, which is C++, as C functions. No exception leaves them. A failure is
 * WF_ERROR_FORMAT or WF_ERROR_MEMORY with the library's own words. */
#ifndef DATA_SENTENCEPIECE_LIBRARY_H
#define DATA_SENTENCEPIECE_LIBRARY_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SpLibrary SpLibrary;

/* The bytes are copied, and have passed sp_file_read(): the library trusts much of what they say.
 */
wf_status sp_library_open(const char *bytes, size_t length, SpLibrary **out);
void sp_library_close(SpLibrary *library); /* NULL is allowed */

int32_t sp_library_end_of_text(const SpLibrary *library); /* -1: none */

/* The ids of valid UTF-8, which the caller frees. */
wf_status sp_library_encode(const SpLibrary *library, const char *text, size_t length,
                            int32_t **ids, size_t *count);

/* Texts to learn from, one at a time, valid until the next call. False: no more. */
typedef struct SpTexts {
    bool (*next)(void *context, const char **text, size_t *length);
    void *context;
} SpTexts;

typedef struct SpOption {
    const char *name, *value;
} SpOption;

/* Trains a model and gives its file, which the caller frees. */
wf_status sp_library_train(const SpOption *options, int n_options, const SpTexts *texts,
                           char **bytes, size_t *length);

#endif
