#include "backends/vulkan/loader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

VulkanTable vulkan_table;

bool vulkan_load_from(const char *const *names, char *why, size_t size)
{
    void *library = NULL;
    for (int i = 0; names[i] && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(why, size, "no Vulkan loader (%s) on this machine", names[0]);
        return false;
    }
#define X(function)                                                                                \
    vulkan_table.p_##function = (PFN_##function)dlsym(library, #function);                         \
    if (!vulkan_table.p_##function) {                                                              \
        snprintf(why, size, "the Vulkan loader is too old: it has no %s", #function);              \
        return false;                                                                              \
    }
    VULKAN_FUNCTIONS(X)
#undef X
    return true;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256];

static void load(void)
{
    static const char *const names[] = {"libvulkan.so.1", "libvulkan.so", "libvulkan.1.dylib",
                                        NULL};
    vulkan_load_from(names, failure, sizeof failure);
}

const char *vulkan_load(void)
{
    pthread_once(&once, load);
    return failure[0] ? failure : NULL;
}
