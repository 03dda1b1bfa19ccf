/* A plan on CUDA: the first replay launches every kernel, the second is captured as a graph, and it
 * and those after it launch that graph. */
#include "backends/cuda/cuda.h"

#include <stdlib.h>

typedef struct Step {
    CUfunction function;                  /* of a dispatch */
    TransformPlan *transform;             /* of a transform, else NULL */
    CudaProduct *product;                 /* of a product, else NULL */
    CUdeviceptr buffers[GPU_MAX_BUFFERS]; /* or data and scratch */
} Step;

typedef struct CudaProgram {
    Program base;
    GpuList list;
    Step *steps; /* one for each of list */
    bool has_run;
    CUgraphExec replay;
} CudaProgram;

static wf_status record_step(CudaDevice *device, const Plan *plan, const GpuStep *from, Step *step)
{
    if (from->kind == GPU_TRANSFORM) {
        step->buffers[0] = cuda_place(plan, from->transform.data);
        step->buffers[1] = cuda_place(plan, from->transform.scratch);
        return cuda_transform_get(device, &from->transform, &step->transform);
    }
    if (from->kind == GPU_PRODUCT)
        return cuda_product_create(device, plan, &from->product, &step->product);
    for (int b = 0; b < gpu_kernels[from->dispatch.kernel].n_buffers; b++)
        step->buffers[b] = cuda_place(plan, from->dispatch.buffers[b]);
    return cuda_kernel_get(device, from->dispatch.kernel, &step->function);
}

wf_status cuda_program_create(Device *device, const Plan *plan, Program **out)
{
    CudaDevice *cuda = cuda_device(device);
    TRY(cuda_enter(cuda));
    CudaProgram *program = calloc(1, sizeof *program);
    if (!program) return fail(WF_ERROR_MEMORY, "out of memory for a program's record");
    program->base = (Program){.device = device, .plan = plan};
    wf_status status;
    TRY_GOTO(gpu_lower(plan, &cuda->gpu, &program->list), failed);
    program->steps = calloc((size_t)program->list.n_steps + 1, sizeof *program->steps);
    if (!program->steps) {
        status = fail(WF_ERROR_MEMORY, "out of memory for %d steps", program->list.n_steps);
        goto failed;
    }
    for (int i = 0; i < program->list.n_steps; i++)
        TRY_GOTO(record_step(cuda, plan, &program->list.steps[i], &program->steps[i]), failed);
    *out = &program->base;
    return WF_OK;
failed:
    cuda_program_destroy(&program->base);
    return status;
}

void cuda_program_destroy(Program *base)
{
    CudaProgram *program = (CudaProgram *)base;
    if (!program) return;
    if (program->replay && !cuda_enter(cuda_device(base->device)))
        cuGraphExecDestroy(program->replay);
    for (int i = 0; program->steps && i < program->list.n_steps; i++)
        cuda_product_destroy(program->steps[i].product);
    free(program->steps);
    gpu_list_free(&program->list);
    free(program);
}

static wf_status enqueue(CudaDevice *device, CudaProgram *program, int i)
{
    Step *step = &program->steps[i];
    if (step->transform)
        return cuda_transform_run(device, step->transform, step->buffers[0], step->buffers[1]);
    if (step->product)
        return cuda_product_run(device, step->product, &program->list.steps[i].product);

    Dispatch *dispatch = &program->list.steps[i].dispatch;
    const GpuKernel *kernel = &gpu_kernels[dispatch->kernel];
    void *arguments[GPU_MAX_BUFFERS + 1];
    for (int b = 0; b < kernel->n_buffers; b++) arguments[b] = &step->buffers[b];
    arguments[kernel->n_buffers] = dispatch->scalars;
    CUresult error = cuLaunchKernel(step->function, dispatch->groups[0], dispatch->groups[1],
                                    dispatch->groups[2], kernel->threads, 1, 1, 0, device->stream,
                                    arguments, NULL);
    return error ? cuda_fail(error, "running kernel %s", kernel->name) : WF_OK;
}

static wf_status enqueue_all(CudaDevice *device, CudaProgram *program)
{
    for (int i = 0; i < program->list.n_steps; i++) TRY(enqueue(device, program, i));
    return WF_OK;
}

static wf_status capture(CudaDevice *device, CudaProgram *program)
{
    CUgraph graph = NULL;
    CUresult error = cuStreamBeginCapture(device->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    if (error) return cuda_fail(error, "capturing a program");
    wf_status status = enqueue_all(device, program);
    error = cuStreamEndCapture(device->stream, &graph);
    if (!error && !status) error = cuGraphInstantiate(&program->replay, graph, 0);
    if (graph) cuGraphDestroy(graph);
    if (status) return status;
    return error ? cuda_fail(error, "capturing a program") : WF_OK;
}

wf_status cuda_program_run(Program *base)
{
    CudaProgram *program = (CudaProgram *)base;
    CudaDevice *device = cuda_device(base->device);
    TRY(cuda_enter(device));
    if (!program->has_run) {
        program->has_run = true;
        return enqueue_all(device, program);
    }
    if (!program->replay) TRY(capture(device, program));
    CUresult error = cuGraphLaunch(program->replay, device->stream);
    return error ? cuda_fail(error, "replaying a program") : WF_OK;
}

wf_status cuda_program_run_nodes(Program *base, int first, int last)
{
    CudaProgram *program = (CudaProgram *)base;
    CudaDevice *device = cuda_device(base->device);
    const Command *commands = program->list.commands.commands;
    TRY(cuda_enter(device));
    for (int i = 0; i < program->list.n_steps; i++)
        if (commands[i].node >= first && commands[i].node < last) TRY(enqueue(device, program, i));
    CUresult error = cuStreamSynchronize(device->stream);
    return error ? cuda_fail(error, "running nodes %d to %d", first, last - 1) : WF_OK;
}

const CommandList *cuda_program_commands(const Program *program)
{
    return &((const CudaProgram *)program)->list.commands;
}
