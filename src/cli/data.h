/* The data of a command line, and the tokenizer that goes with it. */
#ifndef CLI_DATA_H
#define CLI_DATA_H

#include "base/status.h"
#include "cli/options.h"
#include "wavefield/tokenizer.h"

/* Types of tokenizers that can be made anew. */
#define TOKENIZER_TYPES CHOICES("byte", "char", "sentencepiece-bpe", "sentencepiece-unigram")

/* Rows of option tables that mean the same everywhere. */
#define OPTION_TEXT_FIELD(values)                                                                  \
    OPTION(values, text_field, "text-field", TEXT, "NAME", "text",                                 \
           "key of the text in the lines of a .jsonl file")

#define OPTION_TOKENIZER_SIZE(values)                                                              \
    OPTION(values, tokenizer_size, "tokenizer-size", COUNT, "N", NULL,                             \
           "tokens a sentencepiece tokenizer learns (default: the configuration's vocab_size, "    \
           "or 4096 where that is 256)")

typedef struct TokenizerChoice {
    const char *given;    /* a type, a tokenizer's file, or a folder with one; NULL: none was */
    const char *fallback; /* the type to make where nothing else says */
    const TextList *data; /* to find one beside, or to learn from */
    const char *text_field;
    int64_t size; /* tokens to learn (--tokenizer-size); below 1: not given */
    int64_t room; /* the configuration's vocab_size; 0: there is none */
} TokenizerChoice;

/* The tokenizer that was given; else the one that stands beside the shards; else, where there is
 * text, a new one of the fallback type. *out is NULL for shards without a tokenizer. */
wf_status tokenizer_choose(const TokenizerChoice *choice, wf_tokenizer **out);

/* Whether every tokenizer that stands beside shards of the data gives the model's tokens the
 * model's meaning. `tokenizer` is the model's; NULL if it has none. */
wf_status tokenizer_check(const wf_tokenizer *tokenizer, const TextList *data);

#endif
