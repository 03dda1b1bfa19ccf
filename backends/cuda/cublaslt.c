#include "backends/cuda/cublaslt.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

CublasltTable cublaslt_table;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256];

static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11",
                                    "libcublasLt.so", "/usr/local/cuda/lib64/libcublasLt.so"};

void *cublaslt_open(void)
{
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    return library;
}

static void load(void)
{
    if (cublaslt_table.p_cublasLtCreate) return; /* put there by a test */
    void *library = cublaslt_open();
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
