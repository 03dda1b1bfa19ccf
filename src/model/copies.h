/* A model's weights in the type its products take them in.
 *
 * The values of a model are float32: what checkpoints hold and the optimizer steps. Where a model
 * computes with 16 bits, products and the embedding read a copy of them, page by page in the same
 * layout, so that a weight is rounded once a step and not once a use. Copies are made from the
 * values whenever those changed: by the optimizer's own program, or by the one that is kept here.
 */
#ifndef MODEL_COPIES_H
#define MODEL_COPIES_H

#include "model/sequence.h"

typedef struct Copies {
    Sequence sequence; /* pages NULL: the model computes with its values themselves */
    bool stale;        /* the values changed since */
    Graph *graph;
    Runnable run; /* copies every page */
} Copies;

/* Sizes the copies of `values` and allocates nothing. */
wf_status copies_outline(Copies *copies, const Sequence *values, const Limits *limits,
                         DType storage);
/* Allocates, and records the program; both sequences' addresses must stay. */
wf_status copies_allocate(Copies *copies, Sequence *values, Device *device);
void copies_destroy(Copies *copies);

/* Appends what copies every page. */
void copies_append(Graph *graph, Sequence *values, Sequence *copies);

/* Runs the program where the copies are stale. */
wf_status copies_refresh(Copies *copies);

#endif
