/* Fourier transforms through VkFFT, which is compiled within this file.
 *
 * VkFFT ties a plan to the buffers it was first recorded with, so every place gets a plan and, over
 * the slab's memory, a buffer of its own. What was compiled for a length and number of rows is kept
 * with the device and loaded for further places. */
#define VKFFT_BACKEND 0
#include "backends/vulkan/watch.h"

#include "backends/gpu/vkfft.h"

#include <string.h>

struct KnownTransform {
    Transform shape; /* its places are not looked at */
    void *compiled;
    size_t size;
    KnownTransform *next;
};

struct VulkanTransform {
    VulkanDevice *device;
    Transform shape;
    TransformPlan plan;
    bool made; /* plan.app is to be deleted */
    VkBuffer data, scratch;
};

static bool same_shape(const Transform *a, const Transform *b)
{
    return a->length == b->length && a->rows == b->rows && a->inverse == b->inverse;
}

static bool same_place(const Place *a, const Place *b)
{
    return a->slab == b->slab && a->offset == b->offset && a->size == b->size;
}

bool vulkan_transform_is(const VulkanTransform *transform, const Transform *shape)
{
    return same_shape(&transform->shape, shape) &&
           same_place(&transform->shape.data, &shape->data) &&
           same_place(&transform->shape.scratch, &shape->scratch);
}

/* A buffer over the place's bytes. */
static wf_status create_view(VulkanDevice *device, const Plan *plan, const Place *place,
                             VkBuffer *out)
{
    const VulkanBuffer *slab = (const VulkanBuffer *)plan->slabs[place->slab]->buffer;
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .size = (VkDeviceSize)place->size,
                               .usage = VULKAN_VIEW_USAGE};
    TRY_VULKAN_MAKE(device, *out, vkCreateBuffer(device->device, &info, NULL, out),
                    "a transform's buffer");
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device->device, *out, &needs);
    if ((VkDeviceSize)place->offset % needs.alignment)
        return fail(WF_ERROR_UNSUPPORTED, "%s wants transforms aligned to %lld bytes",
                    device->base.info.name, (long long)needs.alignment);
    TRY_VULKAN(
        device,
        vkBindBufferMemory(device->device, *out, slab->memory.memory, (VkDeviceSize)place->offset),
        "a transform's buffer");
    return WF_OK;
}

static wf_status append(TransformPlan *plan, VkCommandBuffer commands, VkBuffer *data,
                        VkBuffer *scratch)
{
    VkFFTLaunchParams launch = {.commandBuffer = &commands, .buffer = data, .tempBuffer = scratch};
    VkFFTResult result = VkFFTAppend(&plan->app, plan->shape.inverse ? 1 : -1, &launch);
    if (result)
        return fail(WF_ERROR_DEVICE,
                    "Vulkan: VkFFT does not run transforms of length %lld (error %d)",
                    (long long)plan->shape.length, (int)result);
    return WF_OK;
}

static wf_status run(TransformPlan *plan, Buffer *data, Buffer *scratch)
{
    VulkanDevice *device = vulkan_device(data->device);
    VkCommandBuffer commands;
    TRY(vulkan_once_begin(device, &commands));
    TRY(append(plan, commands, &((VulkanBuffer *)data)->memory.buffer,
               &((VulkanBuffer *)scratch)->memory.buffer));
    return vulkan_once_run(device); /* so that neither buffer is in use */
}

/* ---- what was compiled, in memory and in files ---- */

const char *vulkan_transform_name(const Transform *shape, char name[96])
{
    return transform_name(shape, name);
}

/* Takes over `compiled`. */
static wf_status remember(VulkanDevice *device, const Transform *shape, void *compiled, size_t size)
{
    KnownTransform *known = calloc(1, sizeof *known);
    if (!known) {
        free(compiled);
        return fail(WF_ERROR_MEMORY, "out of memory for a transform's plan");
    }
    *known = (KnownTransform){*shape, compiled, size, device->transforms};
    device->transforms = known;
    return WF_OK;
}

static KnownTransform *find_known(const VulkanDevice *device, const Transform *shape)
{
    for (KnownTransform *known = device->transforms; known; known = known->next)
        if (same_shape(&known->shape, shape)) return known;
    return NULL;
}

static bool is_spirv(const char *code, size_t size)
{
    static const uint32_t magic = 0x07230203;
    return size > sizeof magic && size % 4 == 0 && !memcmp(code, &magic, sizeof magic);
}

