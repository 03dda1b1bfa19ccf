/* VkFFT's calls of Vulkan, watched: it says only that something failed, and where a call fails
 * while it plans it leaves objects behind.
 *
 * After this header, which fft.c includes before VkFFT's, the calls go through here. Between
 * vulkan_watch_begin() and _end() on one thread, what is made is noted, and so is the first
 * failure. */
#ifndef BACKENDS_VULKAN_WATCH_H
#define BACKENDS_VULKAN_WATCH_H

#include "backends/vulkan/vulkan.h"

typedef struct VulkanObject {
    VkObjectType type;
    uint64_t handle; /* the bytes of the handle */
} VulkanObject;

typedef struct VulkanWatch {
    VulkanDevice *device;
    VulkanObject *objects; /* made and not destroyed */
    int n_objects, capacity;
    VkResult failure; /* the first, or VK_SUCCESS */
} VulkanWatch;

void vulkan_watch_begin(VulkanWatch *watch, VulkanDevice *device);
/* Where planning failed, destroys what is left. */
void vulkan_watch_end(VulkanWatch *watch, bool failed);

/* X(function, info, handle, type) and X(function, parameters, arguments). */
#define VULKAN_WATCHED_MAKERS(X)                                                                   \
    X(vkCreateBuffer, VkBufferCreateInfo, VkBuffer, VK_OBJECT_TYPE_BUFFER)                         \
    X(vkAllocateMemory, VkMemoryAllocateInfo, VkDeviceMemory, VK_OBJECT_TYPE_DEVICE_MEMORY)        \
    X(vkCreateShaderModule, VkShaderModuleCreateInfo, VkShaderModule,                              \
      VK_OBJECT_TYPE_SHADER_MODULE)                                                                \
    X(vkCreatePipelineLayout, VkPipelineLayoutCreateInfo, VkPipelineLayout,                        \
      VK_OBJECT_TYPE_PIPELINE_LAYOUT)                                                              \
    X(vkCreateDescriptorSetLayout, VkDescriptorSetLayoutCreateInfo, VkDescriptorSetLayout,         \
      VK_OBJECT_TYPE_DESCRIPTOR_SET_LAYOUT)                                                        \
    X(vkCreateDescriptorPool, VkDescriptorPoolCreateInfo, VkDescriptorPool,                        \
      VK_OBJECT_TYPE_DESCRIPTOR_POOL)
#define VULKAN_WATCHED_ENDERS(X)                                                                   \
    X(vkDestroyBuffer, VkBuffer, VK_OBJECT_TYPE_BUFFER)                                            \
    X(vkFreeMemory, VkDeviceMemory, VK_OBJECT_TYPE_DEVICE_MEMORY)                                  \
    X(vkDestroyShaderModule, VkShaderModule, VK_OBJECT_TYPE_SHADER_MODULE)                         \
    X(vkDestroyPipelineLayout, VkPipelineLayout, VK_OBJECT_TYPE_PIPELINE_LAYOUT)                   \
    X(vkDestroyDescriptorSetLayout, VkDescriptorSetLayout, VK_OBJECT_TYPE_DESCRIPTOR_SET_LAYOUT)   \
    X(vkDestroyDescriptorPool, VkDescriptorPool, VK_OBJECT_TYPE_DESCRIPTOR_POOL)                   \
    X(vkDestroyPipeline, VkPipeline, VK_OBJECT_TYPE_PIPELINE)
#define VULKAN_WATCHED_CALLS(X)                                                                    \
    X(vkBindBufferMemory,                                                                          \
      (VkDevice device, VkBuffer buffer, VkDeviceMemory memory, VkDeviceSize offset),              \
      (device, buffer, memory, offset))                                                            \
    X(vkMapMemory,                                                                                 \
      (VkDevice device, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size,             \
       VkMemoryMapFlags flags, void **data),                                                       \
      (device, memory, offset, size, flags, data))                                                 \
    X(vkAllocateDescriptorSets,                                                                    \
      (VkDevice device, const VkDescriptorSetAllocateInfo *info, VkDescriptorSet *sets),           \
      (device, info, sets))                                                                        \
    X(vkBeginCommandBuffer, (VkCommandBuffer commands, const VkCommandBufferBeginInfo *info),      \
      (commands, info))                                                                            \
    X(vkEndCommandBuffer, (VkCommandBuffer commands), (commands))                                  \
    X(vkQueueSubmit, (VkQueue queue, uint32_t count, const VkSubmitInfo *infos, VkFence fence),    \
      (queue, count, infos, fence))                                                                \
    X(vkWaitForFences,                                                                             \
      (VkDevice device, uint32_t count, const VkFence *fences, VkBool32 all, uint64_t timeout),    \
      (device, count, fences, all, timeout))                                                       \
    X(vkResetFences, (VkDevice device, uint32_t count, const VkFence *fences),                     \
      (device, count, fences))

