/* What the files of this backend share about an open device; compiled once, for every build of the
 * op files. */
#ifndef BACKENDS_CPU_DEVICE_H
#define BACKENDS_CPU_DEVICE_H

#include "backends/cpu/cpu.h"

typedef struct CpuDevice {
    Device base;
    const CpuOps *ops;
} CpuDevice;

typedef struct CpuBuffer {
    Buffer base;
    unsigned char *data;
} CpuBuffer;

/* device.c, for tests: a device of one float build, best first; *out NULL where the machine does
 * not run it. */
int cpu_variant_count(void);
wf_status cpu_open_variant(int index, Device **out);

/* buffer.c */
wf_status cpu_buffer_create(Device *device, int64_t size, Buffer **out);
void cpu_buffer_destroy(Buffer *buffer);
wf_status cpu_buffer_write(Buffer *buffer, int64_t offset, const void *data, int64_t size);
wf_status cpu_buffer_read(Buffer *buffer, int64_t offset, void *data, int64_t size);
wf_status cpu_buffer_fill(Buffer *buffer, int64_t offset, int64_t size, uint32_t word);

wf_status cpu_readback_create(Device *device, int64_t size, Readback **out);
void cpu_readback_destroy(Readback *readback);
wf_status cpu_readback_begin(Readback *readback, Buffer *buffer, int64_t offset);
wf_status cpu_readback_end(Readback *readback, void *data);

/* program.c */
wf_status cpu_program_create(Device *device, const Plan *plan, Program **out);
void cpu_program_destroy(Program *program);
wf_status cpu_program_run(Program *program);
wf_status cpu_program_run_nodes(Program *program, int first, int last);
const CommandList *cpu_program_commands(const Program *program);

/* The builds of ops.c. */
extern const CpuOps cpu32_ops, cpu64_ops;
#ifdef WAVEFIELD_CPU_V3
extern const CpuOps cpu32v3_ops;
#endif
#ifdef WAVEFIELD_CPU_V4
extern const CpuOps cpu32v4_ops;
#endif

#endif
