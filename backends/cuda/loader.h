/* The CUDA driver and NVRTC, loaded at run time: one binary serves machines with and without
 * NVIDIA.
 *
 * After this header the functions listed below are called by their own names and reach through one
 * table. Nothing of the driver may be called before cuda_load_driver() has returned NULL, nothing
 * of NVRTC before cuda_load_compiler() has. A test may put functions of its own into the table. */
#ifndef BACKENDS_CUDA_LOADER_H
#define BACKENDS_CUDA_LOADER_H

#include <cuda.h>
#include <nvrtc.h>

/* clang-format off */
/* Name, symbol (its version is part of the interface), parameters; each returns CUresult. */
#define CUDA_DRIVER_FUNCTIONS(X)                                                                   \
    X(cuInit, "cuInit", (unsigned flags))                                                          \
    X(cuDriverGetVersion, "cuDriverGetVersion", (int *version))                                    \
    X(cuGetErrorString, "cuGetErrorString", (CUresult error, const char **text))                   \
    X(cuDeviceGetCount, "cuDeviceGetCount", (int *count))                                          \
    X(cuDeviceGet, "cuDeviceGet", (CUdevice *device, int ordinal))                                 \
    X(cuDeviceGetName, "cuDeviceGetName", (char *name, int size, CUdevice device))                 \
    X(cuDeviceTotalMem, "cuDeviceTotalMem_v2", (size_t *bytes, CUdevice device))                   \
    X(cuDeviceGetAttribute, "cuDeviceGetAttribute",                                                \
      (int *value, CUdevice_attribute attribute, CUdevice device))                                 \
    X(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain",                                        \
      (CUcontext *context, CUdevice device))                                                       \
    X(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice device))                \
    X(cuCtxSetCurrent, "cuCtxSetCurrent", (CUcontext context))                                     \
    X(cuCtxSynchronize, "cuCtxSynchronize", (void))                                                \
    X(cuStreamCreate, "cuStreamCreate", (CUstream *stream, unsigned flags))                        \
    X(cuStreamDestroy, "cuStreamDestroy_v2", (CUstream stream))                                    \
    X(cuStreamSynchronize, "cuStreamSynchronize", (CUstream stream))                               \
    X(cuEventCreate, "cuEventCreate", (CUevent *event, unsigned flags))                            \
    X(cuEventDestroy, "cuEventDestroy_v2", (CUevent event))                                        \
    X(cuEventRecord, "cuEventRecord", (CUevent event, CUstream stream))                            \
    X(cuEventSynchronize, "cuEventSynchronize", (CUevent event))                                   \
    X(cuStreamBeginCapture, "cuStreamBeginCapture_v2",                                             \
      (CUstream stream, CUstreamCaptureMode mode))                                                 \
    X(cuStreamEndCapture, "cuStreamEndCapture", (CUstream stream, CUgraph *graph))                 \
    X(cuGraphInstantiate, "cuGraphInstantiateWithFlags",                                           \
      (CUgraphExec *executable, CUgraph graph, unsigned long long flags))                          \
    X(cuGraphLaunch, "cuGraphLaunch", (CUgraphExec executable, CUstream stream))                   \
    X(cuGraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec executable))                          \
    X(cuGraphDestroy, "cuGraphDestroy", (CUgraph graph))                                           \
    X(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr *address, size_t bytes))                           \
    X(cuMemFree, "cuMemFree_v2", (CUdeviceptr address))                                            \
    X(cuMemHostAlloc, "cuMemHostAlloc", (void **memory, size_t bytes, unsigned flags))             \
    X(cuMemFreeHost, "cuMemFreeHost", (void *memory))                                              \
    X(cuMemcpyHtoD, "cuMemcpyHtoD_v2", (CUdeviceptr to, const void *from, size_t bytes))           \
    X(cuMemcpyDtoH, "cuMemcpyDtoH_v2", (void *to, CUdeviceptr from, size_t bytes))                 \
    X(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                                   \
      (CUdeviceptr to, const void *from, size_t bytes, CUstream stream))                           \
    X(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                                                   \
      (void *to, CUdeviceptr from, size_t bytes, CUstream stream))                                 \
    X(cuMemsetD32Async, "cuMemsetD32Async",                                                        \
      (CUdeviceptr to, unsigned word, size_t words, CUstream stream))                              \
    X(cuModuleLoadDataEx, "cuModuleLoadDataEx",                                                    \
      (CUmodule *module, const void *image, unsigned options, CUjit_option *names,                 \
       void **values))                                                                             \
    X(cuModuleUnload, "cuModuleUnload", (CUmodule module))                                         \
    X(cuModuleGetFunction, "cuModuleGetFunction",                                                  \
      (CUfunction *function, CUmodule module, const char *name))                                   \
    X(cuFuncSetAttribute, "cuFuncSetAttribute",                                                    \
      (CUfunction function, CUfunction_attribute attribute, int value))                            \
    X(cuLaunchKernel, "cuLaunchKernel",                                                            \
      (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,   \
       unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream,                 \
       void **parameters, void **extra))

/* Each returns nvrtcResult. */
#define CUDA_COMPILER_FUNCTIONS(X)                                                                 \
    X(nvrtcVersion, "nvrtcVersion", (int *major, int *minor))                                      \
    X(nvrtcCreateProgram, "nvrtcCreateProgram",                                                    \
      (nvrtcProgram *program, const char *source, const char *name, int headers,                   \
       const char *const *texts, const char *const *names))                                        \
    X(nvrtcDestroyProgram, "nvrtcDestroyProgram", (nvrtcProgram *program))                         \
    X(nvrtcCompileProgram, "nvrtcCompileProgram",                                                  \
      (nvrtcProgram program, int count, const char *const *options))                               \
    X(nvrtcGetCUBINSize, "nvrtcGetCUBINSize", (nvrtcProgram program, size_t *bytes))               \
    X(nvrtcGetCUBIN, "nvrtcGetCUBIN", (nvrtcProgram program, char *code))                          \
    X(nvrtcGetPTXSize, "nvrtcGetPTXSize", (nvrtcProgram program, size_t *bytes))                   \
    X(nvrtcGetPTX, "nvrtcGetPTX", (nvrtcProgram program, char *code))                              \
    X(nvrtcGetProgramLogSize, "nvrtcGetProgramLogSize", (nvrtcProgram program, size_t *bytes))     \
    X(nvrtcGetProgramLog, "nvrtcGetProgramLog", (nvrtcProgram program, char *log))

/* clang-format on */

typedef struct CudaTable {
#define X(name, symbol, parameters) CUresult(CUDAAPI *p_##name) parameters;
    CUDA_DRIVER_FUNCTIONS(X)
#undef X
#define X(name, symbol, parameters) nvrtcResult(*p_##name) parameters;
    CUDA_COMPILER_FUNCTIONS(X)
#undef X
    const char *(*p_nvrtcGetErrorString)(nvrtcResult result);
} CudaTable;

extern CudaTable cuda_table;

/* Major version that a library says of itself; 0: it does not. */
typedef int (*CudaVersion)(void *library);
/* The first of the libraries whose code the driver takes, which is that of no later major version
 * than its own, opened with these flags; NULL: none, and *newer is the version of one that was
 * passed over, or 0. Where no driver says its version any will do. */
void *cuda_open_library(const char *const *names, size_t count, int flags, CudaVersion version,
                        int *newer);
/* Major version of CUDA that the driver is of; 0: there is none that says. */
int cuda_driver_major(void);

/* Fill their part of the table once a process. NULL, or why it is not there. */
const char *cuda_load_driver(void);
const char *cuda_load_compiler(void);

#undef cuDeviceTotalMem
#undef cuDevicePrimaryCtxRelease
#undef cuStreamDestroy
#undef cuEventDestroy
#undef cuStreamBeginCapture
#undef cuGraphInstantiate
#undef cuMemAlloc
#undef cuMemFree
#undef cuMemcpyHtoD
#undef cuMemcpyDtoH
#undef cuMemcpyHtoDAsync
#undef cuMemcpyDtoHAsync

#define cuInit                    cuda_table.p_cuInit
#define cuDriverGetVersion        cuda_table.p_cuDriverGetVersion
#define cuGetErrorString          cuda_table.p_cuGetErrorString
#define cuDeviceGetCount          cuda_table.p_cuDeviceGetCount
#define cuDeviceGet               cuda_table.p_cuDeviceGet
#define cuDeviceGetName           cuda_table.p_cuDeviceGetName
#define cuDeviceTotalMem          cuda_table.p_cuDeviceTotalMem
#define cuDeviceGetAttribute      cuda_table.p_cuDeviceGetAttribute
#define cuDevicePrimaryCtxRetain  cuda_table.p_cuDevicePrimaryCtxRetain
#define cuDevicePrimaryCtxRelease cuda_table.p_cuDevicePrimaryCtxRelease
#define cuCtxSetCurrent           cuda_table.p_cuCtxSetCurrent
#define cuCtxSynchronize          cuda_table.p_cuCtxSynchronize
#define cuStreamCreate            cuda_table.p_cuStreamCreate
#define cuStreamDestroy           cuda_table.p_cuStreamDestroy
#define cuStreamSynchronize       cuda_table.p_cuStreamSynchronize
#define cuEventCreate             cuda_table.p_cuEventCreate
#define cuEventDestroy            cuda_table.p_cuEventDestroy
#define cuEventRecord             cuda_table.p_cuEventRecord
#define cuEventSynchronize        cuda_table.p_cuEventSynchronize
#define cuStreamBeginCapture      cuda_table.p_cuStreamBeginCapture
#define cuStreamEndCapture        cuda_table.p_cuStreamEndCapture
#define cuGraphInstantiate        cuda_table.p_cuGraphInstantiate
#define cuGraphLaunch             cuda_table.p_cuGraphLaunch
#define cuGraphExecDestroy        cuda_table.p_cuGraphExecDestroy
#define cuGraphDestroy            cuda_table.p_cuGraphDestroy
#define cuMemAlloc                cuda_table.p_cuMemAlloc
#define cuMemFree                 cuda_table.p_cuMemFree
#define cuMemHostAlloc            cuda_table.p_cuMemHostAlloc
#define cuMemFreeHost             cuda_table.p_cuMemFreeHost
#define cuMemcpyHtoD              cuda_table.p_cuMemcpyHtoD
#define cuMemcpyDtoH              cuda_table.p_cuMemcpyDtoH
#define cuMemcpyHtoDAsync         cuda_table.p_cuMemcpyHtoDAsync
#define cuMemcpyDtoHAsync         cuda_table.p_cuMemcpyDtoHAsync
#define cuMemsetD32Async          cuda_table.p_cuMemsetD32Async
#define cuModuleLoadDataEx        cuda_table.p_cuModuleLoadDataEx
#define cuModuleUnload            cuda_table.p_cuModuleUnload
#define cuModuleGetFunction       cuda_table.p_cuModuleGetFunction
#define cuFuncSetAttribute        cuda_table.p_cuFuncSetAttribute
#define cuLaunchKernel            cuda_table.p_cuLaunchKernel

#define nvrtcVersion           cuda_table.p_nvrtcVersion
#define nvrtcCreateProgram     cuda_table.p_nvrtcCreateProgram
#define nvrtcDestroyProgram    cuda_table.p_nvrtcDestroyProgram
#define nvrtcCompileProgram    cuda_table.p_nvrtcCompileProgram
#define nvrtcGetCUBINSize      cuda_table.p_nvrtcGetCUBINSize
#define nvrtcGetCUBIN          cuda_table.p_nvrtcGetCUBIN
#define nvrtcGetPTXSize        cuda_table.p_nvrtcGetPTXSize
#define nvrtcGetPTX            cuda_table.p_nvrtcGetPTX
#define nvrtcGetProgramLogSize cuda_table.p_nvrtcGetProgramLogSize
#define nvrtcGetProgramLog     cuda_table.p_nvrtcGetProgramLog
#define nvrtcGetErrorString    cuda_table.p_nvrtcGetErrorString

#endif
