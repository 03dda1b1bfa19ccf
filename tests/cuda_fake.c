#include "tests/cuda_fake.h"

#include <complex.h>
#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ALLOCATIONS = 4096,
    MAX_TRANSFERS = 1 << 16,
    STATIC_SHARED = 48 << 10,
    ALIGNMENT = 256,
    MAX_WORK = 4096
};

typedef struct Allocation {
    char *start;
    size_t size;
} Allocation;

/* One that was enqueued: a copy, or (from NULL) words that are set. */
typedef struct Transfer {
    char *to;
    const char *from;
    unsigned word;
    size_t bytes;
} Transfer;

typedef struct FakeModule {
    char *image;
    size_t size;
} FakeModule;

typedef struct FakeFunction {
    char name[64];
    int shared_limit;
    struct FakeFunction *next;
} FakeFunction;

/* Of the last captured graph. */
typedef struct Work {
    void (*run)(const void *what);
    void *what;
} Work;

FakeRecord fake_record;
void (*fake_kernel)(KernelId kernel, void **parameters, CUstream stream);
static Work work[MAX_WORK];
static int n_work;
static FakeGpu gpu;
static Allocation allocations[MAX_ALLOCATIONS];
static FakeFunction *functions;
static bool capturing;
static bool on_its_way; /* what cuMemcpyHtoD, on the legacy stream, has not waited for */
static Transfer transfers[MAX_TRANSFERS];
static int64_t enqueued, done; /* of them, which take their places in turn */
static Transform answer;
static char context_token, stream_token, graph_token, replay_token;

void fake_wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!fake_record.wrong[0])
        vsnprintf(fake_record.wrong, sizeof fake_record.wrong, format, arguments);
    va_end(arguments);
}

#define WRONG(...) fake_wrong(__VA_ARGS__)

/* ---- device ---- */

static CUresult fake_init(unsigned flags)
{
    (void)flags;
    return CUDA_SUCCESS;
}

static CUresult fake_version(int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}

static CUresult fake_error_string(CUresult error, const char **text)
{
    (void)error;
    *text = "an error of the fake driver";
    return CUDA_SUCCESS;
}

static CUresult fake_count(int *count)
{
    *count = 1;
    return CUDA_SUCCESS;
}

static CUresult fake_get(CUdevice *device, int ordinal)
{
    *device = ordinal;
    return CUDA_SUCCESS;
}

static CUresult fake_name(char *name, int size, CUdevice device)
{
    (void)device;
    snprintf(name, (size_t)size, "%s", gpu.name);
    return CUDA_SUCCESS;
}

static CUresult fake_total(size_t *bytes, CUdevice device)
{
    (void)device;
    *bytes = (size_t)80 << 30;
    return CUDA_SUCCESS;
}

static CUresult fake_attribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    (void)device;
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = gpu.major; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = gpu.minor; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: *value = 64; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: *value = INT32_MAX; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y: *value = 65535; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: *value = 65535; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *value = STATIC_SHARED; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        *value = gpu.shared_per_block;
        break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = 32; break;
    case CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO: *value = 2; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 108; break;
    case CU_DEVICE_ATTRIBUTE_INTEGRATED: *value = 0; break;
    default: WRONG("attribute %d asked for", (int)attribute); return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult fake_retain(CUcontext *context, CUdevice device)
{
    (void)device;
    *context = (CUcontext)&context_token;
    return CUDA_SUCCESS;
}

static CUresult fake_release(CUdevice device)
{
    (void)device;
    return CUDA_SUCCESS;
}

static CUresult fake_current(CUcontext context)
{
    if (context != (CUcontext)&context_token) WRONG("a context that is not the device's");
    return CUDA_SUCCESS;
}

/* ---- transfers ---- */

static void transform_if_asked(char *data, size_t bytes);

static void run_transfers(int64_t up_to)
{
    for (; done < up_to; done++) {
        const Transfer *t = &transfers[done % MAX_TRANSFERS];
        if (t->from) memcpy(t->to, t->from, t->bytes);
        for (size_t i = 0; !t->from && i < t->bytes; i += sizeof t->word)
            memcpy(t->to + i, &t->word, sizeof t->word);
        if (t->from) transform_if_asked(t->to, t->bytes);
    }
}

