#include "check/training.h"

#include "base/clock.h"
#include "base/rng.h"
#include "wavefield/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "training "

enum { VOCABULARY = 29, CORPUS = 4096 };

/* Two layers, interference after the second, dropout; a field of a fractional stride. */
static wf_status small_config(const char *preset, wf_config **out)
{
    static const char *const settings[] = {
        "vocab_size=29", "embedding_dim=48", "num_layers=2",   "num_heads=3",
        "ffn_dim=96",    "field_size=80",    "max_seq_len=33", "interference_interval=2",
        "dropout=0.1"};
    TRY(wf_config_create(preset, out));
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        TRY(wf_config_set(*out, settings[i]));
    return WF_OK;
}

/* A sequence with something to learn: three of four tokens follow from the one before. */
static wf_status small_data(wf_dataset **out)
{
    int32_t tokens[CORPUS] = {1};
    Rng rng = {.seed = 5};
    for (int i = 1; i < CORPUS; i++)
        tokens[i] = rng_below(&rng, 4) ? (3 * tokens[i - 1] + 1) % VOCABULARY
                                       : (int32_t)rng_below(&rng, VOCABULARY);
    return wf_dataset_from_tokens(tokens, CORPUS, VOCABULARY, 0, out);
}

static wf_status train(wf_model *model, DType storage, double loss[TRAINING_STEPS])
{
    wf_dataset *data = NULL;
    wf_trainer *trainer = NULL;
    wf_status status = small_data(&data);
    if (!status)
        status = wf_trainer_create(
            model, data,
            wf_trainer_params(.steps = TRAINING_STEPS, .batch_size = TRAINING_BATCH,
                              .sequence_length = TRAINING_TOKENS, .learning_rate = 4e-3,
                              .warmup = 5, .seed = 9, .precision = dtype_name(storage)),
            &trainer);
    for (int i = 0; !status && i < TRAINING_STEPS; i++) {
        wf_step_stats stats;
        status = wf_trainer_step(trainer, &stats);
        loss[i] = status ? 0 : stats.loss;
    }
    wf_trainer_destroy(trainer);
    wf_dataset_destroy(data);
    return status;
}

static wf_status losses(Device *device, const char *preset, DType storage,
                        double loss[TRAINING_STEPS])
{
    wf_config *config = NULL;
    wf_model *model = NULL;
    wf_status status = small_config(preset, &config);
    if (!status) status = wf_model_create(device, config, 3, &model);
    if (!status) status = train(model, storage, loss);
    wf_model_destroy(model);
    wf_config_destroy(config);
    return status;
}

/* Two right devices differ by some 2e-7 after these steps, in 16 bits by some 2e-3; at higher rates
 * a difference grows from step to step and would hide a fault. */
static double training_bound(DType storage)
{
    return storage == DTYPE_REAL ? 1e-4 : 2e-2;
}

/* What is compared: the case's name, `device` and what it is held against. */
typedef struct Comparison {
    const char *preset, *version;
    Device *device, *against;
    char detail[160];
} Comparison;

static void compare(Comparison *this, DType storage, const double *loss, const double *expected,
                    CheckResult *result)
{
    int worst = 0;
    result->error = 0;
    for (int i = 0; i < TRAINING_STEPS; i++) {
        double deviation = fabs(loss[i] - expected[i]) / fabs(expected[i]);
        if (deviation <= result->error) continue; /* true for no NaN */
        result->error = isfinite(deviation) ? deviation : HUGE_VAL;
        worst = i;
    }
    bool learned = expected[TRAINING_STEPS - 1] < 0.8 * expected[0];
    result->bound = training_bound(storage);
    result->verdict = learned && result->error <= result->bound ? CHECK_OK : CHECK_FAILED;
    snprintf(this->detail, sizeof this->detail, "loss %.4f to %.4f%s, farthest from %s at step %d",
             loss[0], loss[TRAINING_STEPS - 1], learned ? "" : " (nothing learned)",
             this->against->backend == &backend_cpu64 ? "double precision" : "the CPU's",
             worst + 1);
    result->detail = this->detail;
}

static void check_version(Comparison *this, const CheckParams *params, CheckTotals *totals)
{
    double loss[TRAINING_STEPS], expected[TRAINING_STEPS], start = clock_seconds();
    char name[96];
    snprintf(name, sizeof name, PREFIX "version %s, %d steps of %d x %d tokens", this->version,
             TRAINING_STEPS, TRAINING_BATCH, TRAINING_TOKENS);
    CheckResult result = {.name = name};
    wf_status status = losses(this->device, this->preset, params->storage, loss);
    if (!status) {
        status = losses(this->against, this->preset, params->storage, expected);
        if (status) fail_within(status, "the reference");
    }
    if (status) {
        result.verdict = status == WF_ERROR_UNSUPPORTED ? CHECK_MISSING : CHECK_FAILED;
        result.detail = wf_error_message();
    } else {
        compare(this, params->storage, loss, expected, &result);
    }
    result.elapsed = clock_seconds() - start;
    totals->passed += result.verdict == CHECK_OK;
    totals->failed += result.verdict == CHECK_FAILED;
    totals->missing += result.verdict == CHECK_MISSING;
    params->report(params->context, &result);
}

wf_status check_training(Device *device, const CheckParams *params, CheckTotals *totals)
{
    static const char *const versions[][2] = {{"demo", "4"}, {"v3.5-6m", "3.5"}};
    const Backend *backend = device->info.kind == DEVICE_CPU ? &backend_cpu64 : backend_find("cpu");
    Device *against;
    if (!backend)
        return fail(WF_ERROR_UNSUPPORTED, "this build has no CPU backend to compare with");
    TRY(backend->open(0, &against));
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        Comparison this = {versions[i][0], versions[i][1], device, against, ""};
        check_version(&this, params, totals);
    }
    backend->close(against);
    return WF_OK;
}

bool check_is_training(const char *name)
{
    return !strncmp(name, PREFIX, strlen(PREFIX));
}
