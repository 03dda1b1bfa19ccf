/* wavefield logits: a model's logits for given tokens, as a safetensors file. */
#include "cli/common.h"

#include "base/files.h"
#include "tensor/safetensors.h"
#include "wavefield/generate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct LogitsValues {
    const char *model, *tokens, *tokens_file, *out, *evaluator, *precision, *device;
    bool stream;
} LogitsValues;

typedef struct TokenList {
    int32_t *items;
    int64_t count;
} TokenList;

/* Whole numbers separated by commas or white space. */
static wf_status tokens_parse(const char *text, const char *where, TokenList *out)
{
    static const char separators[] = ", \t\r\n";
    out->items = malloc((strlen(text) / 2 + 1) * sizeof *out->items);
    if (!out->items) return fail(WF_ERROR_MEMORY, "out of memory for tokens");
    out->count = 0;
    for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
        char *end;
        errno = 0;
        long long token = strtoll(text, &end, 10);
        if (end == text || errno || token < 0 || token > INT32_MAX ||
            (*end && !strchr(separators, *end)))
            return fail(WF_ERROR_FORMAT,
                        "%s: token %lld: expected a whole number of 0 or more, found \"%.*s\"",
                        where, (long long)out->count, (int)strcspn(text, separators), text);
        out->items[out->count++] = (int32_t)token;
        text = end;
    }
    return out->count ? WF_OK : fail(WF_ERROR_FORMAT, "%s: no tokens", where);
}

static wf_status tokens_read(const LogitsValues *v, TokenList *out)
{
    const size_t most = (size_t)1 << 30;
    if (v->tokens) return tokens_parse(v->tokens, "--tokens", out);
    char *text;
    size_t size;
    TRY(file_read(v->tokens_file, most, &text, &size));
    wf_status status = strlen(text) == size
                           ? tokens_parse(text, v->tokens_file, out)
                           : fail(WF_ERROR_FORMAT, "%s: byte %zu is 0: not a text of tokens",
                                  v->tokens_file, strlen(text));
    free(text);
    return status;
}

static wf_status write_logits(const char *path, const float *logits, int64_t rows,
                              int64_t vocabulary)
{
    SafeTensorsWriter *writer;
    TRY(safetensors_writer_create(&writer));
    wf_status status =
        safetensors_writer_declare(writer, "logits", FILE_F32, SHAPE(rows, vocabulary));
    if (!status) status = safetensors_writer_begin(writer, path);
    if (!status)
        status =
            safetensors_writer_write(writer, logits, (size_t)(rows * vocabulary) * sizeof *logits);
    if (!status) status = safetensors_writer_commit(writer);
    safetensors_writer_destroy(writer);
    return status;
}

static wf_status stream_logits(wf_model *model, const TokenList *tokens, float *logits)
{
    wf_decoder *decoder;
    TRY(wf_decoder_create(model, 1, &decoder));
    wf_status status = wf_decoder_feed(decoder, tokens->items, tokens->count, NULL, logits);
    wf_decoder_destroy(decoder);
    return status;
}

static wf_status compute(wf_model *model, const LogitsValues *v, const TokenList *tokens)
{
    int64_t vocabulary = config_integer(wf_model_config(model), "vocab_size");
    float *logits = calloc((size_t)tokens->count, (size_t)vocabulary * sizeof *logits);
    if (!logits)
        return fail(WF_ERROR_MEMORY, "out of memory for the logits of %lld tokens",
                    (long long)tokens->count);
    wf_status status =
        v->stream ? stream_logits(model, tokens, logits)
                  : wf_model_logits(model, tokens->items, 1, tokens->count, v->evaluator, logits);
    if (!status) status = write_logits(v->out, logits, tokens->count, vocabulary);
    free(logits);
    return status;
}

static wf_status logits(const LogitsValues *v)
{
    TokenList tokens = {0};
    wf_device *device = NULL;
    wf_model *model = NULL;
    wf_status status = tokens_read(v, &tokens);
    if (!status) status = device_open("logits", v->device, &device);
    if (!status) status = model_open(device, v->model, v->precision, &model);
    if (!status) status = compute(model, v, &tokens);
    wf_model_destroy(model);
    wf_device_close(device);
    free(tokens.items);
    return status;
}

static int run(const void *values)
{
    const LogitsValues *v = values;
    if (!v->tokens == !v->tokens_file)
        return usage_error("logits", "one of --tokens and --tokens-file is needed");
    if (v->stream && v->evaluator)
        return usage_error("logits", "--stream goes through the decoder and takes no --evaluator");
    return finish("logits", logits(v));
}

static const Option options[] = {
    OPTION_MODEL(LogitsValues),
    OPTION(LogitsValues, tokens, "tokens", TEXT, "N,N,...", NULL, "the tokens"),
    OPTION(LogitsValues, tokens_file, "tokens-file", TEXT, "FILE", NULL,
           "a text file of tokens, separated by commas or white space", .names = NAMES_FILE),
    OPTION_REQUIRED(LogitsValues, out, "out", TEXT, "FILE", "the safetensors file to write",
                    .names = NAMES_OUTPUT),
    OPTION(LogitsValues, evaluator, "evaluator", WORD, "NAME", NULL,
           "how the field propagates (default: auto)", EVALUATORS),
    OPTION(LogitsValues, stream, "stream", FLAG, NULL, NULL,
           "go through the decoder, as generate does"),
    OPTION_PRECISION(LogitsValues),
    OPTION_DEVICE(LogitsValues),
};

const Subcommand command_logits = {
    .name = "logits",
    .summary = "write a model's logits for given tokens",
    .details = "FILE gets one tensor, \"logits\", F32 of shape [tokens, vocabulary].",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "The logits of three tokens:\n"
                "  wavefield logits --model story --tokens 5,9,2 --out logits.safetensors\n",
    .values_size = sizeof(LogitsValues),
    .run = run,
};
