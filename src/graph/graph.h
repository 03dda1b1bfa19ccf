/* A model as a graph: tensors of static shape and the nodes that make them, in execution order.
 *
 * Forward nodes are appended by src/model, backward nodes by autodiff (graph/autodiff.h); a plan
 * (graph/plan.h) gives every tensor its place. A graph knows no device and holds no data.
 *
 * A tensor is one of
 *   - an activation: made by a node, its place chosen by the plan;
 *   - external: bytes of a Region that outlives the graph (parameters, gradients, inputs, states);
 *   - a view: a contiguous run of another tensor's elements under its own shape.
 *
 * Errors are sticky: the first failing call leaves its status in the graph, later calls do nothing
 * and return NO_TENSOR, and the builder asks graph_status() once at the end. */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "base/status.h"
#include "graph/ops.h"
#include "tensor/tensor.h"

typedef int32_t TensorId;
enum { NO_TENSOR = -1 };

/* A run of device memory that several plans may share. Sized first, allocated later (device.h):
 * what a program needs is known before anything is allocated. */
typedef struct Region {
    const char *name;
    int64_t size;          /* bytes */
    struct Buffer *buffer; /* NULL until allocated */
} Region;

typedef struct Tensor {
    char *name;
    Shape shape;
    DType dtype;
    TensorId base;  /* the tensor this one is a view of (never itself a view), or NO_TENSOR */
    int64_t offset; /* of a view: elements from the start of base */
    Region *region; /* of an external tensor, else NULL */
    int64_t region_offset; /* bytes */
    int32_t producer;      /* index of the first node that writes it, -1 for external tensors */
    bool differentiable;   /* a gradient may flow to it: a parameter, or made from one */
    TensorId gradient;     /* of a parameter: the external tensor its gradient is added to */
} Tensor;

typedef struct Node {
    Op op;
    OpParams params;
    int n_in, n_out;
    TensorId in[NODE_MAX_IN];   /* NO_TENSOR: optional input absent */
    TensorId out[NODE_MAX_OUT]; /* NO_TENSOR: optional output not wanted */
    uint32_t accumulate;        /* bit k: out[k] is added to, not overwritten */
    char *scope;                /* where in the model: "layers.3.attention" */
    int segment;                /* of recomputation, from 1 on; 0: in none */
} Node;

typedef struct Graph {
    Tensor *tensors;
    int n_tensors, tensor_capacity;
    Node *nodes;
    int n_nodes, node_capacity;
    char scope[96]; /* names given to new nodes and tensors */
    DType storage;  /* of activations and their gradients: DTYPE_REAL unless set before building */
    int segment;    /* given to new nodes */
    int n_segments;
    wf_status status;
    char *message; /* of the first failure */
} Graph;

Graph *graph_create(void);
void graph_destroy(Graph *graph);

/* WF_OK, or the first failure with its message restored to the calling thread. */
wf_status graph_status(const Graph *graph);

/* Sets the scope, printf-like; new nodes and activations are named under it. */
void graph_scope(Graph *graph, const char *format, ...) PRINTF_LIKE(2, 3);

/* Nodes appended from here on are one segment, until the next begins or it ends: what they make is
 * not kept for the backward pass but computed again in it (graph/recompute.h). */
void graph_segment_begin(Graph *graph);
void graph_segment_end(Graph *graph);

TensorId graph_external(Graph *graph, const char *name, DType dtype, Shape shape, Region *region,
                        int64_t region_offset);

/* A parameter is an external tensor that gradients flow to, of reals or of the graph's storage
 * type; `gradient`, of reals, may be NO_TENSOR (inference). */
TensorId graph_parameter(Graph *graph, const char *name, DType dtype, Shape shape, Region *region,
                         int64_t region_offset, TensorId gradient);

/* `shape` from element `offset` of `tensor` on. A view of a view is a view of the base. A view of a
 * parameter is a parameter whose gradient is the same view of the base's gradient. */
TensorId graph_view(Graph *graph, TensorId tensor, Shape shape, int64_t offset);

/* An activation without a producer yet; nodes that are given it as an output write it. */
TensorId graph_activation(Graph *graph, const char *name, DType dtype, Shape shape);

/* Appends a node. in and out are as the op's row in ops.h says. An out[k] of NO_TENSOR is created,
 * with the shape of the op's rule, unless its bit in `skip` is set; a given one must have that
 * shape. Bits of `accumulate` add to given outputs. Fills out[]. Returns the node's index, -1 on
 * failure. */
typedef struct NodeParams {
    Op op;
    OpParams params;
    const TensorId *in;
    int n_in;
    TensorId *out; /* in and out */
    int n_out;
    uint32_t accumulate, skip;
} NodeParams;
int graph_append(Graph *graph, const NodeParams *params);

static inline const Tensor *graph_tensor(const Graph *graph, TensorId id)
{
    return &graph->tensors[id];
}

static inline Shape graph_shape(const Graph *graph, TensorId id)
{
    return graph->tensors[id].shape;
}

/* The tensor whose bytes `id` names: the base of a view, else itself. */
static inline TensorId graph_root(const Graph *graph, TensorId id)
{
    TensorId base = graph->tensors[id].base;
    return base == NO_TENSOR ? id : base;
}

/* Sets the graph's sticky failure; for shape and gradient rules. Returns `status`. */
wf_status graph_fail(Graph *graph, wf_status status, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
