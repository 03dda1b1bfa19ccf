#include "check/case.h"

#include "graph/rules.h"
#include "tensor/half.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double fill_normal(Rng *rng, int64_t i)
{
    (void)i;
    return rng_normal(rng);
}

double fill_wide(Rng *rng, int64_t i)
{
    double value = 60 * rng_uniform(rng) - 30;
    return i % 5 ? value : 0;
}

const char *case_name(const CheckCase *this, char *text, size_t size)
{
    static const struct {
        unsigned flag;
        const char *name;
    } words[] = {
        {CASE_TRANS_A, "At"},
        {CASE_TRANS_B, "Bt"},
        {CASE_SUM_BATCH, "sum"},
        {CASE_BIAS, "bias"},
        {CASE_GAPS, "gaps"},
        {CASE_GATED, "gated"},
        {CASE_DC, "dc"},
        {CASE_V35, "v3.5"},
        {CASE_WIDE, "wide"},
        {CASE_ACCUMULATE, "accumulate"},
        {CASE_NO_GRADIENT, "loss only"},
        {CASE_BAD, "not finite"},
        {CASE_ATTENTION, "attention"},
        {CASE_HYBRID, "hybrid"},
        {CASE_FOLLOWS, "of a product"},
        {CASE_SECOND, "second"},
        {CASE_KEPT, "kept"},
    };
    static const char *const evaluators[] = {"scan", "fft", "direct"};
    size_t at = (size_t)snprintf(text, size, "%s%s", this->model ? "model " : "",
                                 this->model ? this->model : op_rule(this->op)->name);
    for (int i = 0; i < CASE_MAX_SIZES && this->size[i] && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? "x" : " ",
                               (long long)this->size[i]);
    if ((this->model || this->op == OP_FIELD || this->op == OP_FIELD_BACKWARD) && at < size)
        at += (size_t)snprintf(text + at, size - at, " %s", evaluators[this->evaluator]);
    for (size_t i = 0; i < sizeof words / sizeof *words && at < size; i++)
        if (this->flags & words[i].flag)
            at += (size_t)snprintf(text + at, size - at, " %s", words[i].name);
    return text;
}

