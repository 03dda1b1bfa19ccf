/* wavefield generate: text from a model, as it comes. */
#include "wavefield/generate.h"
#include "cli/common.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct GenerateValues {
    const char *model, *prompt, *device, *precision;
    int64_t max_tokens, top_k, repetition_window, seed;
    double temperature, top_p, repetition_penalty;
} GenerateValues;

typedef struct Output {
    const char *prompt; /* before the first text; NULL: printed */
    int error;          /* why the text cannot be printed */
} Output;

static void print_prompt(Output *output)
{
    if (output->prompt) fputs(output->prompt, stdout);
    output->prompt = NULL;
}

static int emit(void *context, const char *text, size_t length)
{
    Output *output = context;
    errno = 0;
    print_prompt(output);
    bool printed = fwrite(text, 1, length, stdout) == length && fflush(stdout) == 0;
    output->error = errno;
    return !printed;
}

static wf_status generate_with(wf_model *model, const GenerateValues *v)
{
    Output output = {.prompt = v->prompt};
    wf_status status = wf_generate(
        model, wf_generate_params(.prompt = v->prompt, .max_tokens = v->max_tokens,
                                  .sampler = {.temperature = v->temperature,
                                              .top_k = count_int(v->top_k),
                                              .top_p = v->top_p,
                                              .repetition_penalty = v->repetition_penalty,
                                              .repetition_window = count_int(v->repetition_window),
                                              .seed = (uint64_t)v->seed},
                                  .emit = emit, .context = &output));
    if (status == WF_ERROR_INTERRUPTED)
        return fail(WF_ERROR_IO, "the text cannot be printed: %s", strerror(output.error));
    if (!status) print_prompt(&output);
    if (!output.prompt) putchar('\n');
    return status;
}

static wf_status generate(const GenerateValues *v)
{
    wf_device *device;
    wf_model *model = NULL;
    TRY(device_open("generate", v->device, &device));
    wf_status status = model_open(device, v->model, v->precision, &model);
    if (!status && !wf_model_tokenizer(model))
        status = fail(WF_ERROR_FORMAT,
                      "%s has no tokenizer, so it cannot read or write text: put the "
                      "tokenizer.json there that its data was made with",
                      v->model);
    if (!status) status = generate_with(model, v);
    wf_model_destroy(model);
    wf_device_close(device);
    return status;
}

static int run(const void *values)
{
    return finish("generate", generate(values));
}

static const Option options[] = {
    OPTION_MODEL(GenerateValues),
    OPTION(GenerateValues, prompt, "prompt", TEXT, "TEXT", "", "what the text begins with"),
    OPTION(GenerateValues, max_tokens, "max-tokens", COUNT, "N", "256",
           "tokens to generate; ends at the model's max_seq_len too"),
    OPTION(GenerateValues, temperature, "temperature", REAL, "T", "0.8",
           "0 takes the likeliest token, more gives more variety"),
    OPTION(GenerateValues, top_k, "top-k", INTEGER, "K", "0",
           "draw from the K likeliest tokens only; 0: from all"),
    OPTION(GenerateValues, top_p, "top-p", REAL, "P", "0.95",
           "draw from the likeliest tokens that make up this share; 1: from all"),
    OPTION(GenerateValues, repetition_penalty, "repetition-penalty", REAL, "R", "1",
           "more than 1 makes tokens of the recent past less likely"),
    OPTION(GenerateValues, repetition_window, "repetition-window", COUNT, "N", "64",
           "how many recent tokens that means"),
    OPTION(GenerateValues, seed, "seed", INTEGER, "N", "0", "the same seed gives the same text"),
    OPTION_PRECISION(GenerateValues),
    OPTION_DEVICE(GenerateValues),
};

const Subcommand command_generate = {
    .name = "generate",
    .summary = "generate text from a model",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "Text that begins with some words:\n"
                "  wavefield generate --model story --prompt 'Once upon a time'\n"
                "The likeliest continuation:\n"
                "  wavefield generate --model story --prompt 'Once' --temperature 0\n",
    .values_size = sizeof(GenerateValues),
    .run = run,
};
