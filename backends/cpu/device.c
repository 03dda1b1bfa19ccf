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

/* Of a place: whole cache lines, whatever the widest vector. */
enum { ALIGNMENT = 256 };

/* One build of the op files. */
typedef struct Variant {
    const char *name;
    const CpuOps *ops;
    bool (*runs)(void); /* on this machine */
} Variant;

static bool runs_everywhere(void)
{
    return true;
}

#ifdef WAVEFIELD_CPU_V3
static bool runs_v3(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
#endif
#ifdef WAVEFIELD_CPU_V4
static bool runs_v4(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

/* Best first. */
static const Variant variants[] = {
#ifdef WAVEFIELD_CPU_V4
    {"AVX-512", &cpu32v4_ops, runs_v4},
#endif
#ifdef WAVEFIELD_CPU_V3
    {"AVX2", &cpu32v3_ops, runs_v3},
#endif
    {"baseline", &cpu32_ops, runs_everywhere},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

static const Variant double_variant = {"double precision", &cpu64_ops, runs_everywhere};

static const Variant *best_variant(void)
{
    const Variant *variant = variants;
    while (!variant->runs()) variant++;
    return variant;
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

static DeviceInfo describe(const Variant *variant)
{
    DeviceInfo info = {.kind = DEVICE_CPU, .memory = find_memory(), .threads = 1};
#ifdef _OPENMP
    info.threads = omp_get_max_threads();
#endif
    find_name(info.name, sizeof info.name);
    char blas[64];
    snprintf(info.driver, sizeof info.driver, "wavefield %s, %s, %s", WAVEFIELD_VERSION,
             variant->name, blas_describe(blas, sizeof blas));
    return info;
}

static wf_status list_variant(const Variant *variant, DeviceInfo *infos, int capacity, int *count)
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
    return list_variant(&double_variant, infos, capacity, count);
}

static wf_status open_variant(const Backend *backend, const Variant *variant, int64_t real_size,
                              Device **out)
{
    CpuDevice *device = calloc(1, sizeof *device);
    if (!device) return fail(WF_ERROR_MEMORY, "out of memory for a device");
    device->base = (Device){.backend = backend, .info = describe(variant), .reason = ""};
    device->base.limits = (Limits){.total = device->base.info.memory,
                                   .alignment = ALIGNMENT,
                                   .dtype_size = {[DTYPE_REAL] = real_size,
                                                  [DTYPE_I32] = 4,
                                                  [DTYPE_F16] = real_size,
                                                  [DTYPE_BF16] = real_size}};
    device->ops = variant->ops;
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

static int64_t cpu_workspace(const Device *device, const Graph *graph, int first, int count)
{
    (void)count; /* it fuses nothing: the oracle stays plain */
    const Node *node = &graph->nodes[first];
    int64_t (*workspace)(const Graph *, const Node *) =
        ((const CpuDevice *)device)->ops->workspace[node->op];
    return workspace ? workspace(graph, node) : 0;
}

#define CPU_FUNCTIONS                                                                              \
    .close = cpu_close, .supports = cpu_supports, .workspace = cpu_workspace,                      \
    .buffer_create = cpu_buffer_create, .buffer_destroy = cpu_buffer_destroy,                      \
    .buffer_write = cpu_buffer_write, .buffer_read = cpu_buffer_read,                              \
    .buffer_fill = cpu_buffer_fill, .readback_create = cpu_readback_create,                        \
    .readback_destroy = cpu_readback_destroy, .readback_begin = cpu_readback_begin,                \
    .readback_end = cpu_readback_end, .program_create = cpu_program_create,                        \
    .program_destroy = cpu_program_destroy, .program_run = cpu_program_run,                        \
    .program_run_nodes = cpu_program_run_nodes, .program_commands = cpu_program_commands

extern const Backend backend_cpu;
const Backend backend_cpu = {.name = "cpu", .list = cpu_list, .open = cpu_open, CPU_FUNCTIONS};
const Backend backend_cpu64 = {
    .name = "cpu64", .list = cpu64_list, .open = cpu64_open, CPU_FUNCTIONS};

static wf_status check_index(int index)
{
    return index == 0 ? WF_OK : fail(WF_ERROR_DEVICE, "there is one CPU, number 0, not %d", index);
}

static wf_status cpu_open(int index, Device **out)
{
    TRY(check_index(index));
    return open_variant(&backend_cpu, best_variant(), sizeof(float), out);
}

static wf_status cpu64_open(int index, Device **out)
{
    TRY(check_index(index));
    return open_variant(&backend_cpu64, &double_variant, sizeof(double), out);
}

wf_status cpu_open_variant(int index, Device **out)
{
    if (index < 0 || index >= VARIANTS || !variants[index].runs()) {
        *out = NULL;
        return WF_OK;
    }
    return open_variant(&backend_cpu, &variants[index], sizeof(float), out);
}

int cpu_variant_count(void)
{
    return VARIANTS;
}
