#include "check/measure_parts.h"

#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

wf_status measure_noise(Region *region, DType dtype, int64_t offset, int64_t n)
{
    enum { BLOCK = 1 << 16 };
    int64_t size = region->buffer->device->limits.dtype_size[dtype];
    double *values = malloc(BLOCK * sizeof *values);
    if (!values) return fail(WF_ERROR_MEMORY, "out of memory for random numbers");
    Rng rng = {.seed = 1};
    for (int i = 0; i < BLOCK; i++) values[i] = rng_normal(&rng);
    wf_status status = WF_OK;
    for (int64_t at = 0; !status && at < n; at += BLOCK)
        status = device_write_stored(region, dtype, offset + at * size, values,
                                     int64_min(BLOCK, n - at));
    free(values);
    return status;
}

static wf_status build(Device *device, CopyBench *bench)
{
    const Limits *limits = &device->limits;
    Shape shape = SHAPE(bench->bytes / limits->dtype_size[DTYPE_REAL]);
    bench->region = (Region){.name = "copy"};
    bench->graph = graph_create();
    TRY(graph_status(bench->graph));
    int64_t a = region_append(&bench->region, limits, DTYPE_REAL, shape);
    int64_t b = region_append(&bench->region, limits, DTYPE_REAL, shape);
    TensorId in = graph_external(bench->graph, "from", DTYPE_REAL, shape, &bench->region, a);
    TensorId out = graph_external(bench->graph, "to", DTYPE_REAL, shape, &bench->region, b);
    graph_append(bench->graph,
                 &(NodeParams){.op = OP_COPY, .in = &in, .n_in = 1, .out = &out, .n_out = 1});
    TRY(graph_status(bench->graph));
    TRY(device_allocate(device, &bench->region));
    TRY(device_clear(&bench->region));
    TRY(measure_noise(&bench->region, DTYPE_REAL, a, shape_elements(shape)));
    return runnable_create(device, bench->graph, &bench->runnable);
}

wf_status copy_create(Device *device, int64_t bytes, CopyBench *bench)
{
    *bench = (CopyBench){.bytes = bytes};
    if (device->info.kind != DEVICE_CPU) return build(device, bench);
    bench->from = malloc((size_t)bytes);
    bench->to = malloc((size_t)bytes);
    if (!bench->from || !bench->to) return fail(WF_ERROR_MEMORY, "out of memory for a copy");
    memset(bench->from, 1, (size_t)bytes);
    memset(bench->to, 2, (size_t)bytes);
    return WF_OK;
}

wf_status copy_run(void *context)
{
    const CopyBench *bench = context;
    if (bench->runnable.program)
        return bench->runnable.program->device->backend->program_run(bench->runnable.program);
    const int64_t slice = 1 << 20;
#pragma omp parallel for schedule(static)
    for (int64_t at = 0; at < bench->bytes; at += slice)
        memcpy(bench->to + at, bench->from + at, (size_t)int64_min(slice, bench->bytes - at));
    return WF_OK;
}

void copy_destroy(CopyBench *bench)
{
    runnable_destroy(&bench->runnable);
    device_release(&bench->region);
    graph_destroy(bench->graph);
    free(bench->from);
    free(bench->to);
    *bench = (CopyBench){0};
}
