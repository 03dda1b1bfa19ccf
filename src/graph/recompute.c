#include "graph/recompute.h"

#include "graph/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Recompute {
    int n_tensors, n_nodes; /* of the forward pass */
    int *segment;           /* of a tensor that is no view: where it is made again; 0: it is kept */
    TensorId *copy;         /* of a tensor; NO_TENSOR: not yet made again */
    bool *needed;           /* of a tensor that is no view: is being made again */
    bool *wanted, *copied;  /* of a node: is being, has been copied */
};

/* ---- what is kept ---- */

static bool writes_external(const Graph *graph, const Node *node)
{
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != NO_TENSOR && graph->tensors[graph_root(graph, node->out[k])].region)
            return true;
    return false;
}

/* A tensor belongs to the segment of the nodes that write it, if all of them can be repeated. */
static wf_status note_writers(Recompute *recompute, Graph *graph, const Node *node,
                              const bool *read)
{
    bool repeatable = !writes_external(graph, node);
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] == NO_TENSOR) continue;
        TensorId root = graph_root(graph, node->out[k]);
        if (graph->tensors[root].region) continue;
        int *segment = &recompute->segment[root];
        if (node->segment && read[root])
            return graph_fail(graph, WF_ERROR_UNSUPPORTED,
                              "%s: %s writes %s after it was read: it cannot be recomputed",
                              node->scope, op_rule(node->op)->name, graph->tensors[root].name);
        bool first = *segment < 0;
        bool same = first || *segment == node->segment;
        *segment = repeatable && same ? node->segment : 0;
    }
    return WF_OK;
}

static void note_readers(Recompute *recompute, const Graph *graph, const Node *node, bool *read)
{
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] == NO_TENSOR) continue;
        TensorId root = graph_root(graph, node->in[k]);
        read[root] = true;
        if (recompute->segment[root] != node->segment) recompute->segment[root] = 0;
    }
}

static wf_status find_kept(Recompute *recompute, Graph *graph)
{
    bool *read = calloc((size_t)graph->n_tensors + 1, sizeof *read);
    if (!read) return fail(WF_ERROR_MEMORY, "out of memory for the backward graph");
    for (int i = 0; i < graph->n_tensors; i++) recompute->segment[i] = -1;
    wf_status status = WF_OK;
    for (int n = 0; n < graph->n_nodes && !status; n++) {
        note_readers(recompute, graph, &graph->nodes[n], read);
        status = note_writers(recompute, graph, &graph->nodes[n], read);
    }
    free(read);
    return status;
}

wf_status recompute_create(Graph *graph, Recompute **out)
{
    *out = NULL;
    if (graph->n_segments == 0) return WF_OK;
    size_t tensors = (size_t)graph->n_tensors + 1, nodes = (size_t)graph->n_nodes + 1;
    Recompute *recompute = calloc(1, sizeof *recompute);
    if (!recompute) return fail(WF_ERROR_MEMORY, "out of memory for the backward graph");
    recompute->n_tensors = graph->n_tensors;
    recompute->n_nodes = graph->n_nodes;
    recompute->segment = malloc(tensors * sizeof *recompute->segment);
    recompute->copy = malloc(tensors * sizeof *recompute->copy);
    recompute->needed = calloc(tensors, sizeof *recompute->needed);
    recompute->wanted = calloc(nodes, sizeof *recompute->wanted);
    recompute->copied = calloc(nodes, sizeof *recompute->copied);
    wf_status status = WF_OK;
    if (!recompute->segment || !recompute->copy || !recompute->needed || !recompute->wanted ||
        !recompute->copied)
        status = fail(WF_ERROR_MEMORY, "out of memory for the backward graph");
    if (!status) status = find_kept(recompute, graph);
    if (status) {
        recompute_destroy(recompute);
        return status;
    }
    for (int i = 0; i < graph->n_tensors; i++) recompute->copy[i] = NO_TENSOR;
    *out = recompute;
    return WF_OK;
}

void recompute_destroy(Recompute *recompute)
{
    if (!recompute) return;
    free(recompute->segment);
    free(recompute->copy);
    free(recompute->needed);
    free(recompute->wanted);
    free(recompute->copied);
    free(recompute);
}

/* ---- what is made again ---- */

