#include "graph/autodiff.h"

#include "graph/recompute.h"
#include "graph/rules.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_PARTS = 16 };

/* The gradient of one forward tensor that is not a view. Where it arrives through views, `part`
 * holds the element ranges written so far. */
typedef struct GradientSlot {
    TensorId gradient;
    bool whole; /* every element has been written */
    int n_parts;
    struct {
        int64_t begin, end;
    } part[MAX_PARTS];
} GradientSlot;

static TensorId new_gradient(Graph *graph, TensorId of)
{
    char name[192];
    snprintf(name, sizeof name, "gradient of %s", graph_tensor(graph, of)->name);
    return graph_activation(graph, name, graph_tensor(graph, of)->dtype, graph_shape(graph, of));
}

static void append(Graph *graph, Op op, OpParams params, const TensorId *in, int n_in, TensorId out,
                   bool accumulate)
{
    graph_append(graph, &(NodeParams){.op = op,
                                      .params = params,
                                      .in = in,
                                      .n_in = n_in,
                                      .out = &out,
                                      .n_out = 1,
                                      .accumulate = accumulate});
}

/* Zeroes the elements of a gradient that no view has written. */
static void complete(Graph *graph, GradientSlot *slot, TensorId root)
{
    if (slot->whole || slot->gradient == NO_TENSOR) return;
    int64_t n = shape_elements(graph_shape(graph, root));
    for (int64_t at = 0; at < n;) {
        int64_t next = n, inside_end = -1;
        for (int i = 0; i < slot->n_parts; i++) {
            if (slot->part[i].begin <= at && at < slot->part[i].end) inside_end = slot->part[i].end;
            if (slot->part[i].begin > at) next = int64_min(next, slot->part[i].begin);
        }
        if (inside_end >= 0) {
            at = inside_end;
            continue;
        }
        TensorId gap = graph_view(graph, slot->gradient, SHAPE(next - at), at);
        append(graph, OP_FILL, (OpParams){.fill = {0}}, NULL, 0, gap, false);
        at = next;
    }
    slot->whole = true;
}

/* Will a node not yet visited, or the one being visited, still read this gradient as that of a
 * tensor other than `root`? A gradient the caller gave is never written. */
static bool shared_elsewhere(const Autodiff *autodiff, TensorId root, TensorId gradient)
{
    const Graph *graph = autodiff->graph;
    TensorId storage = graph_root(graph, gradient);
    if (graph->tensors[storage].region) return true;
    for (int i = 0; i < autodiff->n_slots; i++) {
        TensorId other = autodiff->slots[i].gradient;
        if (i == root || other == NO_TENSOR || graph_root(graph, other) != storage) continue;
        if (graph->tensors[i].producer <= autodiff->node) return true;
    }
    return false;
}

/* Before adding to a gradient that other tensors share, gives `root` a copy of its own. */
static void own(Autodiff *autodiff, TensorId root)
{
    GradientSlot *slot = &autodiff->slots[root];
    if (!shared_elsewhere(autodiff, root, slot->gradient)) return;
    TensorId copy = new_gradient(autodiff->graph, root);
    append(autodiff->graph, OP_COPY, (OpParams){{0}}, &slot->gradient, 1, copy, false);
    slot->gradient = copy;
}

static TensorId view_of_gradient(Graph *graph, TensorId gradient, TensorId view)
{
    const Tensor *tensor = graph_tensor(graph, view);
    return graph_view(graph, gradient, tensor->shape, tensor->offset);
}

TensorId autodiff_arrived(Autodiff *autodiff, TensorId output)
{
    if (output == NO_TENSOR || autodiff->graph->status) return NO_TENSOR;
    TensorId root = graph_root(autodiff->graph, output);
    GradientSlot *slot = &autodiff->slots[root];
    if (slot->gradient == NO_TENSOR) return NO_TENSOR;
    complete(autodiff->graph, slot, root);
    if (root == output) return slot->gradient;
    return view_of_gradient(autodiff->graph, slot->gradient, output);
}

TensorId autodiff_value(Autodiff *autodiff, TensorId tensor)
{
    if (!autodiff->recompute) return tensor;
    return recompute_value(autodiff->recompute, autodiff->graph, tensor);
}

bool autodiff_wanted(const Autodiff *autodiff, TensorId input)
{
    if (input == NO_TENSOR) return false;
    return autodiff->graph->tensors[graph_root(autodiff->graph, input)].differentiable;
}

