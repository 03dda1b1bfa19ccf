#include "check/run.h"

#include "check/timing.h"

wf_status poison_plan(const Plan *plan)
{
    for (int i = plan->n_external; i < plan->n_slabs; i++)
        if (plan->slabs[i]->size > 0) TRY(device_poison(plan->slabs[i]));
    return WF_OK;
}

/* Everything NaN, then the inputs. */
static wf_status load(const CaseGraph *graph, const Plan *plan)
{
    TRY(device_poison((Region *)&graph->region));
    TRY(poison_plan(plan));
    for (int i = 0; i < graph->n_tensors; i++) {
        const CaseTensor *tensor = &graph->tensors[i];
        Region *region = (Region *)&graph->region;
        if (tensor->reals)
            TRY(device_write_stored(region, tensor->dtype, tensor->offset, tensor->reals,
                                    tensor->elements));
        if (tensor->ints)
            TRY(device_write_ints(region, tensor->offset, tensor->ints, tensor->elements));
    }
    return WF_OK;
}

static wf_status collect(const CaseGraph *graph, Outputs *outputs)
{
    for (int i = 0; i < graph->n_tensors; i++) {
        const CaseTensor *tensor = &graph->tensors[i];
        if (tensor->reduction == 0) continue;
        TRY(outputs_add_region(outputs, tensor->name, tensor->dtype, &graph->region, tensor->offset,
                               tensor->elements, tensor->reduction));
    }
    return WF_OK;
}

static wf_status replay(const CaseGraph *graph, Program *program, Outputs *outputs)
{
    TRY(load(graph, program->plan));
    TRY(program->device->backend->program_run(program));
    return collect(graph, outputs);
}

/* The same inputs once more: a device must repeat itself to the bit. */
static wf_status replay_again(const CaseGraph *graph, Program *program, const Outputs *outputs)
{
    Outputs again = {0};
    wf_status status = replay(graph, program, &again);
    const char *different = status ? NULL : outputs_differ(outputs, &again);
    if (different)
        status = fail(WF_ERROR_DEVICE, "%s differs between two runs on the same inputs", different);
    outputs_destroy(&again);
    return status;
}

static wf_status run_graph(const CaseRun *run, CaseGraph *graph, Outputs *outputs)
{
    Runnable runnable = {0};
    TRY(device_allocate(run->device, &graph->region));
    wf_status status = runnable_create(run->device, graph->graph, &runnable);
    if (!status) status = replay(graph, runnable.program, outputs);
    if (!status) status = replay_again(graph, runnable.program, outputs);
    const Timing timing = {.least = 5, .most = 1000, .budget = 0.1};
    if (!status && run->bench)
        status = time_program(runnable.program, &graph->region, &timing, &outputs->seconds);
    runnable_destroy(&runnable);
    return status;
}

wf_status case_run(const CaseRun *run, Outputs *outputs)
{
    if (run->of->model) return model_case_run(run, outputs);
    CaseGraph graph;
    wf_status status =
        case_graph_create(run->of, &run->device->limits, run->reference, run->storage, &graph);
    if (!status) outputs->roundings = graph.graph->n_nodes;
    if (!status) status = run_graph(run, &graph, outputs);
    case_graph_destroy(&graph);
    return status;
}
