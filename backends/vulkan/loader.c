#include "backends/vulkan/loader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

VulkanTable vulkan_table;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256];

static void load(void)
{
    static const char *const names[] = {"libvulkan.so.1", "libvulkan.so", "libvulkan.1.dylib"};
    void *library = NULL;
    for (unsigned i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(failure, sizeof failure, "no Vulkan loader (%s) on this machine", names[0]);
        return;
    }
#define X(function)                                                                                \
    vulkan_table.p_##function = (PFN_##function)dlsym(library, #function);                         \
    if (!vulkan_table.p_##function) {                                                              \
        snprintf(failure, sizeof failure, "the Vulkan loader is too old: it has no %s",            \
                 #function);                                                                       \
        return;                                                                                    \
    }
    VULKAN_FUNCTIONS(X)
#undef X
}

const char *vulkan_load(void)
{
    pthread_once(&once, load);
    return failure[0] ? failure : NULL;
}
