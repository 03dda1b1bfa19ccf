/* Memory on a Vulkan device. Where the host sees it, it is mapped for good; elsewhere bytes pass
 * through one staging buffer. */
#include "backends/vulkan/vulkan.h"

#include <stdlib.h>
#include <string.h>

/* A buffer with memory of its own, of the given type; *address and *data may be NULL. */
static wf_status allocate(VulkanDevice *device, uint32_t type, VkDeviceSize size, VkBuffer *buffer,
                          VkDeviceMemory *memory, VkDeviceAddress *address, void **data)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = size,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    double mib = (double)size / 0x1p20;
    TRY_VULKAN_MAKE(device, *buffer, vkCreateBuffer(device->device, &info, NULL, buffer),
                    "a buffer of %.1f MiB", mib);
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device->device, *buffer, &needs);
    if (!(needs.memoryTypeBits >> type & 1u))
        return fail(WF_ERROR_DEVICE, "%s refuses its own memory for a buffer of %.1f MiB",
                    device->base.info.name, mib);
    VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                       .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo allocation = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &flags,
                                       .allocationSize = needs.size,
                                       .memoryTypeIndex = type};
    TRY_VULKAN_MAKE(device, *memory, vkAllocateMemory(device->device, &allocation, NULL, memory),
                    "a buffer of %.1f MiB", mib);
    TRY_VULKAN(device, vkBindBufferMemory(device->device, *buffer, *memory, 0),
               "a buffer of %.1f MiB", mib);
    VkBufferDeviceAddressInfo where = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                       .buffer = *buffer};
    if (address) *address = vkGetBufferDeviceAddress(device->device, &where);
    if (data)
        TRY_VULKAN(device, vkMapMemory(device->device, *memory, 0, VK_WHOLE_SIZE, 0, data),
                   "mapping a buffer of %.1f MiB", mib);
    return WF_OK;
}

wf_status vulkan_buffer_create(Device *base, int64_t size, Buffer **out)
{
    VulkanDevice *device = vulkan_device(base);
    TRY(vulkan_alive(device));
    VulkanBuffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer) return fail(WF_ERROR_MEMORY, "out of memory for a buffer's record");
    buffer->base = (Buffer){.device = base, .size = size};
    /* Whole words, so that every byte can be filled. */
    VkDeviceSize bytes = (VkDeviceSize)round_up(int64_max(size, 4), 4);
    wf_status status =
        allocate(device, device->memory_type, bytes, &buffer->buffer, &buffer->memory,
                 &buffer->address, device->mapped ? (void **)&buffer->data : NULL);
    if (status) {
        vulkan_buffer_destroy(&buffer->base);
        return status;
    }
    *out = &buffer->base;
    return WF_OK;
}

void vulkan_buffer_destroy(Buffer *base)
{
    VulkanBuffer *buffer = (VulkanBuffer *)base;
    if (!buffer) return;
    VulkanDevice *device = vulkan_device(base->device);
    vkQueueWaitIdle(device->queue);
    vkDestroyBuffer(device->device, buffer->buffer, NULL);
    vkFreeMemory(device->device, buffer->memory, NULL);
    free(buffer);
}

wf_status vulkan_staging_create(VulkanDevice *device)
{
    return allocate(device, device->staging_type, VULKAN_STAGING, &device->staging,
                    &device->staging_memory, NULL, &device->staging_data);
}

void vulkan_staging_destroy(VulkanDevice *device)
{
    vkDestroyBuffer(device->device, device->staging, NULL);
    vkFreeMemory(device->device, device->staging_memory, NULL);
}

static wf_status copy(VulkanDevice *device, VkBuffer from, int64_t from_offset, VkBuffer to,
                      int64_t to_offset, int64_t size)
{
    VkCommandBuffer commands;
    TRY(vulkan_once_begin(device, &commands));
    VkBufferCopy range = {.srcOffset = (VkDeviceSize)from_offset,
                          .dstOffset = (VkDeviceSize)to_offset,
                          .size = (VkDeviceSize)size};
    vkCmdCopyBuffer(commands, from, to, 1, &range);
    return vulkan_once_run(device);
}

wf_status vulkan_buffer_write(Buffer *base, int64_t offset, const void *data, int64_t size)
{
    VulkanBuffer *buffer = (VulkanBuffer *)base;
    VulkanDevice *device = vulkan_device(base->device);
    TRY(buffer_check_range(base, offset, size));
    if (buffer->data) {
        TRY(vulkan_wait(device, device->submitted));
        memcpy(buffer->data + offset, data, (size_t)size);
        return WF_OK;
    }
    for (int64_t at = 0; at < size; at += VULKAN_STAGING) {
        int64_t part = int64_min(size - at, VULKAN_STAGING);
        memcpy(device->staging_data, (const char *)data + at, (size_t)part);
        TRY(copy(device, device->staging, 0, buffer->buffer, offset + at, part));
    }
    return WF_OK;
}

wf_status vulkan_buffer_read(Buffer *base, int64_t offset, void *data, int64_t size)
{
    VulkanBuffer *buffer = (VulkanBuffer *)base;
    VulkanDevice *device = vulkan_device(base->device);
    TRY(buffer_check_range(base, offset, size));
    if (buffer->data) {
        TRY(vulkan_wait(device, device->submitted));
        memcpy(data, buffer->data + offset, (size_t)size);
        return WF_OK;
    }
    for (int64_t at = 0; at < size; at += VULKAN_STAGING) {
        int64_t part = int64_min(size - at, VULKAN_STAGING);
        TRY(copy(device, buffer->buffer, offset + at, device->staging, 0, part));
        memcpy((char *)data + at, device->staging_data, (size_t)part);
    }
    return WF_OK;
}

wf_status vulkan_buffer_fill(Buffer *base, int64_t offset, int64_t size, uint32_t word)
{
    VulkanBuffer *buffer = (VulkanBuffer *)base;
    VulkanDevice *device = vulkan_device(base->device);
    TRY(buffer_check_words(base, offset, size));
    if (size == 0) return WF_OK;
    VkCommandBuffer commands;
    TRY(vulkan_once_begin(device, &commands));
    vkCmdFillBuffer(commands, buffer->buffer, (VkDeviceSize)offset, (VkDeviceSize)size, word);
    return vulkan_once_run(device);
}
