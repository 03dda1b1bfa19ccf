/* The Vulkan loader, loaded at run time: a machine without it runs the same binary.
 *
 * After this header the Vulkan functions listed below, those that VkFFT uses among them, are called
 * by their own names. Nothing may be called before vulkan_load() has returned NULL. */
#ifndef BACKENDS_VULKAN_LOADER_H
#define BACKENDS_VULKAN_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <vulkan/vulkan.h>

#define VULKAN_FUNCTIONS(X)                                                                        \
    X(vkEnumerateInstanceVersion)                                                                  \
    X(vkGetInstanceProcAddr)                                                                       \
    X(vkCreateInstance)                                                                            \
    X(vkDestroyInstance)                                                                           \
    X(vkEnumeratePhysicalDevices)                                                                  \
    X(vkGetPhysicalDeviceProperties)                                                               \
    X(vkGetPhysicalDeviceProperties2)                                                              \
    X(vkGetPhysicalDeviceFeatures2)                                                                \
    X(vkGetPhysicalDeviceQueueFamilyProperties)                                                    \
    X(vkGetPhysicalDeviceMemoryProperties)                                                         \
    X(vkEnumerateDeviceExtensionProperties)                                                        \
    X(vkCreateDevice)                                                                              \
    X(vkDestroyDevice)                                                                             \
    X(vkDeviceWaitIdle)                                                                            \
    X(vkGetDeviceQueue)                                                                            \
    X(vkQueueSubmit)                                                                               \
    X(vkQueueWaitIdle)                                                                             \
    X(vkCreateFence)                                                                               \
    X(vkDestroyFence)                                                                              \
    X(vkResetFences)                                                                               \
    X(vkWaitForFences)                                                                             \
    X(vkCreateSemaphore)                                                                           \
    X(vkDestroySemaphore)                                                                          \
    X(vkWaitSemaphores)                                                                            \
    X(vkGetSemaphoreCounterValue)                                                                  \
    X(vkAllocateMemory)                                                                            \
    X(vkFreeMemory)                                                                                \
    X(vkMapMemory)                                                                                 \
    X(vkUnmapMemory)                                                                               \
    X(vkCreateBuffer)                                                                              \
    X(vkDestroyBuffer)                                                                             \
    X(vkGetBufferMemoryRequirements)                                                               \
    X(vkBindBufferMemory)                                                                          \
    X(vkGetBufferDeviceAddress)                                                                    \
    X(vkCreateShaderModule)                                                                        \
    X(vkDestroyShaderModule)                                                                       \
    X(vkCreatePipelineLayout)                                                                      \
    X(vkDestroyPipelineLayout)                                                                     \
    X(vkCreatePipelineCache)                                                                       \
    X(vkDestroyPipelineCache)                                                                      \
    X(vkGetPipelineCacheData)                                                                      \
    X(vkCreateComputePipelines)                                                                    \
    X(vkDestroyPipeline)                                                                           \
    X(vkCreateDescriptorSetLayout)                                                                 \
    X(vkDestroyDescriptorSetLayout)                                                                \
    X(vkCreateDescriptorPool)                                                                      \
    X(vkDestroyDescriptorPool)                                                                     \
    X(vkAllocateDescriptorSets)                                                                    \
    X(vkUpdateDescriptorSets)                                                                      \
    X(vkCreateCommandPool)                                                                         \
    X(vkDestroyCommandPool)                                                                        \
    X(vkCreateQueryPool)                                                                           \
    X(vkDestroyQueryPool)                                                                          \
    X(vkGetQueryPoolResults)                                                                       \
    X(vkAllocateCommandBuffers)                                                                    \
    X(vkFreeCommandBuffers)                                                                        \
    X(vkBeginCommandBuffer)                                                                        \
    X(vkEndCommandBuffer)                                                                          \
    X(vkCmdBindPipeline)                                                                           \
    X(vkCmdBindDescriptorSets)                                                                     \
    X(vkCmdPushConstants)                                                                          \
    X(vkCmdDispatch)                                                                               \
    X(vkCmdPipelineBarrier)                                                                        \
    X(vkCmdResetQueryPool)                                                                         \
    X(vkCmdWriteTimestamp)                                                                         \
    X(vkCmdCopyBuffer)                                                                             \
    X(vkCmdFillBuffer)

typedef struct VulkanTable {
#define X(function) PFN_##function p_##function;
    VULKAN_FUNCTIONS(X)
#undef X
} VulkanTable;

extern VulkanTable vulkan_table;

/* Fills the table once a process. NULL, or why there is no Vulkan here. */
const char *vulkan_load(void);

/* Fills the table from the first library of these names, NULL-terminated, that is there; false,
 * with the reason in `why`, where it has not got them all. */
bool vulkan_load_from(const char *const *names, char *why, size_t size);

#ifndef VULKAN_TABLE_ONLY /* the names stay the library's own */
#define vkGetInstanceProcAddr          vulkan_table.p_vkGetInstanceProcAddr
#define vkEnumerateInstanceVersion     vulkan_table.p_vkEnumerateInstanceVersion
#define vkCreateInstance               vulkan_table.p_vkCreateInstance
#define vkDestroyInstance              vulkan_table.p_vkDestroyInstance
#define vkEnumeratePhysicalDevices     vulkan_table.p_vkEnumeratePhysicalDevices
#define vkGetPhysicalDeviceProperties  vulkan_table.p_vkGetPhysicalDeviceProperties
#define vkGetPhysicalDeviceProperties2 vulkan_table.p_vkGetPhysicalDeviceProperties2
#define vkGetPhysicalDeviceFeatures2   vulkan_table.p_vkGetPhysicalDeviceFeatures2
#define vkGetPhysicalDeviceQueueFamilyProperties                                                   \
    vulkan_table.p_vkGetPhysicalDeviceQueueFamilyProperties
