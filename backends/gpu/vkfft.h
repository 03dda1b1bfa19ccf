/* VkFFT as every GPU backend uses it: complex rows in float, with tables, in memory that is ours.
 *
 * For one file a backend, since all of VkFFT is compiled with it: define VKFFT_BACKEND (and
 * redirect the driver's functions) before this header. VkFFT prints whole shaders on an error; here
 * it is silent, and no use of printf may follow. */
#ifndef BACKENDS_GPU_VKFFT_H
#define BACKENDS_GPU_VKFFT_H

#include "backends/gpu/gpu.h"

#include <inttypes.h>
#include <locale.h>
#include <stdio.h>

#define printf(...) ((void)0)
#include <vkFFT.h>

/* Settings for plans of Transform. The backend adds its device; *bytes is the size of the data and
 * must live as long as the application. */
static inline VkFFTConfiguration vkfft_settings(const Transform *transform, pfUINT *bytes)
{
    *bytes = (pfUINT)(transform->length * transform->rows * 8);
    return (VkFFTConfiguration){
        .FFTdim = 1,
        .size = {(pfUINT)transform->length},
        .numberBatches = (pfUINT)transform->rows,
        .bufferSize = bytes,
        .userTempBuffer = 1,
        .tempBufferSize = bytes,
        .useLUT = 1, /* GLSL's sin and cos may be wrong by 2e-3 */
        .makeForwardPlanOnly = !transform->inverse,
        .makeInversePlanOnly = transform->inverse,
        .disableSetLocale = 1,
    };
}

/* VkFFT writes numbers into shaders with printf: not in a locale with decimal commas. */
static inline wf_status vkfft_create(VkFFTApplication *app, VkFFTConfiguration settings)
{
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (!plain) return fail(WF_ERROR_MEMORY, "out of memory for a locale");
    locale_t before = uselocale(plain);
    VkFFTResult result = initializeVkFFT(app, settings);
    uselocale(before);
    freelocale(plain);
    if (result)
        return fail(WF_ERROR_DEVICE,
                    "VkFFT: no plan for %" PRIu64 " transforms of length %" PRIu64 " (error %d)",
                    settings.numberBatches, settings.size[0], (int)result);
    return WF_OK;
}

#endif
