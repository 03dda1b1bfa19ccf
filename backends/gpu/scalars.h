/* Each kernel's scalars as a struct, <kernel>_scalars, laid out as the kernel sees them. */
#ifndef BACKENDS_GPU_SCALARS_H
#define BACKENDS_GPU_SCALARS_H

#include <stdint.h>

#define UINT(name)  uint32_t name;
#define INT(name)   int32_t name;
#define FLOAT(name) float name;
#define KERNEL_ENTRY(capitals, entry, threads, buffers, members)                                   \
    typedef struct entry##_scalars {                                                               \
        members                                                                                    \
    } entry##_scalars;
#include "shaders/kernels.inc"
#undef KERNEL_ENTRY
#undef UINT
#undef INT
#undef FLOAT

#endif
