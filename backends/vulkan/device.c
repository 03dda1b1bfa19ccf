/* Vulkan devices: those with Vulkan 1.2, buffer device addresses and a compute queue. */
#include "backends/vulkan/vulkan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEVICES = 32, MAX_FAMILIES = 32 };

/* What the kernels need of a device (shaders/): threads in a group, bytes of group memory. */
enum { KERNEL_THREADS = 256, KERNEL_SHARED = 16384 };

/* ---- which devices there are ---- */

static wf_status create_instance(VkInstance *out)
{
    const char *absent = vulkan_load();
    if (absent) return fail(WF_ERROR_DEVICE, "%s", absent);
    uint32_t version = 0;
    TRY_VULKAN(NULL, vkEnumerateInstanceVersion(&version), "asking for the loader's version");
    if (version < VK_API_VERSION_1_2)
        return fail(WF_ERROR_DEVICE, "the Vulkan loader speaks %u.%u, 1.2 is needed",
                    VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                     .pApplicationName = "wavefield",
                                     .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &application};
    TRY_VULKAN_MAKE(NULL, *out, vkCreateInstance(&info, NULL, out), "starting");
    return WF_OK;
}

static VkPhysicalDeviceVulkan12Features find_features(VkPhysicalDevice physical)
{
    VkPhysicalDeviceVulkan12Features features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceFeatures2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &features};
    vkGetPhysicalDeviceFeatures2(physical, &all);
    return features;
}

/* A queue family for kernels, one without graphics preferred; false if there is none. */
static bool find_family(VkPhysicalDevice physical, uint32_t *out, uint32_t *timestamp_bits)
{
    VkQueueFamilyProperties families[MAX_FAMILIES];
    uint32_t count = MAX_FAMILIES;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
    bool found = false;
    for (uint32_t i = 0; i < count; i++) {
        if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
        bool plain = !(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT);
        if (found && !plain) continue;
        *out = i;
        *timestamp_bits = families[i].timestampValidBits;
        found = true;
        if (plain) break;
    }
    return found;
}

/* NULL, or what the device lacks. */
static const char *lacks(VkPhysicalDevice physical)
{
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(physical, &properties);
    uint32_t family, bits;
    if (properties.apiVersion < VK_API_VERSION_1_2) return "Vulkan 1.2";
    VkPhysicalDeviceVulkan12Features features = find_features(physical);
    if (!features.bufferDeviceAddress) return "buffer device addresses";
    if (!features.timelineSemaphore) return "timeline semaphores";
    if (!find_family(physical, &family, &bits)) return "a compute queue";
    if (properties.limits.maxComputeWorkGroupInvocations < KERNEL_THREADS ||
        properties.limits.maxComputeWorkGroupSize[0] < KERNEL_THREADS)
        return "groups of 256 threads";
    if (properties.limits.maxComputeSharedMemorySize < KERNEL_SHARED)
        return "16 KiB of group memory";
    return NULL;
}

/* Usable devices, at most MAX_DEVICES, real ones before software ones. Without any, *count is 0 and
 * the message says why. */
static wf_status find_devices(VkInstance instance, VkPhysicalDevice *out, uint32_t *count)
{
    VkPhysicalDevice all[MAX_DEVICES];
    uint32_t n = MAX_DEVICES;
    VkResult result = vkEnumeratePhysicalDevices(instance, &n, all);
    if (result && result != VK_INCOMPLETE) return vulkan_fail(NULL, result, "listing devices");
    *count = 0;
    if (n == 0) fail(WF_ERROR_DEVICE, "no Vulkan driver offers a device here");
    for (int software = 0; software < 2; software++) {
        for (uint32_t i = 0; i < n; i++) {
            VkPhysicalDeviceProperties properties;
            vkGetPhysicalDeviceProperties(all[i], &properties);
            if ((properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU) != software) continue;
            const char *missing = lacks(all[i]);
            if (!missing)
                out[(*count)++] = all[i];
            else if (*count == 0)
                fail(WF_ERROR_DEVICE, "%s cannot be used: it lacks %s", properties.deviceName,
                     missing);
        }
    }
    return WF_OK;
}

static DeviceKind device_kind(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return DEVICE_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return DEVICE_SOFTWARE;
    default: return DEVICE_INTEGRATED;
    }
}

static bool has_extension(const VkExtensionProperties *extensions, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (!strcmp(extensions[i].extensionName, name)) return true;
    return false;
}

