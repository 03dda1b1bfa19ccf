/* Tokenizers: text to tokens and back.
 *
 * "byte": token = byte, a vocabulary of 256, any input. "char": one token a Unicode character; the
 * vocabulary is the characters of the text it was made from, in the order of their code points. In
 * a model folder a tokenizer is tokenizer.json: {"type": "byte"}, or {"type": "char", "characters":
 * "…"} where the place of a character in the string is its token.
 *
 * A tokenizer does not change once made: several threads may use it at the same time. */
#ifndef WAVEFIELD_TOKENIZER_H
#define WAVEFIELD_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "wavefield/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wf_tokenizer wf_tokenizer;

/* Makes a tokenizer of a type by name. "char" reads the UTF-8 files for its characters; "byte"
 * needs no files. WF_ERROR_UNSUPPORTED for types this build does not have. */
WF_API wf_status wf_tokenizer_create(const char *type, const char *const *files, int n_files,
                                     wf_tokenizer **out);

/* From a tokenizer.json, or the one in a model folder. */
WF_API wf_status wf_tokenizer_load(const char *path, wf_tokenizer **out);

/* Writes tokenizer.json into `folder`, which must exist; the file is replaced whole. */
WF_API wf_status wf_tokenizer_save(const wf_tokenizer *tokenizer, const char *folder);

WF_API void wf_tokenizer_destroy(wf_tokenizer *tokenizer); /* NULL is allowed */

WF_API const char *wf_tokenizer_type(const wf_tokenizer *tokenizer); /* "byte", "char" */

/* Tokens are 0 … vocabulary-1. */
WF_API int64_t wf_tokenizer_vocabulary(const wf_tokenizer *tokenizer);

/* Tokens of `length` bytes of text into tokens[capacity], their number into *count. `length` tokens
 * are always room enough. WF_ERROR_FORMAT names the character or bytes that have no token, and
 * their offset; WF_ERROR_ARGUMENT when capacity is too small. */
WF_API wf_status wf_tokenizer_encode(const wf_tokenizer *tokenizer, const char *text, size_t length,
                                     int32_t *tokens, size_t capacity, size_t *count);

/* The bytes a token stands for, owned by the tokenizer, not NUL-terminated. A text is the pieces of
 * its tokens one after the other; one piece alone may be a part of a UTF-8 character. */
WF_API wf_status wf_tokenizer_piece(const wf_tokenizer *tokenizer, int32_t token, const char **text,
                                    size_t *length);

#ifdef __cplusplus
}
#endif
#endif
