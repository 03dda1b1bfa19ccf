/* The CPU as a device: one of it, with the best build of the op files that it runs. */
#include "backends/cpu/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "backends/cpu/blas.h"

/* A place holds a cache line's worth of the widest vector, and a page boundary is not needed. */
enum { ALIGNMENT = 256 };

typedef struct Variant {
    const CpuOps *ops;
    const char *name;
} Variant;

static Variant best_variant(void)
{
#if defined(WAVEFIELD_CPU_V3) || defined(WAVEFIELD_CPU_V4)
    __builtin_cpu_init();
#endif
#ifdef WAVEFIELD_CPU_V4
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return (Variant){&cpu32v4_ops, "AVX-512"};
#endif
#ifdef WAVEFIELD_CPU_V3
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
        return (Variant){&cpu32v3_ops, "AVX2"};
#endif
    return (Variant){&cpu32_ops, "baseline"};
}

static Variant reference_variant(void)
{
    return (Variant){&cpu64_ops, "double precision"};
}

/* The product's name where the system tells it, else "CPU". */
static void find_name(char *name, size_t size)
{
    snprintf(name, size, "CPU");
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file) return;
    char line[512];
    while (fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(name, size, "%.*s", (int)strcspn(colon, "\n"), colon);
        break;
    }
    fclose(file);
}

/* Bytes this process may use: the machine's, or less where its container says so. */
static int64_t find_memory(void)
{
    int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    int64_t memory = pages > 0 && page > 0 ? pages * page : 0;
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "r");
    if (!file) return memory;
    long long most;
    if (fscanf(file, "%lld", &most) == 1 && most > 0 && (!memory || most < memory)) memory = most;
    fclose(file);
    return memory;
}

static DeviceInfo describe(Variant variant)
{
    DeviceInfo info = {.kind = DEVICE_CPU, .memory = find_memory()};
    int threads = 1;
#ifdef _OPENMP
    threads = omp_get_max_threads();
#endif
    find_name(info.name, sizeof info.name);
    char blas[64];
    snprintf(info.driver, sizeof info.driver, "wavefield %s, %s, %d thread%s, %s",
             WAVEFIELD_VERSION, variant.name, threads, threads == 1 ? "" : "s",
             blas_describe(blas, sizeof blas));
    return info;
}

static wf_status list_variant(Variant variant, DeviceInfo *infos, int capacity, int *count)
{
    *count = 1;
    if (capacity > 0) infos[0] = describe(variant);
    return WF_OK;
}

static wf_status cpu_list(DeviceInfo *infos, int capacity, int *count)
{
    return list_variant(best_variant(), infos, capacity, count);
}

static wf_status cpu64_list(DeviceInfo *infos, int capacity, int *count)
{
    return list_variant(reference_variant(), infos, capacity, count);
}

static wf_status open_variant(const Backend *backend, Variant variant, int64_t real_size, int index,
                              Device **out)
{
    if (index != 0) return fail(WF_ERROR_DEVICE, "there is one CPU, %s:0", backend->name);
    CpuDevice *device = calloc(1, sizeof *device);
    if (!device) return fail(WF_ERROR_MEMORY, "out of memory for a device");
    device->base = (Device){.backend = backend, .info = describe(variant), .reason = ""};
    device->base.limits = (Limits){.total = device->base.info.memory,
                                   .alignment = ALIGNMENT,
                                   .dtype_size = {[DTYPE_REAL] = real_size, [DTYPE_I32] = 4}};
    device->ops = variant.ops;
    blas_prepare();
    *out = &device->base;
    return WF_OK;
}

static wf_status cpu_open(int index, Device **out);
static wf_status cpu64_open(int index, Device **out);

static void cpu_close(Device *device)
{
    free(device);
}

static bool cpu_supports(const Device *device, const Graph *graph, const Node *node,
                         const char **why)
{
    (void)graph;
    if (((const CpuDevice *)device)->ops->run[node->op]) return true;
    if (why) *why = "the CPU backend has no such op";
    return false;
}

static int64_t cpu_workspace(const Device *device, const Graph *graph, const Node *node)
{
    int64_t (*workspace)(const Graph *, const Node *) =
        ((const CpuDevice *)device)->ops->workspace[node->op];
    return workspace ? workspace(graph, node) : 0;
}

#define CPU_FUNCTIONS                                                                              \
    .close = cpu_close, .supports = cpu_supports, .workspace = cpu_workspace,                      \
    .buffer_create = cpu_buffer_create, .buffer_destroy = cpu_buffer_destroy,                      \
    .buffer_write = cpu_buffer_write, .buffer_read = cpu_buffer_read,                              \
    .buffer_fill = cpu_buffer_fill, .program_create = cpu_program_create,                          \
    .program_destroy = cpu_program_destroy, .program_run = cpu_program_run,                        \
    .program_run_nodes = cpu_program_run_nodes, .program_commands = cpu_program_commands

extern const Backend backend_cpu;
const Backend backend_cpu = {.name = "cpu", .list = cpu_list, .open = cpu_open, CPU_FUNCTIONS};
const Backend backend_cpu64 = {
    .name = "cpu64", .list = cpu64_list, .open = cpu64_open, CPU_FUNCTIONS};

static wf_status cpu_open(int index, Device **out)
{
    return open_variant(&backend_cpu, best_variant(), sizeof(float), index, out);
}

static wf_status cpu64_open(int index, Device **out)
{
    return open_variant(&backend_cpu64, reference_variant(), sizeof(double), index, out);
}
