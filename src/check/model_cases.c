/* Cases of a whole model: logits of a sequence, the same streamed, loss, and every gradient. */
#include "check/run.h"
#include "check/timing.h"

#include "train/pass.h"
#include "wavefield/generate.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 2, TOKENS = 37, ROWS = BATCH * TOKENS, UNCOUNTED = -100 };

static const char *evaluator_name(FieldEvaluator evaluator)
{
    static const char *const names[] = {
        [FIELD_SCAN] = "scan", [FIELD_FFT] = "fft", [FIELD_DIRECT] = "direct"};
    return names[evaluator];
}

/* Small and odd: three layers, one interference, a fractional stride, dropout in training. */
static wf_status case_config(const CheckCase *this, wf_config **out)
{
    static const char *const settings[] = {
        "vocab_size=41", "embedding_dim=24", "num_layers=3",   "num_heads=3",
        "ffn_dim=41",    "field_size=113",   "max_seq_len=50", "interference_interval=2",
        "dropout=0.1"};
    TRY(wf_config_create(strcmp(this->model, "4") ? "v3.5-6m" : "demo", out));
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        TRY(wf_config_set(*out, settings[i]));
    if (this->flags & CASE_ATTENTION) TRY(wf_config_set(*out, "mixer=attention"));
    if (this->flags & CASE_HYBRID) TRY(wf_config_set(*out, "mixer=wave,attention,wave"));
    return this->flags & CASE_GATED ? wf_config_set(*out, "spectral_gate=true") : WF_OK;
}

/* Off the initial values, where much is zero, one or the identity. */
static wf_status perturb(wf_model *model)
{
    for (int p = 0; p < model->parameters.count; p++) {
        const Parameter *parameter = &model->parameters.items[p];
        int64_t n = shape_elements(parameter->shape);
        float *values = malloc((size_t)n * sizeof *values);
        if (!values) return fail(WF_ERROR_MEMORY, "out of memory for %s", parameter->name);
        parameter_initialise(&model->parameters, p, 7, values);
        Rng rng = {.seed = 11, .stream = (uint64_t)p};
        for (int64_t i = 0; i < n; i++) values[i] += (float)(0.1 * rng_normal(&rng));
        wf_status status = sequence_write(&model->values, p, values);
        free(values);
        TRY(status);
    }
    return WF_OK;
}

typedef struct ModelCase {
    const CaseRun *run;
    FieldEvaluator evaluator;
    wf_model *model;
    Sequence gradients;
    Pass pass;
    int32_t token[ROWS], target[ROWS], order[ROWS];
    int targets;       /* counted ones */
    int64_t reduction; /* sums one after the other on the longest way through the model and back */
} ModelCase;

static void draw_tokens(ModelCase *this, int64_t vocabulary)
{
    Rng rng = {.seed = 3};
    for (int i = 0; i < ROWS; i++) {
        this->token[i] = (int32_t)rng_below(&rng, (uint64_t)vocabulary);
        this->target[i] = i % 5 ? (int32_t)rng_below(&rng, (uint64_t)vocabulary) : UNCOUNTED;
        this->targets += this->target[i] != UNCOUNTED;
    }
    int n = 0;
    for (int32_t token = 0; token < vocabulary; token++)
        for (int i = 0; i < ROWS; i++)
            if (this->token[i] == token) this->order[n++] = i;
}

