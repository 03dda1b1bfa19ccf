/* The device's one queue: submitting, waiting, and what is said when something fails. */
#include "backends/vulkan/vulkan.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- failures ---- */

static const char lost_text[] =
    "the device was lost (its driver reset it, it hung, or it was removed). The last checkpoint is "
    "intact: resume from it. If this happens again, lower the batch size or the sequence length, "
    "or choose another device";

static const char *result_text(VkResult result)
{
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY: return "out of host memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return "not enough device memory: lower the batch size or the sequence length, or close "
               "what else uses the device";
    case VK_ERROR_DEVICE_LOST: return lost_text;
    case VK_ERROR_INCOMPATIBLE_DRIVER: return "no driver";
    case VK_ERROR_INITIALIZATION_FAILED: return "the driver does not start";
    case VK_ERROR_TOO_MANY_OBJECTS: return "too many allocations";
    case VK_ERROR_MEMORY_MAP_FAILED: return "memory cannot be mapped";
    case VK_ERROR_FEATURE_NOT_PRESENT: return "a feature is missing that the driver promised";
    case VK_ERROR_LAYER_NOT_PRESENT: return "a layer that the environment asks for is missing";
    default: return "failed";
    }
}

wf_status vulkan_fail(VulkanDevice *device, VkResult result, const char *format, ...)
{
    char doing[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(doing, sizeof doing, format, arguments);
    va_end(arguments);
    bool memory = result == VK_ERROR_OUT_OF_HOST_MEMORY ||
                  result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_TOO_MANY_OBJECTS;
    if (device && result == VK_ERROR_DEVICE_LOST) device->lost = true;
    return fail(memory ? WF_ERROR_MEMORY : WF_ERROR_DEVICE, "Vulkan: %s: %s (error %d)", doing,
                result_text(result), (int)result);
}

wf_status vulkan_alive(const VulkanDevice *device)
{
    if (!device->lost) return WF_OK;
    return fail(WF_ERROR_DEVICE, "Vulkan: %s: %s", device->base.info.name, lost_text);
}

/* What is enqueued. What the host wrote before a submission, the submission sees by itself. */
enum { WORK = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT };

/* ---- the queue ---- */

wf_status vulkan_queue_create(VulkanDevice *device)
{
    const char *name = device->base.info.name;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = device->family};
    TRY_VULKAN_MAKE(device, device->pool,
                    vkCreateCommandPool(device->device, &pool, NULL, &device->pool), "opening %s",
                    name);
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    TRY_VULKAN_MAKE(device, device->fence,
                    vkCreateFence(device->device, &fence, NULL, &device->fence), "opening %s",
                    name);
    VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                      .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo timeline = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                      .pNext = &type};
    TRY_VULKAN_MAKE(device, device->timeline,
                    vkCreateSemaphore(device->device, &timeline, NULL, &device->timeline),
                    "opening %s", name);
    VkCommandBuffer commands[VULKAN_SLOTS];
    VkCommandBufferAllocateInfo slots = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                         .commandPool = device->pool,
                                         .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                         .commandBufferCount = VULKAN_SLOTS};
    TRY_VULKAN(device, vkAllocateCommandBuffers(device->device, &slots, commands), "opening %s",
               name);
    for (int i = 0; i < VULKAN_SLOTS; i++) device->slots[i].commands = commands[i];
    return WF_OK;
}

void vulkan_queue_destroy(VulkanDevice *device)
{
    vkDestroySemaphore(device->device, device->timeline, NULL);
    vkDestroyFence(device->device, device->fence, NULL);
    vkDestroyCommandPool(device->device, device->pool, NULL);
}

static void barrier(VkCommandBuffer commands, VkPipelineStageFlags after)
{
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
                              .dstAccessMask =
                                  VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT};
    vkCmdPipelineBarrier(commands, WORK, after, 0, 1, &memory, 0, NULL, 0, NULL);
}

void vulkan_barrier(VkCommandBuffer commands)
{
    barrier(commands, WORK);
}

wf_status vulkan_commands_begin(VulkanDevice *device, VkCommandBuffer commands,
                                VkCommandBufferUsageFlags flags)
{
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = flags};
    TRY_VULKAN(device, vkBeginCommandBuffer(commands, &begin), "recording");
    vulkan_barrier(commands); /* behind every earlier submission */
    return WF_OK;
}

wf_status vulkan_commands_end(VulkanDevice *device, VkCommandBuffer commands)
{
    barrier(commands, WORK | VK_PIPELINE_STAGE_HOST_BIT); /* the host may read what was written */
    TRY_VULKAN(device, vkEndCommandBuffer(commands), "recording");
    return WF_OK;
}

wf_status vulkan_submit(VulkanDevice *device, VkCommandBuffer commands)
{
    TRY(vulkan_alive(device));
    TRY(vulkan_flush(device));
    uint64_t number = device->submitted + 1;
    VkTimelineSemaphoreSubmitInfo values = {.sType =
                                                VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                            .signalSemaphoreValueCount = 1,
                                            .pSignalSemaphoreValues = &number};
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .pNext = &values,
                           .commandBufferCount = 1,
                           .pCommandBuffers = &commands,
                           .signalSemaphoreCount = 1,
                           .pSignalSemaphores = &device->timeline};
    TRY_VULKAN(device, vkQueueSubmit(device->queue, 1, &submit, VK_NULL_HANDLE), "submitting");
    device->submitted = number;
    return WF_OK;
}

wf_status vulkan_wait(VulkanDevice *device, uint64_t number)
{
    TRY(vulkan_alive(device));
    if (number <= device->done) return WF_OK;
    if (number > device->submitted) TRY(vulkan_flush(device));
    if (number > device->submitted) number = device->submitted; /* what it was for never went */
    VkSemaphoreWaitInfo wait = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                .semaphoreCount = 1,
                                .pSemaphores = &device->timeline,
                                .pValues = &number};
    TRY_VULKAN(device, vkWaitSemaphores(device->device, &wait, UINT64_MAX), "running");
    device->done = number;
    return WF_OK;
}

wf_status vulkan_done(VulkanDevice *device, uint64_t number, bool *done)
{
    TRY(vulkan_alive(device));
    if (number > device->done)
        TRY_VULKAN(device,
                   vkGetSemaphoreCounterValue(device->device, device->timeline, &device->done),
                   "running");
    *done = number <= device->done;
    return WF_OK;
}

/* ---- commands that run once ---- */

wf_status vulkan_once_begin(VulkanDevice *device, VkCommandBuffer *out)
{
    TRY(vulkan_flush(device));
    const VulkanSlot *slot = &device->slots[device->slot];
    TRY(vulkan_wait(device, slot->number));
    *out = slot->commands;
    return vulkan_commands_begin(device, slot->commands,
                                 VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT);
}

wf_status vulkan_once_submit(VulkanDevice *device)
{
    VulkanSlot *slot = &device->slots[device->slot];
    TRY(vulkan_commands_end(device, slot->commands));
    TRY(vulkan_submit(device, slot->commands));
    slot->number = device->submitted;
    slot->ring_end = device->ring_head;
    device->slot = (device->slot + 1) % VULKAN_SLOTS;
    return WF_OK;
}

wf_status vulkan_once_run(VulkanDevice *device)
{
    TRY(vulkan_once_submit(device));
    return vulkan_wait(device, device->submitted);
}

void vulkan_settle(VulkanDevice *device)
{
    if (!device->lost) (void)vulkan_flush(device);
    vkQueueWaitIdle(device->queue);
}
