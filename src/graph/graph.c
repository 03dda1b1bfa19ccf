#include "graph/graph.h"

#include "base/array.h"
#include "graph/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Graph *graph_create(void)
{
    return calloc(1, sizeof(Graph));
}

void graph_destroy(Graph *graph)
{
    if (!graph) return;
    for (int i = 0; i < graph->n_tensors; i++) free(graph->tensors[i].name);
    for (int i = 0; i < graph->n_nodes; i++) free(graph->nodes[i].scope);
    free(graph->tensors);
    free(graph->nodes);
    free(graph->message);
    free(graph);
}

wf_status graph_fail(Graph *graph, wf_status status, const char *format, ...)
{
    if (graph->status) return graph->status;
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    graph->status = status;
    graph->message = strdup(text);
    return fail(status, "%s", text);
}

wf_status graph_status(const Graph *graph)
{
    if (!graph) return fail(WF_ERROR_MEMORY, "out of memory for a graph");
    if (!graph->status) return WF_OK;
    return fail(graph->status, "%s", graph->message ? graph->message : "out of memory");
}

void graph_scope(Graph *graph, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(graph->scope, sizeof graph->scope, format, arguments);
    va_end(arguments);
}

void graph_segment_begin(Graph *graph)
{
    graph->segment = ++graph->n_segments;
}

void graph_segment_end(Graph *graph)
{
    graph->segment = 0;
}

static TensorId add_tensor(Graph *graph, const char *name, DType dtype, Shape shape)
{
    if (graph->status) return NO_TENSOR;
    char *copy = strdup(name);
    if (!copy || !array_reserve((void **)&graph->tensors, graph->n_tensors, &graph->tensor_capacity,
                                sizeof(Tensor))) {
        free(copy);
        graph_fail(graph, WF_ERROR_MEMORY, "out of memory for a graph of %d tensors",
                   graph->n_tensors);
        return NO_TENSOR;
    }
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] >= 1) continue;
        graph_fail(graph, WF_ERROR_ARGUMENT, "%s: a tensor of shape %s holds nothing", name,
                   SHAPE_TEXT(shape));
        free(copy);
        return NO_TENSOR;
    }
    graph->tensors[graph->n_tensors] = (Tensor){
        .name = copy,
        .shape = shape,
        .dtype = dtype,
        .base = NO_TENSOR,
        .producer = -1,
        .gradient = NO_TENSOR,
    };
    return graph->n_tensors++;
}

TensorId graph_external(Graph *graph, const char *name, DType dtype, Shape shape, Region *region,
                        int64_t region_offset)
{
    TensorId id = add_tensor(graph, name, dtype, shape);
    if (id == NO_TENSOR) return id;
    graph->tensors[id].region = region;
    graph->tensors[id].region_offset = region_offset;
    return id;
}

TensorId graph_parameter(Graph *graph, const char *name, DType dtype, Shape shape, Region *region,
                         int64_t region_offset, TensorId gradient)
{
    TensorId id = graph_external(graph, name, dtype, shape, region, region_offset);
    if (id == NO_TENSOR) return id;
    graph->tensors[id].differentiable = gradient != NO_TENSOR;
    graph->tensors[id].gradient = gradient;
    return id;
}

TensorId graph_view(Graph *graph, TensorId tensor, Shape shape, int64_t offset)
{
    if (graph->status || tensor == NO_TENSOR) return NO_TENSOR;
    Tensor of = graph->tensors[tensor];
    int64_t n = shape_elements(shape);
    if (offset < 0 || n > shape_elements(of.shape) || offset > shape_elements(of.shape) - n) {
        graph_fail(graph, WF_ERROR_ARGUMENT, "%s: a view %s from element %lld leaves its tensor %s",
                   of.name, SHAPE_TEXT(shape), (long long)offset, SHAPE_TEXT(of.shape));
        return NO_TENSOR;
    }
    TensorId gradient = NO_TENSOR;
    if (of.gradient != NO_TENSOR) gradient = graph_view(graph, of.gradient, shape, offset);
    TensorId id = add_tensor(graph, of.name, of.dtype, shape);
    if (id == NO_TENSOR) return id;
    Tensor *view = &graph->tensors[id];
    view->base = of.base == NO_TENSOR ? tensor : of.base;
    view->offset = of.offset + offset;
    view->producer = of.producer;
    view->differentiable = of.differentiable;
    view->gradient = gradient;
    return id;
}

TensorId graph_activation(Graph *graph, const char *name, DType dtype, Shape shape)
{
    return add_tensor(graph, name, dtype, shape);
}

/* A view may have been made before its base was written: the base knows. */
static bool is_differentiable(const Graph *graph, TensorId id)
{
    if (id == NO_TENSOR) return false;
    TensorId base = graph->tensors[id].base;
    return graph->tensors[base == NO_TENSOR ? id : base].differentiable;
}