#define vkGetPhysicalDeviceMemoryProperties  vulkan_table.p_vkGetPhysicalDeviceMemoryProperties
#define vkEnumerateDeviceExtensionProperties vulkan_table.p_vkEnumerateDeviceExtensionProperties
#define vkCreateDevice                       vulkan_table.p_vkCreateDevice
#define vkDestroyDevice                      vulkan_table.p_vkDestroyDevice
#define vkDeviceWaitIdle                     vulkan_table.p_vkDeviceWaitIdle
#define vkGetDeviceQueue                     vulkan_table.p_vkGetDeviceQueue
#define vkQueueSubmit                        vulkan_table.p_vkQueueSubmit
#define vkQueueWaitIdle                      vulkan_table.p_vkQueueWaitIdle
#define vkCreateFence                        vulkan_table.p_vkCreateFence
#define vkDestroyFence                       vulkan_table.p_vkDestroyFence
#define vkResetFences                        vulkan_table.p_vkResetFences
#define vkWaitForFences                      vulkan_table.p_vkWaitForFences
#define vkCreateSemaphore                    vulkan_table.p_vkCreateSemaphore
#define vkDestroySemaphore                   vulkan_table.p_vkDestroySemaphore
#define vkWaitSemaphores                     vulkan_table.p_vkWaitSemaphores
#define vkGetSemaphoreCounterValue           vulkan_table.p_vkGetSemaphoreCounterValue
#define vkAllocateMemory                     vulkan_table.p_vkAllocateMemory
#define vkFreeMemory                         vulkan_table.p_vkFreeMemory
#define vkMapMemory                          vulkan_table.p_vkMapMemory
#define vkUnmapMemory                        vulkan_table.p_vkUnmapMemory
#define vkCreateBuffer                       vulkan_table.p_vkCreateBuffer
#define vkDestroyBuffer                      vulkan_table.p_vkDestroyBuffer
#define vkGetBufferMemoryRequirements        vulkan_table.p_vkGetBufferMemoryRequirements
#define vkBindBufferMemory                   vulkan_table.p_vkBindBufferMemory
#define vkGetBufferDeviceAddress             vulkan_table.p_vkGetBufferDeviceAddress
#define vkCreateShaderModule                 vulkan_table.p_vkCreateShaderModule
#define vkDestroyShaderModule                vulkan_table.p_vkDestroyShaderModule
#define vkCreatePipelineLayout               vulkan_table.p_vkCreatePipelineLayout
#define vkDestroyPipelineLayout              vulkan_table.p_vkDestroyPipelineLayout
#define vkCreatePipelineCache                vulkan_table.p_vkCreatePipelineCache
#define vkDestroyPipelineCache               vulkan_table.p_vkDestroyPipelineCache
#define vkGetPipelineCacheData               vulkan_table.p_vkGetPipelineCacheData
#define vkCreateComputePipelines             vulkan_table.p_vkCreateComputePipelines
#define vkDestroyPipeline                    vulkan_table.p_vkDestroyPipeline
#define vkCreateDescriptorSetLayout          vulkan_table.p_vkCreateDescriptorSetLayout
#define vkDestroyDescriptorSetLayout         vulkan_table.p_vkDestroyDescriptorSetLayout
#define vkCreateDescriptorPool               vulkan_table.p_vkCreateDescriptorPool
#define vkDestroyDescriptorPool              vulkan_table.p_vkDestroyDescriptorPool
#define vkAllocateDescriptorSets             vulkan_table.p_vkAllocateDescriptorSets
#define vkUpdateDescriptorSets               vulkan_table.p_vkUpdateDescriptorSets
#define vkCreateCommandPool                  vulkan_table.p_vkCreateCommandPool
#define vkDestroyCommandPool                 vulkan_table.p_vkDestroyCommandPool
#define vkCreateQueryPool                    vulkan_table.p_vkCreateQueryPool
#define vkDestroyQueryPool                   vulkan_table.p_vkDestroyQueryPool
#define vkGetQueryPoolResults                vulkan_table.p_vkGetQueryPoolResults
#define vkAllocateCommandBuffers             vulkan_table.p_vkAllocateCommandBuffers
#define vkFreeCommandBuffers                 vulkan_table.p_vkFreeCommandBuffers
#define vkBeginCommandBuffer                 vulkan_table.p_vkBeginCommandBuffer
#define vkEndCommandBuffer                   vulkan_table.p_vkEndCommandBuffer
#define vkCmdBindPipeline                    vulkan_table.p_vkCmdBindPipeline
#define vkCmdBindDescriptorSets              vulkan_table.p_vkCmdBindDescriptorSets
#define vkCmdPushConstants                   vulkan_table.p_vkCmdPushConstants
#define vkCmdDispatch                        vulkan_table.p_vkCmdDispatch
#define vkCmdPipelineBarrier                 vulkan_table.p_vkCmdPipelineBarrier
#define vkCmdResetQueryPool                  vulkan_table.p_vkCmdResetQueryPool
#define vkCmdWriteTimestamp                  vulkan_table.p_vkCmdWriteTimestamp
#define vkCmdCopyBuffer                      vulkan_table.p_vkCmdCopyBuffer
#define vkCmdFillBuffer                      vulkan_table.p_vkCmdFillBuffer
#endif

#endif