/* Notes that `id` must be made again, if it is not kept and was not made yet. */
static void need(Recompute *recompute, const Graph *graph, TensorId id)
{
    if (id == NO_TENSOR) return;
    TensorId root = graph_root(graph, id);
    if (recompute->segment[root] > 0 && recompute->copy[root] == NO_TENSOR)
        recompute->needed[root] = true;
}

static bool makes_needed(const Recompute *recompute, const Graph *graph, const Node *node)
{
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != NO_TENSOR && recompute->needed[graph_root(graph, node->out[k])])
            return true;
    return false;
}

/* Marks all writers of what is needed, and what they need in turn. A writer's other outputs are
 * made too, so their other writers are wanted as well: once more around. */
static void want_nodes(Recompute *recompute, const Graph *graph, int segment)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (int n = recompute->n_nodes - 1; n >= 0; n--) {
            const Node *node = &graph->nodes[n];
            if (node->segment != segment || recompute->wanted[n] || recompute->copied[n]) continue;
            if (!makes_needed(recompute, graph, node)) continue;
            recompute->wanted[n] = changed = true;
            for (int k = 0; k < node->n_in; k++) need(recompute, graph, node->in[k]);
            for (int k = 0; k < node->n_out; k++) need(recompute, graph, node->out[k]);
        }
    }
}

/* The copy of a tensor, made where there is none. */
static TensorId copy_of(Recompute *recompute, Graph *graph, TensorId id)
{
    if (recompute->copy[id] != NO_TENSOR || graph->status) return recompute->copy[id];
    Tensor tensor = graph->tensors[id];
    TensorId copy;
    if (tensor.base == NO_TENSOR) {
        char name[192];
        snprintf(name, sizeof name, "recomputed %s", tensor.name);
        copy = graph_activation(graph, name, tensor.dtype, tensor.shape);
    } else {
        TensorId base = copy_of(recompute, graph, tensor.base);
        copy = graph_view(graph, base, tensor.shape, tensor.offset);
    }
    recompute->copy[id] = copy;
    return copy;
}

static TensorId value_of(Recompute *recompute, Graph *graph, TensorId id)
{
    if (id == NO_TENSOR || recompute->segment[graph_root(graph, id)] <= 0) return id;
    return copy_of(recompute, graph, id);
}

static void append_copy(Recompute *recompute, Graph *graph, int n)
{
    Node node = graph->nodes[n]; /* appending moves the array */
    TensorId in[NODE_MAX_IN], out[NODE_MAX_OUT];
    uint32_t skip = 0;
    for (int k = 0; k < node.n_in; k++) in[k] = value_of(recompute, graph, node.in[k]);
    for (int k = 0; k < node.n_out; k++) {
        out[k] = NO_TENSOR;
        if (node.out[k] == NO_TENSOR)
            skip |= 1u << k;
        else
            out[k] = copy_of(recompute, graph, node.out[k]);
    }
    graph_scope(graph, "%s", node.scope);
    graph_append(graph, &(NodeParams){.op = node.op,
                                      .params = node.params,
                                      .in = in,
                                      .n_in = node.n_in,
                                      .out = out,
                                      .n_out = node.n_out,
                                      .accumulate = node.accumulate,
                                      .skip = skip});
}

static void append_copies(Recompute *recompute, Graph *graph)
{
    char scope[sizeof graph->scope];
    memcpy(scope, graph->scope, sizeof scope);
    for (int n = 0; n < recompute->n_nodes; n++) {
        if (!recompute->wanted[n]) continue;
        recompute->wanted[n] = false;
        recompute->copied[n] = true;
        append_copy(recompute, graph, n);
    }
    memset(recompute->needed, 0, (size_t)recompute->n_tensors * sizeof *recompute->needed);
    memcpy(graph->scope, scope, sizeof scope);
}

TensorId recompute_value(Recompute *recompute, Graph *graph, TensorId id)
{
    if (id == NO_TENSOR || id >= recompute->n_tensors || graph->status) return id;
    TensorId root = graph_root(graph, id);
    int segment = recompute->segment[root];
    if (segment <= 0) return id;
    if (recompute->copy[root] == NO_TENSOR) {
        need(recompute, graph, root);
        want_nodes(recompute, graph, segment);
        append_copies(recompute, graph);
    }
    return copy_of(recompute, graph, id);
}
