/* Runs cases of the check on OpenCL and says which kernels none of them launched: for
 * ci/oclgrind.sh, which runs it in a simulator.
 *
 *   kernels_launched [CASE …] [-- KERNEL …]
 *
 * A CASE is the whole name of one; "f16 CASE" runs it in 16-bit storage, "tiles CASE" a product in
 * every tile. Without one all but the models run, and each one's threads and kernels are listed, to
 * choose from. KERNELs are missing, "any": whatever is. The exit status is 1 if a case fails or is
 * not there, or if a kernel is missing, or launched, against what was said. A kernel counts in any
 * storage type: it is one text with other loads and stores. */
#include "backends/opencl/opencl.h"
#include "check/case.h"
#include "check/check.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static OpenclTable driver; /* what the table held */
static cl_api_clGetKernelInfo kernel_info;
static bool launched[KERNEL_COUNT], by_case[KERNEL_COUNT];
static double threads; /* launched by the case */
static bool failed;

static cl_int CL_API_CALL launch(cl_command_queue queue, cl_kernel kernel, cl_uint axes,
                                 const size_t *offset, const size_t *global, const size_t *local,
                                 cl_uint count, const cl_event *waits, cl_event *event)
{
    char name[128] = "";
    double size = 1;
    kernel_info(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
    for (int k = 0; k < KERNEL_COUNT; k++)
        if (!strcmp(gpu_kernels[k].name, name)) launched[k] = by_case[k] = true;
    for (cl_uint axis = 0; axis < axes; axis++) size *= (double)global[axis];
    threads += size;
    return driver.p_clEnqueueNDRangeKernel(queue, kernel, axes, offset, global, local, count, waits,
                                           event);
}

static void report(void *context, const CheckResult *result)
{
    const char *wanted = context;
    if (strcmp(result->name, wanted) != 0) return;
    if (result->verdict == CHECK_OK) return;
    printf("%s: %s, error %g, bound %g\n", result->name, result->detail, result->error,
           result->bound);
    failed = true;
}

/* Cases whose names begin with the name run too. */
static void run(Device *device, const char *name, DType storage)
{
    CheckTotals totals;
    CheckParams params = {
        .op = name, .storage = storage, .report = report, .context = (void *)(uintptr_t)name};
    wf_status status = check_device(device, &params, &totals);
    if (status) printf("%s: %s\n", name, wf_error_message());
    failed |= status != WF_OK;
}

static void list_all(Device *device)
{
    for (int c = 0; c < n_check_cases; c++) {
        char name[128];
        if (check_cases[c].model) continue;
        memset(by_case, 0, sizeof by_case);
        threads = 0;
        run(device, case_name(&check_cases[c], name, sizeof name), DTYPE_REAL);
        printf("%s\t%.0f", name, threads);
        for (int k = 0; k < KERNEL_COUNT; k++)
            if (by_case[k]) printf("\t%s", gpu_kernels[k].name);
        putchar('\n');
    }
}

static bool is_case(const char *wanted)
{
    char name[128];
    for (int c = 0; c < n_check_cases; c++)
        if (!strcmp(case_name(&check_cases[c], name, sizeof name), wanted)) return true;
    return false;
}

static void run_tiles(Device *device, const char *name)
{
    GpuTuning *tuning = gpu_limits_tuning(device->backend->gpu_limits(device));
    for (int tile = TILE_RULE + 1; tile < TILE_COUNT; tile++) {
        tuning->forced = (ProductChoice){(uint8_t)tile, 1};
        run(device, name, DTYPE_REAL);
    }
    tuning->forced = (ProductChoice){0};
}

static void run_as_told(Device *device, const char *told)
{
    bool half = !strncmp(told, "f16 ", 4), tiles = !strncmp(told, "tiles ", 6);
    const char *name = told + (half ? 4 : tiles ? 6 : 0);
    if (!is_case(name)) {
        printf("no case \"%s\"\n", name);
        failed = true;
    } else if (tiles) {
        run_tiles(device, name);
    } else {
        run(device, name, half ? DTYPE_F16 : DTYPE_REAL);
    }
}

static void judge(const char *kernel, bool was_launched, char *const *excepted)
{
    if (*excepted && !strcmp(*excepted, "any")) return;
    while (*excepted && strcmp(*excepted, kernel) != 0) excepted++;
    if (was_launched == !*excepted) return;
    printf("kernel %s %s\n", kernel,
           was_launched ? "ran, and is among the exceptions" : "was launched by no case");
    failed = true;
}

int main(int count, char **arguments)
{
    char *const *cases = arguments + 1, *const *excepted = arguments + count;
    for (int i = 1; i < count; i++)
        if (!strcmp(arguments[i], "--")) {
            arguments[i] = NULL;
            excepted = arguments + i + 1;
            break;
        }
    Device *device = NULL;
    if (backend_find("opencl")->open(0, &device)) {
        printf("%s\n", wf_error_message());
        return 1;
    }
    kernel_info =
        (cl_api_clGetKernelInfo)dlsym(dlopen("libOpenCL.so.1", RTLD_NOW), "clGetKernelInfo");
    driver = opencl_table;
    opencl_table.p_clEnqueueNDRangeKernel = launch;
    if (!*cases) list_all(device);
    for (; *cases; cases++) run_as_told(device, *cases);
    for (int k = 0; k < KERNEL_COUNT; k += gpu_kernels[k].variants) {
        bool any = false;
        for (int v = 0; v < gpu_kernels[k].variants; v++) any |= launched[k + v];
        if (!gpu_kernels[k].glsl_only) judge(gpu_kernels[k].name, any, excepted);
    }
    backend_find("opencl")->close(device);
    return failed;
}