/* From an earlier run, which checked it. NULL: there is none. */
static KnownTransform *find_kept(VulkanDevice *device, const Transform *shape)
{
    char name[96];
    void *compiled = NULL;
    size_t size = 0;
    if (!gpu_cache_load(&device->files, vulkan_transform_name(shape, name), &compiled, &size))
        return NULL;
    if (!transform_saved_whole(compiled, size, is_spirv)) {
        free(compiled);
        return NULL;
    }
    return remember(device, shape, compiled, size) ? NULL : find_known(device, shape);
}

static void forget(VulkanDevice *device, KnownTransform *known)
{
    char name[96];
    gpu_cache_forget(&device->files, vulkan_transform_name(&known->shape, name));
    KnownTransform **link = &device->transforms;
    while (*link != known) link = &(*link)->next;
    *link = known->next;
    free(known->compiled);
    free(known);
}

/* VkFFT leaves things behind and says little where a call of it fails. */
static wf_status plan_compile(VulkanTransform *transform, VkFFTConfiguration settings)
{
    VulkanDevice *device = transform->device;
    VulkanWatch watch;
    vulkan_watch_begin(&watch, device);
    wf_status status = transform_plan_compile(&transform->plan, settings);
    vulkan_watch_end(&watch, status != WF_OK);
    transform->made = status == WF_OK;
    if (!watch.failure) return status;
    return vulkan_fail(device, watch.failure, "planning transforms of length %lld",
                       (long long)transform->shape.length);
}

/* Compiles and checks a shape that the device has not met, and keeps what was compiled. */
static wf_status learn(VulkanTransform *transform, VkFFTConfiguration settings)
{
    VulkanDevice *device = transform->device;
    settings.saveApplicationToString = 1;
    TRY(plan_compile(transform, settings));
    TRY(transform_plan_check(&transform->plan, &device->base, run));
    device->n_learned++;
    char name[96];
    const void *saved = transform->plan.app.saveApplicationString;
    size_t size = (size_t)transform->plan.app.applicationStringSize;
    gpu_cache_store(&device->files, vulkan_transform_name(&transform->shape, name), saved, size);
    void *compiled = malloc(size + 1);
    if (!compiled) return fail(WF_ERROR_MEMORY, "out of memory for a transform's plan");
    memcpy(compiled, saved, size);
    return remember(device, &transform->shape, compiled, size);
}

static wf_status compile_known(VulkanTransform *transform, VkFFTConfiguration settings,
                               const KnownTransform *known)
{
    settings.loadApplicationFromString = 1;
    settings.loadApplicationString = known->compiled;
    return plan_compile(transform, settings);
}

static wf_status compile(VulkanTransform *transform)
{
    VulkanDevice *device = transform->device;
    VkFFTConfiguration settings = {.physicalDevice = &device->physical,
                                   .device = &device->device,
                                   .queue = &device->queue,
                                   .commandPool = &device->pool,
                                   .fence = &device->fence,
                                   .pipelineCache = &device->pipeline_cache};
    transform->plan.shape = transform->shape;
    KnownTransform *known = find_known(device, &transform->shape);
    if (known) return compile_known(transform, settings, known);
    known = find_kept(device, &transform->shape);
    if (known) {
        wf_status status = compile_known(transform, settings, known);
        if (!status || status == WF_ERROR_MEMORY || device->lost) return status;
        forget(device, known);
        transform->plan = (TransformPlan){.shape = transform->shape};
    }
    return learn(transform, settings);
}

wf_status vulkan_transform_create(VulkanDevice *device, const Plan *plan, const Transform *shape,
                                  VulkanTransform **out)
{
    VulkanTransform *transform = calloc(1, sizeof *transform);
    if (!transform) return fail(WF_ERROR_MEMORY, "out of memory for a transform's plan");
    transform->device = device;
    transform->shape = *shape;
    wf_status status = compile(transform);
    if (!status) status = create_view(device, plan, &shape->data, &transform->data);
    if (!status) status = create_view(device, plan, &shape->scratch, &transform->scratch);
    if (status) {
        vulkan_transform_destroy(transform);
        return status;
    }
    *out = transform;
    return WF_OK;
}

void vulkan_transform_destroy(VulkanTransform *transform)
{
    if (!transform) return;
    if (transform->made) deleteVkFFT(&transform->plan.app);
    vkDestroyBuffer(transform->device->device, transform->data, NULL);
    vkDestroyBuffer(transform->device->device, transform->scratch, NULL);
    free(transform);
}

wf_status vulkan_transform_record(VulkanTransform *transform, VkCommandBuffer commands)
{
    return append(&transform->plan, commands, &transform->data, &transform->scratch);
}

void vulkan_known_transforms_free(VulkanDevice *device)
{
    while (device->transforms) {
        KnownTransform *known = device->transforms;
        device->transforms = known->next;
        free(known->compiled);
        free(known);
    }
}
