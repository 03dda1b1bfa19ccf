/* Time of a token at early and late positions. The positions are set and not fed: what a token
 * costs depends on where it stands and on how long its state is, not on what the state holds. */
#include "check/rates.h"

#include "base/clock.h"
#include "check/timing.h"
#include "generate/decoder.h"

#include <stdio.h>
#include <stdlib.h>

/* A longer field for the same parameters, as many cells more as tokens. No parameter depends on it.
 */
static wf_status lengthen(wf_model *model, int64_t tokens)
{
    Config *config = model->config;
    int64_t cells = ceil_div(config->field_size * tokens, config->max_seq_len);
    config->max_seq_len = tokens;
    config->field_size = cells;
    TRY(wf_config_validate(config));
    model->geometry = config_geometry(config);
    return WF_OK;
}

static wf_status time_tokens(wf_decoder *decoder, int64_t position, bool quick, double *seconds)
{
    enum { MOST = 64 };
    double times[MOST], start = clock_seconds(), budget = quick ? 1 : 2;
    const int32_t token = 1;
    int n = 0;
    float *logits = calloc((size_t)decoder->model->config->vocab_size, sizeof *logits);
    if (!logits) return fail(WF_ERROR_MEMORY, "out of memory for logits");
    wf_status status = WF_OK;
    for (int i = 0; !status && i < 2; i++) { /* to warm up */
        decoder->position = position;
        status = wf_decoder_feed(decoder, &token, 1, logits, NULL);
    }
    while (!status && n < MOST && (n == 0 || clock_seconds() - start < budget)) {
        double from = clock_seconds();
        decoder->position = position;
        status = wf_decoder_feed(decoder, &token, 1, logits, NULL);
        times[n++] = clock_seconds() - from;
    }
    if (!status) *seconds = median(times, n);
    free(logits);
    return status;
}

/* Every parameter is read once, in the type that products take it in. */
static double token_bytes(const wf_model *model)
{
    int64_t copies = sequence_bytes(&model->copies.sequence);
    return (double)(copies ? copies : sequence_bytes(&model->values));
}

static wf_status measure(const Rates *rates, wf_model *model, int64_t position)
{
    wf_decoder *decoder = NULL;
    Rate rate = {.figure = "generation", .unit = "tokens/s", .per_run = 1};
    snprintf(rate.title, sizeof rate.title, "%s %s, position %lld of %lld", rates->params->name,
             dtype_name(model->storage), (long long)position,
             (long long)model->config->max_seq_len);
    rate.floor = token_bytes(model) / rates->copy;
    wf_status status = wf_decoder_create(model, 1, &decoder);
    if (!status) status = time_tokens(decoder, position, rates->params->quick, &rate.seconds);
    status = rates_report(rates, &rate, status);
    wf_decoder_destroy(decoder);
    return status;
}

/* Positions that the configuration has no place for get a longer field; the first of all is
 * measured there too, to tell the field's length from the position. */
wf_status rates_generation(Rates *rates, wf_model *model)
{
    enum { LONG = 1 << 20 };
    static const int64_t positions[] = {10, 10000, 1000000};
    enum { COUNT = sizeof positions / sizeof *positions };
    const Config kept = *model->config;
    const Geometry geometry = model->geometry;
    wf_status status = WF_OK;
    int next = 0;
    while (!status && next < COUNT && positions[next] < model->config->max_seq_len)
        status = measure(rates, model, positions[next++]);
    if (!status && next < COUNT) status = lengthen(model, LONG);
    if (!status && next < COUNT) status = measure(rates, model, positions[0]);
    while (!status && next < COUNT) status = measure(rates, model, positions[next++]);
    *model->config = kept;
    model->geometry = geometry;
    return status;
}
