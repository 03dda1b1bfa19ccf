/* What the files of the Vulkan backend share.
 *
 * Vulkan 1.2 with buffer device addresses: kernels get addresses in push constants, so that only
 * VkFFT has descriptor sets. One queue; everything on it runs in the order it was submitted. */
#ifndef BACKENDS_VULKAN_VULKAN_H
#define BACKENDS_VULKAN_VULKAN_H

#include "backends/gpu/cache.h"
#include "backends/gpu/gpu.h"
#include "backends/vulkan/loader.h"

typedef struct KnownTransform KnownTransform; /* fft.c */
typedef struct VulkanTransform VulkanTransform;

typedef struct VulkanDevice {
    Device base;
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    VkCommandPool pool;
    VkFence fence;          /* of work that is waited for, and VkFFT's */
    VkCommandBuffer copies; /* of work that is waited for */
    VkPipelineLayout layout;
    VkPipelineCache pipeline_cache;
    GpuCache files;                     /* what is kept between runs of the program */
    uint64_t pipelines_kept;            /* hash of the compiled pipelines in the file */
    VkPipeline pipelines[KERNEL_COUNT]; /* made when first needed */
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t memory_type;  /* of buffers */
    bool mapped;           /* the host sees that type */
    uint32_t staging_type; /* where it does not */
    VkBuffer staging;
    VkDeviceMemory staging_memory;
    void *staging_data;
    GpuLimits gpu;
    double step_cost;           /* largest estimate of one submission's work */
    KnownTransform *transforms; /* shapes checked so far */
    int n_learned;              /* of them, those compiled here rather than read from a file */
} VulkanDevice;

typedef struct VulkanBuffer {
    Buffer base;
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkDeviceAddress address;
    char *data; /* NULL where the host does not see it */
} VulkanBuffer;

enum { VULKAN_STAGING = 8 << 20 }; /* bytes */

/* Of the buffers that VkFFT gets over a slab's memory. */
enum {
    VULKAN_VIEW_USAGE = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                        VK_BUFFER_USAGE_TRANSFER_DST_BIT
};

static inline VulkanDevice *vulkan_device(const Device *device)
{
    return (VulkanDevice *)device;
}

/* WF_ERROR_MEMORY or WF_ERROR_DEVICE, with "Vulkan: <doing>: <error>" as the message. */
wf_status vulkan_fail(VkResult result, const char *format, ...) PRINTF_LIKE(2, 3);

/* TRY for Vulkan's results. */
#define TRY_VULKAN(call, ...)                                                                      \
    do {                                                                                           \
        VkResult try_result_ = (call);                                                             \
        if (try_result_) return vulkan_fail(try_result_, __VA_ARGS__);                             \
    } while (0)

extern const Backend backend_vulkan;

/* device.c */
wf_status vulkan_command_begin(VkCommandBuffer commands, VkCommandBufferUsageFlags flags);
/* Submits, and waits until this and everything before it is done. */
wf_status vulkan_command_run(VulkanDevice *device, VkCommandBuffer commands);
wf_status vulkan_wait(VulkanDevice *device);

/* cache.c: the pipeline cache, filled from its file; keep writes it back where it has grown. */
wf_status vulkan_cache_open(VulkanDevice *device);
void vulkan_cache_keep(VulkanDevice *device);
void vulkan_cache_close(VulkanDevice *device);

/* buffer.c */
wf_status vulkan_buffer_create(Device *device, int64_t size, Buffer **out);
void vulkan_buffer_destroy(Buffer *buffer);
wf_status vulkan_buffer_write(Buffer *buffer, int64_t offset, const void *data, int64_t size);
wf_status vulkan_buffer_read(Buffer *buffer, int64_t offset, void *data, int64_t size);
wf_status vulkan_buffer_fill(Buffer *buffer, int64_t offset, int64_t size, uint32_t word);
wf_status vulkan_staging_create(VulkanDevice *device);
void vulkan_staging_destroy(VulkanDevice *device);

/* program.c */
wf_status vulkan_program_create(Device *device, const Plan *plan, Program **out);
void vulkan_program_destroy(Program *program);
wf_status vulkan_program_run(Program *program);
wf_status vulkan_program_run_nodes(Program *program, int first, int last);
const CommandList *vulkan_program_commands(const Program *program);
/* Orders everything recorded after it behind everything before it. */
void vulkan_barrier(VkCommandBuffer commands);

/* fft.c: one plan for each place, since VkFFT ties a plan's descriptors to its buffers. */
wf_status vulkan_transform_create(VulkanDevice *device, const Plan *plan, const Transform *shape,
                                  VulkanTransform **out);
void vulkan_transform_destroy(VulkanTransform *transform); /* NULL is allowed */
bool vulkan_transform_is(const VulkanTransform *transform, const Transform *shape);
wf_status vulkan_transform_record(VulkanTransform *transform, VkCommandBuffer commands);
/* Under which what was compiled for this shape is kept in files; returns `name`. */
const char *vulkan_transform_name(const Transform *shape, char name[96]);
void vulkan_known_transforms_free(VulkanDevice *device);

#endif
