/* The table of kernels, from the entry lines and sources that the build made of shaders/. */
#include "backends/gpu/cache.h"
#include "backends/gpu/gpu.h"
#include "backends/gpu/scalars.h"

#include <stdio.h>
#include <string.h>

const char *const gpu_prelude =
#include "shaders/prelude.text"
    ;

#define BUFFER(name, access, element) {#name, access, element},
#define READ(name)                    BUFFER(name, KERNEL_READS, STORED_BYTES)
#define WRITE(name)                   BUFFER(name, KERNEL_WRITES, STORED_BYTES)
#define UPDATE(name)                  BUFFER(name, KERNEL_UPDATES, STORED_BYTES)
#define READ4(name)                   BUFFER(name, KERNEL_READS, 4 * STORED_BYTES)
#define READ_INT(name)                BUFFER(name, KERNEL_READS, 4)
#define WRITE_INT(name)               BUFFER(name, KERNEL_WRITES, 4)
#define UPDATE_INT(name)              BUFFER(name, KERNEL_UPDATES, 4)
#define READ_FLOAT(name)              BUFFER(name, KERNEL_READS, 4)
#define WRITE_FLOAT(name)             BUFFER(name, KERNEL_WRITES, 4)
#define UPDATE_FLOAT(name)            BUFFER(name, KERNEL_UPDATES, 4)
#define READ_FLOAT2(name)             BUFFER(name, KERNEL_READS, 8)
#define WRITE_FLOAT2(name)            BUFFER(name, KERNEL_WRITES, 8)
#define UPDATE_FLOAT2(name)           BUFFER(name, KERNEL_UPDATES, 8)
#define READ_FLOAT4(name)             BUFFER(name, KERNEL_READS, 16)
#define WRITE_FLOAT4(name)            BUFFER(name, KERNEL_WRITES, 16)
#define UPDATE_FLOAT4(name)           BUFFER(name, KERNEL_UPDATES, 16)

/* n_buffers counts the list, whose last entry is the empty terminator. */
#define KERNEL_ENTRY(capitals, entry, size, list, members)                                         \
    [KERNEL_##capitals] = {                                                                        \
        .name = #entry,                                                                            \
        .threads = size,                                                                           \
        .variants = STORED_VARIANTS,                                                               \
        .glsl_only = GLSL_ONLY,                                                                    \
        .n_buffers = (int)(sizeof((KernelBuffer[]){list{0}}) / sizeof(KernelBuffer)) - 1,          \
        .n_scalars = (int)(sizeof(entry##_scalars) / 4),                                           \
        .buffers = {list{0}},                                                                      \
        .source = source_##entry},

#include "shaders/sources.inc"

const GpuKernel gpu_kernels[KERNEL_COUNT] = {
#include "shaders/kernels.inc"
};
#undef KERNEL_ENTRY

#define KERNEL_ENTRY(capitals, entry, size, list, members)                                         \
    _Static_assert(sizeof((KernelBuffer[]){list{0}}) / sizeof(KernelBuffer) <=                     \
                           GPU_MAX_BUFFERS + 1 &&                                                  \
                       (sizeof((KernelBuffer[]){list{0}}) / sizeof(KernelBuffer) - 1) * 8 +        \
                               sizeof(entry##_scalars) <=                                          \
                           GPU_MAX_ARGUMENT_BYTES,                                                 \
                   "arguments of " #entry " exceed what every device takes");
#include "shaders/kernels.inc"
#undef KERNEL_ENTRY

const char *gpu_kernel_file(const GpuKernel *kernel, char name[96])
{
    uint64_t hash = gpu_hash(GPU_HASH_START, gpu_prelude, strlen(gpu_prelude));
    hash = gpu_hash(hash, kernel->source, strlen(kernel->source));
    snprintf(name, 96, "kernel %.60s %016llx", kernel->name, (unsigned long long)hash);
    return name;
}