#define X(function, info, handle, type)                                                            \
    VkResult watched_##function(VkDevice device, const info *what,                                 \
                                const VkAllocationCallbacks *allocator, handle *out);
VULKAN_WATCHED_MAKERS(X)
#undef X
#define X(function, handle, type)                                                                  \
    void watched_##function(VkDevice device, handle object, const VkAllocationCallbacks *allocator);
VULKAN_WATCHED_ENDERS(X)
#undef X
#define X(function, parameters, arguments) VkResult watched_##function parameters;
VULKAN_WATCHED_CALLS(X)
#undef X
VkResult watched_vkCreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                          const VkComputePipelineCreateInfo *what,
                                          const VkAllocationCallbacks *allocator, VkPipeline *out);
VkResult watched_vkAllocateCommandBuffers(VkDevice device, const VkCommandBufferAllocateInfo *what,
                                          VkCommandBuffer *out);
void watched_vkFreeCommandBuffers(VkDevice device, VkCommandPool pool, uint32_t count,
                                  const VkCommandBuffer *commands);

#ifndef VULKAN_WATCH_ITSELF
#undef vkCreateBuffer
#undef vkAllocateMemory
#undef vkCreateShaderModule
#undef vkCreatePipelineLayout
#undef vkCreateDescriptorSetLayout
#undef vkCreateDescriptorPool
#undef vkDestroyBuffer
#undef vkFreeMemory
#undef vkDestroyShaderModule
#undef vkDestroyPipelineLayout
#undef vkDestroyDescriptorSetLayout
#undef vkDestroyDescriptorPool
#undef vkDestroyPipeline
#undef vkBindBufferMemory
#undef vkMapMemory
#undef vkAllocateDescriptorSets
#undef vkBeginCommandBuffer
#undef vkEndCommandBuffer
#undef vkQueueSubmit
#undef vkWaitForFences
#undef vkResetFences
#undef vkCreateComputePipelines
#undef vkAllocateCommandBuffers
#undef vkFreeCommandBuffers
#define vkCreateBuffer               watched_vkCreateBuffer
#define vkAllocateMemory             watched_vkAllocateMemory
#define vkCreateShaderModule         watched_vkCreateShaderModule
#define vkCreatePipelineLayout       watched_vkCreatePipelineLayout
#define vkCreateDescriptorSetLayout  watched_vkCreateDescriptorSetLayout
#define vkCreateDescriptorPool       watched_vkCreateDescriptorPool
#define vkDestroyBuffer              watched_vkDestroyBuffer
#define vkFreeMemory                 watched_vkFreeMemory
#define vkDestroyShaderModule        watched_vkDestroyShaderModule
#define vkDestroyPipelineLayout      watched_vkDestroyPipelineLayout
#define vkDestroyDescriptorSetLayout watched_vkDestroyDescriptorSetLayout
#define vkDestroyDescriptorPool      watched_vkDestroyDescriptorPool
#define vkDestroyPipeline            watched_vkDestroyPipeline
#define vkBindBufferMemory           watched_vkBindBufferMemory
#define vkMapMemory                  watched_vkMapMemory
#define vkAllocateDescriptorSets     watched_vkAllocateDescriptorSets
#define vkBeginCommandBuffer         watched_vkBeginCommandBuffer
#define vkEndCommandBuffer           watched_vkEndCommandBuffer
#define vkQueueSubmit                watched_vkQueueSubmit
#define vkWaitForFences              watched_vkWaitForFences
#define vkResetFences                watched_vkResetFences
#define vkCreateComputePipelines     watched_vkCreateComputePipelines
#define vkAllocateCommandBuffers     watched_vkAllocateCommandBuffers
#define vkFreeCommandBuffers         watched_vkFreeCommandBuffers
#endif

#endif
