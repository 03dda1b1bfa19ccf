/* The op table: one row an op. */
#ifndef GRAPH_RULES_H
#define GRAPH_RULES_H

#include "graph/autodiff.h"
#include "graph/graph.h"

typedef struct OpRule {
    const char *name;
    int n_in, n_out; /* as listed in ops.h, optional ones included */
    uint32_t optional_inputs;
    uint32_t optional_outputs;
    uint32_t given_outputs; /* bits of outputs the caller must supply */
    uint32_t adds_outputs;  /* bits of outputs marked += in ops.h */
    uint32_t reads_outputs; /* bits of outputs whose old content is used without being added to */
    /* Bits of inputs and outputs in the graph's storage type, and of those in that or in reals. The
     * others are reals or whole numbers. */
    uint32_t stored_inputs, stored_outputs, either_inputs, either_outputs;

    /* Checks the inputs and states the outputs' shapes, and the types of those that are whole
     * numbers (the others are as the bits above say). */
    wf_status (*shapes)(Graph *graph, const Node *node, Shape *shapes, DType *dtypes);

    /* Appends the nodes that carry the gradient of the node's outputs to its inputs; NULL: the op
     * has no gradient and nothing differentiable may pass through it. */
    wf_status (*gradient)(Autodiff *autodiff, int node);

    /* Input whose place output 0 may take over when nothing needs that input afterwards, or -1. */
    int in_place;
} OpRule;

const OpRule *op_rule(Op op);

#endif