/* What the device computes with beside floats. By name, as some are younger than the headers. */
static void describe_extensions(VkPhysicalDevice physical, DeviceInfo *info)
{
    uint32_t n = 0;
    VkExtensionProperties *extensions = NULL;
    if (!vkEnumerateDeviceExtensionProperties(physical, NULL, &n, NULL) && n > 0)
        extensions = calloc(n, sizeof *extensions);
    if (extensions && vkEnumerateDeviceExtensionProperties(physical, NULL, &n, extensions) >= 0) {
        info->bfloat16 = has_extension(extensions, n, "VK_KHR_shader_bfloat16");
        info->matrix = has_extension(extensions, n, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME) ||
                       has_extension(extensions, n, "VK_NV_cooperative_matrix");
    }
    free(extensions);
}

static void describe_halves(VkPhysicalDevice physical, DeviceInfo *info)
{
    VkPhysicalDevice16BitStorageFeatures storage = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
    VkPhysicalDeviceVulkan12Features features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &storage};
    VkPhysicalDeviceFeatures2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &features};
    vkGetPhysicalDeviceFeatures2(physical, &all);
    info->half_storage = storage.storageBuffer16BitAccess;
    info->half_arithmetic = features.shaderFloat16;
}

static void describe(VkInstance instance, VkPhysicalDevice physical, DeviceInfo *info,
                     VulkanMatrix *matrix)
{
    VkPhysicalDeviceSubgroupProperties subgroup = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES, .pNext = &subgroup};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &driver};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    memset(info, 0, sizeof *info);
    snprintf(info->name, sizeof info->name, "%.127s", properties.properties.deviceName);
    snprintf(info->driver, sizeof info->driver, "%.60s %.60s", driver.driverName,
             driver.driverInfo);
    info->kind = device_kind(properties.properties.deviceType);
    info->subgroup = (int)subgroup.subgroupSize;
    describe_halves(physical, info);
    describe_extensions(physical, info);
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++)
        if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
            info->memory = int64_max(info->memory, (int64_t)memory.memoryHeaps[i].size);
    gpu_tuning_load(NULL, backend_vulkan.name, info);
    if (!vulkan_matrix_find(instance, physical, info, matrix)) *matrix = (VulkanMatrix){0};
}

static wf_status vulkan_list(DeviceInfo *infos, int capacity, int *count)
{
    *count = 0;
    VkInstance instance;
    if (create_instance(&instance)) return WF_OK; /* the message says why there are none */
    VkPhysicalDevice physical[MAX_DEVICES];
    uint32_t n;
    wf_status status = find_devices(instance, physical, &n);
    if (!status) {
        *count = (int)n;
        VulkanMatrix matrix;
        for (int i = 0; i < *count && i < capacity; i++)
            describe(instance, physical[i], &infos[i], &matrix);
    }
    vkDestroyInstance(instance, NULL);
    return status;
}

/* ---- opening one ---- */

/* What a buffer of this usage asks of its memory. */
static wf_status find_needs(VulkanDevice *device, VkBufferUsageFlags usage,
                            VkMemoryRequirements *out)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = 1 << 20, .usage = usage};
    VkBuffer buffer;
    TRY_VULKAN(device, vkCreateBuffer(device->device, &info, NULL, &buffer), "opening %s",
               device->base.info.name);
    vkGetBufferMemoryRequirements(device->device, buffer, out);
    vkDestroyBuffer(device->device, buffer, NULL);
    return WF_OK;
}

/* Of the memory types whose bit is set in `allowed`, the first with all of `wanted`, and of those
 * one with `liked` if any. */
static bool find_memory(const VkPhysicalDeviceMemoryProperties *memory, uint32_t allowed,
                        VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags liked,
                        VkMemoryPropertyFlags disliked, uint32_t *out)
{
    int best = -1;
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = memory->memoryTypes[i].propertyFlags;
        if (!(allowed >> i & 1u) || (flags & wanted) != wanted) continue;
        int score = ((flags & liked) == liked ? 2 : 0) + ((flags & disliked) == 0 ? 1 : 0);
        if (score <= best) continue;
        best = score;
        *out = i;
    }
    return best >= 0;
}

/* Discrete devices keep buffers away from the host and copy; others let the host see them, unless
 * WAVEFIELD_VULKAN_STAGED=1 has them do as discrete ones (for tests). A place that gets a buffer of
 * its own is aligned as such a buffer wants to be. */