static wf_status create(ModelCase *this, Outputs *outputs)
{
    Device *device = this->run->device;
    wf_config *config = NULL;
    wf_status status = case_config(this->run->of, &config);
    if (!status) status = wf_model_create(device, config, 7, &this->model);
    wf_config_destroy(config);
    TRY(status);
    TRY(perturb(this->model));
    TRY(wf_model_set_precision(this->model, dtype_name(this->run->storage)));
    TRY(model_ready(this->model));
    const Config *c = this->model->config;
    draw_tokens(this, c->vocab_size);
    int64_t layer = 4 * c->embedding_dim + c->ffn_dim + c->field_size;
    outputs->roundings = 16 * c->num_layers; /* forward and back */
    this->reduction = 2 * (c->num_layers * layer + c->vocab_size) + ROWS;

    const Layout *layout = &this->model->layout;
    TRY(sequence_create(layout, &device->limits, DTYPE_REAL, "gradients", &this->gradients));
    PassParams params = {BATCH, TOKENS, this->evaluator, &this->gradients, false};
    TRY(pass_plan(&this->pass, this->model, &params));
    TRY(sequence_allocate(&this->gradients, device));
    return pass_allocate(&this->pass, this->model);
}

static wf_status run_pass(ModelCase *this, Outputs *outputs)
{
    PassBatch batch = {this->token, this->target, this->order, {1234, 5}, 1.0 / this->targets};
    TRY(poison_plan(this->pass.plan));
    TRY(pass_load(&this->pass, &batch));
    TRY(pass_run(&this->pass));
    const Tally *tally = &this->pass.tally;
    TRY(outputs_add_region(outputs, "loss", DTYPE_REAL, &tally->region, tally->loss, 1,
                           this->reduction));
    TRY(outputs_add_region(outputs, "targets counted", DTYPE_I32, &tally->region, tally->counts, 1,
                           1));
    const ParameterList *parameters = &this->model->parameters;
    int64_t real = this->run->device->limits.dtype_size[DTYPE_REAL];
    for (int p = 0; p < parameters->count; p++) {
        const Segment *segment = &this->model->layout.segments[p];
        TRY(outputs_add_region(outputs, parameters->items[p].name, DTYPE_REAL,
                               &this->gradients.pages[segment->page], segment->offset * real,
                               segment->elements, this->reduction));
    }
    return WF_OK;
}

static wf_status add_logits(ModelCase *this, const char *name, const float *logits,
                            Outputs *outputs)
{
    double *values;
    int64_t n = ROWS * this->model->config->vocab_size;
    TRY(outputs_add(outputs, name, DTYPE_REAL, n, this->reduction, &values));
    for (int64_t i = 0; i < n; i++) values[i] = logits[i];
    return WF_OK;
}

static wf_status run_logits(ModelCase *this, Outputs *outputs)
{
    float *logits = calloc((size_t)(ROWS * this->model->config->vocab_size), sizeof *logits);
    wf_decoder *decoder = NULL;
    wf_status status = logits ? wf_decoder_create(this->model, BATCH, &decoder)
                              : fail(WF_ERROR_MEMORY, "out of memory for logits");
    if (!status) status = wf_decoder_feed(decoder, this->token, TOKENS, NULL, logits);
    if (!status) status = add_logits(this, "streamed logits", logits, outputs);
    if (!status)
        status = wf_model_logits(this->model, this->token, BATCH, TOKENS,
                                 evaluator_name(this->evaluator), logits);
    if (!status) status = add_logits(this, "logits", logits, outputs);
    wf_decoder_destroy(decoder);
    free(logits);
    return status;
}

wf_status model_case_run(const CaseRun *run, Outputs *outputs)
{
    ModelCase *this = calloc(1, sizeof *this);
    if (!this) return fail(WF_ERROR_MEMORY, "out of memory for a case");
    this->run = run;
    this->evaluator = run->reference ? FIELD_DIRECT : run->of->evaluator;
    wf_status status = create(this, outputs);
    if (!status) status = run_pass(this, outputs);
    if (!status) status = run_logits(this, outputs);
    const Timing timing = {.least = 5, .most = 1000, .budget = 0.1};
    if (!status && run->bench)
        status =
            time_program(this->pass.program, &this->pass.tally.region, &timing, &outputs->seconds);
    pass_destroy(&this->pass);
    sequence_destroy(&this->gradients);
    wf_model_destroy(this->model);
    free(this);
    return status;
}
