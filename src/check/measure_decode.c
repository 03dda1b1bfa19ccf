/* Decoding early and late in a long context. */
#include "check/measure.h"

#include "wavefield/generate.h"

#include <stdlib.h>

enum { EARLY = 100, LATE = 100000, REPEATS = 201 };

typedef struct DecodeBench {
    wf_model *model;
    wf_decoder *early, *late;
    int32_t *tokens; /* [LATE] */
    float *logits;   /* [V] */
} DecodeBench;

/* The demo model with 131072 positions. */
static wf_status create(Device *device, DecodeBench *bench)
{
    wf_config *config;
    TRY(wf_config_create("demo", &config));
    wf_status status = wf_config_set(config, "field_size=131072");
    if (!status) status = wf_config_set(config, "max_seq_len=131072");
    if (!status) status = wf_model_create(device, config, 1, &bench->model);
    wf_config_destroy(config);
    TRY(status);
    TRY(wf_decoder_create(bench->model, 1, &bench->early));
    TRY(wf_decoder_create(bench->model, 1, &bench->late));
    bench->tokens = calloc(LATE, sizeof *bench->tokens);
    bench->logits = calloc(256, sizeof *bench->logits);
    if (!bench->tokens || !bench->logits) return fail(WF_ERROR_MEMORY, "out of memory for tokens");
    for (int i = 0; i < LATE; i++) bench->tokens[i] = (int32_t)((unsigned)i * 2654435761u >> 24);
    TRY(wf_decoder_feed(bench->early, bench->tokens, EARLY, NULL, NULL));
    return wf_decoder_feed(bench->late, bench->tokens, LATE, NULL, NULL);
}

static wf_status decode(DecodeBench *bench, wf_decoder *decoder)
{
    int64_t at = wf_decoder_position(decoder) % LATE;
    return wf_decoder_feed(decoder, bench->tokens + at, 1, bench->logits, NULL);
}

static wf_status decode_late(void *context)
{
    DecodeBench *bench = context;
    return decode(bench, bench->late);
}

static wf_status decode_early(void *context)
{
    DecodeBench *bench = context;
    return decode(bench, bench->early);
}

wf_status measure_decode(Device *device, Measurement *out)
{
    DecodeBench bench = {0};
    wf_status status = create(device, &bench);
    if (!status) status = measure_in_turns(decode_late, decode_early, &bench, REPEATS, out);
    wf_decoder_destroy(bench.early);
    wf_decoder_destroy(bench.late);
    wf_model_destroy(bench.model);
    free(bench.tokens);
    free(bench.logits);
    return status;
}
