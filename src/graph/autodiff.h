/* Reverse-mode differentiation of a graph: backward nodes appended after the forward ones.
 *
 * graph_backward() walks the nodes in reverse and calls each op's gradient rule. A rule asks for
 * the gradient that arrived at an output (autodiff_arrived) and sends gradients to inputs in one of
 * two ways: by a node that writes them (autodiff_target gives it the tensor and says whether to
 * add), or, where the gradient passes unchanged, by sharing a tensor (autodiff_pass).
 *
 * Gradients of parameters are always added into their external tensors.
 *
 * A rule reads a forward tensor under the name autodiff_value() gives it: in a segment of
 * recomputation it is another tensor, whose nodes are appended when it is first asked for. */
#ifndef GRAPH_AUTODIFF_H
#define GRAPH_AUTODIFF_H

#include "graph/graph.h"

typedef struct Autodiff {
    Graph *graph;
    struct GradientSlot *slots; /* one a forward tensor */
    int n_slots;
    int node;                    /* the forward node whose rule runs */
    struct Recompute *recompute; /* NULL: no node is in a segment */
} Autodiff;

/* Appends the backward nodes of everything before. The graph's last node must be an OP_HEAD_LOSS
 * (whose rule seeds the rest), or `seed` names the gradient of `output`. */
wf_status graph_backward(Graph *graph, TensorId output, TensorId seed);

/* ---- for gradient rules ---- */

/* The gradient of a tensor the node wrote, or NO_TENSOR where none arrived. */
TensorId autodiff_arrived(Autodiff *autodiff, TensorId output);

/* The tensor that holds the value of a forward tensor of the node now; others pass unchanged. */
TensorId autodiff_value(Autodiff *autodiff, TensorId tensor);

/* Does a gradient flow to this input? */
bool autodiff_wanted(const Autodiff *autodiff, TensorId input);

/* The tensor to write the gradient of `input` into, NO_TENSOR where none is wanted; sets bit `k` of
 * *accumulate where there is one already that must be added to. */
TensorId autodiff_target(Autodiff *autodiff, TensorId input, int k, uint32_t *accumulate);

/* The gradient of `input` is, or gains, exactly `gradient`. */
void autodiff_pass(Autodiff *autodiff, TensorId input, TensorId gradient);

#endif