static CUresult enqueue_transfer(Transfer transfer)
{
    if (capturing) WRONG("a transfer while capturing");
    if (enqueued - done == MAX_TRANSFERS) run_transfers(enqueued);
    transfers[enqueued++ % MAX_TRANSFERS] = transfer;
    return CUDA_SUCCESS;
}

static CUresult wait_for_all(void)
{
    if (capturing) WRONG("waiting while capturing");
    fake_record.waits++;
    run_transfers(enqueued);
    return CUDA_SUCCESS;
}

static CUresult fake_synchronize(void)
{
    on_its_way = false;
    return wait_for_all();
}

/* An event is how many transfers were enqueued when it was recorded. */
static CUresult fake_event_create(CUevent *event, unsigned flags)
{
    if (flags != CU_EVENT_DISABLE_TIMING) WRONG("an event with flags %u", flags);
    *event = calloc(1, sizeof enqueued);
    fake_record.live_events++;
    return CUDA_SUCCESS;
}

static CUresult fake_event_destroy(CUevent event)
{
    free(event);
    fake_record.live_events--;
    return CUDA_SUCCESS;
}

static CUresult on_stream(CUstream stream);

static CUresult fake_event_record(CUevent event, CUstream stream)
{
    if (capturing) WRONG("an event while capturing");
    memcpy(event, &enqueued, sizeof enqueued);
    return on_stream(stream);
}

static CUresult fake_event_synchronize(CUevent event)
{
    int64_t up_to = 0;
    memcpy(&up_to, event, sizeof up_to);
    fake_record.waits++;
    run_transfers(up_to);
    return CUDA_SUCCESS;
}

