/* A plan on OpenCL: OpenCL 1.2 records nothing, so a program is a list of kernels whose arguments
 * are set once, and a replay enqueues them in order. */
#include "backends/opencl/opencl.h"

#include <stdlib.h>

typedef struct Step {
    cl_kernel kernel;           /* of a dispatch */
    size_t global[3], local[3]; /* work-items */
    TransformPlan *transform;   /* of a transform, else NULL */
    OpenclProduct *product;     /* of a product, else NULL */
    cl_mem data, scratch;
} Step;

typedef struct OpenclProgram {
    Program base;
    GpuList list;
    Step *steps; /* one for each of list */
} OpenclProgram;

/* A buffer is two arguments: the whole slab and the element where the place starts. */
static cl_int set_arguments(cl_kernel kernel, const Plan *plan, const Dispatch *dispatch)
{
    const GpuKernel *known = &gpu_kernels[dispatch->kernel];
    cl_uint index = 0;
    cl_int error = CL_SUCCESS;
    for (int b = 0; b < known->n_buffers && !error; b++) {
        Place place = dispatch->buffers[b];
        cl_mem memory = place.size ? opencl_memory(plan->slabs[place.slab]->buffer) : NULL;
        cl_uint at = (cl_uint)(place.offset / known->buffers[b].element);
        error = clSetKernelArg(kernel, index++, sizeof memory, &memory);
        if (!error) error = clSetKernelArg(kernel, index++, sizeof at, &at);
    }
    if (!error && known->n_scalars)
        error = clSetKernelArg(kernel, index, (size_t)known->n_scalars * 4, dispatch->scalars);
    return error;
}

/* Kernels index with 32 bits, and see a place's elements from the start of its slab. */
static wf_status check_reach(const Dispatch *dispatch)
{
    const GpuKernel *known = &gpu_kernels[dispatch->kernel];
    for (int b = 0; b < known->n_buffers; b++) {
        Place place = dispatch->buffers[b];
        if (place.offset % known->buffers[b].element ||
            (place.offset + place.size) / known->buffers[b].element > UINT32_MAX)
            return fail(WF_ERROR_UNSUPPORTED,
                        "OpenCL: %s of kernel %s at byte %lld cannot be addressed",
                        known->buffers[b].name, known->name, (long long)place.offset);
    }
    return WF_OK;
}

static wf_status record_dispatch(OpenclDevice *device, const Plan *plan, const Dispatch *dispatch,
                                 Step *step)
{
    const GpuKernel *known = &gpu_kernels[dispatch->kernel];
    TRY(check_reach(dispatch));
    TRY(opencl_kernel_create(device, dispatch->kernel, &step->kernel));
    cl_int error = set_arguments(step->kernel, plan, dispatch);
    if (error) return opencl_fail(error, "recording kernel %s", known->name);
    for (int axis = 0; axis < 3; axis++) {
        step->local[axis] = axis == 0 ? known->threads : 1;
        step->global[axis] = step->local[axis] * dispatch->groups[axis];
    }
    return WF_OK;
}

static wf_status sub_buffer(const Plan *plan, Place place, cl_mem *out)
{
    cl_int error;
    cl_buffer_region region = {(size_t)place.offset, (size_t)place.size};
    *out = clCreateSubBuffer(opencl_memory(plan->slabs[place.slab]->buffer), CL_MEM_READ_WRITE,
                             CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    return error ? opencl_fail(error, "recording a transform at byte %lld", (long long)place.offset)
                 : WF_OK;
}

static wf_status record_step(OpenclDevice *device, const Plan *plan, const GpuStep *from,
                             Step *step)
{
    if (from->kind == GPU_DISPATCH) return record_dispatch(device, plan, &from->dispatch, step);
    if (from->kind == GPU_PRODUCT)
        return opencl_product_create(device, plan, &from->product, &step->product);
    TRY(opencl_transform_get(device, &from->transform, &step->transform));
    TRY(sub_buffer(plan, from->transform.data, &step->data));
    return sub_buffer(plan, from->transform.scratch, &step->scratch);
}

wf_status opencl_program_create(Device *device, const Plan *plan, Program **out)
{
    OpenclDevice *opencl = opencl_device(device);
    OpenclProgram *program = calloc(1, sizeof *program);
    if (!program) return fail(WF_ERROR_MEMORY, "out of memory for a program's record");
    program->base = (Program){.device = device, .plan = plan};
    wf_status status;
    TRY_GOTO(gpu_lower(plan, &opencl->gpu, &program->list), failed);
    program->steps = calloc((size_t)program->list.n_steps + 1, sizeof *program->steps);
    if (!program->steps) {
        status = fail(WF_ERROR_MEMORY, "out of memory for %d steps", program->list.n_steps);
        goto failed;
    }
    for (int i = 0; i < program->list.n_steps; i++)
        TRY_GOTO(record_step(opencl, plan, &program->list.steps[i], &program->steps[i]), failed);
    *out = &program->base;
    return WF_OK;
failed:
    opencl_program_destroy(&program->base);
    return status;
}

void opencl_program_destroy(Program *base)
{
    OpenclProgram *program = (OpenclProgram *)base;
    if (!program) return;
    for (int i = 0; program->steps && i < program->list.n_steps; i++) {
        Step *step = &program->steps[i];
        if (step->kernel) clReleaseKernel(step->kernel);
        if (step->data) clReleaseMemObject(step->data);
        if (step->scratch) clReleaseMemObject(step->scratch);
        opencl_product_destroy(step->product);
    }
    free(program->steps);
    gpu_list_free(&program->list);
    free(program);
}

static wf_status enqueue(OpenclDevice *device, OpenclProgram *program, int i)
{
    Step *step = &program->steps[i];
    if (step->transform)
        return opencl_transform_run(device, step->transform, &step->data, &step->scratch);
    if (step->product)
        return opencl_product_run(device, step->product, &program->list.steps[i].product);
    cl_int error = clEnqueueNDRangeKernel(device->queue, step->kernel, 3, NULL, step->global,
                                          step->local, 0, NULL, NULL);
    if (error)
        return opencl_fail(error, "running kernel %s",
                           gpu_kernels[program->list.steps[i].dispatch.kernel].name);
    return WF_OK;
}

wf_status opencl_program_run(Program *base)
{
    OpenclProgram *program = (OpenclProgram *)base;
    OpenclDevice *device = opencl_device(base->device);
    for (int i = 0; i < program->list.n_steps; i++) TRY(enqueue(device, program, i));
    cl_int error = clFlush(device->queue);
    return error ? opencl_fail(error, "submitting a program") : WF_OK;
}

wf_status opencl_program_run_nodes(Program *base, int first, int last)
{
    OpenclProgram *program = (OpenclProgram *)base;
    OpenclDevice *device = opencl_device(base->device);
    const Command *commands = program->list.commands.commands;
    for (int i = 0; i < program->list.n_steps; i++)
        if (commands[i].node >= first && commands[i].node < last) TRY(enqueue(device, program, i));
    cl_int error = clFinish(device->queue);
    return error ? opencl_fail(error, "running nodes %d to %d", first, last - 1) : WF_OK;
}

const CommandList *opencl_program_commands(const Program *program)
{
    return &((const OpenclProgram *)program)->list.commands;
}
