/* A plan recorded: every node's function and addresses, resolved once. */
#include "backends/cpu/device.h"

#include <stdlib.h>

typedef struct Step {
    CpuOp run;
    CpuCall call;
    bool stores; /* an output in 16 bits: it is rounded afterwards */
} Step;

typedef struct CpuProgram {
    Program base;
    Step *steps; /* one a node */
    CommandList commands;
} CpuProgram;

static void *address(const Plan *plan, Place place)
{
    return ((CpuBuffer *)plan->slabs[place.slab]->buffer)->data + place.offset;
}

static bool is_stored(DType dtype)
{
    return dtype == DTYPE_F16 || dtype == DTYPE_BF16;
}

/* What stands in 16 bits on other devices is kept in reals here, and rounded to the same values. */
static void store(const CpuDevice *device, const Step *step)
{
    const Graph *graph = step->call.graph;
    for (int k = 0; k < step->call.node->n_out; k++) {
        if (!step->call.out[k]) continue;
        const Tensor *tensor = graph_tensor(graph, step->call.node->out[k]);
        if (is_stored(tensor->dtype))
            device->ops->store(tensor->dtype, step->call.out[k], shape_elements(tensor->shape));
    }
}

static Step record(const CpuDevice *device, const Plan *plan, int n)
{
    const Node *node = &plan->graph->nodes[n];
    Step step = {.run = device->ops->run[node->op], .call = {.graph = plan->graph, .node = node}};
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != NO_TENSOR) step.call.in[k] = address(plan, plan->places[node->in[k]]);
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] == NO_TENSOR) continue;
        step.call.out[k] = address(plan, plan->places[node->out[k]]);
        step.stores |= is_stored(graph_tensor(plan->graph, node->out[k])->dtype);
    }
    if (plan->workspace[n].size > 0) step.call.workspace = address(plan, plan->workspace[n]);
    return step;
}

static wf_status check_memory(const Device *device, const Plan *plan)
{
    for (int i = 0; i < plan->n_slabs; i++) {
        const Region *region = plan->slabs[i];
        if (!region->buffer)
            return fail(WF_ERROR_ARGUMENT, "region %s has no memory yet", region->name);
        if (region->buffer->device != device)
            return fail(WF_ERROR_ARGUMENT, "region %s lives on another device", region->name);
        if (region->buffer->size < region->size)
            return fail(WF_ERROR_ARGUMENT, "region %s grew to %lld bytes after it got %lld",
                        region->name, (long long)region->size, (long long)region->buffer->size);
    }
    return WF_OK;
}

wf_status cpu_program_create(Device *device, const Plan *plan, Program **out)
{
    TRY(check_memory(device, plan));
    CpuProgram *program = calloc(1, sizeof *program);
    if (!program) return fail(WF_ERROR_MEMORY, "out of memory for a program");
    int n_nodes = plan->graph->n_nodes;
    wf_status status = WF_OK;
    program->base = (Program){.device = device, .plan = plan};
    program->steps = calloc((size_t)n_nodes + 1, sizeof *program->steps);
    if (!program->steps) status = fail(WF_ERROR_MEMORY, "out of memory for %d steps", n_nodes);
    if (!status) status = commands_from_plan(&program->commands, plan);
    if (!status) status = hazards_derive(&program->commands);
    if (status) {
        cpu_program_destroy(&program->base);
        return status;
    }
    for (int n = 0; n < n_nodes; n++) program->steps[n] = record((CpuDevice *)device, plan, n);
    *out = &program->base;
    return WF_OK;
}

void cpu_program_destroy(Program *base)
{
    CpuProgram *program = (CpuProgram *)base;
    if (!program) return;
    commands_free(&program->commands);
    free(program->steps);
    free(program);
}

wf_status cpu_program_run_nodes(Program *base, int first, int last)
{
    const CpuProgram *program = (const CpuProgram *)base;
    if (first < 0 || last > base->plan->graph->n_nodes)
        return fail(WF_ERROR_ARGUMENT, "nodes %d to %d of a graph of %d", first, last,
                    base->plan->graph->n_nodes);
    for (int n = first; n < last; n++) {
        const Step *step = &program->steps[n];
        step->run(&step->call);
        if (step->stores) store((const CpuDevice *)base->device, step);
    }
    return WF_OK;
}

wf_status cpu_program_run(Program *program)
{
    return cpu_program_run_nodes(program, 0, program->plan->graph->n_nodes);
}

const CommandList *cpu_program_commands(const Program *program)
{
    return &((const CpuProgram *)program)->commands;
}
