/* The kernels through NVRTC, whose machine code is kept in files: a module a kernel. What the
 * driver does not take back is compiled anew. */
#include "backends/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first lines of the compiler's complaint. */
static wf_status compile_failure(const char *name, nvrtcProgram program, nvrtcResult result)
{
    enum { FIRST = 1024 };
    size_t size = 0;
    nvrtcGetProgramLogSize(program, &size);
    char *log = calloc(size + 1, 1);
    if (log) nvrtcGetProgramLog(program, log);
    wf_status status = fail(WF_ERROR_DEVICE, "CUDA: kernel %s does not compile (%s): %.*s", name,
                            nvrtcGetErrorString(result), FIRST, log ? log : "");
    free(log);
    return status;
}

static wf_status unknown_architecture(const char *name, int major, int minor)
{
    int compiler_major = 0, compiler_minor = 0;
    nvrtcVersion(&compiler_major, &compiler_minor);
    return fail(WF_ERROR_DEVICE,
                "CUDA: kernel %s: NVRTC %d.%d does not compile for compute capability %d.%d: "
                "install one that does (libnvrtc, of the CUDA toolkit)",
                name, compiler_major, compiler_minor, major, minor);
}

static wf_status program_code(nvrtcProgram program, const char *name, char **code, size_t *size)
{
    nvrtcResult result = nvrtcGetCUBINSize(program, size);
    if (result) return compile_failure(name, program, result);
    *code = malloc(*size);
    if (!*code) return fail(WF_ERROR_MEMORY, "out of memory for kernel %s", name);
    result = nvrtcGetCUBIN(program, *code);
    if (!result) return WF_OK;
    free(*code);
    return compile_failure(name, program, result);
}

wf_status cuda_compile(const GpuKernel *kernel, int major, int minor, char **code, size_t *size)
{
    size_t prelude = strlen(gpu_prelude), length = strlen(kernel->source);
    char *source = malloc(prelude + length + 1);
    if (!source) return fail(WF_ERROR_MEMORY, "out of memory for kernel %s", kernel->name);
    memcpy(source, gpu_prelude, prelude);
    memcpy(source + prelude, kernel->source, length + 1);

    char architecture[64];
    snprintf(architecture, sizeof architecture, "--gpu-architecture=sm_%d%d", major, minor);
    const char *options[] = {architecture, CUDA_OPTION};
    nvrtcProgram program;
    nvrtcResult result = nvrtcCreateProgram(&program, source, kernel->name, 0, NULL, NULL);
    free(source);
    if (result)
        return fail(WF_ERROR_DEVICE, "CUDA: kernel %s: %s", kernel->name,
                    nvrtcGetErrorString(result));
    result = nvrtcCompileProgram(program, (int)(sizeof options / sizeof *options), options);
    wf_status status = result == NVRTC_ERROR_INVALID_OPTION
                           ? unknown_architecture(kernel->name, major, minor)
                       : result ? compile_failure(kernel->name, program, result)
                                : program_code(program, kernel->name, code, size);
    nvrtcDestroyProgram(&program);
    return status;
}

/* ---- for programs ---- */

/* Replaces *module only by one that has the kernel. */
static CUresult load(const GpuKernel *kernel, const void *code, CUmodule *module, CUfunction *out)
{
    CUmodule loaded;
    CUresult error = cuModuleLoadDataEx(&loaded, code, 0, NULL, NULL);
    if (error) return error;
    error = cuModuleGetFunction(out, loaded, kernel->name);
    if (error)
        cuModuleUnload(loaded);
    else
        *module = loaded;
    return error;
}

/* From an earlier run. */
static bool load_kept(CudaDevice *device, KernelId id, CUfunction *out)
{
    char name[96];
    void *code = NULL;
    size_t size = 0;
    const GpuKernel *kernel = &gpu_kernels[id];
    if (!gpu_cache_load(&device->files, gpu_kernel_file(kernel, name), &code, &size)) return false;
    CUresult error =
        size > 0 ? load(kernel, code, &device->modules[id], out) : CUDA_ERROR_INVALID_IMAGE;
    if (error) gpu_cache_forget(&device->files, name);
    free(code);
    return !error;
}

static wf_status compile_and_keep(CudaDevice *device, KernelId id, CUfunction *out)
{
    char name[96], *code = NULL;
    size_t size = 0;
    const GpuKernel *kernel = &gpu_kernels[id];
    TRY(cuda_compile(kernel, device->major, device->minor, &code, &size));
    CUresult error = load(kernel, code, &device->modules[id], out);
    if (!error) gpu_cache_store(&device->files, gpu_kernel_file(kernel, name), code, size);
    free(code);
    return error ? cuda_fail(error, "loading kernel %s", kernel->name) : WF_OK;
}

wf_status cuda_kernel_get(CudaDevice *device, KernelId id, CUfunction *out)
{
    if (!device->modules[id])
        return load_kept(device, id, out) ? WF_OK : compile_and_keep(device, id, out);
    CUresult error = cuModuleGetFunction(out, device->modules[id], gpu_kernels[id].name);
    return error ? cuda_fail(error, "finding kernel %s", gpu_kernels[id].name) : WF_OK;
}