static wf_status choose_memory(VulkanDevice *device)
{
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    const VkMemoryPropertyFlags host =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const VkMemoryPropertyFlags cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    const VkPhysicalDeviceMemoryProperties *memory = &device->memory;
    VkMemoryRequirements needs, view;
    TRY(find_needs(device, VULKAN_USAGE, &needs));
    TRY(find_needs(device, VULKAN_VIEW_USAGE, &view));
    device->base.limits.alignment =
        int64_max(device->base.limits.alignment, (int64_t)view.alignment);
    device->gpu.alignment = device->base.limits.alignment;

    const char *staged = getenv("WAVEFIELD_VULKAN_STAGED");
    bool discrete =
        device->base.info.kind == DEVICE_DISCRETE || (staged && strcmp(staged, "1") == 0);
    uint32_t any = needs.memoryTypeBits, both = any & view.memoryTypeBits;
    vkGetPhysicalDeviceMemoryProperties(device->physical, &device->memory);
    device->mapped =
        !discrete && find_memory(memory, both, local | host, cached, 0, &device->memory_type);
    bool found = find_memory(memory, any, host, 0, local | cached, &device->ring_type) &&
                 find_memory(memory, any, host, cached, local, &device->landing_type);
    if (found && !device->mapped)
        found = find_memory(memory, both, local, 0, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT,
                            &device->memory_type);
    if (found) return WF_OK;
    return fail(WF_ERROR_DEVICE, "%s has no memory for buffers", device->base.info.name);
}

/* Bytes of a buffer, and so of its memory, at most. */
static int64_t largest_buffer(VkPhysicalDevice physical, uint32_t version)
{
    VkPhysicalDeviceMaintenance4Properties buffer = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties allocation = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES,
        .pNext = version >= VK_API_VERSION_1_3 ? &buffer : NULL}; /* before, nobody says */
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &allocation};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    VkDeviceSize most = allocation.maxMemoryAllocationSize;
    if (buffer.maxBufferSize && buffer.maxBufferSize < most) most = buffer.maxBufferSize;
    return most < INT64_MAX ? (int64_t)most : INT64_MAX;
}

static void choose_limits(VulkanDevice *device)
{
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(device->physical, &properties);
    const VkPhysicalDeviceLimits *limits = &properties.limits;
    device->base.limits = (Limits){
        .largest_allocation = largest_buffer(device->physical, properties.apiVersion),
        .total = device->base.info.memory,
        .alignment = int64_max(256, (int64_t)limits->minStorageBufferOffsetAlignment),
        .dtype_size = {[DTYPE_REAL] = 4, [DTYPE_I32] = 4},
    };
    if (device->base.info.half_storage) /* any 16 bits: kernels convert them by themselves */
        device->base.limits.dtype_size[DTYPE_F16] = device->base.limits.dtype_size[DTYPE_BF16] = 2;
    bool software = device->base.info.kind == DEVICE_SOFTWARE;
    device->gpu = (GpuLimits){
        .transform_bytes =
            int64_min(limits->maxStorageBufferRange, software ? 32 << 20 : 128 << 20),
        .busy_groups = software                                      ? 8
                       : device->base.info.kind == DEVICE_INTEGRATED ? 64
                                                                     : 512,
    };
    for (int axis = 0; axis < 3; axis++)
        device->gpu.groups[axis] = int64_min(limits->maxComputeWorkGroupCount[axis], INT32_MAX);
    device->rate = software ? 3e9 : device->base.info.kind == DEVICE_INTEGRATED ? 1e11 : 2e12;
    device->target = 0.1;
    device->tick = 1e-9 * (double)limits->timestampPeriod;
}

static wf_status create_device(VulkanDevice *device)
{
    find_family(device->physical, &device->family, &device->timestamp_bits);
    const char *matrix_extension = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
    bool matrices = device->matrix.rows > 0;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .cooperativeMatrix = VK_TRUE};
    VkPhysicalDevice16BitStorageFeatures storage = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
        .pNext = matrices ? &matrix : NULL,
        .storageBuffer16BitAccess = device->base.info.half_storage};
    VkPhysicalDeviceVulkan12Features features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .pNext = &storage,
        .timelineSemaphore = VK_TRUE,
        .bufferDeviceAddress = VK_TRUE,
        .shaderFloat16 = matrices,
        .vulkanMemoryModel = matrices};
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = device->family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &(float){1}};
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &features,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue,
                               .enabledExtensionCount = matrices,
                               .ppEnabledExtensionNames = &matrix_extension};
    const char *name = device->base.info.name;
    TRY_VULKAN_MAKE(device, device->device,
                    vkCreateDevice(device->physical, &info, NULL, &device->device), "opening %s",
                    name);
    vkGetDeviceQueue(device->device, device->family, 0, &device->queue);
    TRY(vulkan_queue_create(device));
    VkPushConstantRange arguments = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                     .size = GPU_MAX_ARGUMENT_BYTES};
    VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                         .pushConstantRangeCount = 1,
                                         .pPushConstantRanges = &arguments};
    TRY_VULKAN_MAKE(device, device->layout,
                    vkCreatePipelineLayout(device->device, &layout, NULL, &device->layout),
                    "opening %s", name);
    return vulkan_cache_open(device);
}

