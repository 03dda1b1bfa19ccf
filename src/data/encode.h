/* Text and JSON-lines files as tokens, a piece at a time: the one place where data meets a
 * tokenizer.
 *
 * After each document of a .jsonl file comes the tokenizer's end-of-text token, or where it has
 * none, a newline's. Text files follow one another without anything between them. */
#ifndef DATA_ENCODE_H
#define DATA_ENCODE_H

#include "base/status.h"
#include "wavefield/tokenizer.h"

#include <stdint.h>

/* Takes the tokens of a piece. */
typedef wf_status (*TokenSink)(void *context, const int32_t *tokens, int64_t n);

typedef struct Encoder {
    const wf_tokenizer *tokenizer; /* borrowed */
    const char *field;             /* the key of the text in a line of JSON */
    TokenSink sink;
    void *context;
    /* So far, over all files. */
    int64_t documents; /* of .jsonl files, and one a text file */
    int64_t bytes;     /* of the files */
} Encoder;

wf_status encode_file(Encoder *encoder, const char *path);

#endif
