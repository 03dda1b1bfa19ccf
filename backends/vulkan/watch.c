#define VULKAN_WATCH_ITSELF
#include "backends/vulkan/watch.h"

#include "base/array.h"

#include <string.h>

static _Thread_local VulkanWatch *current;

void vulkan_watch_begin(VulkanWatch *watch, VulkanDevice *device)
{
    *watch = (VulkanWatch){.device = device};
    current = watch;
}

/* ---- noting ---- */

static VkResult note(VkResult result)
{
    if (current && result < 0 && !current->failure) current->failure = result;
    return result;
}

static uint64_t handle_bytes(const void *handle, size_t size)
{
    uint64_t bytes = 0;
    memcpy(&bytes, handle, size);
    return bytes;
}

static bool add(VkObjectType type, uint64_t handle)
{
    VulkanWatch *w = current;
    if (!w) return true;
    if (!array_reserve((void **)&w->objects, w->n_objects, &w->capacity, sizeof *w->objects))
        return false;
    w->objects[w->n_objects++] = (VulkanObject){type, handle};
    return true;
}

static void take_out(VkObjectType type, uint64_t handle)
{
    VulkanWatch *w = current;
    for (int i = w ? w->n_objects - 1 : -1; i >= 0; i--) {
        if (w->objects[i].type != type || w->objects[i].handle != handle) continue;
        w->objects[i] = w->objects[--w->n_objects];
        return;
    }
}

/* ---- calls ---- */

#define X(function, handle, type)                                                                  \
    void watched_##function(VkDevice device, handle object,                                        \
                            const VkAllocationCallbacks *allocator)                                \
    {                                                                                              \
        take_out(type, handle_bytes(&object, sizeof object));                                      \
        function(device, object, allocator);                                                       \
    }
VULKAN_WATCHED_ENDERS(X)
#undef X

/* A failed call may leave anything in *out, which VkFFT would destroy. */
#define X(function, info, handle, type)                                                            \
    VkResult watched_##function(VkDevice device, const info *what,                                 \
                                const VkAllocationCallbacks *allocator, handle *out)               \
    {                                                                                              \
        VkResult result = note(function(device, what, allocator, out));                            \
        if (result || !add(type, handle_bytes(out, sizeof *out))) *out = VK_NULL_HANDLE;           \
        return result || *out ? result : note(VK_ERROR_OUT_OF_HOST_MEMORY);                        \
    }
VULKAN_WATCHED_MAKERS(X)
#undef X

#define X(function, parameters, arguments)                                                         \
    VkResult watched_##function parameters                                                         \
    {                                                                                              \
        return note(function arguments);                                                           \
    }
VULKAN_WATCHED_CALLS(X)
#undef X

VkResult watched_vkCreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                          const VkComputePipelineCreateInfo *what,
                                          const VkAllocationCallbacks *allocator, VkPipeline *out)
{
    VkResult result = note(vkCreateComputePipelines(device, cache, count, what, allocator, out));
    for (uint32_t i = 0; i < count; i++)
        if (result || !add(VK_OBJECT_TYPE_PIPELINE, handle_bytes(&out[i], sizeof out[i])))
            out[i] = VK_NULL_HANDLE;
    return result || (count && out[count - 1]) ? result : note(VK_ERROR_OUT_OF_HOST_MEMORY);
}

VkResult watched_vkAllocateCommandBuffers(VkDevice device, const VkCommandBufferAllocateInfo *what,
                                          VkCommandBuffer *out)
{
    VkResult result = note(vkAllocateCommandBuffers(device, what, out));
    for (uint32_t i = 0; !result && i < what->commandBufferCount; i++)
        if (!add(VK_OBJECT_TYPE_COMMAND_BUFFER, handle_bytes(&out[i], sizeof out[i])))
            return note(VK_ERROR_OUT_OF_HOST_MEMORY);
    return result;
}

void watched_vkFreeCommandBuffers(VkDevice device, VkCommandPool pool, uint32_t count,
                                  const VkCommandBuffer *commands)
{
    for (uint32_t i = 0; i < count; i++)
        take_out(VK_OBJECT_TYPE_COMMAND_BUFFER, handle_bytes(&commands[i], sizeof commands[i]));
    vkFreeCommandBuffers(device, pool, count, commands);
}

/* ---- clearing up ---- */

#define HANDLE(type, object) (*(type *)memcpy(&(type){0}, &(object)->handle, sizeof(type)))

static void destroy(const VulkanDevice *device, const VulkanObject *object)
{
    switch (object->type) {
#define X(function, handle, type)                                                                  \
    case type: function(device->device, HANDLE(handle, object), NULL); break;
        VULKAN_WATCHED_ENDERS(X)
#undef X
    case VK_OBJECT_TYPE_COMMAND_BUFFER:
        vkFreeCommandBuffers(device->device, device->pool, 1, &HANDLE(VkCommandBuffer, object));
        break;
    default: break;
    }
}

void vulkan_watch_end(VulkanWatch *watch, bool failed)
{
    current = NULL;
    if (failed) {
        vkQueueWaitIdle(watch->device->queue);
        vkResetFences(watch->device->device, 1, &watch->device->fence);
        for (int i = watch->n_objects; i-- > 0;) destroy(watch->device, &watch->objects[i]);
    }
    free(watch->objects);
    watch->objects = NULL;
    watch->n_objects = watch->capacity = 0;
}
