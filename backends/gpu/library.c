#include "backends/gpu/library.h"

#include "backends/gpu/product_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- right or not ---- */

static const ProductWay ways[] = {{DTYPE_REAL, {TILE_LIBRARY, 1}},
                                  {DTYPE_F16, {TILE_LIBRARY, 1}},
                                  {DTYPE_BF16, {TILE_LIBRARY, 1}}};

static void depends_on(const DeviceInfo *info, const char *backend, const char *library,
                       char text[512])
{
    snprintf(text, 512, "library, %s, %s, %s, %s", backend, info->name, info->driver, library);
}

static void say_wrong(DeviceInfo *info, const char *library, const char *wrong)
{
    info->library_wrong = true;
    snprintf(info->products, sizeof info->products, "own kernels: %.63s: %.80s", library, wrong);
}

bool gpu_library_is_right(GpuLibrary *library)
{
    if (library->state == GPU_LIBRARY_UNCHECKED) {
        Device *device = library->device;
        ProductVerdict verdict;
        char depends[512];
        depends_on(&device->info, device->backend->name, library->name, depends);
        library->state = GPU_LIBRARY_IN_CHECK;
        bool failed = product_check(device, depends, ways, (int)(sizeof ways / sizeof *ways),
                                    &verdict) != WF_OK;
        const char *wrong = failed ? wf_error_message() : verdict.wrong;
        library->state = failed || wrong[0] ? GPU_LIBRARY_WRONG : GPU_LIBRARY_RIGHT;
        if (library->state == GPU_LIBRARY_WRONG) say_wrong(&device->info, library->name, wrong);
    }
    return library->state != GPU_LIBRARY_WRONG;
}

void gpu_library_prepare(const GpuLimits *limits)
{
    if (!limits->library) return;
    bool wanted = limits->library->preferred;
    for (int i = 0; i < limits->tuning.count; i++)
        wanted = wanted || limits->tuning.products[i].choice.tile == TILE_LIBRARY;
    if (wanted) gpu_library_is_right(limits->library);
}

/* ---- what is said and asked for ---- */

GpuProductsBy gpu_products_by(void)
{
    const char *by = getenv("WAVEFIELD_PRODUCTS");
    if (by && !strcmp(by, "own")) return PRODUCTS_BY_OWN;
    if (by && !strcmp(by, "library")) return PRODUCTS_BY_LIBRARY;
    return PRODUCTS_BY_DEVICE;
}

void gpu_library_describe(DeviceInfo *info, const char *backend, const char *absent,
                          const char *name, bool preferred)
{
    ProductVerdict verdict;
    char depends[512], *text = info->products;
    size_t size = sizeof info->products;
    info->library_wrong = false;
    if (gpu_products_by() == PRODUCTS_BY_OWN) absent = "WAVEFIELD_PRODUCTS is own";
    if (absent) {
        snprintf(text, size, "own kernels: %s", absent);
        return;
    }
    depends_on(info, backend, name, depends);
    product_verdict_find(depends, &verdict);
    if (verdict.wrong[0])
        say_wrong(info, name, verdict.wrong);
    else if (preferred)
        snprintf(text, size, "%s", name);
    else
        snprintf(text, size, "own kernels, and %s where tuned so", name);
}
