#include "backends/opencl/loader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

OpenclTable opencl_table;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256];

static void load(void)
{
    static const char *const names[] = {"libOpenCL.so.1", "libOpenCL.so", "libOpenCL.dylib"};
    void *library = NULL;
    for (unsigned i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(failure, sizeof failure, "no OpenCL loader (%s) on this machine", names[0]);
        return;
    }
#define X(function)                                                                                \
    opencl_table.p_##function = (cl_api_##function)dlsym(library, #function);                      \
    if (!opencl_table.p_##function) {                                                              \
        snprintf(failure, sizeof failure, "the OpenCL loader has no %s", #function);               \
        return;                                                                                    \
    }
    OPENCL_FUNCTIONS(X)
#undef X
}

const char *opencl_load(void)
{
    pthread_once(&once, load);
    return failure[0] ? failure : NULL;
}
