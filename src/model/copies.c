#include "model/copies.h"

wf_status copies_outline(Copies *copies, const Sequence *values, const Limits *limits,
                         DType storage)
{
    *copies = (Copies){0};
    if (storage == DTYPE_REAL) return WF_OK;
    return sequence_create(values->layout, limits, storage, "weights in 16 bits",
                           &copies->sequence);
}

wf_status copies_allocate(Copies *copies, Sequence *values, Device *device)
{
    if (!copies->sequence.pages) return WF_OK;
    TRY(sequence_allocate(&copies->sequence, device));
    copies->graph = graph_create();
    TRY(graph_status(copies->graph));
    copies->graph->storage = copies->sequence.dtype;
    copies_append(copies->graph, values, &copies->sequence);
    copies->stale = true;
    return runnable_create(device, copies->graph, &copies->run);
}

void copies_destroy(Copies *copies)
{
    runnable_destroy(&copies->run);
    graph_destroy(copies->graph);
    sequence_destroy(&copies->sequence);
    *copies = (Copies){0};
}

void copies_append(Graph *graph, Sequence *values, Sequence *copies)
{
    for (int page = 0; page < values->layout->n_pages; page++) {
        TensorId from = sequence_page(values, graph, page), to = sequence_page(copies, graph, page);
        graph_append(graph,
                     &(NodeParams){.op = OP_COPY, .in = &from, .n_in = 1, .out = &to, .n_out = 1});
    }
}

wf_status copies_refresh(Copies *copies)
{
    if (!copies->stale) return WF_OK;
    Program *program = copies->run.program;
    TRY(program->device->backend->program_run(program));
    copies->stale = false;
    return WF_OK;
}
