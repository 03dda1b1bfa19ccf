#include "backends/cuda/loader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

CudaTable cuda_table;

static pthread_once_t driver_once = PTHREAD_ONCE_INIT, compiler_once = PTHREAD_ONCE_INIT;
static char driver_failure[256], compiler_failure[256];

/* NVRTC is used through functions that exist since CUDA 11.3. */
static const char *const driver_names[] = {"libcuda.so.1", "libcuda.so"};
static const char *const compiler_names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2",
                                             "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"};
#define COUNT(names) (sizeof(names) / sizeof *(names))

static void *open_first(const char *const *names, size_t count)
{
    void *library = NULL;
    for (size_t i = 0; i < count && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

static void load_driver(void)
{
    if (cuda_table.p_cuInit) return; /* put there by a test */
    void *library = open_first(driver_names, COUNT(driver_names));
    if (!library) {
        snprintf(driver_failure, sizeof driver_failure, "no CUDA driver (%s) on this machine",
                 driver_names[0]);
        return;
    }
#define X(name, symbol, parameters)                                                                \
    cuda_table.p_##name = (CUresult(CUDAAPI *) parameters)dlsym(library, symbol);                  \
    if (!cuda_table.p_##name) {                                                                    \
        snprintf(driver_failure, sizeof driver_failure,                                            \
                 "the CUDA driver is too old: it has no %s", symbol);                              \
        return;                                                                                    \
    }
    CUDA_DRIVER_FUNCTIONS(X)
#undef X
    CUresult result = cuInit(0);
    if (result) {
        const char *text = "unknown error";
        cuGetErrorString(result, &text);
        snprintf(driver_failure, sizeof driver_failure, "the CUDA driver does not start: %s", text);
    }
}

int cuda_driver_major(void)
{
    int version = 0;
    if (!cuda_table.p_cuDriverGetVersion || cuDriverGetVersion(&version)) return 0;
    return version / 1000;
}

void *cuda_open_library(const char *const *names, size_t count, int flags, CudaVersion version,
                        int *newer)
{
    int driver = cuda_driver_major();
    *newer = 0;
    for (size_t i = 0; i < count; i++) {
        void *library = dlopen(names[i], flags | RTLD_LOCAL);
        if (!library) continue;
        int major = version(library);
        if (!driver || major <= driver) return library;
        *newer = major;
        dlclose(library);
    }
    return NULL;
}

static int compiler_major(void *library)
{
    nvrtcResult (*version)(int *, int *) =
        (nvrtcResult(*)(int *, int *))dlsym(library, "nvrtcVersion");
    int major = 0, minor = 0;
    return version && !version(&major, &minor) ? major : 0;
}

static void load_compiler(void)
{
    int newer, driver = cuda_driver_major();
    void *library =
        cuda_open_library(compiler_names, COUNT(compiler_names), RTLD_NOW, compiler_major, &newer);
    if (!library && newer) {
        snprintf(compiler_failure, sizeof compiler_failure,
                 "CUDA's run-time compiler here is of CUDA %d, newer than the driver, which is of "
                 "CUDA %d: install libnvrtc of CUDA %d, or a newer driver",
                 newer, driver, driver);
        return;
    }
    if (!library) {
        snprintf(compiler_failure, sizeof compiler_failure,
                 "CUDA's run-time compiler (libnvrtc, of the CUDA toolkit) is not on this machine");
        return;
    }
#define X(name, symbol, parameters)                                                                \
    cuda_table.p_##name = (nvrtcResult(*) parameters)dlsym(library, symbol);                       \
    if (!cuda_table.p_##name) {                                                                    \
        snprintf(compiler_failure, sizeof compiler_failure,                                        \
                 "CUDA's run-time compiler is too old: it has no %s", symbol);                     \
        return;                                                                                    \
    }
    CUDA_COMPILER_FUNCTIONS(X)
#undef X
    cuda_table.p_nvrtcGetErrorString =
        (const char *(*)(nvrtcResult))dlsym(library, "nvrtcGetErrorString");
}

const char *cuda_load_driver(void)
{
    pthread_once(&driver_once, load_driver);
    return driver_failure[0] ? driver_failure : NULL;
}

const char *cuda_load_compiler(void)
{
    pthread_once(&compiler_once, load_compiler);
    return compiler_failure[0] ? compiler_failure : NULL;
}
