/* Steps begun ahead of what the host has seen, against steps it waits for. */
#include "check/measure.h"
#include "check/measure_parts.h"

#include "base/rng.h"
#include "wavefield/train.h"

#include <stdlib.h>

/* A small step, where what the host does counts. */
enum { BATCH = 1, TOKENS = 64, CORPUS = 1 << 14, STEPS = 8, REPEATS = 11 };

typedef struct AheadBench {
    wf_model *model;
    wf_dataset *data;
    wf_trainer *trainer;
} AheadBench;

wf_status measure_corpus(int64_t n, int64_t vocabulary, wf_dataset **out)
{
    int32_t *tokens = malloc((size_t)n * sizeof *tokens);
    if (!tokens) return fail(WF_ERROR_MEMORY, "out of memory for tokens");
    Rng rng = {.seed = 1};
    for (int64_t i = 0; i < n; i++) tokens[i] = (int32_t)rng_below(&rng, (uint64_t)vocabulary);
    wf_status status = wf_dataset_from_tokens(tokens, n, vocabulary, 0, out);
    free(tokens);
    return status;
}

static wf_status create(Device *device, AheadBench *bench)
{
    wf_config *config;
    TRY(wf_config_create("demo", &config));
    wf_status status = wf_model_create(device, config, 1, &bench->model);
    wf_config_destroy(config);
    TRY(status);
    TRY(measure_corpus(CORPUS, 256, &bench->data));
    return wf_trainer_create(bench->model, bench->data,
                             wf_trainer_params(.batch_size = BATCH, .sequence_length = TOKENS,
                                               .steps = INT32_MAX, .learning_rate = 1e-5),
                             &bench->trainer);
}

static wf_status run_ahead(void *context)
{
    AheadBench *bench = context;
    for (int i = 0; i < STEPS; i++) TRY(wf_trainer_begin_step(bench->trainer, NULL));
    return wf_trainer_finish_step(bench->trainer, NULL);
}

static wf_status run_and_wait(void *context)
{
    AheadBench *bench = context;
    for (int i = 0; i < STEPS; i++) TRY(wf_trainer_step(bench->trainer, NULL));
    return WF_OK;
}

wf_status measure_ahead(Device *device, Measurement *out)
{
    AheadBench bench = {0};
    wf_status status = create(device, &bench);
    if (!status) status = measure_in_turns(run_ahead, run_and_wait, &bench, REPEATS, out);
    wf_trainer_destroy(bench.trainer);
    wf_dataset_destroy(bench.data);
    wf_model_destroy(bench.model);
    return status;
}
