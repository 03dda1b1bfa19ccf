/* VkFFT as the GPU backends use it: complex rows in float, with tables, in memory that is ours.
 *
 * For one file a backend, since all of VkFFT is compiled with it: define VKFFT_BACKEND (and
 * redirect the driver's functions) before this header. VkFFT prints whole shaders on an error; here
 * it is silent, and no use of printf may follow. */
#ifndef BACKENDS_GPU_VKFFT_H
#define BACKENDS_GPU_VKFFT_H

#include "backends/gpu/cache.h"
#include "backends/gpu/gpu.h"

#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define printf(...) ((void)0)
#include <vkFFT.h>

/* One compiled plan. Making one costs from 0.1 s to seconds, so a device keeps them in a list. */
typedef struct TransformPlan {
    Transform shape; /* its places are not looked at */
    VkFFTApplication app;
    pfUINT bytes; /* of the data */
    struct TransformPlan *next;
} TransformPlan;

/* Enqueues a plan's transform of `data` in place. */
typedef wf_status (*TransformRun)(TransformPlan *plan, Buffer *data, Buffer *scratch);

/* What a device's plans are made with. */
typedef struct TransformMaker {
    Device *device;
    const GpuCache *files;
    VkFFTConfiguration settings; /* name the device; what they say must live as long as a plan */
    wf_status (*compile)(TransformPlan *plan, VkFFTConfiguration settings);
    TransformRun run;
} TransformMaker;

static inline TransformPlan *transform_plan_find(TransformPlan *list, const Transform *shape)
{
    for (TransformPlan *plan = list; plan; plan = plan->next)
        if (plan->shape.length == shape->length && plan->shape.rows == shape->rows &&
            plan->shape.inverse == shape->inverse)
            return plan;
    return NULL;
}

/* `settings` name the device; what they say must live as long as the plan. */
static inline wf_status transform_plan_compile(TransformPlan *plan, VkFFTConfiguration settings)
{
    plan->bytes = (pfUINT)(plan->shape.length * plan->shape.rows * 8);
    settings.FFTdim = 1;
    settings.size[0] = (pfUINT)plan->shape.length;
    settings.numberBatches = (pfUINT)plan->shape.rows;
    settings.bufferSize = &plan->bytes;
    settings.userTempBuffer = 1;
    settings.tempBufferSize = &plan->bytes;
    settings.useLUT = 1; /* GLSL's sin and cos may be wrong by 2e-3 */
    settings.makeForwardPlanOnly = !plan->shape.inverse;
    settings.makeInversePlanOnly = plan->shape.inverse;
    settings.disableSetLocale = 1;

    /* VkFFT writes numbers into shaders with printf: not in a locale with decimal commas. */
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (!plain) return fail(WF_ERROR_MEMORY, "out of memory for a locale");
    locale_t before = uselocale(plain);
    VkFFTResult result = initializeVkFFT(&plan->app, settings);
    uselocale(before);
    freelocale(plain);
    if (result)
        return fail(WF_ERROR_DEVICE,
                    "VkFFT has no plan for %lld transforms of length %lld (error %d)",
                    (long long)plan->shape.rows, (long long)plan->shape.length, (int)result);
    return WF_OK;
}

/* Runs a known transform: some drivers compute wrongly without saying so. */
static inline wf_status transform_plan_check(TransformPlan *plan, Device *device, TransformRun run)
{
    const Backend *backend = device->backend;
    const Transform *shape = &plan->shape;
    int64_t bytes = (int64_t)plan->bytes;
    Buffer *data = NULL, *scratch = NULL;
    wf_status status = WF_OK;
    float *values = malloc((size_t)bytes);
    if (!values) return fail(WF_ERROR_MEMORY, "out of memory to check a transform");
    gpu_transform_probe(values, shape->length, shape->rows);
    TRY_GOTO(backend->buffer_create(device, bytes, &data), done);
    TRY_GOTO(backend->buffer_create(device, bytes, &scratch), done);
    TRY_GOTO(backend->buffer_write(data, 0, values, bytes), done);
    TRY_GOTO(run(plan, data, scratch), done);
    TRY_GOTO(backend->buffer_read(data, 0, values, bytes), done);
    double error = gpu_transform_error(values, shape->length, shape->rows, shape->inverse);
    if (!(error <= GPU_TRANSFORM_BOUND))
        status =
            fail(WF_ERROR_DEVICE,
                 "%s computes %lld transforms of length %lld with an error of %g (allowed: %g)",
                 device->info.name, (long long)shape->rows, (long long)shape->length, error,
                 GPU_TRANSFORM_BOUND);
done:
    backend->buffer_destroy(scratch);
    backend->buffer_destroy(data);
    free(values);
    return status;
}

