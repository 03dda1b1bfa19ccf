#include "backends/cuda/cublaslt.h"

#include "backends/cuda/loader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

CublasltTable cublaslt_table;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256];

static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11",
                                    "libcublasLt.so", "/usr/local/cuda/lib64/libcublasLt.so"};

/* 0 where no driver says. */
static int driver_major(void)
{
    int version = 0;
    if (!cuda_table.p_cuDriverGetVersion || cuDriverGetVersion(&version)) return 0;
    return version / 1000;
}

static int major_of(void *library)
{
    int major = 0;
    cublasStatus_t(CUBLASWINAPI * property)(libraryPropertyType, int *) =
        (cublasStatus_t(CUBLASWINAPI *)(libraryPropertyType, int *))dlsym(library,
                                                                          "cublasLtGetProperty");
    return property && !property(MAJOR_VERSION, &major) ? major : 0;
}

/* A driver runs what is of no later major version than its own. */
void *cublaslt_open(int *newer)
{
    int driver = driver_major();
    *newer = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
        if (!library) continue;
        int major = major_of(library);
        if (!driver || major <= driver) return library;
        *newer = major;
        dlclose(library);
    }
    return NULL;
}

static void load(void)
{
    if (cublaslt_table.p_cublasLtCreate) return; /* put there by a test */
    int newer;
    void *library = cublaslt_open(&newer);
    if (!library && newer) {
        snprintf(failure, sizeof failure, "cuBLASLt %d here is newer than the CUDA driver", newer);
        return;
    }
    if (!library) {
        snprintf(failure, sizeof failure, "no cuBLASLt (libcublasLt, of the CUDA toolkit) here");
        return;
    }
#define X(name, parameters)                                                                        \
    cublaslt_table.p_##name = (cublasStatus_t(CUBLASWINAPI *) parameters)dlsym(library, #name);    \
    if (!cublaslt_table.p_##name) {                                                                \
        snprintf(failure, sizeof failure, "cuBLASLt is too old: it has no %s", #name);             \
        return;                                                                                    \
    }
    CUBLASLT_FUNCTIONS(X)
#undef X
    cublaslt_table.p_cublasLtGetStatusString =
        (const char *(CUBLASWINAPI *)(cublasStatus_t))dlsym(library, "cublasLtGetStatusString");
    if (!cublaslt_table.p_cublasLtGetStatusString)
        snprintf(failure, sizeof failure, "cuBLASLt is too old: it has no cublasLtGetStatusString");
}

const char *cublaslt_load(void)
{
    pthread_once(&once, load);
    return failure[0] ? failure : NULL;
}
