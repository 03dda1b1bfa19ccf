/* The backends of this build, and what is the same over all of them: memory for regions and plans,
 * moving numbers, running a graph. */
#include "backends/backend.h"

#include <stdlib.h>
#include <string.h>

extern const Backend backend_cpu;
#ifdef WAVEFIELD_VULKAN
extern const Backend backend_vulkan;
#endif
#ifdef WAVEFIELD_OPENCL
extern const Backend backend_opencl;
#endif
#ifdef WAVEFIELD_CUDA
extern const Backend backend_cuda;
#endif

const Backend *const backends[] = {
#ifdef WAVEFIELD_CUDA
    &backend_cuda,
#endif
#ifdef WAVEFIELD_VULKAN
    &backend_vulkan,
#endif
#ifdef WAVEFIELD_OPENCL
    &backend_opencl,
#endif
    &backend_cpu,    NULL,
};

const Backend *backend_find(const char *name)
{
    for (const Backend *const *backend = backends; *backend; backend++)
        if (strcmp((*backend)->name, name) == 0) return *backend;
    return NULL;
}

/* ---- memory ---- */

wf_status buffer_check_range(const Buffer *buffer, int64_t offset, int64_t size)
{
    if (offset >= 0 && size >= 0 && offset <= buffer->size - size) return WF_OK;
    return fail(WF_ERROR_ARGUMENT, "bytes %lld to %lld lie outside a buffer of %lld bytes",
                (long long)offset, (long long)(offset + size), (long long)buffer->size);
}

wf_status buffer_check_words(const Buffer *buffer, int64_t offset, int64_t size)
{
    TRY(buffer_check_range(buffer, offset, size));
    if (offset % 4 == 0 && size % 4 == 0) return WF_OK;
    return fail(WF_ERROR_ARGUMENT, "bytes %lld to %lld do not divide into words of 4",
                (long long)offset, (long long)(offset + size));
}

static double gib(int64_t bytes)
{
    return (double)bytes / 0x1p30;
}

/* `what` needs `bytes` in all; refused while nothing is allocated yet where the device has less. */
static wf_status refuse_larger(const Device *device, const char *what, int64_t bytes)
{
    if (!device->limits.total || bytes <= device->limits.total) return WF_OK;
    return fail(WF_ERROR_MEMORY,
                "%s needs %.1f GiB, the device has %.1f GiB: lower the batch size or the sequence "
                "length",
                what, gib(bytes), gib(device->limits.total));
}

/* A buffer's bytes for a region of `size`: numbers of 16 bits may leave half a word over, and fills
 * are of words. */
static int64_t whole_words(int64_t size)
{
    return round_up(int64_max(size, 4), 4);
}

wf_status device_allocate(Device *device, Region *region)
{
    if (region->buffer) return WF_OK;
    TRY(refuse_larger(device, region->name, region->size));
    int64_t largest = device->limits.largest_allocation;
    if (largest && region->size > largest)
        return fail(WF_ERROR_MEMORY,
                    "%s needs %.2f GiB in one piece, the device allocates at most %.2f GiB: "
                    "choose a smaller model",
                    region->name, gib(region->size), gib(largest));
    wf_status status =
        device->backend->buffer_create(device, whole_words(region->size), &region->buffer);
    if (status) return fail_within(status, "%s, %.2f GiB", region->name, gib(region->size));
    return WF_OK;
}

void device_release(Region *region)
{
    if (region->buffer) region->buffer->device->backend->buffer_destroy(region->buffer);
    region->buffer = NULL;
}

wf_status device_plan_allocate(Device *device, Plan *plan)
{
    int64_t bytes = 0;
    for (int i = 0; i < plan->n_slabs; i++) bytes += plan->slabs[i]->size;
    TRY(refuse_larger(device, "this plan, what it shares with others included,", bytes));
    for (int i = plan->n_external; i < plan->n_slabs; i++) {
        wf_status status = device_allocate(device, plan->slabs[i]);
        if (!status) continue;
        device_plan_release(plan);
        return status;
    }
    return WF_OK;
}

void device_plan_release(Plan *plan)
{
    for (int i = plan->n_external; i < plan->n_slabs; i++) device_release(plan->slabs[i]);
}

int64_t region_append(Region *region, const Limits *limits, DType dtype, Shape shape)
{
    int64_t offset = round_up(region->size, limits->alignment);
    region->size = offset + shape_elements(shape) * limits->dtype_size[dtype];
    return offset;
}

/* ---- plans ---- */

typedef struct Query {
    const Device *device;
    const char *why; /* the last node was refused */
} Query;

static bool query_supports(void *context, const Graph *graph, const Node *node)
{
    Query *query = context;
    return query->device->backend->supports(query->device, graph, node, &query->why);
}

static int query_fuse(void *context, const Graph *graph, int first)
{
    const Device *device = ((const Query *)context)->device;
    return device->backend->fuse ? device->backend->fuse(device, graph, first) : 1;
}

static int64_t query_workspace(void *context, const Graph *graph, int first, int count)
{
    const Query *query = context;
    return query->device->backend->workspace(query->device, graph, first, count);
}

wf_status device_plan_create(Device *device, const Graph *graph, Plan **out)
{
    Query query = {.device = device};
    const PlanQueries queries = {.context = &query,
                                 .supports = query_supports,
                                 .fuse = query_fuse,
                                 .workspace = query_workspace};
    wf_status status = plan_create(graph, &device->limits, &queries, out);
    if (status == WF_ERROR_UNSUPPORTED && query.why)
        return fail(status, "%s (%s)", wf_error_message(), query.why);
    return status;
}

