/* Compiled pipelines, kept in a file for each device and driver. */
#include "backends/vulkan/vulkan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char pipelines_name[] = "pipelines";

static size_t append_hex(char *text, size_t size, const uint8_t *bytes, size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < n && used + 3 < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%02x", bytes[i]);
    return used;
}

/* All that says which driver compiles for which device. */
static void find_identity(VkPhysicalDevice physical, char text[512])
{
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
                                       .pNext = &driver};
    VkPhysicalDeviceProperties2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                       .pNext = &id};
    vkGetPhysicalDeviceProperties2(physical, &all);
    const VkPhysicalDeviceProperties *p = &all.properties;
    char uuids[4 * VK_UUID_SIZE * 2] = "";
    size_t used = append_hex(uuids, sizeof uuids, id.deviceUUID, VK_UUID_SIZE);
    used += append_hex(uuids + used, sizeof uuids - used, id.driverUUID, VK_UUID_SIZE);
    append_hex(uuids + used, sizeof uuids - used, p->pipelineCacheUUID, VK_UUID_SIZE);
    snprintf(text, 512, "vulkan %08x:%08x %s %s driver %08x %.60s", p->vendorID, p->deviceID, uuids,
             p->deviceName, p->driverVersion, driver.driverInfo);
}

/* Drivers should look at this themselves, and not all do. */
static bool is_ours(VkPhysicalDevice physical, const void *data, size_t size)
{
    VkPipelineCacheHeaderVersionOne header;
    VkPhysicalDeviceProperties properties;
    if (size < sizeof header) return false;
    memcpy(&header, data, sizeof header);
    vkGetPhysicalDeviceProperties(physical, &properties);
    return header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
           header.vendorID == properties.vendorID && header.deviceID == properties.deviceID &&
           !memcmp(header.pipelineCacheUUID, properties.pipelineCacheUUID, VK_UUID_SIZE);
}

static VkResult create(VulkanDevice *device, const void *data, size_t size)
{
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                      .initialDataSize = size,
                                      .pInitialData = data};
    VkResult result = vkCreatePipelineCache(device->device, &info, NULL, &device->pipeline_cache);
    if (result) device->pipeline_cache = VK_NULL_HANDLE;
    return result;
}

wf_status vulkan_cache_open(VulkanDevice *device)
{
    char identity[512];
    find_identity(device->physical, identity);
    gpu_cache_open(&device->files, identity, strlen(identity));

    void *data = NULL;
    size_t size = 0;
    VkResult result = VK_INCOMPLETE;
    if (gpu_cache_load(&device->files, pipelines_name, &data, &size) &&
        is_ours(device->physical, data, size)) {
        device->pipelines_kept = gpu_hash(GPU_HASH_START, data, size);
        result = create(device, data, size);
    }
    free(data);
    if (result) result = create(device, NULL, 0);
    if (result) return vulkan_fail(device, result, "opening %s", device->base.info.name);
    return WF_OK;
}

void vulkan_cache_keep(VulkanDevice *device)
{
    size_t size = 0;
    if (!device->files.folder) return;
    if (vkGetPipelineCacheData(device->device, device->pipeline_cache, &size, NULL)) return;
    void *data = size > 0 ? malloc(size) : NULL;
    if (data && !vkGetPipelineCacheData(device->device, device->pipeline_cache, &size, data)) {
        uint64_t hash = gpu_hash(GPU_HASH_START, data, size);
        if (hash != device->pipelines_kept)
            gpu_cache_store(&device->files, pipelines_name, data, size);
        device->pipelines_kept = hash;
    }
    free(data);
}

void vulkan_cache_close(VulkanDevice *device)
{
    vkDestroyPipelineCache(device->device, device->pipeline_cache, NULL);
    gpu_cache_close(&device->files);
}
