#include "backends/opencl/clblast.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ClblastTable clblast_table;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256], name[48] = "CLBlast";

static void find_version(void *function)
{
    static const char stem[] = "libclblast.so.";
    Dl_info info;
    char *path = dladdr(function, &info) ? realpath(info.dli_fname, NULL) : NULL;
    const char *file = path ? strstr(path, stem) : NULL;
    if (file) snprintf(name, sizeof name, "CLBlast %.32s", file + strlen(stem));
    free(path);
}

static void load(void)
{
    static const char *const names[] = {"libclblast.so.1", "libclblast.so", "libclblast.dylib"};
    if (clblast_table.p_CLBlastSgemmWithTempBuffer) return; /* put there by a test */
    void *library = NULL;
    for (unsigned i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(failure, sizeof failure, "no CLBlast (%s) here", names[0]);
        return;
    }
#define X(function, parameters)                                                                    \
    clblast_table.p_##function = (CLBlastStatusCode(*) parameters)dlsym(library, #function);       \
    if (!clblast_table.p_##function) {                                                             \
        snprintf(failure, sizeof failure, "CLBlast is too old: it has no %s", #function);          \
        return;                                                                                    \
    }
    CLBLAST_FUNCTIONS(X)
#undef X
    find_version(dlsym(library, "CLBlastClearCache"));
}

const char *clblast_load(void)
{
    pthread_once(&once, load);
    return failure[0] ? failure : NULL;
}

const char *clblast_name(void)
{
    return name;
}
