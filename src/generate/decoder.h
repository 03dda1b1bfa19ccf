/* The streaming decoder: the model as a recurrence over chunks of tokens.
 *
 * A chunk of 512, 64 or 1 tokens is a program of its own, made when first needed. All of them read
 * and write one persistent state: of a one-pole field a complex number a channel, of a gated field
 * the deposits so far, of attention the keys and values so far, of interference a running sum
 * (model/builder.h, StreamState). What a chunk must know of its position - its rows of the
 * positional table, its places in the field, where the state sits - the host computes in double;
 * what depends on the parameters alone and sums over the whole field is made before the first token
 * and kept in the state; nothing is as long as the longest sequence but deposits, keys and values.
 */
#ifndef GENERATE_DECODER_H
#define GENERATE_DECODER_H

#include "model/builder.h"
#include "model/model.h"
#include "wavefield/generate.h"

enum { DECODER_CHUNKS = 3 }; /* 512, 64, 1 */

/* Which tokens of a chunk get logits. */
typedef enum Head { HEAD_NONE, HEAD_LAST, HEAD_ALL, DECODER_HEADS } Head;

typedef struct ChunkProgram {
    Graph *graph; /* NULL: not made yet */
    Runnable run;
    TensorId logits; /* [B,V] or [B,n,V], read from its place after a run */
} ChunkProgram;

struct wf_decoder {
    wf_model *model; /* borrowed */
    int64_t batch;
    int64_t position; /* tokens fed */
    bool failed;      /* a chunk ended half-way: the state is worth nothing */
    StreamState state;
    ModelInputs inputs[DECODER_CHUNKS]; /* allocated with the first program of their size */
    Graph *opening;                     /* run before the first token; NULL: not made yet */
    Runnable open;                      /* program NULL: there is nothing to do */
    /* [chunk][1: a gated model from position 0][head] */
    ChunkProgram programs[DECODER_CHUNKS][2][DECODER_HEADS];
};

#endif
