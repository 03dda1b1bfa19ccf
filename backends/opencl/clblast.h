/* CLBlast, loaded at run time as OpenCL itself is (loader.h): it needs OpenCL's library, which a
 * machine may lack. Nothing of it may be called before clblast_load() has returned NULL. A test may
 * put functions of its own into the table. */
#ifndef BACKENDS_OPENCL_CLBLAST_H
#define BACKENDS_OPENCL_CLBLAST_H

#include "backends/opencl/loader.h"

#include <clblast_c.h>

/* clang-format off */
/* Name, parameters; each returns CLBlastStatusCode. */
#define CLBLAST_FUNCTIONS(X)                                                                       \
    X(CLBlastSgemmWithTempBuffer,                                                                  \
      (CLBlastLayout layout, CLBlastTranspose trans_a, CLBlastTranspose trans_b, size_t m,         \
       size_t n, size_t k, float alpha, cl_mem a, size_t offset_a, size_t ld_a, cl_mem b,          \
       size_t offset_b, size_t ld_b, float beta, cl_mem c, size_t offset_c, size_t ld_c,           \
       cl_command_queue *queue, cl_event *event, cl_mem temporary))                                \
    X(CLBlastSGemmTempBufferSize,                                                                  \
      (CLBlastLayout layout, CLBlastTranspose trans_a, CLBlastTranspose trans_b, size_t m,         \
       size_t n, size_t k, size_t offset_a, size_t ld_a, size_t offset_b, size_t ld_b,             \
       size_t offset_c, size_t ld_c, cl_command_queue *queue, size_t *bytes))                      \
    X(CLBlastClearCache, (void))
/* clang-format on */

typedef struct ClblastTable {
#define X(name, parameters) CLBlastStatusCode(*p_##name) parameters;
    CLBLAST_FUNCTIONS(X)
#undef X
} ClblastTable;

extern ClblastTable clblast_table;

/* Fills the table once a process. NULL, or why it is not there. */
const char *clblast_load(void);
/* "CLBlast 1.5.3"; the library says its version in its file's name only. */
const char *clblast_name(void);

#define CLBlastSgemmWithTempBuffer clblast_table.p_CLBlastSgemmWithTempBuffer
#define CLBlastSGemmTempBufferSize clblast_table.p_CLBlastSGemmTempBufferSize
#define CLBlastClearCache          clblast_table.p_CLBlastClearCache

#endif
