#include "train/evaluate.h"

#include "data/batches.h"

#include <math.h>
#include <stdlib.h>

wf_status check_vocabulary(const wf_model *model, const wf_dataset *data)
{
    if (data->vocabulary <= model->config->vocab_size) return WF_OK;
    return fail(WF_ERROR_ARGUMENT,
                "the data's tokens go up to %lld, the model's vocab_size is %lld: use the model's "
                "tokenizer",
                (long long)data->vocabulary - 1, (long long)model->config->vocab_size);
}

/* Sums on the device are float32 and 32-bit: they are taken over by doubles batch by batch. */
static wf_status sum_batches(Pass *pass, const wf_dataset *data, TokenSpan span, int32_t *token,
                             int32_t *target, TallyValues *sum)
{
    int64_t batch = pass->inputs.batch, tokens = pass->inputs.tokens;
    int64_t batches = span_batches(span, batch, tokens);
    *sum = (TallyValues){0};
    for (int64_t i = 0; i < batches; i++) {
        TallyValues part;
        TRY(span_batch(data, span, i, batch, tokens, token, target));
        TRY(pass_load(pass, &(PassBatch){.token = token, .target = target, .seed = 1}));
        TRY(tally_clear(&pass->tally));
        TRY(pass_run(pass));
        TRY(tally_read(&pass->tally, &part));
        sum->loss += part.loss;
        sum->targets += part.targets;
        sum->hits += part.hits;
    }
    return WF_OK;
}

static wf_status summarise(const TallyValues *sum, int64_t bytes, wf_evaluation *result)
{
    if (!isfinite(sum->loss))
        return fail(WF_ERROR_NUMERIC, "evaluation: the loss over %lld tokens is not finite",
                    (long long)sum->targets);
    double loss = sum->loss / (double)sum->targets;
    *result = (wf_evaluation){
        .loss = loss,
        .perplexity = exp(loss),
        .accuracy = (double)sum->hits / (double)sum->targets,
        .bits_per_byte = bytes > 0 ? sum->loss / log(2) / (double)bytes : 0,
        .tokens = sum->targets,
    };
    return WF_OK;
}

wf_status evaluate_span(Pass *pass, const wf_dataset *data, TokenSpan span, wf_evaluation *result)
{
    if (data->count < 2)
        return fail(WF_ERROR_ARGUMENT,
                    "nothing to evaluate on: %lld tokens, and 2 are needed, as the first is only "
                    "read",
                    (long long)data->count);
    if (span.first >= span.last)
        return fail(WF_ERROR_ARGUMENT,
                    "nothing to evaluate on: %lld tokens, %lld of them for "
                    "training; hold out a share of the data",
                    (long long)data->count, (long long)data->training);
    size_t n = (size_t)(pass->inputs.batch * pass->inputs.tokens);
    int32_t *token = malloc(n * sizeof *token), *target = malloc(n * sizeof *target);
    int64_t bytes = 0;
    TallyValues sum;
    wf_status status = WF_OK;
    if (!token || !target)
        status = fail(WF_ERROR_MEMORY, "out of memory for a batch of %zu tokens", n);
    if (!status) status = sum_batches(pass, data, span, token, target, &sum);
    if (!status) status = dataset_bytes(data, span, &bytes);
    if (!status) status = summarise(&sum, bytes, result);
    free(token);
    free(target);
    return status;
}

/* ---- with a loaded model ---- */

static wf_status check_memory(const wf_model *model, const Pass *pass)
{
    int64_t available = model->device->limits.total;
    int64_t values = sequence_bytes(&model->values) + sequence_bytes(&model->copies.sequence);
    int64_t needed = values + pass_activation_bytes(pass) + pass_input_bytes(pass);
    if (available == 0 || needed <= available) return WF_OK;
    return fail(WF_ERROR_MEMORY,
                "evaluation needs %.2f GiB (parameters %.2f), the device has %.2f GiB: try a batch "
                "size below %lld or a length below %lld",
                (double)needed / (1 << 30), (double)values / (1 << 30),
                (double)available / (1 << 30), (long long)pass->inputs.batch,
                (long long)pass->inputs.tokens);
}

static wf_status evaluate_data(Pass *pass, wf_model *model, const wf_dataset *data,
                               wf_evaluation *result)
{
    TokenSpan span = data->training < data->count ? dataset_held_out(data) : dataset_whole(data);
    TRY(check_memory(model, pass));
    TRY(pass_allocate(pass, model));
    TRY(model_ready(model));
    return evaluate_span(pass, data, span, result);
}

wf_status wf_evaluate(wf_model *model, const wf_dataset *data, int64_t batch, int64_t length,
                      const char *evaluator, wf_evaluation *result)
{
    PassParams params = {
        .batch = batch ? batch : 8,
        .tokens = length ? length : model->config->max_seq_len,
    };
    if (params.batch < 1 || params.tokens < 1 || params.batch > INT32_MAX / params.tokens)
        return fail(WF_ERROR_ARGUMENT, "evaluation in batches of %lld sequences of %lld tokens",
                    (long long)params.batch, (long long)params.tokens);
    TRY(check_vocabulary(model, data));
    TRY(model_evaluator(model->config, evaluator, &params.evaluator));
    Pass *pass = malloc(sizeof *pass);
    if (!pass) return fail(WF_ERROR_MEMORY, "out of memory for an evaluation");
    wf_status status = pass_plan(pass, model, &params);
    if (!status) status = evaluate_data(pass, model, data, result);
    pass_destroy(pass);
    free(pass);
    return status;
}
