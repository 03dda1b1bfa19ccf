#include "train/diagnose.h"

#include <math.h>
#include <stdlib.h>

enum { CHUNK = 1 << 16 }; /* elements looked at at a time */

typedef struct Diagnosis {
    const Pass *pass;
    double *values; /* [CHUNK] */
    bool *looked;   /* one a tensor: an external one is looked at as an input once */
    BadTensor *bad;
} Diagnosis;

static wf_status look_at(Diagnosis *d, TensorId id)
{
    const Plan *plan = d->pass->plan;
    const Tensor *tensor = graph_tensor(d->pass->graph, id);
    if (!dtype_is_real(tensor->dtype)) return WF_OK;
    Place place = plan->places[id];
    int64_t n = shape_elements(tensor->shape), size = plan->limits.dtype_size[tensor->dtype];
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t count = int64_min(CHUNK, n - at);
        TRY(device_read_stored(plan->slabs[place.slab], tensor->dtype, place.offset + at * size,
                               d->values, count));
        for (int64_t i = 0; i < count; i++) {
            if (isfinite(d->values[i])) continue;
            *d->bad = (BadTensor){tensor, at + i, d->values[i]};
            return WF_OK;
        }
    }
    return WF_OK;
}

static wf_status look_at_inputs(Diagnosis *d, const Node *node)
{
    const Graph *graph = d->pass->graph;
    for (int k = 0; k < node->n_in && !d->bad->tensor; k++) {
        TensorId id = node->in[k];
        if (id == NO_TENSOR) continue;
        if (graph_tensor(graph, id)->base != NO_TENSOR) id = graph_tensor(graph, id)->base;
        if (!graph_tensor(graph, id)->region || d->looked[id]) continue;
        d->looked[id] = true;
        TRY(look_at(d, id));
    }
    return WF_OK;
}

static wf_status walk(Diagnosis *d)
{
    Program *program = d->pass->program;
    for (int n = 0; n < d->pass->graph->n_nodes && !d->bad->tensor; n++) {
        const Node *node = &d->pass->graph->nodes[n];
        TRY(look_at_inputs(d, node));
        if (d->bad->tensor) break;
        TRY(program->device->backend->program_run_nodes(program, n, n + 1));
        for (int k = 0; k < node->n_out && !d->bad->tensor; k++)
            if (node->out[k] != NO_TENSOR) TRY(look_at(d, node->out[k]));
    }
    return WF_OK;
}

wf_status diagnose_pass(const Pass *pass, BadTensor *bad)
{
    *bad = (BadTensor){0};
    Diagnosis d = {.pass = pass, .bad = bad};
    d.values = malloc(CHUNK * sizeof *d.values);
    d.looked = calloc((size_t)pass->graph->n_tensors + 1, sizeof *d.looked);
    wf_status status = d.values && d.looked ? walk(&d) : fail(WF_ERROR_MEMORY, "out of memory");
    free(d.values);
    free(d.looked);
    return status;
}
