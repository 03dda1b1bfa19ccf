/* Fourier transforms through VkFFT. One plan serves every buffer: OpenCL sets the arguments with
 * each launch. Plans stay with the device, since making one compiles its kernels. */
#define VKFFT_BACKEND 3
#include "backends/opencl/opencl.h"

#include "backends/gpu/vkfft.h"

struct OpenclTransform {
    Transform shape; /* places unused */
    VkFFTApplication app;
    pfUINT bytes;
    OpenclTransform *next;
};

static bool same_shape(const Transform *a, const Transform *b)
{
    return a->length == b->length && a->rows == b->rows && a->inverse == b->inverse;
}

wf_status opencl_transform_run(OpenclDevice *device, OpenclTransform *transform, cl_mem *data,
                               cl_mem *scratch)
{
    VkFFTLaunchParams launch = {
        .commandQueue = &device->queue, .buffer = data, .tempBuffer = scratch};
    VkFFTResult result = VkFFTAppend(&transform->app, transform->shape.inverse ? 1 : -1, &launch);
    if (result)
        return fail(WF_ERROR_DEVICE,
                    "OpenCL: VkFFT could not run a transform of length %lld (error %d)",
                    (long long)transform->shape.length, (int)result);
    return WF_OK;
}

/* Runs a known transform in buffers of its own: some drivers compute wrongly without saying so. */
static wf_status transform_check(OpenclDevice *device, OpenclTransform *transform)
{
    const Transform *shape = &transform->shape;
    size_t bytes = (size_t)transform->bytes;
    wf_status status = WF_OK;
    cl_int error = CL_SUCCESS, scratch_error = CL_SUCCESS;
    float *values = malloc(bytes);
    cl_mem data = clCreateBuffer(device->context, CL_MEM_READ_WRITE, bytes, NULL, &error);
    cl_mem scratch =
        clCreateBuffer(device->context, CL_MEM_READ_WRITE, bytes, NULL, &scratch_error);
    if (!error) error = scratch_error;
    if (!values) error = CL_OUT_OF_HOST_MEMORY;

    if (!error) {
        gpu_transform_probe(values, shape->length, shape->rows);
        error = clEnqueueWriteBuffer(device->queue, data, CL_TRUE, 0, bytes, values, 0, NULL, NULL);
    }
    if (!error) status = opencl_transform_run(device, transform, &data, &scratch);
    if (!error && !status)
        error = clEnqueueReadBuffer(device->queue, data, CL_TRUE, 0, bytes, values, 0, NULL, NULL);
    if (!error && !status) {
        double wrong = gpu_transform_error(values, shape->length, shape->rows, shape->inverse);
        if (!(wrong <= GPU_TRANSFORM_BOUND))
            status = fail(
                WF_ERROR_DEVICE, "%s: a transform of length %lld is wrong by %g (more than %g)",
                device->base.info.name, (long long)shape->length, wrong, GPU_TRANSFORM_BOUND);
    }
    if (scratch) clReleaseMemObject(scratch);
    if (data) clReleaseMemObject(data);
    free(values);
    if (error)
        return opencl_fail(error, "checking a transform of length %lld", (long long)shape->length);
    return status;
}

wf_status opencl_transform_get(OpenclDevice *device, const Transform *shape, OpenclTransform **out)
{
    for (OpenclTransform *known = device->transforms; known; known = known->next)
        if (same_shape(&known->shape, shape)) {
            *out = known;
            return WF_OK;
        }
    OpenclTransform *transform = calloc(1, sizeof *transform);
    if (!transform) return fail(WF_ERROR_MEMORY, "out of memory for a transform's record");
    transform->shape = *shape;
    VkFFTConfiguration settings = vkfft_settings(shape, &transform->bytes);
    settings.platform = &device->platform;
    settings.device = &device->id;
    settings.context = &device->context;
    wf_status status = vkfft_create(&transform->app, settings);
    if (!status) {
        status = transform_check(device, transform);
        if (status) deleteVkFFT(&transform->app);
    }
    if (status) {
        free(transform);
        return status;
    }
    transform->next = device->transforms;
    device->transforms = transform;
    *out = transform;
    return WF_OK;
}

void opencl_transforms_free(OpenclDevice *device)
{
    while (device->transforms) {
        OpenclTransform *transform = device->transforms;
        device->transforms = transform->next;
        deleteVkFFT(&transform->app);
        free(transform);
    }
}