/* FNV-1a of the case's name: its cases keep their numbers when the list changes. */
static uint64_t case_seed(const CheckCase *this)
{
    char name[128];
    uint64_t hash = 14695981039346656037u;
    for (const char *c = case_name(this, name, sizeof name); *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    return hash;
}

double stored_value(double value, DType dtype)
{
    if (dtype == DTYPE_F16) return (double)float_from_f16(f16_from_double(value));
    if (dtype == DTYPE_BF16) return (double)float_from_bf16(bf16_from_double(value));
    return (double)(float)value;
}

static CaseTensor *add(CaseGraph *graph, const char *name, DType dtype, Shape shape)
{
    if (graph->n_tensors == CASE_MAX_TENSORS) {
        graph_fail(graph->graph, WF_ERROR_ARGUMENT, "a case of more than %d tensors",
                   CASE_MAX_TENSORS);
        return NULL;
    }
    CaseTensor *tensor = &graph->tensors[graph->n_tensors++];
    tensor->name = name;
    tensor->dtype = dtype;
    tensor->elements = shape_elements(shape);
    tensor->offset = region_append(&graph->region, graph->limits, dtype, shape);
    tensor->id = graph_external(graph->graph, name, dtype, shape, &graph->region, tensor->offset);
    return tensor;
}

TensorId case_input(CaseGraph *graph, const char *name, Shape shape, Fill fill)
{
    return case_in_out(graph, name, shape, fill, 0);
}

TensorId case_ints(CaseGraph *graph, const char *name, Shape shape, int32_t **values)
{
    *values = NULL;
    CaseTensor *tensor = add(graph, name, DTYPE_I32, shape);
    if (!tensor) return NO_TENSOR;
    *values = tensor->ints = calloc((size_t)tensor->elements, sizeof *tensor->ints);
    if (!tensor->ints) graph_fail(graph->graph, WF_ERROR_MEMORY, "out of memory for a case");
    return tensor->id;
}

TensorId case_output(CaseGraph *graph, const char *name, Shape shape, int64_t reduction)
{
    return case_in_out(graph, name, shape, NULL, reduction);
}

TensorId case_in_out(CaseGraph *graph, const char *name, Shape shape, Fill fill, int64_t reduction)
{
    bool stored = graph->stored >> graph->n_tensors & 1u;
    CaseTensor *tensor = add(graph, name, stored ? graph->storage : DTYPE_REAL, shape);
    if (!tensor) return NO_TENSOR;
    tensor->reduction = reduction;
    if (!fill) return tensor->id;
    tensor->reals = calloc((size_t)tensor->elements, sizeof *tensor->reals);
    if (!tensor->reals) {
        graph_fail(graph->graph, WF_ERROR_MEMORY, "out of memory for a case");
        return NO_TENSOR;
    }
    Rng rng = {.seed = case_seed(graph->of), .stream = (uint64_t)graph->n_tensors};
    for (int64_t i = 0; i < tensor->elements; i++)
        tensor->reals[i] = stored_value(fill(&rng, i), tensor->dtype);
    return tensor->id;
}

void case_compare(CaseGraph *graph, TensorId id, int64_t reduction)
{
    for (int i = 0; i < graph->n_tensors; i++)
        if (graph->tensors[i].id == id) graph->tensors[i].reduction = reduction;
}

void case_node(CaseGraph *graph, Op op, OpParams params, const TensorId *in, int n_in,
               const TensorId *out, int n_out, uint32_t accumulate)
{
    TensorId outputs[NODE_MAX_OUT];
    uint32_t absent = 0;
    for (int k = 0; k < n_out; k++) {
        outputs[k] = out[k];
        if (out[k] == NO_TENSOR) absent |= 1u << k;
    }
    graph_append(graph->graph, &(NodeParams){.op = op,
                                             .params = params,
                                             .in = in,
                                             .n_in = n_in,
                                             .out = outputs,
                                             .n_out = n_out,
                                             .accumulate = accumulate,
                                             .skip = absent});
}

static wf_status build(const CheckCase *this, const Limits *limits, bool reference, DType storage,
                       uint32_t stored, CaseGraph *out)
{
    *out = (CaseGraph){.of = this,
                       .limits = limits,
                       .storage = storage,
                       .stored = stored,
                       .evaluator = reference ? FIELD_DIRECT : this->evaluator,
                       .graph = graph_create(),
                       .region = {.name = "case"}};
    TRY(graph_status(out->graph));
    out->graph->storage = storage;
    graph_scope(out->graph, "case");
    this->build(out);
    return graph_status(out->graph);
}

/* Which tensors stand in the storage type, asked of the case as it is in reals. Where an op leaves
 * the choice, an output is stored and one that is added to, as gradients of parameters are, is not.
 */
static uint32_t stored_tensors(const CaseGraph *graph)
{
    uint32_t stored = 0;
    for (int n = 0; n < graph->graph->n_nodes; n++) {
        const Node *node = &graph->graph->nodes[n];
        const OpRule *rule = op_rule(node->op);
        for (int i = 0; i < graph->n_tensors; i++) {
            TensorId id = graph->tensors[i].id;
            for (int k = 0; k < node->n_in; k++)
                if (node->in[k] == id && rule->stored_inputs >> k & 1u) stored |= 1u << i;
            uint32_t chosen = rule->either_outputs & ~node->accumulate;
            for (int k = 0; k < node->n_out; k++)
                if (node->out[k] == id && (rule->stored_outputs | chosen) >> k & 1u)
                    stored |= 1u << i;
        }
    }
    return stored;
}

wf_status case_graph_create(const CheckCase *this, const Limits *limits, bool reference,
                            DType storage, CaseGraph *out)
{
    TRY(build(this, limits, reference, DTYPE_REAL, 0, out));
    if (storage == DTYPE_REAL) return WF_OK;
    uint32_t stored = stored_tensors(out);
    case_graph_destroy(out);
    return build(this, limits, reference, storage, stored, out);
}

void case_graph_destroy(CaseGraph *graph)
{
    for (int i = 0; i < graph->n_tensors; i++) {
        free(graph->tensors[i].reals);
        free(graph->tensors[i].ints);
    }
    device_release(&graph->region);
    graph_destroy(graph->graph);
    graph->graph = NULL;
    graph->n_tensors = 0;
}