static void vulkan_close(Device *base)
{
    VulkanDevice *device = vulkan_device(base);
    if (!device) return;
    if (device->device) {
        vkDeviceWaitIdle(device->device);
        vulkan_known_transforms_free(device);
        vulkan_transfers_destroy(device);
        for (int k = 0; k < KERNEL_COUNT; k++)
            vkDestroyPipeline(device->device, device->pipelines[k], NULL);
        vulkan_cache_close(device);
        vkDestroyPipelineLayout(device->device, device->layout, NULL);
        vulkan_queue_destroy(device);
        vkDestroyDevice(device->device, NULL);
    }
    if (device->instance) vkDestroyInstance(device->instance, NULL);
    free(device);
}

static wf_status vulkan_open(int index, Device **out)
{
    VulkanDevice *device = calloc(1, sizeof *device);
    if (!device) return fail(WF_ERROR_MEMORY, "out of memory for a device");
    device->base.backend = &backend_vulkan;
    VkPhysicalDevice physical[MAX_DEVICES];
    uint32_t n = 0;
    wf_status status;
    TRY_GOTO(create_instance(&device->instance), failed);
    TRY_GOTO(find_devices(device->instance, physical, &n), failed);
    if (index < 0 || index >= (int)n) {
        status =
            n == 0 ? WF_ERROR_DEVICE /* find_devices said why */
                   : fail(WF_ERROR_DEVICE, "there is no Vulkan device %d: there are %u", index, n);
        goto failed;
    }
    device->physical = physical[index];
    describe(device->instance, device->physical, &device->base.info, &device->matrix);
    choose_limits(device);
    gpu_tuning_load(&device->gpu.tuning, backend_vulkan.name, &device->base.info);
    TRY_GOTO(create_device(device), failed);
    TRY_GOTO(choose_memory(device), failed);
    TRY_GOTO(vulkan_transfers_create(device), failed);
    TRY_GOTO(vulkan_matrix_check(device), failed);
    *out = &device->base;
    return WF_OK;
failed:
    vulkan_close(&device->base);
    return status;
}

/* ---- the backend ---- */

static bool vulkan_supports(const Device *device, const Graph *graph, const Node *node,
                            const char **why)
{
    return gpu_supports(&vulkan_device(device)->gpu, graph, node, why);
}

static int vulkan_fuse(const Device *device, const Graph *graph, int first)
{
    return gpu_fuse(&vulkan_device(device)->gpu, graph, first);
}

static int64_t vulkan_workspace(const Device *device, const Graph *graph, int first, int count)
{
    return gpu_workspace(&vulkan_device(device)->gpu, graph, first, count);
}

static GpuLimits *vulkan_gpu_limits(Device *device)
{
    return &vulkan_device(device)->gpu;
}

const Backend backend_vulkan = {
    .name = "vulkan",
    .list = vulkan_list,
    .open = vulkan_open,
    .close = vulkan_close,
    .supports = vulkan_supports,
    .fuse = vulkan_fuse,
    .workspace = vulkan_workspace,
    .buffer_create = vulkan_buffer_create,
    .buffer_destroy = vulkan_buffer_destroy,
    .buffer_write = vulkan_buffer_write,
    .buffer_read = vulkan_buffer_read,
    .buffer_fill = vulkan_buffer_fill,
    .readback_create = vulkan_readback_create,
    .readback_destroy = vulkan_readback_destroy,
    .readback_begin = vulkan_readback_begin,
    .readback_end = vulkan_readback_end,
    .program_create = vulkan_program_create,
    .program_destroy = vulkan_program_destroy,
    .program_run = vulkan_program_run,
    .program_run_nodes = vulkan_program_run_nodes,
    .program_commands = vulkan_program_commands,
    .gpu_limits = vulkan_gpu_limits,
};
