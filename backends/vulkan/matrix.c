#include "backends/vulkan/matrix.h"

#include "backends/gpu/cache.h"
#include "backends/gpu/product_check.h"
#include "backends/vulkan/vulkan.h"

#include <stdio.h>

/* As the kernels have it. */
enum { THREADS = 256, LEAST_TILE = 64, MOST_TILE = 128, DEPTH = 32, WORD = 8, MOST_OFFERED = 64 };

/* ---- which ---- */

static bool is_power_of_two(uint32_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

/* The most group memory that the kernels take: two tiles, and a matrix of results a subgroup. */
static uint32_t shared_bytes(uint32_t rows, uint32_t cols, uint32_t subgroups)
{
    const uint32_t line = DEPTH / WORD + 1;
    return 2 * MOST_TILE * line * 2 * WORD + rows * cols * subgroups * 4;
}

static bool is_of_halves(const VkCooperativeMatrixPropertiesKHR *offered)
{
    return offered->scope == VK_SCOPE_SUBGROUP_KHR && !offered->saturatingAccumulation &&
           offered->AType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
           offered->BType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
           offered->CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
           offered->ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR;
}

bool vulkan_matrix_fit(const VkCooperativeMatrixPropertiesKHR *offered, uint32_t subgroup,
                       uint32_t shared, VulkanMatrix *out)
{
    uint32_t rows = offered->MSize, cols = offered->NSize, inner = offered->KSize;
    if (!is_of_halves(offered) || !is_power_of_two(subgroup) || subgroup > THREADS) return false;
    if (rows < WORD || cols < WORD || inner < WORD) return false;
    if (LEAST_TILE % rows || LEAST_TILE % cols || DEPTH % inner) return false;
    uint32_t subgroups = THREADS / subgroup, down = LEAST_TILE / rows, across = LEAST_TILE / cols;
    if (down * across < subgroups || shared_bytes(rows, cols, subgroups) > shared) return false;

    /* The rectangle of a subgroup as near to a square of matrices as can be: least is read then. */
    uint32_t least = UINT32_MAX;
    for (uint32_t d = 1; d <= down && d <= subgroups; d *= 2) {
        if (subgroups / d > across) continue;
        uint32_t reads = down / d + across * d / subgroups;
        if (reads >= least) continue;
        least = reads;
        *out = (VulkanMatrix){rows, cols, inner, d, subgroups / d};
    }
    return least != UINT32_MAX;
}

/* What the device lacks of all that the kernels need and create_device() enables, or NULL. */
static const char *lacks(VkPhysicalDevice physical, const DeviceInfo *info)
{
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
    VkPhysicalDeviceVulkan12Features features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &matrix};
    VkPhysicalDeviceFeatures2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &features};
    vkGetPhysicalDeviceFeatures2(physical, &all);
    if (!matrix.cooperativeMatrix) return "not used: they are not VK_KHR_cooperative_matrix";
    if (!info->half_storage || !features.shaderFloat16) return "not used: no 16-bit floats";
    if (!features.vulkanMemoryModel) return "not used: no Vulkan memory model";
    return NULL;
}

/* The largest that fits, the first of equals; false: none. */
static bool choose(VkInstance instance, VkPhysicalDevice physical, uint32_t subgroup,
                   VulkanMatrix *out)
{
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR list =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)vkGetInstanceProcAddr(
            instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    VkCooperativeMatrixPropertiesKHR offered[MOST_OFFERED] = {0};
    uint32_t n = MOST_OFFERED, largest = 0;
    for (uint32_t i = 0; i < n; i++)
        offered[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    if (!list || list(physical, &n, offered) < 0) return false;
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(physical, &properties);
    for (uint32_t i = 0; i < n; i++) {
        VulkanMatrix fit;
        uint32_t size = offered[i].MSize * offered[i].NSize * offered[i].KSize;
        if (size <= largest ||
            !vulkan_matrix_fit(&offered[i], subgroup, properties.limits.maxComputeSharedMemorySize,
                               &fit))
            continue;
        largest = size;
        *out = fit;
    }
    return largest > 0;
}

/* ---- right or not ---- */

static const ProductWay ways[] = {{DTYPE_F16, {TILE_MATRIX_64, 1}},
                                  {DTYPE_F16, {TILE_MATRIX_128, 1}},
                                  {DTYPE_F16, {TILE_MATRIX_64, 2}},
                                  {DTYPE_F16, {TILE_MATRIX_128, 2}}};

static void depends_on(const DeviceInfo *info, const VulkanMatrix *matrix, char text[512])
{
    uint64_t hash = GPU_HASH_START;
    for (int k = 0; k < KERNEL_COUNT; k++) {
        if (!gpu_kernels[k].glsl_only) continue;
        VulkanCode code = vulkan_kernel_code((KernelId)k);
        hash = gpu_hash(hash, code.words, code.bytes);
    }
    snprintf(text, 512, "matrices, %s, %s, %ux%ux%u, %d, kernels %016llx", info->name, info->driver,
             matrix->rows, matrix->cols, matrix->inner, info->subgroup, (unsigned long long)hash);
}

static void say(DeviceInfo *info, const VulkanMatrix *matrix, const char *wrong)
{
    snprintf(info->matrices, sizeof info->matrices, "%ux%ux%u%s%.76s", matrix->rows, matrix->cols,
             matrix->inner, wrong[0] ? ", not used: " : "", wrong);
}

bool vulkan_matrix_find(VkInstance instance, VkPhysicalDevice physical, DeviceInfo *info,
                        VulkanMatrix *out)
{
    ProductVerdict verdict;
    char depends[512];
    info->matrices[0] = '\0';
    if (!info->matrix) return false;
    const char *why = lacks(physical, info);
    if (vulkan_kernel_code(KERNEL_PRODUCT_MATRIX_64).bytes == 0)
        why = "not in this build, whose GLSL compiler does not know them";
    else if (!why && !choose(instance, physical, (uint32_t)info->subgroup, out))
        why = "not used: of sizes or types that the kernels are not made for";
    if (why) {
        snprintf(info->matrices, sizeof info->matrices, "%s", why);
        return false;
    }
    depends_on(info, out, depends);
    if (product_verdict_find(depends, &verdict))
        say(info, out, verdict.wrong);
    else
        snprintf(info->matrices, sizeof info->matrices, "%ux%ux%u, to be checked at first use",
                 out->rows, out->cols, out->inner);
    return true;
}

wf_status vulkan_matrix_check(VulkanDevice *device)
{
    DeviceInfo *info = &device->base.info;
    ProductVerdict verdict;
    char depends[512];
    if (!device->matrix.rows) return WF_OK;
    depends_on(info, &device->matrix, depends);
    device->gpu.matrices = true;
    wf_status status =
        product_check(&device->base, depends, ways, (int)(sizeof ways / sizeof *ways), &verdict);
    if (status) snprintf(verdict.wrong, sizeof verdict.wrong, "%.95s", wf_error_message());
    device->gpu.matrices = !verdict.wrong[0];
    say(info, &device->matrix, verdict.wrong);
    if (!device->lost) return WF_OK;
    product_verdict_keep(depends, &verdict); /* the next to open it does without */
    return status;
}
