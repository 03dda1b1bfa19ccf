#define VULKAN_TABLE_ONLY
#include "tests/vulkan_fake.h"

#include <string.h>

FakeVulkan fake;

#define X(function) #function,
const char *const fake_names[FAKE_FUNCTIONS] = {VULKAN_FUNCTIONS(X)};
#undef X

static VulkanTable real;
static PFN_vkCreateShaderModule driver_make_module;

void fake_reset(void)
{
    fake = (FakeVulkan){.live = fake.live};
}

void fake_arm(FakeFunction function, int nth, VkResult result)
{
    fake.function = function;
    fake.nth = nth;
    fake.result = result;
}

/* What this call is to answer instead of calling the driver, or VK_SUCCESS. */
static VkResult intercept(FakeFunction function)
{
    fake.calls[function]++;
    if (fake.function == function && fake.nth == fake.calls[function]) {
        fake.failed = true;
        fake.lost = fake.result == VK_ERROR_DEVICE_LOST;
        return fake.result;
    }
    return VK_SUCCESS;
}

static void count(VkResult result, int objects)
{
    if (!result) fake.live += objects;
}

/* ---- calls that make nothing ---- */

#define CALL(function, parameters, arguments)                                                      \
    static VKAPI_ATTR VkResult VKAPI_CALL fake_##function parameters                               \
    {                                                                                              \
        VkResult result = intercept(FAKE_##function);                                              \
        return result ? result : real.p_##function arguments;                                      \
    }
CALL(vkEnumerateInstanceVersion, (uint32_t * version), (version))
CALL(vkEnumeratePhysicalDevices, (VkInstance i, uint32_t *n, VkPhysicalDevice *out), (i, n, out))
CALL(vkResetFences, (VkDevice d, uint32_t n, const VkFence *fences), (d, n, fences))
CALL(vkBindBufferMemory, (VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize at), (d, b, m, at))
CALL(vkMapMemory,
     (VkDevice d, VkDeviceMemory m, VkDeviceSize at, VkDeviceSize n, VkMemoryMapFlags flags,
      void **out),
     (d, m, at, n, flags, out))
CALL(vkGetPipelineCacheData, (VkDevice d, VkPipelineCache c, size_t *n, void *out), (d, c, n, out))
CALL(vkAllocateDescriptorSets,
     (VkDevice d, const VkDescriptorSetAllocateInfo *info, VkDescriptorSet *out), (d, info, out))
CALL(vkBeginCommandBuffer, (VkCommandBuffer c, const VkCommandBufferBeginInfo *info), (c, info))
CALL(vkEndCommandBuffer, (VkCommandBuffer c), (c))
CALL(vkGetSemaphoreCounterValue, (VkDevice d, VkSemaphore s, uint64_t *out), (d, s, out))
CALL(vkGetQueryPoolResults,
     (VkDevice d, VkQueryPool q, uint32_t first, uint32_t n, size_t size, void *out,
      VkDeviceSize stride, VkQueryResultFlags flags),
     (d, q, first, n, size, out, stride, flags))

/* ---- calls that a lost device answers ---- */

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkQueueSubmit(VkQueue queue, uint32_t n,
                                                         const VkSubmitInfo *infos, VkFence fence)
{
    VkResult result = intercept(FAKE_vkQueueSubmit);
    if (!result && fake.lost) result = VK_ERROR_DEVICE_LOST;
    return result ? result : real.p_vkQueueSubmit(queue, n, infos, fence);
}

/* What was asked to be waited for. */
static const VkSemaphoreWaitInfo *noted(const VkSemaphoreWaitInfo *info)
{
    fake.waited = *info->pValues;
    return info;
}

/* These have waited when they fail, for what is then destroyed must not be in use. */
#define WAIT(function, parameters, arguments)                                                      \
    static VKAPI_ATTR VkResult VKAPI_CALL fake_##function parameters                               \
    {                                                                                              \
        VkResult result = intercept(FAKE_##function), waited = real.p_##function arguments;        \
        if (!result && fake.lost) result = VK_ERROR_DEVICE_LOST;                                   \
        return result ? result : waited;                                                           \
    }
WAIT(vkQueueWaitIdle, (VkQueue q), (q))
WAIT(vkDeviceWaitIdle, (VkDevice d), (d))
WAIT(vkWaitForFences,
     (VkDevice d, uint32_t n, const VkFence *fences, VkBool32 all, uint64_t timeout),
     (d, n, fences, all, timeout))
WAIT(vkWaitSemaphores, (VkDevice d, const VkSemaphoreWaitInfo *info, uint64_t timeout),
     (d, noted(info), timeout))

/* ---- calls that make one object, and those that end it ---- */

#define MAKER(function, Owner, Info, Handle, end)                                                  \
    static VKAPI_ATTR VkResult VKAPI_CALL fake_##function(                                         \
        Owner owner, const Info *info, const VkAllocationCallbacks *a, Handle *out)                \
    {                                                                                              \
        VkResult result = intercept(FAKE_##function);                                              \
        if (result) memset(out, 0x5a, sizeof *out); /* undefined, says Vulkan */                   \
        if (!result) result = real.p_##function(owner, info, a, out);                              \
        count(result, 1);                                                                          \
        return result;                                                                             \
    }                                                                                              \
    static VKAPI_ATTR void VKAPI_CALL fake_##end(VkDevice d, Handle h,                             \
                                                 const VkAllocationCallbacks *a)                   \
    {                                                                                              \
        fake.live -= h != VK_NULL_HANDLE;                                                          \
        real.p_##end(d, h, a);                                                                     \
    }
#define MAKERS(X)                                                                                  \
    X(vkCreateFence, VkDevice, VkFenceCreateInfo, VkFence, vkDestroyFence)                         \
    X(vkCreateSemaphore, VkDevice, VkSemaphoreCreateInfo, VkSemaphore, vkDestroySemaphore)         \
    X(vkCreateBuffer, VkDevice, VkBufferCreateInfo, VkBuffer, vkDestroyBuffer)                     \
    X(vkAllocateMemory, VkDevice, VkMemoryAllocateInfo, VkDeviceMemory, vkFreeMemory)              \
    X(vkCreateShaderModule, VkDevice, VkShaderModuleCreateInfo, VkShaderModule,                    \
      vkDestroyShaderModule)                                                                       \
    X(vkCreatePipelineLayout, VkDevice, VkPipelineLayoutCreateInfo, VkPipelineLayout,              \
      vkDestroyPipelineLayout)                                                                     \
    X(vkCreatePipelineCache, VkDevice, VkPipelineCacheCreateInfo, VkPipelineCache,                 \
      vkDestroyPipelineCache)                                                                      \
    X(vkCreateDescriptorSetLayout, VkDevice, VkDescriptorSetLayoutCreateInfo,                      \
      VkDescriptorSetLayout, vkDestroyDescriptorSetLayout)                                         \
    X(vkCreateDescriptorPool, VkDevice, VkDescriptorPoolCreateInfo, VkDescriptorPool,              \
      vkDestroyDescriptorPool)                                                                     \
    X(vkCreateQueryPool, VkDevice, VkQueryPoolCreateInfo, VkQueryPool, vkDestroyQueryPool)         \
    X(vkCreateCommandPool, VkDevice, VkCommandPoolCreateInfo, VkCommandPool, vkDestroyCommandPool)
MAKERS(MAKER)

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkCreateInstance(const VkInstanceCreateInfo *info,
                                                            const VkAllocationCallbacks *a,
                                                            VkInstance *out)
{
    VkResult result = intercept(FAKE_vkCreateInstance);
    if (result) memset(out, 0x5a, sizeof *out);
    if (!result) result = real.p_vkCreateInstance(info, a, out);
    count(result, 1);
    return result;
}

static VKAPI_ATTR void VKAPI_CALL fake_vkDestroyInstance(VkInstance i,
                                                         const VkAllocationCallbacks *a)
{
    fake.live -= i != VK_NULL_HANDLE;
    real.p_vkDestroyInstance(i, a);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkCreateDevice(VkPhysicalDevice p,
                                                          const VkDeviceCreateInfo *info,
                                                          const VkAllocationCallbacks *a,
                                                          VkDevice *out)
{
    VkResult result = intercept(FAKE_vkCreateDevice);
    if (result) memset(out, 0x5a, sizeof *out);
    VkDeviceCreateInfo known = *info;
    if (fake.n_matrices) known.enabledExtensionCount = 0; /* of which there is one */
    if (!result) result = real.p_vkCreateDevice(p, &known, a, out);
    count(result, 1);
    return result;
}

static VKAPI_ATTR void VKAPI_CALL fake_vkDestroyDevice(VkDevice d, const VkAllocationCallbacks *a)
{
    fake.live -= d != VK_NULL_HANDLE;
    real.p_vkDestroyDevice(d, a);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkCreateComputePipelines(
    VkDevice d, VkPipelineCache c, uint32_t n, const VkComputePipelineCreateInfo *infos,
    const VkAllocationCallbacks *a, VkPipeline *out)
{
    VkResult result = intercept(FAKE_vkCreateComputePipelines);
    if (result) memset(out, 0, n * sizeof *out); /* Vulkan says so of pipelines */
    if (!result) result = real.p_vkCreateComputePipelines(d, c, n, infos, a, out);
    count(result, (int)n);
    return result;
}

static VKAPI_ATTR void VKAPI_CALL fake_vkDestroyPipeline(VkDevice d, VkPipeline h,
                                                         const VkAllocationCallbacks *a)
{
    fake.live -= h != VK_NULL_HANDLE;
    real.p_vkDestroyPipeline(d, h, a);
}

/* Those that end with their pool are not counted. */
static VKAPI_ATTR VkResult VKAPI_CALL fake_vkAllocateCommandBuffers(
    VkDevice d, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out)
{
    VkResult result = intercept(FAKE_vkAllocateCommandBuffers);
    if (result) memset(out, 0, info->commandBufferCount * sizeof *out);
    return result ? result : real.p_vkAllocateCommandBuffers(d, info, out);
}

/* ---- what a device can ---- */

static void claim_matrices(VkPhysicalDeviceVulkan12Features *features)
{
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR *matrix = features->pNext;
    if (!fake.n_matrices || !matrix ||
        matrix->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR)
        return;
    matrix->cooperativeMatrix = VK_TRUE;
    if (fake.withheld.shaderFloat16) features->shaderFloat16 = VK_FALSE;
    if (fake.withheld.vulkanMemoryModel) features->vulkanMemoryModel = VK_FALSE;
}

static VKAPI_ATTR VkResult VKAPI_CALL list_matrices(VkPhysicalDevice p, uint32_t *n,
                                                    VkCooperativeMatrixPropertiesKHR *out)
{
    (void)p;
    *n = *n < fake.n_matrices ? *n : fake.n_matrices;
    memcpy(out, fake.matrices, *n * sizeof *out);
    return VK_SUCCESS;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL fake_vkGetInstanceProcAddr(VkInstance i,
                                                                           const char *name)
{
    if (fake.n_matrices && !strcmp(name, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"))
        return (PFN_vkVoidFunction)list_matrices;
    return real.p_vkGetInstanceProcAddr(i, name);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkEnumerateDeviceExtensionProperties(
    VkPhysicalDevice p, const char *layer, uint32_t *n, VkExtensionProperties *out)
{
    if (!fake.n_matrices) return real.p_vkEnumerateDeviceExtensionProperties(p, layer, n, out);
    if (out) *n -= 1; /* the room was for one more */
    VkResult result = real.p_vkEnumerateDeviceExtensionProperties(p, layer, n, out);
    if (out) out[*n] = (VkExtensionProperties){VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME, 2};
    *n += 1;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL make_module(VkDevice d, const VkShaderModuleCreateInfo *info,
                                                  const VkAllocationCallbacks *a,
                                                  VkShaderModule *out)
{
    VkShaderModuleCreateInfo known = *info;
    for (uint32_t i = 0; i < fake.n_codes; i++) {
        if (info->pCode != fake.codes[i].words) continue;
        known.pCode = fake.codes[i].instead;
        known.codeSize = fake.codes[i].bytes;
    }
    return driver_make_module(d, &known, a, out);
}

static VKAPI_ATTR void VKAPI_CALL fake_vkGetPhysicalDeviceFeatures2(VkPhysicalDevice p,
                                                                    VkPhysicalDeviceFeatures2 *out)
{
    real.p_vkGetPhysicalDeviceFeatures2(p, out);
    VkPhysicalDeviceVulkan12Features *features = out->pNext;
    if (!features || features->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES)
        return;
    claim_matrices(features);
    if (fake.withheld.bufferDeviceAddress) features->bufferDeviceAddress = VK_FALSE;
    if (fake.withheld.timelineSemaphore) features->timelineSemaphore = VK_FALSE;
}

static VKAPI_ATTR void VKAPI_CALL
fake_vkGetPhysicalDeviceProperties(VkPhysicalDevice p, VkPhysicalDeviceProperties *out)
{
    real.p_vkGetPhysicalDeviceProperties(p, out);
    const VkPhysicalDeviceProperties *low = &fake.lowered;
    if (low->apiVersion) out->apiVersion = low->apiVersion;
    if (low->limits.maxComputeWorkGroupInvocations)
        out->limits.maxComputeWorkGroupInvocations = low->limits.maxComputeWorkGroupInvocations;
    if (low->limits.maxComputeSharedMemorySize)
        out->limits.maxComputeSharedMemorySize = low->limits.maxComputeSharedMemorySize;
}

static VKAPI_ATTR void VKAPI_CALL fake_vkGetPhysicalDeviceQueueFamilyProperties(
    VkPhysicalDevice p, uint32_t *n, VkQueueFamilyProperties *out)
{
    real.p_vkGetPhysicalDeviceQueueFamilyProperties(p, n, out);
    for (uint32_t i = 0; out && i < *n; i++)
        if (out[i].queueFlags & fake.no_queue) out[i].queueFlags = 0;
}

/* With the decoy the driver's memory types have numbers one higher. */
static PFN_vkAllocateMemory driver_allocate;

static VKAPI_ATTR VkResult VKAPI_CALL allocate_of_type(VkDevice d, const VkMemoryAllocateInfo *info,
                                                       const VkAllocationCallbacks *a,
                                                       VkDeviceMemory *out)
{
    VkMemoryAllocateInfo shifted = *info;
    if (fake.decoy && shifted.memoryTypeIndex-- == 0) return VK_ERROR_UNKNOWN;
    return driver_allocate(d, &shifted, a, out);
}

static VKAPI_ATTR void VKAPI_CALL
fake_vkGetPhysicalDeviceMemoryProperties(VkPhysicalDevice p, VkPhysicalDeviceMemoryProperties *out)
{
    real.p_vkGetPhysicalDeviceMemoryProperties(p, out);
    if (!fake.decoy || out->memoryTypeCount == VK_MAX_MEMORY_TYPES) return;
    memmove(out->memoryTypes + 1, out->memoryTypes,
            out->memoryTypeCount++ * sizeof *out->memoryTypes);
}

static VKAPI_ATTR void VKAPI_CALL fake_vkGetBufferMemoryRequirements(VkDevice d, VkBuffer b,
                                                                     VkMemoryRequirements *out)
{
    real.p_vkGetBufferMemoryRequirements(d, b, out);
    if (fake.decoy) out->memoryTypeBits <<= 1;
}

static VKAPI_ATTR void VKAPI_CALL
fake_vkGetPhysicalDeviceProperties2(VkPhysicalDevice p, VkPhysicalDeviceProperties2 *out)
{
    real.p_vkGetPhysicalDeviceProperties2(p, out);
    for (VkBaseOutStructure *more = out->pNext; more; more = more->pNext)
        if (more->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES &&
            fake.most_buffer)
            ((VkPhysicalDeviceMaintenance4Properties *)more)->maxBufferSize = fake.most_buffer;
}

static VKAPI_ATTR void VKAPI_CALL fake_vkCmdPipelineBarrier(
    VkCommandBuffer c, VkPipelineStageFlags before, VkPipelineStageFlags after,
    VkDependencyFlags flags, uint32_t n, const VkMemoryBarrier *memory, uint32_t n_buffers,
    const VkBufferMemoryBarrier *buffers, uint32_t n_images, const VkImageMemoryBarrier *images)
{
    fake.barriers++;
    fake.for_host += ((before | after) & VK_PIPELINE_STAGE_HOST_BIT) != 0;
    real.p_vkCmdPipelineBarrier(c, before, after, flags, n, memory, n_buffers, buffers, n_images,
                                images);
}

void fake_install(void)
{
    real = vulkan_table;
    driver_allocate = real.p_vkAllocateMemory;
    real.p_vkAllocateMemory = allocate_of_type;
    driver_make_module = real.p_vkCreateShaderModule;
    real.p_vkCreateShaderModule = make_module;
#define PUT(function)                                 vulkan_table.p_##function = fake_##function;
#define PUT_MAKER(function, Owner, Info, Handle, end) PUT(function) PUT(end)
    MAKERS(PUT_MAKER)
    PUT(vkEnumerateInstanceVersion)
    PUT(vkEnumeratePhysicalDevices)
    PUT(vkResetFences)
    PUT(vkBindBufferMemory)
    PUT(vkMapMemory)
    PUT(vkGetPipelineCacheData)
    PUT(vkAllocateDescriptorSets)
    PUT(vkBeginCommandBuffer)
    PUT(vkEndCommandBuffer)
    PUT(vkGetSemaphoreCounterValue)
    PUT(vkGetQueryPoolResults)
    PUT(vkQueueSubmit)
    PUT(vkQueueWaitIdle)
    PUT(vkDeviceWaitIdle)
    PUT(vkWaitForFences)
    PUT(vkWaitSemaphores)
    PUT(vkCreateInstance)
    PUT(vkDestroyInstance)
    PUT(vkCreateDevice)
    PUT(vkDestroyDevice)
    PUT(vkCreateComputePipelines)
    PUT(vkDestroyPipeline)
    PUT(vkAllocateCommandBuffers)
    PUT(vkGetInstanceProcAddr)
    PUT(vkEnumerateDeviceExtensionProperties)
    PUT(vkGetPhysicalDeviceFeatures2)
    PUT(vkGetPhysicalDeviceProperties)
    PUT(vkGetPhysicalDeviceQueueFamilyProperties)
    PUT(vkGetPhysicalDeviceMemoryProperties)
    PUT(vkGetPhysicalDeviceProperties2)
    PUT(vkCmdPipelineBarrier)
    PUT(vkGetBufferMemoryRequirements)
}
