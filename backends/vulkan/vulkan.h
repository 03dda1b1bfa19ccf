/* What the files of the Vulkan backend share.
 *
 * Vulkan 1.2 with buffer device addresses: kernels get addresses in push constants, so that only
 * VkFFT has descriptor sets. One queue; everything on it runs in the order it was submitted. */
#ifndef BACKENDS_VULKAN_VULKAN_H
#define BACKENDS_VULKAN_VULKAN_H

#include "backends/gpu/cache.h"
#include "backends/gpu/gpu.h"
#include "backends/vulkan/loader.h"
#include "backends/vulkan/matrix.h"

typedef struct KnownTransform KnownTransform; /* fft.c */
typedef struct VulkanTransform VulkanTransform;

/* A command buffer, and the number of the submission it last was in. */
typedef struct VulkanSlot {
    VkCommandBuffer commands;
    uint64_t number;
    int64_t ring_end; /* the ring's bytes before this are free when it is done */
} VulkanSlot;

typedef struct VulkanMemory {
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkDeviceAddress address;
    char *data; /* NULL where the host does not see it */
} VulkanMemory;

enum { VULKAN_SLOTS = 8 };

typedef struct VulkanDevice {
    Device base;
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    bool lost;       /* nothing works any more but destroying */
    uint32_t family; /* of the queue */
    VkQueue queue;
    VkCommandPool pool;
    VkFence fence;                  /* VkFFT's */
    VkSemaphore timeline;           /* has reached the number of the last submission that is done */
    uint64_t submitted, done;       /* the last one submitted; one known to be done */
    VulkanSlot slots[VULKAN_SLOTS]; /* of commands that run once, used in turn */
    int slot;                       /* the next */
    VkPipelineLayout layout;
    VkPipelineCache pipeline_cache;
    GpuCache files;                     /* what is kept between runs of the program */
    uint64_t pipelines_kept;            /* hash of the compiled pipelines in the file */
    VkPipeline pipelines[KERNEL_COUNT]; /* made when first needed */
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t memory_type;             /* of buffers */
    bool mapped;                      /* the host sees that type */
    uint32_t ring_type, landing_type; /* that the host writes, and reads */
    VulkanMemory ring, landing;       /* of bytes to buffers, and from them */
    int64_t ring_head, ring_tail;     /* bytes that ever went in, and that have come out */
    bool open;                        /* the next slot is gathering writes */
    int64_t open_since;               /* ring_head when that began */
    GpuLimits gpu;
    double rate;                /* operations and bytes moved a second, estimated */
    double target;              /* seconds that a submission should take at most */
    uint32_t timestamp_bits;    /* of the queue's timestamps; 0: it has none */
    double tick;                /* seconds between two values of a timestamp */
    KnownTransform *transforms; /* shapes checked so far */
    int n_learned;              /* of them, those compiled here rather than read from a file */
    VulkanMatrix matrix;        /* what the kernels of matrices are made for; rows 0: none */
} VulkanDevice;

typedef struct VulkanBuffer {
    Buffer base;
    VulkanMemory memory;
    uint64_t used; /* number of the last submission that may touch it */
} VulkanBuffer;

typedef struct VulkanReadback {
    Readback base;
    VulkanMemory landing; /* of its own: the next one's bytes do not come over these */
    uint64_t number;      /* of the submission that brings the bytes */
} VulkanReadback;

enum { VULKAN_RING = 16 << 20, VULKAN_LANDING = 2 << 20 }; /* bytes */

/* Of the buffers that VkFFT gets over a slab's memory, and of all others. */
enum {
    VULKAN_VIEW_USAGE = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                        VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    VULKAN_USAGE = VULKAN_VIEW_USAGE | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT
};

static inline VulkanDevice *vulkan_device(const Device *device)
{
    return (VulkanDevice *)device;
}

extern const Backend backend_vulkan;

/* queue.c. Submissions are numbered from 1 and run in the order of their numbers. Every call below
 * answers WF_ERROR_DEVICE at once when the device has been lost. */

/* WF_ERROR_MEMORY or WF_ERROR_DEVICE, with "Vulkan: <doing>: <error>" as the message. The device,
 * NULL where there is none yet, is lost from here on where the result says so. */
wf_status vulkan_fail(VulkanDevice *device, VkResult result, const char *format, ...)
    PRINTF_LIKE(3, 4);