static CUresult fake_host_alloc(void **memory, size_t bytes, unsigned flags)
{
    if (flags) WRONG("memory of the host with flags %u", flags);
    *memory = calloc(bytes, 1);
    fake_record.live_locked++;
    return *memory ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult fake_host_free(void *memory)
{
    if (done < enqueued) WRONG("memory of the host freed under transfers");
    free(memory);
    fake_record.live_locked--;
    return CUDA_SUCCESS;
}

/* ---- stream and graph ---- */

static CUresult fake_stream_create(CUstream *stream, unsigned flags)
{
    (void)flags;
    *stream = (CUstream)&stream_token;
    return CUDA_SUCCESS;
}

static CUresult on_stream(CUstream stream)
{
    if (stream != (CUstream)&stream_token) WRONG("work outside the device's stream");
    return CUDA_SUCCESS;
}

static CUresult fake_stream_synchronize(CUstream stream)
{
    if (stream == CU_STREAM_LEGACY) {
        if (capturing) WRONG("waiting while capturing");
        on_its_way = false;
        return CUDA_SUCCESS;
    }
    on_stream(stream);
    return wait_for_all();
}

static void forget_work(void)
{
    while (n_work > 0) free(work[--n_work].what);
}

bool fake_work(CUstream stream, void (*run)(const void *what), const void *what, size_t size)
{
    on_stream(stream);
    if (!capturing) {
        run_transfers(enqueued);
        run(what);
    } else if (n_work == MAX_WORK) {
        WRONG("more than %d pieces of work in a graph", MAX_WORK);
    } else {
        work[n_work] = (Work){run, malloc(size)};
        memcpy(work[n_work++].what, what, size);
    }
    return capturing;
}

static CUresult fake_begin_capture(CUstream stream, CUstreamCaptureMode mode)
{
    (void)mode;
    capturing = true;
    forget_work();
    return on_stream(stream);
}

static CUresult fake_end_capture(CUstream stream, CUgraph *graph)
{
    capturing = false;
    *graph = (CUgraph)&graph_token;
    return on_stream(stream);
}

static CUresult fake_instantiate(CUgraphExec *executable, CUgraph graph, unsigned long long flags)
{
    (void)flags;
    if (graph != (CUgraph)&graph_token) WRONG("a graph that was not captured");
    *executable = (CUgraphExec)&replay_token;
    return CUDA_SUCCESS;
}

static CUresult fake_graph_launch(CUgraphExec executable, CUstream stream)
{
    if (executable != (CUgraphExec)&replay_token) WRONG("a graph that was not instantiated");
    fake_record.replays++;
    if (n_work > 0) run_transfers(enqueued);
    for (int i = 0; i < n_work; i++) work[i].run(work[i].what);
    return on_stream(stream);
}

static CUresult fake_replay_destroy(CUgraphExec executable)
{
    (void)executable;
    return CUDA_SUCCESS;
}

static CUresult fake_graph_destroy(CUgraph graph)
{
    (void)graph;
    return CUDA_SUCCESS;
}

/* ---- memory ---- */

static Allocation *allocation_of(CUdeviceptr address, size_t bytes)
{
    char *at = (char *)(uintptr_t)address;
    for (int i = 0; i < MAX_ALLOCATIONS; i++) {
        Allocation *a = &allocations[i];
        if (a->start && at >= a->start && at + bytes <= a->start + a->size) return a;
    }
    return NULL;
}

bool fake_holds(CUdeviceptr address, size_t bytes)
{
    return allocation_of(address, bytes) != NULL;
}

static CUresult fake_alloc(CUdeviceptr *address, size_t bytes)
{
    for (int i = 0; i < MAX_ALLOCATIONS; i++)
        if (!allocations[i].start) {
            size_t whole = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
            allocations[i] = (Allocation){aligned_alloc(ALIGNMENT, whole), bytes};
            *address = (CUdeviceptr)(uintptr_t)allocations[i].start;
            fake_record.live_allocations++;
            if (!allocations[i].start) return CUDA_ERROR_OUT_OF_MEMORY;
            memset(allocations[i].start, 0, whole);
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult fake_free(CUdeviceptr address)
{
    Allocation *allocation = allocation_of(address, 0);
    if (!allocation || allocation->start != (char *)(uintptr_t)address) {
        WRONG("freeing what was not allocated");
        return CUDA_ERROR_INVALID_VALUE;
    }
    run_transfers(enqueued);
    free(allocation->start);
    *allocation = (Allocation){0};
    fake_record.live_allocations--;
    return CUDA_SUCCESS;
}

static CUresult inside(CUdeviceptr address, size_t bytes)
{
    if (allocation_of(address, bytes)) return CUDA_SUCCESS;
    WRONG("a transfer of %zu bytes outside any allocation", bytes);
    return CUDA_ERROR_INVALID_VALUE;
}

static CUresult fake_write(CUdeviceptr to, const void *from, size_t bytes)
{
    CUresult error = inside(to, bytes);
    if (!error) memcpy((void *)(uintptr_t)to, from, bytes);
    return error;
}

/* By the smallest factor p of n: p transforms of every p-th value, then their sums. */
static void transform_row(double complex *x, int64_t n, double sign)
{
    if (n == 1) return;
    int64_t p = 2;
    while (n % p) p++;
    int64_t m = n / p;
    double complex *part = malloc((size_t)n * sizeof *part);
    for (int64_t i = 0; i < n; i++) part[i % p * m + i / p] = x[i];
    for (int64_t q = 0; q < p; q++) transform_row(part + q * m, m, sign);
    for (int64_t k = 0; k < n; k++) {
        double complex turn = cexp(sign * 2 * 3.14159265358979323846 * I * (double)k / (double)n);
        double complex sum = 0, power = 1;
        for (int64_t q = 0; q < p; q++, power *= turn) sum += power * part[q * m + k % m];
        x[k] = sum;
    }
    free(part);
}

static void transform_in_place(float *data, const Transform *transform)
{
    int64_t n = transform->length;
    double complex *row = malloc((size_t)n * sizeof *row);
    for (int64_t r = 0; r < transform->rows; r++, data += 2 * n) {
        for (int64_t i = 0; i < n; i++) row[i] = data[2 * i] + I * data[2 * i + 1];
        transform_row(row, n, transform->inverse ? 1 : -1);
        for (int64_t i = 0; i < n; i++) {
            data[2 * i] = (float)creal(row[i]);
            data[2 * i + 1] = (float)cimag(row[i]);
        }
    }
    free(row);
}

/* From pageable memory: the host's bytes have been taken, and need not have arrived. */
static CUresult fake_write_legacy(CUdeviceptr to, const void *from, size_t bytes)
{
    if (capturing) WRONG("a copy on the legacy stream while capturing");
    on_its_way = true;
    return fake_write(to, from, bytes);
}

/* What was read to the host. */
static void transform_if_asked(char *data, size_t bytes)
{
    if (!answer.length || bytes != (size_t)(answer.length * answer.rows * 8)) return;
    if (allocation_of((CUdeviceptr)(uintptr_t)data, bytes)) return; /* it was written */
    transform_in_place((float *)(void *)data, &answer);
    answer = (Transform){0};
}

static CUresult fake_read(void *to, CUdeviceptr from, size_t bytes)
{
    CUresult error = inside(from, bytes);
    if (error) return error;
    memcpy(to, (void *)(uintptr_t)from, bytes);
    transform_if_asked(to, bytes);
    return CUDA_SUCCESS;
}

static CUresult fake_write_async(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    on_stream(stream);
    CUresult error = inside(to, bytes);
    return error ? error : enqueue_transfer((Transfer){(char *)(uintptr_t)to, from, 0, bytes});
}

static CUresult fake_read_async(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    on_stream(stream);
    CUresult error = inside(from, bytes);
    return error ? error
                 : enqueue_transfer((Transfer){to, (const char *)(uintptr_t)from, 0, bytes});
}

static CUresult fake_set(CUdeviceptr to, unsigned word, size_t words, CUstream stream)
{
    size_t bytes = words * sizeof word;
    on_stream(stream);
    CUresult error = inside(to, bytes);
    return error ? error : enqueue_transfer((Transfer){(char *)(uintptr_t)to, NULL, word, bytes});
}

/* ---- modules and launches ---- */

/* Machine code for this GPU's architecture and no other; its size is what its headers span. */
static size_t image_size(const void *image)
{
    const Elf64_Ehdr *elf = image;
    enum { MACHINE_CUDA = 190 };
    unsigned architecture = elf->e_flags >> 8 & 0xff;
    if (memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 || elf->e_machine != MACHINE_CUDA) {
        WRONG("a module that is not machine code");
        return 0;
    }
    if (architecture != (unsigned)(10 * gpu.major + gpu.minor))
        WRONG("machine code for sm_%u on %s", architecture, gpu.name);
    size_t sections = elf->e_shoff + (size_t)elf->e_shnum * elf->e_shentsize;
    size_t segments = elf->e_phoff + (size_t)elf->e_phnum * elf->e_phentsize;
    return sections > segments ? sections : segments;
}

static CUresult fake_module_load(CUmodule *module, const void *image, unsigned options,
                                 CUjit_option *names, void **values)
{
    (void)options, (void)names, (void)values;
    FakeModule *loaded = malloc(sizeof *loaded);
    loaded->size = image_size(image);
    if (!loaded->size) {
        free(loaded);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    loaded->image = malloc(loaded->size);
    memcpy(loaded->image, image, loaded->size);
    *module = (CUmodule)loaded;
    fake_record.modules++;
    fake_record.live_modules++;
    return CUDA_SUCCESS;
}

static CUresult fake_module_unload(CUmodule module)
{
    FakeModule *loaded = (FakeModule *)module;
    free(loaded->image);
    free(loaded);
    fake_record.live_modules--;
    return CUDA_SUCCESS;
}

static CUresult fake_function(CUfunction *function, CUmodule module, const char *name)
{
    const FakeModule *loaded = (const FakeModule *)module;
    char section[80];
    int length = snprintf(section, sizeof section, ".text.%s", name) + 1;
    if (!memmem(loaded->image, loaded->size, section, (size_t)length)) {
        WRONG("no %s in its module", name);
        return CUDA_ERROR_NOT_FOUND;
    }
    FakeFunction *found = calloc(1, sizeof *found);
    snprintf(found->name, sizeof found->name, "%s", name);
    found->shared_limit = STATIC_SHARED;
    found->next = functions;
    functions = found;
    *function = (CUfunction)found;
    return CUDA_SUCCESS;
}

static CUresult fake_function_attribute(CUfunction function, CUfunction_attribute attribute,
                                        int value)
{
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES ||
        value > gpu.shared_per_block) {
        WRONG("function attribute %d set to %d", (int)attribute, value);
        return CUDA_ERROR_INVALID_VALUE;
    }
    ((FakeFunction *)function)->shared_limit = value;
    return CUDA_SUCCESS;
}

static void check_buffers(const char *name, void **parameters, int count)
{
    for (int i = 0; i < count; i++) {
        CUdeviceptr address = *(CUdeviceptr *)parameters[i];
        if (address && !allocation_of(address, 4)) WRONG("%s: buffer %d is no allocation", name, i);
    }
}

static CUresult fake_launch(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                            unsigned block_x, unsigned block_y, unsigned block_z,
                            unsigned shared_bytes, CUstream stream, void **parameters, void **extra)
{
    const FakeFunction *launched = (const FakeFunction *)function;
    const char *name = launched->name;
    int id = KERNEL_COUNT, buffers = 2; /* VkFFT's kernels take their input and output first */
    (void)extra;
    if (on_its_way) WRONG("%s: launched while a copy is on its way on another stream", name);
    if (!grid_x || !grid_y || !grid_z || grid_x > INT32_MAX || grid_y > 65535 || grid_z > 65535 ||
        block_x * block_y * block_z > 1024 || block_x * block_y * block_z == 0)
        WRONG("%s: %u×%u×%u blocks of %u×%u×%u threads", name, grid_x, grid_y, grid_z, block_x,
              block_y, block_z);
    if (shared_bytes > (unsigned)launched->shared_limit)
        WRONG("%s: %u bytes of shared memory not asked for", name, shared_bytes);
    for (int k = 0; k < KERNEL_COUNT; k++)
        if (!strcmp(gpu_kernels[k].name, name)) {
            buffers = gpu_kernels[k].n_buffers;
            id = k;
            if (block_x != gpu_kernels[k].threads) WRONG("%s: %u threads", name, block_x);
        }
    check_buffers(name, parameters, buffers);
    if (id < KERNEL_COUNT && fake_kernel) fake_kernel((KernelId)id, parameters, stream);
    if (capturing)
        fake_record.captured++;
    else
        fake_record.launches++;
    return on_stream(stream);
}

void fake_install(const FakeGpu *chosen)
{
    gpu = *chosen;
    forget_work();
    fake_kernel = NULL;
    fake_record = (FakeRecord){0};
    on_its_way = false;
    cuInit = fake_init;
    cuDriverGetVersion = fake_version;
    cuGetErrorString = fake_error_string;
    cuDeviceGetCount = fake_count;
    cuDeviceGet = fake_get;
    cuDeviceGetName = fake_name;
    cuDeviceTotalMem = fake_total;
    cuDeviceGetAttribute = fake_attribute;
    cuDevicePrimaryCtxRetain = fake_retain;
    cuDevicePrimaryCtxRelease = fake_release;
    cuCtxSetCurrent = fake_current;
    cuCtxSynchronize = fake_synchronize;
    cuStreamCreate = fake_stream_create;
    cuStreamDestroy = on_stream;
    cuStreamSynchronize = fake_stream_synchronize;
    cuStreamBeginCapture = fake_begin_capture;
    cuStreamEndCapture = fake_end_capture;
    cuGraphInstantiate = fake_instantiate;
    cuGraphLaunch = fake_graph_launch;
    cuGraphExecDestroy = fake_replay_destroy;
    cuGraphDestroy = fake_graph_destroy;
    cuEventCreate = fake_event_create;
    cuEventDestroy = fake_event_destroy;
    cuEventRecord = fake_event_record;
    cuEventSynchronize = fake_event_synchronize;
    cuMemHostAlloc = fake_host_alloc;
    cuMemFreeHost = fake_host_free;
    cuMemAlloc = fake_alloc;
    cuMemFree = fake_free;
    cuMemcpyHtoD = fake_write_legacy;
    cuMemcpyDtoH = fake_read;
    cuMemcpyHtoDAsync = fake_write_async;
    cuMemcpyDtoHAsync = fake_read_async;
    cuMemsetD32Async = fake_set;
    cuModuleLoadDataEx = fake_module_load;
    cuModuleUnload = fake_module_unload;
    cuModuleGetFunction = fake_function;
    cuFuncSetAttribute = fake_function_attribute;
    cuLaunchKernel = fake_launch;
}

void fake_answer(const Transform *transform)
{
    answer = *transform;
}
