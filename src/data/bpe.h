/* Byte-level byte-pair encoding (Radford et al., "Language Models are Unsupervised Multitask
 * Learners", 2019) as a tokenizer.json of Hugging Face's tokenizers describes it. */
#ifndef DATA_BPE_H
#define DATA_BPE_H

#include "base/text.h"
#include "data/merges.h"
#include "data/names.h"
#include "data/splitter.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { BPE_MAX_STEPS = 16 };

/* A step of the pre-tokenizer; what it leaves goes through the next one, and in the end is a word.
 */
typedef enum BpeStepKind {
    BPE_PREFIX_SPACE, /* puts a space before what does not begin with one */
    BPE_ISOLATE,      /* cuts around the pattern's matches and keeps everything */
    BPE_KEEP_MATCHES, /* leaves the matches only */
    BPE_DROP_MATCHES
} BpeStepKind;

typedef struct BpeStep {
    BpeStepKind kind;
    Splitter *splitter; /* NULL for BPE_PREFIX_SPACE */
} BpeStep;

typedef struct Bpe {
    int32_t vocabulary;
    char *bytes;      /* of the pieces, one after the other */
    uint32_t *offset; /* [vocabulary + 1]; both ends equal: no text */
    Merges merges;
    int32_t byte_token[256]; /* -1: none */
    /* With ignore_merges, a word that is a piece is that token. Tokens by their bytes, -1: free. */
    int32_t *words;
    size_t words_size; /* a power of two; 0: no such table */
    BpeStep steps[BPE_MAX_STEPS];
    int n_steps;
    bool compose; /* normalise to NFC */
    /* Added tokens: those looked for in the text as it is and in the normalised text, without and
     * with the special ones. */
    Names raw[2], normalised[2];
    Text names; /* what they point into */
    int32_t end_of_text;
} Bpe;

/* Reads the object of a tokenizer.json. What has been read is in *bpe, also on failure, for
 * bpe_destroy(). Messages name the key; they lack the file's name. */
wf_status bpe_read(const json_t *root, Bpe *bpe);
void bpe_destroy(Bpe *bpe);

/* The token whose piece these bytes are, -1: none or no table. */
int32_t bpe_word(const Bpe *bpe, const char *text, size_t length);

/* Text, which is valid UTF-8, in Unicode's normal form C, to be freed; *out is `text` itself where
 * that is quickly seen to be in it. WF_ERROR_UNSUPPORTED without the library for it. */
wf_status bpe_compose(const char *text, size_t length, char **out, size_t *out_length);

#endif
