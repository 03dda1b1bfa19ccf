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

static int major_of(void *library)
{
    int major = 0;
    cublasStatus_t(CUBLASWINAPI * property)(libraryPropertyType, int *) =
        (cublasStatus_t(CUBLASWINAPI *)(libraryPropertyType, int *))dlsym(library,
                                                                          "cublasLtGetProperty");
    return property && !property(MAJOR_VERSION, &major) ? major : 0;
}

void *cublaslt_open(int *newer)
{
    return cuda_open_library(names, sizeof names / sizeof *names, RTLD_LAZY, major_of, newer);
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