static TensorId target_of_view(Autodiff *autodiff, TensorId view, TensorId root, bool *add)
{
    Graph *graph = autodiff->graph;
    GradientSlot *slot = &autodiff->slots[root];
    int64_t begin = graph_tensor(graph, view)->offset;
    int64_t end = begin + shape_elements(graph_shape(graph, view));
    if (slot->gradient == NO_TENSOR) {
        slot->gradient = new_gradient(graph, root);
        slot->whole = false;
    } else {
        own(autodiff, root);
    }
    bool overlaps = slot->whole, same = slot->whole;
    for (int i = 0; i < slot->n_parts && !slot->whole; i++) {
        overlaps |= slot->part[i].begin < end && begin < slot->part[i].end;
        same |= slot->part[i].begin <= begin && end <= slot->part[i].end;
    }
    if (!same && (overlaps || slot->n_parts == MAX_PARTS)) {
        complete(graph, slot, root);
        same = true;
    }
    if (!same) {
        slot->part[slot->n_parts].begin = begin;
        slot->part[slot->n_parts++].end = end;
    }
    *add = same;
    return view_of_gradient(graph, slot->gradient, view);
}

TensorId autodiff_target(Autodiff *autodiff, TensorId input, int k, uint32_t *accumulate)
{
    Graph *graph = autodiff->graph;
    if (graph->status || !autodiff_wanted(autodiff, input)) return NO_TENSOR;
    if (graph->tensors[input].gradient != NO_TENSOR) {
        *accumulate |= 1u << k;
        return graph->tensors[input].gradient;
    }
    TensorId root = graph_root(graph, input);
    GradientSlot *slot = &autodiff->slots[root];
    bool add = false;
    TensorId target;
    if (root != input) {
        target = target_of_view(autodiff, input, root, &add);
    } else if (slot->gradient == NO_TENSOR) {
        target = slot->gradient = new_gradient(graph, root);
        slot->whole = true;
    } else {
        complete(graph, slot, root);
        own(autodiff, root);
        target = slot->gradient;
        add = true;
    }
    if (add) *accumulate |= 1u << k;
    return target;
}

void autodiff_pass(Autodiff *autodiff, TensorId input, TensorId gradient)
{
    if (autodiff->graph->status || !autodiff_wanted(autodiff, input)) return;
    TensorId root = graph_root(autodiff->graph, input);
    GradientSlot *slot = &autodiff->slots[root];
    const Tensor *tensor = graph_tensor(autodiff->graph, input);
    bool same = tensor->dtype == graph_tensor(autodiff->graph, gradient)->dtype;
    bool activation = tensor->gradient == NO_TENSOR;
    if (same && activation && root == input && slot->gradient == NO_TENSOR) {
        slot->gradient = gradient;
        slot->whole = true;
        return;
    }
    uint32_t accumulate = 0;
    TensorId target = autodiff_target(autodiff, input, 0, &accumulate);
    append(autodiff->graph, OP_COPY, (OpParams){{0}}, &gradient, 1, target, accumulate & 1u);
}

static void walk(Autodiff *autodiff)
{
    Graph *graph = autodiff->graph;
    for (int n = graph->n_nodes - 1; n >= 0 && !graph->status; n--) {
        const OpRule *rule = op_rule(graph->nodes[n].op);
        if (!rule->gradient) continue;
        autodiff->node = n;
        graph_scope(graph, "%s", graph->nodes[n].scope);
        rule->gradient(autodiff, n);
    }
}

wf_status graph_backward(Graph *graph, TensorId output, TensorId seed)
{
    TRY(graph_status(graph));
    graph_segment_end(graph);
    Autodiff autodiff = {.graph = graph, .n_slots = graph->n_tensors};
    TRY(recompute_create(graph, &autodiff.recompute));
    autodiff.slots = malloc((size_t)int64_max(autodiff.n_slots, 1) * sizeof(GradientSlot));
    if (!autodiff.slots) {
        recompute_destroy(autodiff.recompute);
        return fail(WF_ERROR_MEMORY, "out of memory for the backward graph");
    }
    for (int i = 0; i < autodiff.n_slots; i++)
        autodiff.slots[i] = (GradientSlot){.gradient = NO_TENSOR};
    if (output != NO_TENSOR)
        autodiff.slots[output] = (GradientSlot){.gradient = seed, .whole = true};

    walk(&autodiff);
    free(autodiff.slots);
    recompute_destroy(autodiff.recompute);
    return graph_status(graph);
}
