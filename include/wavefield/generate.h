/* Generation: a decoder that carries the field's state from token to token, and a sampler.
 *
 * With one-pole kernels a token costs the same time and memory at any position; gated kernels keep
 * their deposits and cost O(position). Both equal the full forward pass to rounding. */
#ifndef WAVEFIELD_GENERATE_H
#define WAVEFIELD_GENERATE_H

#include <stdint.h>

#include "wavefield/model.h"
#include "wavefield/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wf_decoder wf_decoder;

/* A decoder of `batch` sequences that advance together. The model is borrowed; its parameters are
 * read at every step (after changing them, reset). WF_ERROR_UNSUPPORTED, naming the tokens, for a
 * model whose geometry is not causal: there a token's cells still change after it has been read. */
WF_API wf_status wf_decoder_create(wf_model *model, int64_t batch, wf_decoder **out);
WF_API void wf_decoder_destroy(wf_decoder *decoder); /* NULL is allowed */

/* Back to position 0. */
WF_API wf_status wf_decoder_reset(wf_decoder *decoder);

/* Feeds tokens [batch, n] at the current position, in chunks of 512, 64 and 1; n ≥ 1. logits
 * [batch, V] of the last token, V the configuration's vocab_size; when all_logits is not NULL,
 * [batch, n, V] of every token too. Either may be NULL. WF_ERROR_ARGUMENT, with the position and
 * the limit, past max_seq_len, and for a token outside the vocabulary: nothing has been fed then.
 * When the device fails in the middle, the decoder wants a reset. */
WF_API wf_status wf_decoder_feed(wf_decoder *decoder, const int32_t *tokens, int64_t n,
                                 float *logits, float *all_logits);

WF_API int64_t wf_decoder_position(const wf_decoder *decoder); /* tokens fed so far */

/* ---- sampling ---- */

/* Draws tokens: the logits of recent tokens are penalised (l/θ if l > 0, else l·θ; Keskar et al.,
 * "CTRL", 2019), divided by the temperature, cut to the top_k likeliest, then to the likeliest of
 * those that together have at least the share top_p of their probability (the one that crosses it
 * is kept; Holtzman et al., 2020). Of equal logits the lower token comes first. The same seed and
 * the same calls give the same tokens. */
typedef struct wf_sampler wf_sampler;

typedef struct wf_sampler_params {
    double temperature;        /* 0: always the likeliest token */
    int top_k;                 /* 0: all */
    double top_p;              /* 0 or 1: all */
    double repetition_penalty; /* θ, 0.001 … 1000; 0 or 1: none; > 1: recent tokens less likely */
    int repetition_window;     /* how many recent tokens that means; 0: 64 */
    uint64_t seed;
} wf_sampler_params;
#define wf_sampler_params(...) (&(wf_sampler_params){__VA_ARGS__})

/* Draws from tokens 0 … vocabulary-1, of which it reads the first so many logits: with that of the
 * tokenizer, rows of a model beyond it, which stand for no text, are never drawn. params may be
 * NULL: always the likeliest. */
WF_API wf_status wf_sampler_create(int64_t vocabulary, const wf_sampler_params *params,
                                   wf_sampler **out);
WF_API void wf_sampler_destroy(wf_sampler *sampler); /* NULL is allowed */

/* Tells the sampler of a token it did not draw (the prompt's), for the repetition penalty. Ignored
 * outside the vocabulary. */
WF_API void wf_sampler_accept(wf_sampler *sampler, int32_t token);

/* Draws from logits [vocabulary], and notes the token as accepted; -infinity is a token never
 * drawn. WF_ERROR_NUMERIC if one is NaN or +infinity, or none is finite. */
WF_API wf_status wf_sampler_draw(wf_sampler *sampler, const float *logits, int32_t *token);

/* Prompt to text, with the model's tokenizer: `emit` gets the decoded continuation as it comes (not
 * NUL-terminated): whole characters, those split over several tokens when their last byte is there,
 * and bytes that are not UTF-8 as they are. A non-zero return stops with WF_ERROR_INTERRUPTED. */
typedef struct wf_generate_params {
    const char *prompt; /* UTF-8, NUL-terminated; "" starts from a newline, or from the end of a
                         * text where the tokenizer has no token for that */
    int64_t max_tokens; /* 0: 256; also stops at max_seq_len and at the token that ends a text */
    int ignore_end_of_text; /* non-zero: goes on beyond it */
    wf_sampler_params sampler;
    int (*emit)(void *context, const char *text, size_t length); /* may be NULL */
    void *context;
} wf_generate_params;
#define wf_generate_params(...) (&(wf_generate_params){__VA_ARGS__})
WF_API wf_status wf_generate(wf_model *model, const wf_generate_params *params);

#ifdef __cplusplus
}
#endif
#endif
