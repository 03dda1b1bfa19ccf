/* Recomputation of activations: memory for work.
 *
 * What the nodes of a segment (graph_segment_begin) make is not kept for the backward pass, except
 * what a node outside the segment reads. When a gradient rule wants such a tensor, copies of the
 * nodes that lead to it are appended, which read what was kept and external tensors, and write
 * fresh activations. A node is copied once at most, and only if a rule needs what it makes. The
 * copies have the op, parameters and shapes of the originals, and so the same bits; dropout draws
 * from a counter and repeats its mask.
 *
 * Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016. */
#ifndef GRAPH_RECOMPUTE_H
#define GRAPH_RECOMPUTE_H

#include "graph/graph.h"

typedef struct Recompute Recompute;

/* For a graph of forward nodes only. *out is NULL where none is in a segment. Within a segment a
 * tensor must be wholly written before it is read: WF_ERROR_UNSUPPORTED, with its name, if not. */
wf_status recompute_create(Graph *graph, Recompute **out);
void recompute_destroy(Recompute *recompute); /* NULL is allowed */

/* The tensor that holds the value of `id` during the backward pass: itself, if it is kept; else its
 * copy, after the nodes that make it have been appended to `graph`, where that was not yet done. */
TensorId recompute_value(Recompute *recompute, Graph *graph, TensorId id);

#endif
