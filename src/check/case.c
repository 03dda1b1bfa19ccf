#include "check/case.h"

#include "graph/rules.h"

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
    CaseTensor *tensor = add(graph, name, DTYPE_REAL, shape);
    if (!tensor) return NO_TENSOR;
    tensor->reduction = reduction;
    if (!fill) return tensor->id;
    tensor->reals = calloc((size_t)tensor->elements, sizeof *tensor->reals);
    if (!tensor->reals) {
        graph_fail(graph->graph, WF_ERROR_MEMORY, "out of memory for a case");
        return NO_TENSOR;
    }
    Rng rng = {.seed = case_seed(graph->of), .stream = (uint64_t)graph->n_tensors};
    for (int64_t i = 0; i < tensor->elements; i++) tensor->reals[i] = (double)(float)fill(&rng, i);
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

wf_status case_graph_create(const CheckCase *this, const Limits *limits, bool reference,
                            CaseGraph *out)
{
    *out = (CaseGraph){.of = this,
                       .limits = limits,
                       .evaluator = reference ? FIELD_DIRECT : this->evaluator,
                       .graph = graph_create(),
                       .region = {.name = "case"}};
    TRY(graph_status(out->graph));
    graph_scope(out->graph, "case");
    this->build(out);
    return graph_status(out->graph);
}

void case_graph_destroy(CaseGraph *graph)
{
    for (int i = 0; i < graph->n_tensors; i++) {
        free(graph->tensors[i].reals);
        free(graph->tensors[i].ints);
    }
    device_release(&graph->region);
    graph_destroy(graph->graph);
}
