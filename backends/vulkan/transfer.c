/* Bytes on their way to buffers and back.
 *
 * Writes pass through a ring of memory that the host fills and the queue empties, so that a write
 * returns as soon as its bytes are in the ring. Writes and fills gather in one open command buffer,
 * which goes to the queue before anything else does, or when it holds enough to be worth it. Reads
 * land in two places in turn: while one is copied out, the queue fills the other. */
#include "backends/vulkan/vulkan.h"

#include <stdlib.h>
#include <string.h>

enum { WORTH_SUBMITTING = VULKAN_RING / 4, ALIGNMENT = 16 };

wf_status vulkan_transfers_create(VulkanDevice *device)
{
    TRY(vulkan_memory_create(device, device->ring_type, VULKAN_RING, &device->ring));
    return vulkan_memory_create(device, device->landing_type, 2 * VULKAN_LANDING, &device->landing);
}

void vulkan_transfers_destroy(VulkanDevice *device)
{
    vulkan_memory_destroy(device, &device->ring);
    vulkan_memory_destroy(device, &device->landing);
}

/* ---- the open command buffer ---- */

static wf_status open_batch(VulkanDevice *device, VkCommandBuffer *commands)
{
    if (device->open) {
        *commands = device->slots[device->slot].commands;
        vulkan_barrier(*commands); /* two writes may go to the same bytes */
        return WF_OK;
    }
    TRY(vulkan_once_begin(device, commands));
    device->open = true;
    device->open_since = device->ring_head;
    return WF_OK;
}

wf_status vulkan_flush(VulkanDevice *device)
{
    if (!device->open) return WF_OK;
    device->open = false;
    return vulkan_once_submit(device);
}

/* ---- the ring ---- */

/* The oldest submission that still holds bytes of the ring; NULL: none does. */
static const VulkanSlot *oldest_holder(const VulkanDevice *device)
{
    for (int i = 0; i < VULKAN_SLOTS; i++) {
        const VulkanSlot *slot = &device->slots[(device->slot + i) % VULKAN_SLOTS];
        if (slot->number && slot->ring_end > device->ring_tail) return slot;
    }
    return NULL;
}

/* Room for `size` bytes in one piece, size ≤ VULKAN_RING / 2; waits only when the ring is full. */
static wf_status reserve(VulkanDevice *device, int64_t size, int64_t *at)
{
    int64_t head = round_up(device->ring_head, ALIGNMENT);
    if (head % VULKAN_RING + size > VULKAN_RING) head = round_up(head, VULKAN_RING);
    while (head + size - device->ring_tail > VULKAN_RING) {
        TRY(vulkan_flush(device));
        const VulkanSlot *slot = oldest_holder(device);
        if (slot) TRY(vulkan_wait(device, slot->number));
        device->ring_tail = slot ? slot->ring_end : head;
    }
    device->ring_head = head + size;
    *at = head % VULKAN_RING;
    return WF_OK;
}

static wf_status write_piece(VulkanDevice *device, VulkanBuffer *buffer, int64_t offset,
                             const char *data, int64_t size)
{
    int64_t at = 0;
    VkCommandBuffer commands;
    TRY(reserve(device, size, &at));
    memcpy(device->ring.data + at, data, (size_t)size);
    TRY(open_batch(device, &commands));
    VkBufferCopy range = {.srcOffset = (VkDeviceSize)at,
                          .dstOffset = (VkDeviceSize)offset,
                          .size = (VkDeviceSize)size};
    vkCmdCopyBuffer(commands, device->ring.buffer, buffer->memory.buffer, 1, &range);
    buffer->used = device->submitted + 1;
    if (device->ring_head - device->open_since >= WORTH_SUBMITTING) return vulkan_flush(device);
    return WF_OK;
}

wf_status vulkan_transfer_write(VulkanDevice *device, VulkanBuffer *buffer, int64_t offset,
                                const void *data, int64_t size)
{
    for (int64_t at = 0; at < size; at += WORTH_SUBMITTING)
        TRY(write_piece(device, buffer, offset + at, (const char *)data + at,
                        int64_min(size - at, WORTH_SUBMITTING)));
    return WF_OK;
}