wf_status vulkan_alive(const VulkanDevice *device);

/* TRY for Vulkan's results. */
#define TRY_VULKAN(device, call, ...)                                                              \
    do {                                                                                           \
        VkResult try_result_ = (call);                                                             \
        if (try_result_) return vulkan_fail(device, try_result_, __VA_ARGS__);                     \
    } while (0)

/* The same for what a call makes, of which a failed one leaves anything. */
#define TRY_VULKAN_MAKE(device, made, call, ...)                                                   \
    do {                                                                                           \
        VkResult try_result_ = (call);                                                             \
        if (try_result_) {                                                                         \
            (made) = VK_NULL_HANDLE;                                                               \
            return vulkan_fail(device, try_result_, __VA_ARGS__);                                  \
        }                                                                                          \
    } while (0)

wf_status vulkan_queue_create(VulkanDevice *device);
void vulkan_queue_destroy(VulkanDevice *device);
/* Orders everything recorded after it behind everything before it. */
void vulkan_barrier(VkCommandBuffer commands);
/* A recording starts and ends with a barrier. */
wf_status vulkan_commands_begin(VulkanDevice *device, VkCommandBuffer commands,
                                VkCommandBufferUsageFlags flags);
wf_status vulkan_commands_end(VulkanDevice *device, VkCommandBuffer commands);
/* Enqueues a recording; its number is device->submitted. */
wf_status vulkan_submit(VulkanDevice *device, VkCommandBuffer commands);
/* Until the submission of this number, and so every one before it, is done. */
wf_status vulkan_wait(VulkanDevice *device, uint64_t number);
/* Is it done already? */
wf_status vulkan_done(VulkanDevice *device, uint64_t number, bool *done);
/* Commands that run once: begin, record, then submit, or run to wait for them too. Begin waits only
 * while VULKAN_SLOTS such submissions are under way. */
wf_status vulkan_once_begin(VulkanDevice *device, VkCommandBuffer *out);
wf_status vulkan_once_submit(VulkanDevice *device);
wf_status vulkan_once_run(VulkanDevice *device);
/* Until nothing is under way, whatever has happened to the device: before destroying. */
void vulkan_settle(VulkanDevice *device);

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
/* On failure too, destroy has to follow. */
wf_status vulkan_memory_create(VulkanDevice *device, uint32_t type, int64_t size,
                               VulkanMemory *out);
void vulkan_memory_destroy(VulkanDevice *device, VulkanMemory *memory);

/* transfer.c: a write or fill is enqueued, and the host's bytes are copied by then; a read waits,
 * a readback when its bytes are asked for. */
wf_status vulkan_transfers_create(VulkanDevice *device);
void vulkan_transfers_destroy(VulkanDevice *device);
wf_status vulkan_transfer_write(VulkanDevice *device, VulkanBuffer *buffer, int64_t offset,
                                const void *data, int64_t size);
wf_status vulkan_transfer_read(VulkanDevice *device, const VulkanBuffer *buffer, int64_t offset,
                               void *data, int64_t size);
wf_status vulkan_transfer_fill(VulkanDevice *device, VulkanBuffer *buffer, int64_t offset,
                               int64_t size, uint32_t word);
wf_status vulkan_readback_create(Device *device, int64_t size, Readback **out);
void vulkan_readback_destroy(Readback *readback);
wf_status vulkan_readback_begin(Readback *readback, Buffer *buffer, int64_t offset);
wf_status vulkan_readback_end(Readback *readback, void *data);
/* Submits the writes and fills gathered so far. */
wf_status vulkan_flush(VulkanDevice *device);

/* program.c */
wf_status vulkan_program_create(Device *device, const Plan *plan, Program **out);
void vulkan_program_destroy(Program *program);
wf_status vulkan_program_run(Program *program);
wf_status vulkan_program_run_nodes(Program *program, int first, int last);
const CommandList *vulkan_program_commands(const Program *program);
int vulkan_program_submissions(const Program *program); /* of one run */
/* A kernel's SPIR-V; bytes 0: this build has none of it. */
typedef struct VulkanCode {
    const uint32_t *words;
    size_t bytes;
} VulkanCode;
VulkanCode vulkan_kernel_code(KernelId kernel);

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
