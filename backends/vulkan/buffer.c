/* Memory on a Vulkan device. Where the host sees it, it is mapped for good; elsewhere, and where
 * the queue still uses it, bytes go through transfer.c. */
#include "backends/vulkan/vulkan.h"

#include <stdlib.h>
#include <string.h>

static bool host_sees(const VulkanDevice *device, uint32_t type)
{
    return (device->memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) !=
           0;
}

static wf_status create(VulkanDevice *device, uint32_t type, VkDeviceSize size, VulkanMemory *out)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = size, .usage = VULKAN_USAGE};
    double mib = (double)size / 0x1p20;
    TRY_VULKAN_MAKE(device, out->buffer, vkCreateBuffer(device->device, &info, NULL, &out->buffer),
                    "a buffer of %.1f MiB", mib);
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device->device, out->buffer, &needs);
    if (!(needs.memoryTypeBits >> type & 1u))
        return fail(WF_ERROR_DEVICE, "%s refuses its own memory for a buffer of %.1f MiB",
                    device->base.info.name, mib);
    VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                       .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo allocation = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &flags,
                                       .allocationSize = needs.size,
                                       .memoryTypeIndex = type};
    TRY_VULKAN_MAKE(device, out->memory,
                    vkAllocateMemory(device->device, &allocation, NULL, &out->memory),
                    "a buffer of %.1f MiB", mib);
    TRY_VULKAN(device, vkBindBufferMemory(device->device, out->buffer, out->memory, 0),
               "a buffer of %.1f MiB", mib);
    VkBufferDeviceAddressInfo where = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                       .buffer = out->buffer};
    out->address = vkGetBufferDeviceAddress(device->device, &where);
    return WF_OK;
}

wf_status vulkan_memory_create(VulkanDevice *device, uint32_t type, int64_t size, VulkanMemory *out)
{
    *out = (VulkanMemory){0};
    wf_status status = create(device, type, (VkDeviceSize)size, out);
    if (status || !host_sees(device, type)) return status;
    void *data = NULL;
    TRY_VULKAN(device, vkMapMemory(device->device, out->memory, 0, VK_WHOLE_SIZE, 0, &data),
               "mapping a buffer of %.1f MiB", (double)size / 0x1p20);
    out->data = data;
    return WF_OK;
}

void vulkan_memory_destroy(VulkanDevice *device, VulkanMemory *memory)
{
    vkDestroyBuffer(device->device, memory->buffer, NULL);
    vkFreeMemory(device->device, memory->memory, NULL);
    *memory = (VulkanMemory){0};
}

wf_status vulkan_buffer_create(Device *base, int64_t size, Buffer **out)
{
    VulkanDevice *device = vulkan_device(base);
    TRY(vulkan_alive(device));
    VulkanBuffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer) return fail(WF_ERROR_MEMORY, "out of memory for a buffer's record");
    buffer->base = (Buffer){.device = base, .size = size};
    /* Whole words, so that every byte can be filled. */
    wf_status status = vulkan_memory_create(device, device->memory_type,
                                            round_up(int64_max(size, 4), 4), &buffer->memory);
    if (status) {
        vulkan_memory_destroy(device, &buffer->memory);
        free(buffer);
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
    vulkan_settle(device);
    vulkan_memory_destroy(device, &buffer->memory);
    free(buffer);
}

/* Where the host sees the buffer and the queue is done with it, a write is a copy in memory; where
 * the queue is not, a small one goes through the ring rather than wait. */
wf_status vulkan_buffer_write(Buffer *base, int64_t offset, const void *data, int64_t size)
{
    VulkanBuffer *buffer = (VulkanBuffer *)base;
    VulkanDevice *device = vulkan_device(base->device);
    bool done = false;
    TRY(buffer_check_range(base, offset, size));
    TRY(vulkan_done(device, buffer->used, &done));
    if (!device->mapped || (!done && size <= VULKAN_RING / 4))
        return vulkan_transfer_write(device, buffer, offset, data, size);
    TRY(vulkan_wait(device, buffer->used));
    memcpy(buffer->memory.data + offset, data, (size_t)size);
    return WF_OK;
}

wf_status vulkan_buffer_read(Buffer *base, int64_t offset, void *data, int64_t size)
{
    VulkanBuffer *buffer = (VulkanBuffer *)base;
    VulkanDevice *device = vulkan_device(base->device);
    TRY(buffer_check_range(base, offset, size));
    TRY(vulkan_alive(device));
    if (!device->mapped) return vulkan_transfer_read(device, buffer, offset, data, size);
    TRY(vulkan_wait(device, buffer->used));
    memcpy(data, buffer->memory.data + offset, (size_t)size);
    return WF_OK;
}

wf_status vulkan_buffer_fill(Buffer *base, int64_t offset, int64_t size, uint32_t word)
{
    TRY(buffer_check_words(base, offset, size));
    TRY(vulkan_alive(vulkan_device(base->device)));
    if (size == 0) return WF_OK;
    return vulkan_transfer_fill(vulkan_device(base->device), (VulkanBuffer *)base, offset, size,
                                word);
}