/* The node about to be appended writes `id`. */
static void note_written(Graph *graph, TensorId id, bool differentiable)
{
    Tensor *tensor = &graph->tensors[id];
    if (tensor->region) return;
    if (tensor->producer < 0) tensor->producer = graph->n_nodes;
    tensor->differentiable |= differentiable && dtype_is_real(tensor->dtype);
}

/* May an operand of this type stand where the op's bits say `stored` or `either`? Whole numbers are
 * the op's own affair: its shape rule states those it makes. */
static bool dtype_fits(const Graph *graph, DType dtype, bool stored, bool either)
{
    if (dtype == DTYPE_I32) return !stored && !either;
    if (stored || either) return dtype == graph->storage || (either && dtype == DTYPE_REAL);
    return dtype == DTYPE_REAL;
}

static wf_status check_input_types(Graph *graph, const Node *node)
{
    const OpRule *rule = op_rule(node->op);
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] == NO_TENSOR) continue;
        const Tensor *tensor = &graph->tensors[node->in[k]];
        if (dtype_fits(graph, tensor->dtype, rule->stored_inputs >> k & 1u,
                       rule->either_inputs >> k & 1u))
            continue;
        return graph_fail(graph, WF_ERROR_ARGUMENT, "%s: %s does not take %s (%s) as input %d",
                          node->scope, rule->name, tensor->name, dtype_name(tensor->dtype), k);
    }
    return WF_OK;
}

/* Creates the outputs the caller left open, and checks the shapes and types of those given. */
static wf_status resolve_outputs(Graph *graph, Node *node, uint32_t skip)
{
    Shape shapes[NODE_MAX_OUT] = {{0}};
    DType dtypes[NODE_MAX_OUT];
    const OpRule *rule = op_rule(node->op);
    for (int k = 0; k < node->n_out; k++)
        dtypes[k] =
            (rule->stored_outputs | rule->either_outputs) >> k & 1u ? graph->storage : DTYPE_REAL;
    TRY(check_input_types(graph, node));
    TRY(rule->shapes(graph, node, shapes, dtypes));
    bool differentiable = false;
    for (int k = 0; k < node->n_in; k++) differentiable |= is_differentiable(graph, node->in[k]);
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] == NO_TENSOR) {
            if ((skip >> k) & 1u) continue;
            if (rule->given_outputs >> k & 1u)
                return graph_fail(graph, WF_ERROR_ARGUMENT, "%s: %s wants its output %d given",
                                  node->scope, rule->name, k);
            char name[160];
            snprintf(name, sizeof name, "%s.%s", node->scope, rule->name);
            node->out[k] = add_tensor(graph, name, dtypes[k], shapes[k]);
            if (node->out[k] == NO_TENSOR) return graph->status;
        }
        Tensor *out = &graph->tensors[node->out[k]];
        bool either = rule->either_outputs >> k & 1u;
        bool fits = either ? dtype_fits(graph, out->dtype, false, true) : out->dtype == dtypes[k];
        if (shape_elements(out->shape) != shape_elements(shapes[k]) || !fits)
            return graph_fail(graph, WF_ERROR_ARGUMENT, "%s: %s makes %s %s, but %s is %s %s",
                              node->scope, rule->name, dtype_name(dtypes[k]), SHAPE_TEXT(shapes[k]),
                              out->name, dtype_name(out->dtype), SHAPE_TEXT(out->shape));
        note_written(graph, node->out[k], differentiable);
        if (out->base != NO_TENSOR) note_written(graph, out->base, differentiable);
    }
    return WF_OK;
}

int graph_append(Graph *graph, const NodeParams *params)
{
    if (graph->status) return -1;
    const OpRule *rule = op_rule(params->op);
    Node node = {.op = params->op,
                 .params = params->params,
                 .n_in = params->n_in,
                 .n_out = params->n_out,
                 .accumulate = params->accumulate | rule->adds_outputs,
                 .segment = graph->segment,
                 .scope = strdup(graph->scope)};
    bool fits = params->n_in <= NODE_MAX_IN && params->n_out <= NODE_MAX_OUT;
    if (!node.scope || !fits ||
        !array_reserve((void **)&graph->nodes, graph->n_nodes, &graph->node_capacity,
                       sizeof(Node))) {
        graph_fail(graph, WF_ERROR_MEMORY, "out of memory for a graph of %d nodes", graph->n_nodes);
        free(node.scope);
        return -1;
    }
    for (int k = 0; k < node.n_in; k++) node.in[k] = params->in[k];
    for (int k = 0; k < node.n_out; k++) node.out[k] = params->out[k];
    if (resolve_outputs(graph, &node, params->skip)) {
        free(node.scope);
        return -1;
    }
    graph->nodes[graph->n_nodes] = node;
    for (int k = 0; k < node.n_out; k++) params->out[k] = node.out[k];
    return graph->n_nodes++;
}
