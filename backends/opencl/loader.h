/* The OpenCL library, loaded at run time: a machine without an ICD loader runs the same binary.
 *
 * After this header the OpenCL functions listed below are called by their own names. Nothing may be
 * called before opencl_load() has returned NULL. */
#ifndef BACKENDS_OPENCL_LOADER_H
#define BACKENDS_OPENCL_LOADER_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <CL/cl_icd.h>

#define OPENCL_FUNCTIONS(X)                                                                        \
    X(clGetPlatformIDs)                                                                            \
    X(clGetPlatformInfo)                                                                           \
    X(clGetDeviceIDs)                                                                              \
    X(clGetDeviceInfo)                                                                             \
    X(clCreateContext)                                                                             \
    X(clReleaseContext)                                                                            \
    X(clCreateCommandQueue)                                                                        \
    X(clReleaseCommandQueue)                                                                       \
    X(clCreateBuffer)                                                                              \
    X(clReleaseMemObject)                                                                          \
    X(clEnqueueReadBuffer)                                                                         \
    X(clEnqueueWriteBuffer)                                                                        \
    X(clCreateSubBuffer)                                                                           \
    X(clEnqueueFillBuffer)                                                                         \
    X(clEnqueueMapBuffer)                                                                          \
    X(clEnqueueUnmapMemObject)                                                                     \
    X(clEnqueueMarkerWithWaitList)                                                                 \
    X(clWaitForEvents)                                                                             \
    X(clReleaseEvent)                                                                              \
    X(clCreateProgramWithSource)                                                                   \
    X(clCreateProgramWithBinary)                                                                   \
    X(clBuildProgram)                                                                              \
    X(clGetProgramInfo)                                                                            \
    X(clGetProgramBuildInfo)                                                                       \
    X(clReleaseProgram)                                                                            \
    X(clCreateKernel)                                                                              \
    X(clReleaseKernel)                                                                             \
    X(clSetKernelArg)                                                                              \
    X(clEnqueueNDRangeKernel)                                                                      \
    X(clFlush)                                                                                     \
    X(clFinish)

typedef struct OpenclTable {
#define X(function) cl_api_##function p_##function;
    OPENCL_FUNCTIONS(X)
#undef X
} OpenclTable;

extern OpenclTable opencl_table;

/* Fills the table once a process. NULL, or why there is no OpenCL here. */
const char *opencl_load(void);

#define clGetPlatformIDs          opencl_table.p_clGetPlatformIDs
#define clGetPlatformInfo         opencl_table.p_clGetPlatformInfo
#define clGetDeviceIDs            opencl_table.p_clGetDeviceIDs
#define clGetDeviceInfo           opencl_table.p_clGetDeviceInfo
#define clCreateContext           opencl_table.p_clCreateContext
#define clReleaseContext          opencl_table.p_clReleaseContext
#define clCreateCommandQueue      opencl_table.p_clCreateCommandQueue
#define clReleaseCommandQueue     opencl_table.p_clReleaseCommandQueue
#define clCreateBuffer            opencl_table.p_clCreateBuffer
#define clReleaseMemObject        opencl_table.p_clReleaseMemObject
#define clEnqueueReadBuffer       opencl_table.p_clEnqueueReadBuffer
#define clEnqueueWriteBuffer      opencl_table.p_clEnqueueWriteBuffer
#define clCreateSubBuffer         opencl_table.p_clCreateSubBuffer
#define clEnqueueFillBuffer       opencl_table.p_clEnqueueFillBuffer
#define clEnqueueMapBuffer        opencl_table.p_clEnqueueMapBuffer
#define clEnqueueUnmapMemObject   opencl_table.p_clEnqueueUnmapMemObject
#define clWaitForEvents           opencl_table.p_clWaitForEvents
#define clReleaseEvent            opencl_table.p_clReleaseEvent
#define clCreateProgramWithSource opencl_table.p_clCreateProgramWithSource
#define clCreateProgramWithBinary opencl_table.p_clCreateProgramWithBinary
#define clBuildProgram            opencl_table.p_clBuildProgram
#define clGetProgramInfo          opencl_table.p_clGetProgramInfo
#define clGetProgramBuildInfo     opencl_table.p_clGetProgramBuildInfo
#define clReleaseProgram          opencl_table.p_clReleaseProgram
#define clCreateKernel            opencl_table.p_clCreateKernel
#define clReleaseKernel           opencl_table.p_clReleaseKernel
#define clSetKernelArg            opencl_table.p_clSetKernelArg
#define clEnqueueNDRangeKernel    opencl_table.p_clEnqueueNDRangeKernel
#define clFlush                   opencl_table.p_clFlush
#define clFinish                  opencl_table.p_clFinish

#define clEnqueueMarkerWithWaitList opencl_table.p_clEnqueueMarkerWithWaitList

#endif
