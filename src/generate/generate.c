/* Prompt to text. */
#include "wavefield/generate.h"
#include "base/status.h"
#include "base/text.h"
#include "data/tokenizer.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TOKENS = 256 };

typedef struct Generation {
    const wf_generate_params *params;
    const wf_tokenizer *tokenizer;
    wf_decoder *decoder;
    wf_sampler *sampler;
    wf_tokens prompt;
    float *logits; /* [V] */
    Text held;     /* the beginning of a character whose other bytes are still to come */
} Generation;

static void generation_free(Generation *g)
{
    wf_decoder_destroy(g->decoder);
    wf_sampler_destroy(g->sampler);
    wf_tokens_free(&g->prompt);
    text_destroy(&g->held);
    free(g->logits);
}

/* Tokens of the prompt; an empty one stands for a line's end, or for the end of a text where the
 * tokenizer drops that. */
static wf_status encode_prompt(Generation *g)
{
    const char *text = g->params->prompt && *g->params->prompt ? g->params->prompt : "\n";
    wf_status status = wf_tokenizer_encode(g->tokenizer, text, strlen(text), 0, &g->prompt);
    if (status) return fail_within(status, "the prompt");
    if (g->prompt.count) return WF_OK;
    int32_t end = wf_tokenizer_end_of_text(g->tokenizer);
    if (end < 0) return fail(WF_ERROR_ARGUMENT, "the prompt has no tokens: give it some text");
    TRY(tokens_reserve(&g->prompt, 1));
    g->prompt.items[g->prompt.count++] = end;
    return WF_OK;
}

static wf_status start(Generation *g, wf_model *model)
{
    TRY(encode_prompt(g));
    /* Rows of the embedding beyond the tokenizer stand for no text. */
    TRY(wf_sampler_create(wf_tokenizer_vocabulary(g->tokenizer), &g->params->sampler, &g->sampler));
    TRY(wf_decoder_create(model, 1, &g->decoder));
    g->logits = malloc((size_t)model->config->vocab_size * sizeof *g->logits);
    if (!g->logits) return fail(WF_ERROR_MEMORY, "out of memory for the logits");
    for (size_t i = 0; i < g->prompt.count; i++) wf_sampler_accept(g->sampler, g->prompt.items[i]);
    wf_status status =
        wf_decoder_feed(g->decoder, g->prompt.items, (int64_t)g->prompt.count, g->logits, NULL);
    return status ? fail_within(status, "the prompt") : WF_OK;
}

/* Can these bytes, fewer than four, be the beginning of a character? The bytes that may follow a
 * first one are a range that has 0x80 or 0xBF in it. */
static bool may_become_character(const char *bytes, size_t length)
{
    static const char fill[] = {'\x80', '\xBF'};
    for (int i = 0; i < 2; i++) {
        char whole[4];
        uint32_t code;
        memset(whole, fill[i], sizeof whole);
        memcpy(whole, bytes, length);
        if (utf8_decode(whole, sizeof whole, &code) > (int)length) return true;
    }
    return false;
}

/* How many bytes end with a whole character, or with bytes that will never be one. */
static size_t complete_bytes(const char *bytes, size_t length)
{
    for (size_t last = length < 3 ? length : 3; last > 0; last--)
        if (may_become_character(bytes + length - last, last)) return length - last;
    return length;
}

/* Passes on the first `length` bytes of what is held. */
static wf_status emit(Generation *g, size_t length)
{
    const wf_generate_params *params = g->params;
    if (length == 0) return WF_OK;
    if (params->emit && params->emit(params->context, g->held.data, length))
        return fail(WF_ERROR_INTERRUPTED, "generation was asked to stop");
    g->held.length -= length;
    memmove(g->held.data, g->held.data + length, g->held.length);
    return WF_OK;
}

static wf_status emit_token(Generation *g, int32_t token)
{
    const char *piece;
    size_t length;
    TRY(wf_tokenizer_piece(g->tokenizer, token, &piece, &length));
    text_append_bytes(&g->held, piece, length);
    if (g->held.failed) return fail(WF_ERROR_MEMORY, "out of memory for the text");
    return emit(g, complete_bytes(g->held.data, g->held.length));
}

static wf_status run(Generation *g, int64_t limit)
{
    int64_t n = g->params->max_tokens ? g->params->max_tokens : DEFAULT_TOKENS;
    int32_t end = g->params->ignore_end_of_text ? -1 : wf_tokenizer_end_of_text(g->tokenizer);
    for (int64_t i = 0; i < n; i++) {
        int32_t token;
        TRY(wf_sampler_draw(g->sampler, g->logits, &token));
        if (token == end) break;
        TRY(emit_token(g, token));
        if (i + 1 == n || wf_decoder_position(g->decoder) == limit) break;
        TRY(wf_decoder_feed(g->decoder, &token, 1, g->logits, NULL));
    }
    return emit(g, g->held.length);
}

wf_status wf_generate(wf_model *model, const wf_generate_params *params)
{
    if (!model || !params)
        return fail(WF_ERROR_ARGUMENT, "wf_generate: model and params are needed");
    if (params->max_tokens < 0)
        return fail(WF_ERROR_ARGUMENT, "max_tokens is %lld: from 1 up, or 0 for %d",
                    (long long)params->max_tokens, DEFAULT_TOKENS);
    Generation g = {.params = params, .tokenizer = wf_model_tokenizer(model)};
    if (!g.tokenizer) return fail(WF_ERROR_ARGUMENT, "the model has no tokenizer: give it one");
    wf_status status = start(&g, model);
    if (!status) status = run(&g, model->config->max_seq_len);
    generation_free(&g);
    return status;
}
