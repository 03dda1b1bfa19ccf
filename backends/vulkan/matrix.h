/* Products by a device's own products of small matrices (VK_KHR_cooperative_matrix): which of the
 * sizes it offers the kernels in shaders/vulkan/ are made for, and whether what it then computes is
 * right. Sizes, subgroups and results are looked at anew for every device and driver; a device that
 * computes wrongly is used without, and says so in DeviceInfo.matrices. */
#ifndef BACKENDS_VULKAN_MATRIX_H
#define BACKENDS_VULKAN_MATRIX_H

#include "backends/backend.h"
#include "backends/vulkan/loader.h"

/* What is used of the extension, for headers older than it; values of Vulkan's registry. */
#ifndef VK_KHR_cooperative_matrix
#define VK_KHR_cooperative_matrix                1
#define VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME "VK_KHR_cooperative_matrix"
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR                          \
    ((VkStructureType)1000506000)
#define VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR ((VkStructureType)1000506001)
typedef enum VkComponentTypeKHR {
    VK_COMPONENT_TYPE_FLOAT16_KHR = 0,
    VK_COMPONENT_TYPE_FLOAT32_KHR = 1,
    VK_COMPONENT_TYPE_MAX_ENUM_KHR = 0x7fffffff
} VkComponentTypeKHR;
typedef enum VkScopeKHR {
    VK_SCOPE_SUBGROUP_KHR = 3,
    VK_SCOPE_MAX_ENUM_KHR = 0x7fffffff
} VkScopeKHR;
typedef struct VkCooperativeMatrixPropertiesKHR {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    VkComponentTypeKHR AType, BType, CType, ResultType;
    VkBool32 saturatingAccumulation;
    VkScopeKHR scope;
} VkCooperativeMatrixPropertiesKHR;
typedef struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix;
    VkBool32 cooperativeMatrixRobustBufferAccess;
} VkPhysicalDeviceCooperativeMatrixFeaturesKHR;
typedef VkResult(VKAPI_PTR *PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)(
    VkPhysicalDevice physicalDevice, uint32_t *pPropertyCount,
    VkCooperativeMatrixPropertiesKHR *pProperties);
#endif

/* The kernels' specialization constants, in their order. */
typedef struct VulkanMatrix {
    uint32_t rows, cols, inner; /* of one product: rows × inner times inner × cols */
    uint32_t down, across;      /* subgroups along the rows and columns of a group's tile */
} VulkanMatrix;

/* How groups of 256 threads in subgroups of `subgroup`, with `shared` bytes of group memory,
 * compute by what the device offers; false where they cannot. */
bool vulkan_matrix_fit(const VkCooperativeMatrixPropertiesKHR *offered, uint32_t subgroup,
                       uint32_t shared, VulkanMatrix *out);

/* The largest of what the device offers that fits. info->matrices says how products use it, or why
 * they do not, in which case the answer is false; "" where the device has none. */
bool vulkan_matrix_find(VkInstance instance, VkPhysicalDevice physical, DeviceInfo *info,
                        VulkanMatrix *out);

/* Whether the open device's products are right, found out once for each device, driver and kernels
 * and kept: sets gpu.matrices and info.matrices. WF_ERROR_DEVICE only where the device is lost. */
struct VulkanDevice;
wf_status vulkan_matrix_check(struct VulkanDevice *device);

#endif
