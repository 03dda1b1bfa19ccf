/* A plan on Vulkan: its steps recorded into command buffers that every replay submits as they are.
 */
#include "backends/vulkan/recording.h"

#include <stdlib.h>
#include <string.h>

#include "shaders/spirv_words.inc"
static const VulkanCode codes[KERNEL_COUNT] = {
#include "shaders/spirv_table.inc"
};

VulkanCode vulkan_kernel_code(KernelId kernel)
{
    return codes[kernel];
}

typedef struct VulkanProgram {
    Program base;
    GpuList list;
    VulkanTransform **transforms; /* those of the list, each kind and place once */
    int n_transforms;
    VulkanRecording recording;
} VulkanProgram;

static wf_status create_pipeline(VulkanDevice *device, KernelId kernel)
{
    if (device->pipelines[kernel]) return WF_OK;
    VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                     .codeSize = codes[kernel].bytes,
                                     .pCode = codes[kernel].words};
    VkShaderModule module;
    TRY_VULKAN(device, vkCreateShaderModule(device->device, &code, NULL, &module),
               "loading kernel %s", gpu_kernels[kernel].name);
    static const VkSpecializationMapEntry members[] = {
        {0, 0, 4}, {1, 4, 4}, {2, 8, 4}, {3, 12, 4}, {4, 16, 4}};
    const VkSpecializationInfo constants = {.mapEntryCount = sizeof members / sizeof *members,
                                            .pMapEntries = members,
                                            .dataSize = sizeof device->matrix,
                                            .pData = &device->matrix};
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = gpu_kernels[kernel].glsl_only ? &constants : NULL},
        .layout = device->layout};
    VkResult result = vkCreateComputePipelines(device->device, device->pipeline_cache, 1, &info,
                                               NULL, &device->pipelines[kernel]);
    vkDestroyShaderModule(device->device, module, NULL);
    TRY_VULKAN(device, result, "compiling kernel %s", gpu_kernels[kernel].name);
    return WF_OK;
}

static VulkanTransform *find_transform(const VulkanProgram *program, const Transform *shape)
{
    for (int i = 0; i < program->n_transforms; i++)
        if (vulkan_transform_is(program->transforms[i], shape)) return program->transforms[i];
    return NULL;
}

/* Pipelines and transforms for every step. */
static wf_status prepare(VulkanProgram *program)
{
    VulkanDevice *device = vulkan_device(program->base.device);
    const GpuList *list = &program->list;
    program->transforms = calloc((size_t)list->n_steps + 1, sizeof *program->transforms);
    if (!program->transforms)
        return fail(WF_ERROR_MEMORY, "out of memory for %d steps", list->n_steps);
    for (int i = 0; i < list->n_steps; i++) {
        const GpuStep *step = &list->steps[i];
        if (step->kind == GPU_DISPATCH) {
            TRY(create_pipeline(device, step->dispatch.kernel));
        } else if (!find_transform(program, &step->transform)) {
            TRY(vulkan_transform_create(device, program->base.plan, &step->transform,
                                        &program->transforms[program->n_transforms]));
            program->n_transforms++;
        }
    }
    return WF_OK;
}

static void record_dispatch(const VulkanProgram *program, const Dispatch *dispatch,
                            VkCommandBuffer commands)
{
    VulkanDevice *device = vulkan_device(program->base.device);
    const GpuKernel *kernel = &gpu_kernels[dispatch->kernel];
    char arguments[GPU_MAX_ARGUMENT_BYTES];
    size_t used = 0;
    for (int i = 0; i < kernel->n_buffers; i++) {
        const Place *place = &dispatch->buffers[i];
        VkDeviceAddress address = 0;
        if (place->size) {
            const Buffer *slab = program->base.plan->slabs[place->slab]->buffer;
            address = ((const VulkanBuffer *)slab)->memory.address + (VkDeviceAddress)place->offset;
        }
        memcpy(arguments + used, &address, sizeof address);
        used += sizeof address;
    }
    memcpy(arguments + used, dispatch->scalars, 4 * (size_t)kernel->n_scalars);
    used += 4 * (size_t)kernel->n_scalars;
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE,
                      device->pipelines[dispatch->kernel]);
    vkCmdPushConstants(commands, device->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, (uint32_t)used,
                       arguments);
    vkCmdDispatch(commands, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]);
}