/* ---- what was compiled, kept in files ---- */

/* Of the settings in transform_plan_compile(): another number where they change. */
enum { TRANSFORM_FORM = 1 };

/* Under which what was compiled for this shape is kept; returns `name`. */
static inline const char *transform_name(const Transform *shape, char name[96])
{
    snprintf(name, 96, "VkFFT %d form %d, %s, %lld of length %lld", VkFFTGetVersion(),
             (int)TRANSFORM_FORM, shape->inverse ? "inverse" : "forward", (long long)shape->rows,
             (long long)shape->length);
    return name;
}

/* VkFFT trusts the sizes inside of what it saved: a head of five numbers, the whole size first,
 * then for each kernel its size and its code. `is_code`, which may be NULL, looks at a kernel's. */
static inline bool transform_saved_whole(const char *data, size_t size,
                                         bool (*is_code)(const char *code, size_t size))
{
    enum { HEAD = 5 * sizeof(pfUINT) };
    pfUINT whole, code;
    if (size <= HEAD) return false;
    memcpy(&whole, data, sizeof whole);
    if (whole != size) return false;
    for (size_t at = HEAD; at < size; at += (size_t)code) {
        if (size - at < sizeof code) return false;
        memcpy(&code, data + at, sizeof code);
        at += sizeof code;
        if (code == 0 || code > size - at) return false;
        if (is_code && !is_code(data + at, (size_t)code)) return false;
    }
    return true;
}

/* Compiles, or loads what the settings name, and checks; on failure nothing is left. */
static inline wf_status transform_plan_try(TransformPlan *plan, const TransformMaker *maker,
                                           VkFFTConfiguration settings)
{
    wf_status status = maker->compile(plan, settings);
    if (!status) {
        status = transform_plan_check(plan, maker->device, maker->run);
        if (status) deleteVkFFT(&plan->app);
    }
    if (status) *plan = (TransformPlan){.shape = plan->shape};
    return status;
}

/* From an earlier run. What the driver does not take back, or computes wrongly, is forgotten. */
static inline bool transform_plan_load(TransformPlan *plan, const TransformMaker *maker)
{
    char name[96];
    void *saved = NULL;
    size_t size = 0;
    if (!gpu_cache_load(maker->files, transform_name(&plan->shape, name), &saved, &size))
        return false;
    VkFFTConfiguration settings = maker->settings;
    settings.loadApplicationFromString = 1;
    settings.loadApplicationString = saved;
    bool loaded = transform_saved_whole(saved, size, NULL) &&
                  transform_plan_try(plan, maker, settings) == WF_OK;
    if (!loaded) gpu_cache_forget(maker->files, name);
    free(saved);
    return loaded;
}

static inline wf_status transform_plan_learn(TransformPlan *plan, const TransformMaker *maker)
{
    char name[96];
    VkFFTConfiguration settings = maker->settings;
    settings.saveApplicationToString = maker->files->folder != NULL;
    TRY(transform_plan_try(plan, maker, settings));
    if (settings.saveApplicationToString)
        gpu_cache_store(maker->files, transform_name(&plan->shape, name),
                        plan->app.saveApplicationString, (size_t)plan->app.applicationStringSize);
    return WF_OK;
}

/* The list's plan for this shape, made and checked when first asked for. */
static inline wf_status transform_plan_get(TransformPlan **list, const Transform *shape,
                                           const TransformMaker *maker, TransformPlan **out)
{
    *out = transform_plan_find(*list, shape);
    if (*out) return WF_OK;
    TransformPlan *plan = calloc(1, sizeof *plan);
    if (!plan) return fail(WF_ERROR_MEMORY, "out of memory for a transform's plan");
    plan->shape = *shape;
    if (!transform_plan_load(plan, maker)) {
        wf_status status = transform_plan_learn(plan, maker);
        if (status) {
            free(plan);
            return status;
        }
    }
    plan->next = *list;
    *list = *out = plan;
    return WF_OK;
}

static inline void transform_plans_free(TransformPlan **list)
{
    while (*list) {
        TransformPlan *plan = *list;
        *list = plan->next;
        deleteVkFFT(&plan->app);
        free(plan);
    }
}

#endif
