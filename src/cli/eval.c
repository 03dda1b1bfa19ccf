/* wavefield eval: how well a model predicts a text. */
#include "cli/common.h"
#include "cli/data.h"
#include "cli/metrics.h"
#include "wavefield/train.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct EvalValues {
    const char *model, *device, *evaluator, *precision, *text_field;
    TextList data;
    int64_t batch_size, sequence_length;
    bool json;
} EvalValues;

static wf_status print_json(const wf_evaluation *e)
{
    json_t *root = json_pack("{s:f, s:o, s:f, s:f, s:I}", "loss", e->loss, "perplexity",
                             metrics_number(e->perplexity), "accuracy", e->accuracy,
                             "bits_per_byte", e->bits_per_byte, "tokens", (json_int_t)e->tokens);
    char *text = root ? json_dumps(root, JSON_REAL_PRECISION(12)) : NULL;
    if (text) puts(text);
    bool printed = text != NULL;
    free(text);
    json_decref(root);
    return printed ? WF_OK : fail(WF_ERROR_MEMORY, "out of memory for the results");
}

static void print_text(const wf_evaluation *e)
{
    printf("tokens         %s\nloss           %.4f nats a token\nperplexity     %.3f\n"
           "accuracy       %.2f %%\n",
           COUNT_TEXT(e->tokens), e->loss, e->perplexity, 100 * e->accuracy);
    if (e->bits_per_byte > 0) printf("bits per byte  %.4f\n", e->bits_per_byte);
}

static wf_status evaluate_model(wf_model *model, const EvalValues *v)
{
    wf_dataset *data;
    wf_evaluation result;
    TRY(tokenizer_check(wf_model_tokenizer(model), &v->data));
    TRY(wf_dataset_open(
        &(wf_dataset_params){.files = v->data.items,
                             .n_files = v->data.count,
                             .tokenizer = wf_model_tokenizer(model),
                             .text_field = v->text_field,
                             .vocabulary = config_integer(wf_model_config(model), "vocab_size"),
                             .held_out = 0},
        &data));
    wf_status status =
        wf_evaluate(model, data, v->batch_size, v->sequence_length < 0 ? 0 : v->sequence_length,
                    v->evaluator, &result);
    wf_dataset_destroy(data);
    TRY(status);
    if (v->json) return print_json(&result);
    print_text(&result);
    return WF_OK;
}

static wf_status evaluate(const EvalValues *v)
{
    wf_device *device;
    wf_model *model = NULL;
    TRY(device_open("eval", v->device, &device));
    wf_status status = model_open(device, v->model, v->precision, &model);
    if (!status) status = evaluate_model(model, v);
    wf_model_destroy(model);
    wf_device_close(device);
    return status;
}

static int run(const void *values)
{
    return finish("eval", evaluate(values));
}

static const Option options[] = {
    OPTION_MODEL(EvalValues),
    OPTION_REQUIRED(EvalValues, data, "data", LIST, "FILE|DIR ...",
                    "text, .jsonl, .bin shards, or a folder of shards: of its val shards, if any",
                    .names = NAMES_FILE),
    OPTION_TEXT_FIELD(EvalValues),
    OPTION(EvalValues, batch_size, "batch-size", COUNT, "N", "8", "windows at a time"),
    OPTION(EvalValues, sequence_length, "sequence-length", COUNT, "N", NULL,
           "tokens a window (default: the model's max_seq_len)"),
    OPTION_EVALUATOR(EvalValues),
    OPTION(EvalValues, json, "json", FLAG, NULL, NULL, "print one JSON object"),
    OPTION_PRECISION(EvalValues),
    OPTION_DEVICE(EvalValues),
};

const Subcommand command_eval = {
    .name = "eval",
    .summary = "loss, perplexity, accuracy and bits per byte on a text",
    .details = "The text is cut into windows that do not overlap; every token is counted once.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "How well a model tells a text it has not seen:\n"
                "  wavefield eval --model story --data unseen.txt\n"
                "The same as JSON, in windows of 128 tokens:\n"
                "  wavefield eval --model story --data unseen.txt --sequence-length 128 --json\n",
    .values_size = sizeof(EvalValues),
    .run = run,
};
