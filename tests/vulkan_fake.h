/* A layer over the Vulkan driver present: it counts calls, lets one of them fail, and counts what
 * is made and not destroyed. After a lost device everything that can says so, as drivers do. */
#ifndef TESTS_VULKAN_FAKE_H
#define TESTS_VULKAN_FAKE_H

#include "backends/vulkan/loader.h"
#include "backends/vulkan/matrix.h"

#define X(function) FAKE_##function,
typedef enum FakeFunction { VULKAN_FUNCTIONS(X) FAKE_FUNCTIONS } FakeFunction;
#undef X

/* Code that a module is made of in place of other code, which begins at `words`. */
typedef struct FakeCode {
    const uint32_t *words, *instead;
    size_t bytes; /* of `instead` */
} FakeCode;

typedef struct FakeVulkan {
    int calls[FAKE_FUNCTIONS]; /* of those that can fail */
    int live;                  /* objects made and not destroyed */
    int barriers, for_host;    /* recorded; of them, those that have the host wait */
    uint64_t waited;           /* the semaphore's value that was waited for last */
    FakeFunction function;     /* whose nth call fails, 1 the first, 0 none, with this result */
    int nth;
    VkResult result;
    bool failed, lost;                         /* it has; the device is gone */
    VkPhysicalDeviceVulkan12Features withheld; /* features that are VK_TRUE here are hidden */
    VkPhysicalDeviceProperties lowered;        /* where not 0: apiVersion, the limits below */
    VkQueueFlags no_queue;                     /* families with any of these are hidden */
    VkDeviceSize most_buffer;                  /* where not 0: the largest buffer */
    bool decoy; /* memory type 0 is one like the first, which no buffer takes; others follow */
    /* Cooperative matrices that every device claims to offer, and what runs in place of kernels
     * that use them. */
    const VkCooperativeMatrixPropertiesKHR *matrices;
    const FakeCode *codes;
    uint32_t n_matrices, n_codes;
} FakeVulkan;

extern FakeVulkan fake;

extern const char *const fake_names[FAKE_FUNCTIONS];

/* Puts the layer between the table and the driver; once, after vulkan_load(). */
void fake_install(void);
/* Forgets everything above but what is live. */
void fake_reset(void);
/* The function's nth call fails. */
void fake_arm(FakeFunction function, int nth, VkResult result);

#endif
