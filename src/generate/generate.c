/* Prompt to text. */
#include "wavefield/generate.h"
#include "base/status.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TOKENS = 256 };

typedef struct Generation {
    const wf_generate_params *params;
    const wf_tokenizer *tokenizer;
    wf_decoder *decoder;
    wf_sampler *sampler;
    int32_t *prompt;
    size_t n_prompt;
    float *logits; /* [V] */
} Generation;

static void generation_free(Generation *g)
{
    wf_decoder_destroy(g->decoder);
    wf_sampler_destroy(g->sampler);
    free(g->prompt);
    free(g->logits);
}

/* Tokens of the prompt; an empty one stands for a line's end. */
static wf_status encode_prompt(Generation *g)
{
    const char *text = g->params->prompt && *g->params->prompt ? g->params->prompt : "\n";
    size_t length = strlen(text);
    g->prompt = malloc(length * sizeof *g->prompt);
    if (!g->prompt) return fail(WF_ERROR_MEMORY, "out of memory for the prompt");
    wf_status status =
        wf_tokenizer_encode(g->tokenizer, text, length, g->prompt, length, &g->n_prompt);
    return status ? fail_within(status, "the prompt") : WF_OK;
}

static wf_status start(Generation *g, wf_model *model)
{
    TRY(encode_prompt(g));
    /* Rows of the embedding beyond the tokenizer stand for no text. */
    TRY(wf_sampler_create(wf_tokenizer_vocabulary(g->tokenizer), &g->params->sampler, &g->sampler));
    TRY(wf_decoder_create(model, 1, &g->decoder));
    g->logits = malloc((size_t)model->config->vocab_size * sizeof *g->logits);
    if (!g->logits) return fail(WF_ERROR_MEMORY, "out of memory for the logits");
    for (size_t i = 0; i < g->n_prompt; i++) wf_sampler_accept(g->sampler, g->prompt[i]);
    wf_status status =
        wf_decoder_feed(g->decoder, g->prompt, (int64_t)g->n_prompt, g->logits, NULL);
    return status ? fail_within(status, "the prompt") : WF_OK;
}

static wf_status emit(const Generation *g, int32_t token)
{
    const char *text;
    size_t length;
    TRY(wf_tokenizer_piece(g->tokenizer, token, &text, &length));
    if (!g->params->emit || !g->params->emit(g->params->context, text, length)) return WF_OK;
    return fail(WF_ERROR_INTERRUPTED, "generation was asked to stop");
}

static wf_status run(Generation *g, int64_t limit)
{
    int64_t n = g->params->max_tokens ? g->params->max_tokens : DEFAULT_TOKENS;
    for (int64_t i = 0; i < n; i++) {
        int32_t token;
        TRY(wf_sampler_draw(g->sampler, g->logits, &token));
        TRY(emit(g, token));
        if (i + 1 == n || wf_decoder_position(g->decoder) == limit) break;
        TRY(wf_decoder_feed(g->decoder, &token, 1, g->logits, NULL));
    }
    return WF_OK;
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
