/* Fourier transforms through VkFFT. One plan serves every buffer, since OpenCL sets the arguments
 * with each launch. */
#define VKFFT_BACKEND 3
#include "backends/opencl/opencl.h"

#include "backends/gpu/vkfft.h"

wf_status opencl_transform_run(OpenclDevice *device, TransformPlan *plan, cl_mem *data,
                               cl_mem *scratch)
{
    VkFFTLaunchParams launch = {
        .commandQueue = &device->queue, .buffer = data, .tempBuffer = scratch};
    VkFFTResult result = VkFFTAppend(&plan->app, plan->shape.inverse ? 1 : -1, &launch);
    if (result)
        return fail(WF_ERROR_DEVICE,
                    "OpenCL: VkFFT does not run transforms of length %lld (error %d)",
                    (long long)plan->shape.length, (int)result);
    return WF_OK;
}

static wf_status run(TransformPlan *plan, Buffer *data, Buffer *scratch)
{
    return opencl_transform_run(opencl_device(data->device), plan, &((OpenclBuffer *)data)->memory,
                                &((OpenclBuffer *)scratch)->memory);
}

/* PoCL keeps the variables of a group's lanes on one thread's stack, which VkFFT's kernels for
 * 7^6 = 117649 points overrun; with fewer lanes they do not finish compiling. 5^7 still works. */
enum { LONGEST_ODD_IN_SOFTWARE = 78125 };

wf_status opencl_transform_get(OpenclDevice *device, const Transform *shape, TransformPlan **out)
{
    bool power_of_two = (shape->length & (shape->length - 1)) == 0;
    if (device->base.info.kind == DEVICE_SOFTWARE && !power_of_two &&
        shape->length > LONGEST_ODD_IN_SOFTWARE)
        return fail(WF_ERROR_UNSUPPORTED,
                    "%s: no transforms of length %lld in software: choose a field_size that is a "
                    "power of two",
                    device->base.info.name, (long long)shape->length);
    TransformMaker maker = {
        .device = &device->base,
        .files = &device->files,
        .settings = {.platform = &device->platform,
                     .device = &device->id,
                     .context = &device->context},
        .compile = transform_plan_compile,
        .run = run,
    };
    return transform_plan_get(&device->transforms, shape, &maker, out);
}

void opencl_transforms_free(OpenclDevice *device)
{
    transform_plans_free(&device->transforms);
}
