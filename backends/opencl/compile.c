/* The kernels through the driver's compiler, whose binaries are kept in files: a program a kernel,
 * built when first needed. A binary that the driver does not take back is compiled anew. */
#include "backends/opencl/opencl.h"

#include <stdlib.h>

/* The first lines of the compiler's complaint. */
static wf_status build_failure(const OpenclDevice *device, cl_program program, const char *name,
                               cl_int error)
{
    enum { FIRST = 1024 };
    size_t size = 0;
    clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    char *log = calloc(size + 1, 1);
    if (log) clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    wf_status status =
        fail(WF_ERROR_DEVICE, "OpenCL: %s does not compile kernel %s (error %d): %.*s",
             device->base.info.name, name, (int)error, FIRST, log ? log : "");
    free(log);
    return status;
}

static wf_status compile(OpenclDevice *device, const GpuKernel *kernel, cl_program *out)
{
    const char *sources[] = {gpu_prelude, kernel->source};
    cl_int error;
    cl_program program = clCreateProgramWithSource(device->context, 2, sources, NULL, &error);
    if (error) return opencl_fail(error, "making kernel %s", kernel->name);
    error = clBuildProgram(program, 1, &device->id, OPENCL_OPTIONS, NULL, NULL);
    if (error) {
        wf_status status = build_failure(device, program, kernel->name, error);
        clReleaseProgram(program);
        return status;
    }
    *out = program;
    return WF_OK;
}

/* ---- binaries ---- */

static void keep(OpenclDevice *device, const GpuKernel *kernel, cl_program program)
{
    char name[96];
    size_t size = 0;
    if (!device->files.folder) return;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL)) return;
    unsigned char *binary = size > 0 && size <= GPU_CACHE_LARGEST ? malloc(size) : NULL;
    if (binary && !clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL))
        gpu_cache_store(&device->files, gpu_kernel_file(kernel, name), binary, size);
    free(binary);
}

/* Is the kernel there? Some drivers build any binary and find out here what it is. */
static bool holds(cl_program program, const GpuKernel *kernel)
{
    cl_int error;
    cl_kernel made = clCreateKernel(program, kernel->name, &error);
    if (error) return false;
    clReleaseKernel(made);
    return true;
}

/* NULL where the driver does not take it. */
static cl_program build_binary(const OpenclDevice *device, const GpuKernel *kernel,
                               const unsigned char *binary, size_t size)
{
    cl_int taken = CL_SUCCESS, error;
    cl_program program =
        clCreateProgramWithBinary(device->context, 1, &device->id, &size, &binary, &taken, &error);
    if (error) return NULL;
    if (!taken && !clBuildProgram(program, 1, &device->id, OPENCL_OPTIONS, NULL, NULL) &&
        holds(program, kernel))
        return program;
    clReleaseProgram(program);
    return NULL;
}

/* From an earlier run; NULL: there is none. */
static cl_program load(OpenclDevice *device, const GpuKernel *kernel)
{
    char name[96];
    void *binary = NULL;
    size_t size = 0;
    if (!gpu_cache_load(&device->files, gpu_kernel_file(kernel, name), &binary, &size)) return NULL;
    cl_program program = size > 0 ? build_binary(device, kernel, binary, size) : NULL;
    if (!program) gpu_cache_forget(&device->files, name);
    free(binary);
    return program;
}

/* ---- for programs ---- */

wf_status opencl_kernel_create(OpenclDevice *device, KernelId id, cl_kernel *out)
{
    const GpuKernel *kernel = &gpu_kernels[id];
    if (!device->programs[id]) device->programs[id] = load(device, kernel);
    if (!device->programs[id]) {
        TRY(compile(device, kernel, &device->programs[id]));
        keep(device, kernel, device->programs[id]);
    }
    cl_int error;
    cl_kernel made = clCreateKernel(device->programs[id], kernel->name, &error);
    if (error) return opencl_fail(error, "recording kernel %s", kernel->name);
    *out = made;
    return WF_OK;
}
