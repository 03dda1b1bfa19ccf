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
    if (place.size == 0) return WF_OK; /* passed on within a group of nodes */
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

/* Does one of the nodes first … last-1 write the tensor? */
static bool writes(const Graph *graph, int first, int last, TensorId root)
{
    for (int n = first; n < last; n++)
        for (int k = 0; k < graph->nodes[n].n_out; k++) {
            TensorId out = graph->nodes[n].out[k];
            if (out != NO_TENSOR && graph_root(graph, out) == root) return true;
        }
    return false;
}

/* What node n of the group that begins with `first` reads from outside of it. */
static wf_status look_at_inputs(Diagnosis *d, int first, int n)
{
    const Graph *graph = d->pass->graph;
    const Node *node = &graph->nodes[n];
    for (int k = 0; k < node->n_in && !d->bad->tensor; k++) {
        if (node->in[k] == NO_TENSOR) continue;
        TensorId id = graph_root(graph, node->in[k]);
        if (!graph_tensor(graph, id)->region || d->looked[id]) continue;
        if (writes(graph, first, n, id)) continue;
        d->looked[id] = true;
        TRY(look_at(d, id));
    }
    return WF_OK;
}

static wf_status look_at_outputs(Diagnosis *d, const Node *node)
{
    for (int k = 0; k < node->n_out && !d->bad->tensor; k++)
        if (node->out[k] != NO_TENSOR) TRY(look_at(d, node->out[k]));
    return WF_OK;
}

/* Group by group of the plan: what one needs from outside, then what it made, in order. */
static wf_status walk(Diagnosis *d)
{
    Program *program = d->pass->program;
    const Node *nodes = d->pass->graph->nodes;
    for (int n = 0, end = 0; n < d->pass->graph->n_nodes && !d->bad->tensor; n = end) {
        end = n + d->pass->plan->group[n];
        for (int m = n; m < end; m++) TRY(look_at_inputs(d, n, m));
        if (d->bad->tensor) break;
        TRY(program->device->backend->program_run_nodes(program, n, end));
        for (int m = n; m < end; m++) TRY(look_at_outputs(d, &nodes[m]));
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
