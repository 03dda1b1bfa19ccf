/* Building a model's graph: what a transformer, its attention and interference layers need to know.
 *
 * A caller (trainer, evaluation, decoder) creates a graph, names its regions, fills a Builder and
 * calls transformer_hidden(); what it appends after that (loss, logits) is its own affair. */
#ifndef MODEL_BUILDER_H
#define MODEL_BUILDER_H

#include "field/geometry.h"
#include "graph/graph.h"
#include "model/config.h"
#include "model/sequence.h"

/* The per-run inputs of a graph over [batch, tokens], all in one region. Positions are absolute. */
typedef struct ModelInputs {
    Region region;
    int64_t batch, tokens;
    int64_t token;    /* byte offsets: i32 [B,N] */
    int64_t target;   /* i32 [B,N] */
    int64_t order;    /* i32 [B·N], see OP_EMBED_BACKWARD */
    int64_t position; /* real [N,D]: the sinusoidal rows */
    int64_t cell;     /* i32 [N] */
    int64_t fraction; /* real [N] */
    int64_t key;      /* i32 [2]: dropout seed and step */
    int64_t seed;     /* real [1]: 1 / counted targets of the whole step */
    int64_t at;       /* i32 [1]: cell the streamed state sits at */
    int64_t first;    /* i32 [1]: absolute position of the first token */
} ModelInputs;

void model_inputs_layout(ModelInputs *inputs, const Config *config, const Limits *limits,
                         int64_t batch, int64_t tokens);
/* Writes position, cell, fraction, at and first for tokens first … first + N-1 (spec §1, §2). */
wf_status model_inputs_place(ModelInputs *inputs, const Config *config, const Geometry *geometry,
                             int64_t first);

/* What one layer keeps: byte offsets, each of use to some layers only. */
typedef struct LayerState {
    int64_t field;        /* wave: one-pole [B,H,2,d]; gated: the history [B,M,H,d] */
    int64_t norm;         /* one-pole wave: [H] */
    int64_t kernel;       /* gated wave: [B,H,G] */
    int64_t keys, values; /* attention: [B,M,H,d] each */
} LayerState;

/* The persistent state of a decoder, byte offsets into one region. */
typedef struct StreamState {
    Region region;
    int64_t batch;
    LayerState *layers;     /* [layers] */
    int64_t *mean;          /* [interference modules]: [B, D/4] */
    int64_t cell, fraction; /* gated: the whole geometry, i32 [M] and real [M] */
} StreamState;

/* `storage`: of what is kept of every token. */
wf_status stream_state_layout(StreamState *state, const Config *config, const Limits *limits,
                              DType storage, int64_t batch);
void stream_state_destroy(StreamState *state);

typedef struct Builder {
    Graph *graph;
    const Config *config;
    const ParameterList *parameters;
    const Sequence *values;  /* float32 */
    const Sequence *weights; /* as products take them, in the graph's storage type; NULL: values */
    const Sequence *gradients; /* NULL: inference, nothing is differentiable */
    ModelInputs *inputs;
    FieldEvaluator evaluator;
    bool training;       /* dropout is active */
    bool recompute;      /* each layer is a segment of recomputation (graph/recompute.h) */
    StreamState *stream; /* NULL: whole sequences from position 0 */
    bool stream_start;   /* this graph begins at position 0: the spectral gate is computed */

    /* filled by builder_begin() */
    int64_t batch, tokens;
    int64_t reach;            /* cells the sequence touches */
    TensorId *parameter_ids;  /* by index of the parameter list; NO_TENSOR: not yet named */
    uint32_t dropout_streams; /* handed out so far */
    TensorId token, target, order, position, cell, fraction, key, seed, at, first;
    TensorId all_cells, all_fractions; /* gated streams: the whole geometry */
} Builder;

/* Names the inputs; builder_end() frees what it allocated. */
wf_status builder_begin(Builder *builder);
void builder_end(Builder *builder);

/* A parameter by its name, printf-like ("layers.%d.norm1.weight"), in float32; or a weight of
 * products, in the graph's storage type. A parameter is one or the other throughout a graph. */
TensorId builder_parameter(Builder *builder, const char *format, ...) PRINTF_LIKE(2, 3);
TensorId builder_weight(Builder *builder, const char *format, ...) PRINTF_LIKE(2, 3);

/* The final LayerNorm's output [B,N,D] (spec §1, without the logits). */
TensorId transformer_hidden(Builder *builder);

/* What a stream computes before its first token: nothing where every layer is gated or attention.
 */
void transformer_open_stream(Builder *builder);

/* Logits against the tied embedding: of every token [B·N,V], or of each sequence's last [B,V]; in
 * float32. */
TensorId transformer_logits(Builder *builder, TensorId hidden, bool last_only);

/* The evaluator for a configuration: `name` NULL or "auto" chooses scan for one-pole kernels in a
 * causal geometry, else fft. WF_ERROR_UNSUPPORTED, saying why, where the named one cannot serve. */
wf_status model_evaluator(const Config *config, const char *name, FieldEvaluator *out);

#endif
