/* Tokenizers: text to tokens and back.
 *
 * "byte": token = byte, a vocabulary of 256, any input. "char": one token a Unicode character; the
 * vocabulary is the characters of the text it was made from, in the order of their code points.
 * "sentencepiece": a SentencePiece model (unigram or BPE), trained here or loaded. "bpe":
 * byte-level BPE as in GPT-2, Llama 3 and Qwen, loaded from a tokenizer.json of Hugging Face's
 * tokenizers.
 *
 * In a model folder a tokenizer is one file: tokenizer.model, a SentencePiece model as it was, or
 * tokenizer.json, either a "bpe" as it was (it has a "model"), or {"type": "byte"}, or {"type":
 * "char", "characters": "…"} where the place of a character in the string is its token.
 *
 * Text is UTF-8 ("byte": anything). What is encoded is the text alone: no token is put before or
 * after it, whatever template a file has. Special tokens (control pieces, such as an end of text)
 * stand for no text: their names in a text are text like any other unless WF_ENCODE_SPECIAL is
 * given, and they decode to nothing.
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

typedef struct wf_tokenizer_params {
    const char *const *files; /* UTF-8 text to learn from; "byte" needs none */
    int n_files;
    int64_t vocabulary; /* tokens to learn, for "sentencepiece-…"; 0: 4096. 0 for other types */
} wf_tokenizer_params;
#define wf_tokenizer_params(...) (&(wf_tokenizer_params){__VA_ARGS__})

/* Makes a tokenizer of a type by name: "byte", "char", "sentencepiece-bpe" or
 * "sentencepiece-unigram". The same texts give the same tokenizer. params may be NULL.
 * WF_ERROR_ARGUMENT for more tokens than the texts give or fewer than they need, saying how many.
 * WF_ERROR_UNSUPPORTED for types this build does not have, saying what it lacks. */
WF_API wf_status wf_tokenizer_create(const char *type, const wf_tokenizer_params *params,
                                     wf_tokenizer **out);

/* From a tokenizer.json, a SentencePiece model, or the one of them in a model folder; which it is
 * shows in its content. WF_ERROR_UNSUPPORTED names what in the file would change the tokens and is
 * not known here. */
WF_API wf_status wf_tokenizer_load(const char *path, wf_tokenizer **out);

/* Writes tokenizer.json or tokenizer.model into `folder`, which must exist; the file is replaced
 * whole, and another tokenizer's file there is removed. */
WF_API wf_status wf_tokenizer_save(const wf_tokenizer *tokenizer, const char *folder);

WF_API void wf_tokenizer_destroy(wf_tokenizer *tokenizer); /* NULL is allowed */

/* "byte", "char", "sentencepiece", "bpe" */
WF_API const char *wf_tokenizer_type(const wf_tokenizer *tokenizer);

/* Tokens are 0 … vocabulary-1. */
WF_API int64_t wf_tokenizer_vocabulary(const wf_tokenizer *tokenizer);

/* The token that ends a text, -1: none. Of a tokenizer.json, which does not say, it is the special
 * token of a customary name, such as <|endoftext|>. */
WF_API int32_t wf_tokenizer_end_of_text(const wf_tokenizer *tokenizer);

/* ---- text to tokens ---- */

/* Tokens that grow: starts as {0}; the caller may set count to 0 and use it again. */
typedef struct wf_tokens {
    int32_t *items; /* from realloc() */
    size_t count, capacity;
} wf_tokens;
WF_API void wf_tokens_free(wf_tokens *tokens); /* back to {0} */

enum {
    WF_ENCODE_SPECIAL = 1 /* special tokens' names in the text are these tokens */
};

/* Appends the tokens of `length` bytes of text. Their number has no simple bound: a SentencePiece
 * model may put a space first, write characters out, and fall back to bytes. WF_ERROR_FORMAT names
 * the bytes that are not UTF-8 or the character that has no token, and their offset; *tokens then
 * has what it had before. */
WF_API wf_status wf_tokenizer_encode(const wf_tokenizer *tokenizer, const char *text, size_t length,
                                     int flags, wf_tokens *tokens);

/* ---- tokens to text ---- */

/* The bytes a token stands for within a text, owned by the tokenizer, not NUL-terminated; none for
 * a special token. A piece alone may be a part of a UTF-8 character. A text is the pieces of its
 * tokens one after the other, and no byte is lost or replaced, except that some SentencePiece
 * models put a space before each text they encode: at the start of a text, and only there, it is
 * taken away again (wf_tokenizer_decode() does; what follows a prompt is no start). */
WF_API wf_status wf_tokenizer_piece(const wf_tokenizer *tokenizer, int32_t token, const char **text,
                                    size_t *length);

/* The text of n tokens from its start into text[capacity], not NUL-terminated, its bytes into
 * *length. With text == NULL only counts. WF_ERROR_ARGUMENT when capacity is too small (*length is
 * then what is needed) and for tokens outside the vocabulary. */
WF_API wf_status wf_tokenizer_decode(const wf_tokenizer *tokenizer, const int32_t *tokens, size_t n,
                                     char *text, size_t capacity, size_t *length);

#ifdef __cplusplus
}
#endif
#endif
