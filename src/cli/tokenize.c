/* wavefield tokenize: text to shards of tokens. */
#include "base/clock.h"
#include "cli/common.h"
#include "cli/data.h"
#include "wavefield/data.h"

#include <stdio.h>
#include <unistd.h>

typedef struct TokenizeValues {
    const char *tokenizer, *out, *text_field;
    TextList data;
    int64_t shard_tokens, tokenizer_size;
    double held_out;
} TokenizeValues;

typedef struct Watch {
    double start;
    bool terminal;
} Watch;

static double megabytes_a_second(const Watch *watch, int64_t bytes)
{
    double seconds = clock_seconds() - watch->start;
    return seconds > 0 ? 1e-6 * (double)bytes / seconds : 0;
}

static void show(void *context, const wf_shards_result *so_far)
{
    const Watch *watch = context;
    if (!watch->terminal) return;
    printf("\r%s tokens of %s read, %.1f MB/s  ", COUNT_TEXT(so_far->training),
           BYTES_TEXT(so_far->bytes), megabytes_a_second(watch, so_far->bytes));
    fflush(stdout);
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

static void print_result(const TokenizeValues *v, const wf_tokenizer *tokenizer, const Watch *watch,
                         const wf_shards_result *r)
{
    if (watch->terminal) printf("\r%60s\r", "");
    printf("read      %s document%s, %s bytes, %.1f MB/s\n", COUNT_TEXT(r->documents),
           plural(r->documents), COUNT_TEXT(r->bytes), megabytes_a_second(watch, r->bytes));
    printf("training  %s tokens in %lld shard%s\n", COUNT_TEXT(r->training),
           (long long)r->training_shards, plural(r->training_shards));
    printf("held out  %s tokens in %lld shard%s\n", COUNT_TEXT(r->held_out),
           (long long)r->held_out_shards, plural(r->held_out_shards));
    printf("saved in %s with the tokenizer (%s, vocabulary of %lld)\n", v->out,
           wf_tokenizer_type(tokenizer), (long long)wf_tokenizer_vocabulary(tokenizer));
}

static wf_status tokenize(const TokenizeValues *v)
{
    wf_tokenizer *tokenizer;
    wf_shards_result result;
    TokenizerChoice choice = {.given = v->tokenizer,
                              .data = &v->data,
                              .text_field = v->text_field,
                              .size = v->tokenizer_size};
    TRY(tokenizer_choose(&choice, &tokenizer));
    Watch watch = {.start = clock_seconds(), .terminal = isatty(STDOUT_FILENO)};
    wf_status status = wf_shards_write(&(wf_shards_params){.files = v->data.items,
                                                           .n_files = v->data.count,
                                                           .tokenizer = tokenizer,
                                                           .text_field = v->text_field,
                                                           .shard_tokens = v->shard_tokens,
                                                           .held_out = v->held_out,
                                                           .progress = show,
                                                           .context = &watch},
                                       v->out, &result);
    if (!status) print_result(v, tokenizer, &watch, &result);
    wf_tokenizer_destroy(tokenizer);
    return status;
}

static int run(const void *values)
{
    return finish("tokenize", tokenize(values));
}

static const Option options[] = {
    OPTION_REQUIRED(
        TokenizeValues, tokenizer, "tokenizer", TEXT, "TYPE|FILE|DIR",
        "the type of a new one; or a tokenizer.json or .model, or a folder with one, such as a "
        "model's",
        .names = NAMES_FILE, TOKENIZER_TYPES),
    OPTION(TokenizeValues, tokenizer_size, "tokenizer-size", COUNT, "N", NULL,
           "tokens a sentencepiece tokenizer learns (default: 4096)"),
    OPTION_REQUIRED(TokenizeValues, data, "data", LIST, "FILE ...",
                    "UTF-8 text, or .jsonl: a JSON object with a text a line", .names = NAMES_FILE),
    OPTION_REQUIRED(TokenizeValues, out, "out", TEXT, "DIR",
                    "new folder for train_000000.bin ..., val_000000.bin ... and the tokenizer",
                    .names = NAMES_FOLDER),
    OPTION_TEXT_FIELD(TokenizeValues),
    OPTION(TokenizeValues, shard_tokens, "shard-tokens", COUNT, "N", "100000000", "tokens a shard"),
    OPTION(TokenizeValues, held_out, "held-out", REAL, "SHARE", "0.05",
           "share of the tokens, at their end, that goes to the val shards"),
};

const Subcommand command_tokenize = {
    .name = "tokenize",
    .summary = "turn text into shards of tokens to train on",
    .details = "wavefield train --data DIR then trains on the shards and evaluates on the val "
               "shards. The folder appears when it is complete.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "A large text, read once, then trained on:\n"
                "  wavefield tokenize --tokenizer byte --data large.txt --out shards\n"
                "  wavefield train --config demo --data shards --out large\n",
    .values_size = sizeof(TokenizeValues),
    .run = run,
};