static wf_status record_step(void *context, int i, VkCommandBuffer commands)
{
    const VulkanProgram *program = context;
    const GpuStep *step = &program->list.steps[i];
    if (program->list.commands.commands[i].barrier) vulkan_barrier(commands);
    if (step->kind == GPU_TRANSFORM)
        return vulkan_transform_record(find_transform(program, &step->transform), commands);
    record_dispatch(program, &step->dispatch, commands);
    return WF_OK;
}

static wf_status check_slabs(Device *device, const Plan *plan)
{
    for (int i = 0; i < plan->n_slabs; i++) {
        const Region *region = plan->slabs[i];
        if (!region->buffer || region->buffer->device != device ||
            region->buffer->size < region->size)
            return fail(WF_ERROR_ARGUMENT, "region %s has no memory of %lld bytes on this device",
                        region->name, (long long)region->size);
    }
    return WF_OK;
}

wf_status vulkan_program_create(Device *device, const Plan *plan, Program **out)
{
    TRY(vulkan_alive(vulkan_device(device)));
    TRY(check_slabs(device, plan));
    VulkanProgram *program = calloc(1, sizeof *program);
    if (!program) return fail(WF_ERROR_MEMORY, "out of memory for a program");
    program->base = (Program){.device = device, .plan = plan};
    wf_status status = gpu_lower(plan, &vulkan_device(device)->gpu, &program->list);
    if (!status) status = prepare(program);
    program->recording.record = record_step;
    program->recording.context = program;
    if (!status)
        status =
            vulkan_recording_create(vulkan_device(device), &program->recording, &program->list);
    if (status) {
        vulkan_program_destroy(&program->base);
        return status;
    }
    vulkan_cache_keep(vulkan_device(device));
    *out = &program->base;
    return WF_OK;
}

void vulkan_program_destroy(Program *base)
{
    VulkanProgram *program = (VulkanProgram *)base;
    if (!program) return;
    VulkanDevice *device = vulkan_device(base->device);
    vulkan_settle(device);
    vulkan_recording_destroy(device, &program->recording);
    for (int i = 0; i < program->n_transforms; i++)
        vulkan_transform_destroy(program->transforms[i]);
    free(program->transforms);
    gpu_list_free(&program->list);
    free(program);
}

/* The last submission may have used any of them. */
static void touch_slabs(const Program *program)
{
    uint64_t number = vulkan_device(program->device)->submitted;
    for (int i = 0; i < program->plan->n_slabs; i++)
        ((VulkanBuffer *)program->plan->slabs[i]->buffer)->used = number;
}

wf_status vulkan_program_run(Program *base)
{
    VulkanProgram *program = (VulkanProgram *)base;
    VulkanDevice *device = vulkan_device(base->device);
    wf_status status = vulkan_recording_run(device, &program->recording);
    touch_slabs(base);
    return status;
}

wf_status vulkan_program_run_nodes(Program *base, int first, int last)
{
    VulkanProgram *program = (VulkanProgram *)base;
    VulkanDevice *device = vulkan_device(base->device);
    VkCommandBuffer commands;
    TRY(vulkan_once_begin(device, &commands));
    for (int i = 0; i < program->list.n_steps; i++) {
        int node = program->list.commands.commands[i].node;
        if (node >= first && node < last) TRY(record_step(program, i, commands));
    }
    wf_status status = vulkan_once_run(device);
    touch_slabs(base);
    return status;
}

int vulkan_program_submissions(const Program *program)
{
    return ((const VulkanProgram *)program)->recording.form.count;
}

const CommandList *vulkan_program_commands(const Program *program)
{
    return &((const VulkanProgram *)program)->list.commands;
}