wf_status runnable_create(Device *device, const Graph *graph, Runnable *out)
{
    *out = (Runnable){0};
    wf_status status = device_plan_create(device, graph, &out->plan);
    if (!status) status = device_plan_allocate(device, out->plan);
    if (!status) status = device->backend->program_create(device, out->plan, &out->program);
    if (status) runnable_destroy(out);
    return status;
}

void runnable_destroy(Runnable *runnable)
{
    if (runnable->program) runnable->program->device->backend->program_destroy(runnable->program);
    if (runnable->plan) {
        device_plan_release(runnable->plan);
        plan_destroy(runnable->plan);
    }
    *runnable = (Runnable){0};
}

/* ---- numbers ---- */

enum { CONVERT_ELEMENTS = 1 << 16 };

static wf_status region_buffer(const Region *region, Buffer **buffer)
{
    *buffer = region->buffer;
    if (*buffer) return WF_OK;
    return fail(WF_ERROR_ARGUMENT, "region %s has no memory yet", region->name);
}

static int64_t real_size(const Buffer *buffer)
{
    return buffer->device->limits.dtype_size[DTYPE_REAL];
}

static void convert_to_floats(float *to, const double *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] = (float)from[i];
}

static void convert_to_doubles(double *to, const float *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
}

/* One transfer whose host type is not the device's, a piece at a time through a buffer of the
 * device's type: `from` to the device, or from it `to` the host. */
typedef struct Conversion {
    Buffer *buffer;
    int64_t offset;    /* bytes */
    int64_t elements;  /* in all */
    int64_t host_size; /* of a real there: float or double */
    const void *from;
    void *to;
} Conversion;

static wf_status convert_piece(const Conversion *c, int64_t first, int64_t n, void *piece)
{
    const Backend *backend = c->buffer->device->backend;
    int64_t size = real_size(c->buffer);
    bool host_is_float = c->host_size == (int64_t)sizeof(float);
    int64_t at = c->offset + first * size;
    if (c->from) {
        if (host_is_float)
            convert_to_doubles(piece, (const float *)c->from + first, n);
        else
            convert_to_floats(piece, (const double *)c->from + first, n);
        return backend->buffer_write(c->buffer, at, piece, n * size);
    }
    TRY(backend->buffer_read(c->buffer, at, piece, n * size));
    if (host_is_float)
        convert_to_floats((float *)c->to + first, piece, n);
    else
        convert_to_doubles((double *)c->to + first, piece, n);
    return WF_OK;
}

static wf_status convert(const Conversion *c)
{
    int64_t most = int64_min(c->elements, CONVERT_ELEMENTS);
    void *piece = malloc((size_t)int64_max(most, 1) * sizeof(double));
    if (!piece) return fail(WF_ERROR_MEMORY, "out of memory for %lld numbers", (long long)most);
    wf_status status = WF_OK;
    for (int64_t first = 0; first < c->elements && !status; first += most)
        status = convert_piece(c, first, int64_min(most, c->elements - first), piece);
    free(piece);
    return status;
}

static wf_status write_reals(Region *region, int64_t offset, const void *data, int64_t n,
                             int64_t host_size)
{
    Buffer *buffer = NULL;
    TRY(region_buffer(region, &buffer));
    if (real_size(buffer) != host_size)
        return convert(&(Conversion){buffer, offset, n, host_size, .from = data});
    return buffer->device->backend->buffer_write(buffer, offset, data, n * host_size);
}

static wf_status read_reals(const Region *region, int64_t offset, void *data, int64_t n,
                            int64_t host_size)
{
    Buffer *buffer = NULL;
    TRY(region_buffer(region, &buffer));
    if (real_size(buffer) != host_size)
        return convert(&(Conversion){buffer, offset, n, host_size, .to = data});
    return buffer->device->backend->buffer_read(buffer, offset, data, n * host_size);
}

wf_status device_write_floats(Region *region, int64_t offset, const float *data, int64_t n)
{
    return write_reals(region, offset, data, n, sizeof *data);
}

wf_status device_read_floats(const Region *region, int64_t offset, float *data, int64_t n)
{
    return read_reals(region, offset, data, n, sizeof *data);
}

wf_status device_write_doubles(Region *region, int64_t offset, const double *data, int64_t n)
{
    return write_reals(region, offset, data, n, sizeof *data);
}

wf_status device_read_doubles(const Region *region, int64_t offset, double *data, int64_t n)
{
    return read_reals(region, offset, data, n, sizeof *data);
}

double device_real(const Device *device, const void *bytes)
{
    float narrow;
    double wide;
    if (device->limits.dtype_size[DTYPE_REAL] == (int64_t)sizeof wide) {
        memcpy(&wide, bytes, sizeof wide);
        return wide;
    }
    memcpy(&narrow, bytes, sizeof narrow);
    return narrow;
}

wf_status device_write_ints(Region *region, int64_t offset, const int32_t *data, int64_t n)
{
    Buffer *buffer = NULL;
    TRY(region_buffer(region, &buffer));
    return buffer->device->backend->buffer_write(buffer, offset, data,
                                                 n * (int64_t)sizeof(int32_t));
}

wf_status device_read_ints(const Region *region, int64_t offset, int32_t *data, int64_t n)
{
    Buffer *buffer = NULL;
    TRY(region_buffer(region, &buffer));
    return buffer->device->backend->buffer_read(buffer, offset, data, n * (int64_t)sizeof(int32_t));
}

static wf_status fill_region(Region *region, uint32_t word)
{
    Buffer *buffer = NULL;
    TRY(region_buffer(region, &buffer));
    return buffer->device->backend->buffer_fill(buffer, 0, whole_words(region->size), word);
}

wf_status device_clear(Region *region)
{
    return fill_region(region, 0);
}

wf_status device_poison(Region *region)
{
    return fill_region(region, 0xffffffffu);
}