wf_status vulkan_transfer_fill(VulkanDevice *device, VulkanBuffer *buffer, int64_t offset,
                               int64_t size, uint32_t word)
{
    VkCommandBuffer commands;
    TRY(open_batch(device, &commands));
    vkCmdFillBuffer(commands, buffer->memory.buffer, (VkDeviceSize)offset, (VkDeviceSize)size,
                    word);
    buffer->used = device->submitted + 1;
    return WF_OK;
}

/* ---- reading ---- */

/* Submits a copy of `size` bytes at `offset` to memory that the host reads, at `to`. */
static wf_status land(VulkanDevice *device, const VulkanBuffer *buffer, int64_t offset,
                      int64_t size, const VulkanMemory *landing, int64_t to)
{
    VkCommandBuffer commands;
    TRY(vulkan_once_begin(device, &commands));
    VkBufferCopy range = {.srcOffset = (VkDeviceSize)offset,
                          .dstOffset = (VkDeviceSize)to,
                          .size = (VkDeviceSize)size};
    vkCmdCopyBuffer(commands, buffer->memory.buffer, landing->buffer, 1, &range);
    return vulkan_once_submit(device);
}

wf_status vulkan_transfer_read(VulkanDevice *device, const VulkanBuffer *buffer, int64_t offset,
                               void *data, int64_t size)
{
    const VulkanMemory *landing = &device->landing;
    if (size > 0) TRY(land(device, buffer, offset, int64_min(size, VULKAN_LANDING), landing, 0));
    int which = 0;
    for (int64_t at = 0; at < size; at += VULKAN_LANDING, which = !which) {
        int64_t next = at + VULKAN_LANDING;
        uint64_t number = device->submitted;
        if (next < size)
            TRY(land(device, buffer, offset + next, int64_min(size - next, VULKAN_LANDING), landing,
                     (int64_t)!which * VULKAN_LANDING));
        TRY(vulkan_wait(device, number));
        memcpy((char *)data + at, landing->data + which * VULKAN_LANDING,
               (size_t)int64_min(size - at, VULKAN_LANDING));
    }
    return WF_OK;
}

/* ---- reading in two halves ---- */

wf_status vulkan_readback_create(Device *base, int64_t size, Readback **out)
{
    VulkanDevice *device = vulkan_device(base);
    TRY(vulkan_alive(device));
    VulkanReadback *readback = calloc(1, sizeof *readback);
    if (!readback) return fail(WF_ERROR_MEMORY, "out of memory for a readback's record");
    readback->base = (Readback){.device = base, .size = size};
    wf_status status =
        vulkan_memory_create(device, device->landing_type, int64_max(size, 4), &readback->landing);
    if (status) {
        vulkan_memory_destroy(device, &readback->landing);
        free(readback);
        return status;
    }
    *out = &readback->base;
    return WF_OK;
}

void vulkan_readback_destroy(Readback *base)
{
    VulkanReadback *readback = (VulkanReadback *)base;
    if (!readback) return;
    VulkanDevice *device = vulkan_device(base->device);
    vulkan_settle(device);
    vulkan_memory_destroy(device, &readback->landing);
    free(readback);
}

wf_status vulkan_readback_begin(Readback *base, Buffer *from, int64_t offset)
{
    VulkanReadback *readback = (VulkanReadback *)base;
    VulkanBuffer *buffer = (VulkanBuffer *)from;
    VulkanDevice *device = vulkan_device(base->device);
    TRY(buffer_check_range(from, offset, base->size));
    TRY(vulkan_alive(device));
    if (base->size == 0) return WF_OK;
    TRY(land(device, buffer, offset, base->size, &readback->landing, 0));
    readback->number = buffer->used = device->submitted;
    return WF_OK;
}

wf_status vulkan_readback_end(Readback *base, void *data)
{
    VulkanReadback *readback = (VulkanReadback *)base;
    TRY(vulkan_wait(vulkan_device(base->device), readback->number));
    memcpy(data, readback->landing.data, (size_t)base->size);
    return WF_OK;
}
