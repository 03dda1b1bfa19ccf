/* What only the OpenCL backend has: programs that are kept between runs as the driver's binaries.
 * The loader's table goes through functions here that count, and that refuse. */
#include "tests/scratch.h"
#include "tests/support.h"

#include "backends/opencl/opencl.h"
#include "base/files.h"
#include "check/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static OpenclTable driver; /* what the table held */
static int n_sources, n_binaries;

/* What happens to a binary that the driver is given. */
static enum { TAKEN, REFUSED, MARKED_INVALID, UNBUILDABLE, ANOTHER } fate;
static cl_program unbuildable; /* the last program made of one */

static const char *platform; /* what its platform calls itself */

static cl_int CL_API_CALL platform_info(cl_platform_id id, cl_platform_info what, size_t size,
                                        void *value, size_t *length)
{
    if (what != CL_PLATFORM_NAME || !value)
        return driver.p_clGetPlatformInfo(id, what, size, value, length);
    snprintf(value, size, "%s", platform);
    return CL_SUCCESS;
}

static cl_program CL_API_CALL from_source(cl_context context, cl_uint count, const char **texts,
                                          const size_t *lengths, cl_int *error)
{
    n_sources++;
    unbuildable = NULL;
    return driver.p_clCreateProgramWithSource(context, count, texts, lengths, error);
}

static cl_program CL_API_CALL from_binary(cl_context context, cl_uint count,
                                          const cl_device_id *devices, const size_t *sizes,
                                          const unsigned char **binaries, cl_int *taken,
                                          cl_int *error)
{
    static const char *another = "kernel void another(global int *x) { *x = 1; }";
    n_binaries++;
    if (fate == ANOTHER)
        return driver.p_clCreateProgramWithSource(context, 1, &another, NULL, error);
    if (fate == REFUSED) {
        *error = CL_INVALID_BINARY;
        return NULL;
    }
    cl_program program =
        driver.p_clCreateProgramWithBinary(context, count, devices, sizes, binaries, taken, error);
    if (fate == MARKED_INVALID && taken) *taken = CL_INVALID_BINARY;
    if (fate == UNBUILDABLE) unbuildable = program;
    return program;
}

static cl_int CL_API_CALL build(cl_program program, cl_uint count, const cl_device_id *devices,
                                const char *options,
                                void(CL_CALLBACK *done)(cl_program program, void *context),
                                void *context)
{
    if (program == unbuildable) return CL_BUILD_PROGRAM_FAILURE;
    return driver.p_clBuildProgram(program, count, devices, options, done, context);
}

static void expect_passed(void *context, const CheckResult *result)
{
    (void)context;
    if (result->verdict != CHECK_OK)
        fail_msg("%s: %s, error %g, bound %g", result->name, result->detail, result->error,
                 result->bound);
}

typedef struct Built {
    int sources, binaries;
} Built;

/* Kernels and transforms on the device opened anew: right, and built from what? */
static Built check_anew(void)
{
    const Backend *backend = backend_find("opencl");
    Device *device;
    CheckTotals totals;
    n_sources = n_binaries = 0;
    test_ok(backend->open(0, &device));
    test_ok(
        check_device(device, &(CheckParams){.op = "field 2x13", .report = expect_passed}, &totals));
    backend->close(device);
    assert_true(totals.passed > 0);
    return (Built){n_sources, n_binaries};
}

static void expect_built(int sources, int binaries)
{
    Built built = check_anew();
    assert_int_equal(built.sources, sources);
    assert_int_equal(built.binaries, binaries);
}

static int use_fresh_folder(void **state)
{
    (void)state;
    fate = TAKEN;
    unbuildable = NULL;
    platform = "A platform";
    folder_run("rm -rf kept");
    return setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
}

static void binaries_are_kept(void **state)
{
    (void)state;
    Built first = check_anew();
    assert_true(first.sources > 0);
    assert_int_equal(first.binaries, 0);
    expect_built(0, first.sources);
}

/* No driver is shown a byte of them. */
static void damaged_binaries_are_not_loaded(void **state)
{
    (void)state;
    static const struct {
        size_t cut, at;
    } damages[] = {{1, SIZE_MAX}, {SIZE_MAX, SIZE_MAX}, {0, 0}, {0, 24}, {0, 900}};
    Built first = check_anew();
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        folder_damage("kept", damages[i].cut, damages[i].at);
        expect_built(first.sources, 0);
    }
    expect_built(0, first.sources); /* the last ones were replaced */
}

/* Whole as they were stored, and of no use to the driver. */
static void refused_binaries_are_compiled_anew(void **state)
{
    (void)state;
    Built first = check_anew();
    for (fate = REFUSED; fate <= ANOTHER; fate++) {
        Built again = check_anew();
        assert_true(again.binaries > 0);
        /* VkFFT does not look at the mark. */
        assert_in_range(again.sources, fate == MARKED_INVALID ? 1 : first.sources, first.sources);
        int refused = fate;
        fate = TAKEN;
        expect_built(0, first.sources);
        fate = refused;
    }
}

static void off_keeps_nothing(void **state)
{
    (void)state;
    setenv("WAVEFIELD_CACHE", "off", 1);
    Built first = check_anew();
    expect_built(first.sources, 0);
    assert_false(folder_exists(IN_FOLDER("kept")));
    setenv("WAVEFIELD_CACHE", IN_FOLDER("file/kept"), 1); /* a folder that cannot be made */
    test_ok(file_write_atomic(IN_FOLDER("file"), "x", 1));
    expect_built(first.sources, 0);
    expect_built(first.sources, 0);
}

/* It has a cache of its own, and binaries cost it more than compiling. */
static void pocl_is_not_asked(void **state)
{
    (void)state;
    platform = "Portable Computing Language";
    Built first = check_anew();
    expect_built(first.sources, 0);
    assert_false(folder_exists(IN_FOLDER("kept")));
}

enum { SKIPPED = 77 };

int main(void)
{
    int count = 0;
    setenv("WAVEFIELD_PRODUCTS", "own", 1); /* what a library builds is not counted */
    if (backend_find("opencl")->list(NULL, 0, &count) || count == 0) {
        print_message("skipped: %s\n", wf_error_message());
        return SKIPPED;
    }
    driver = opencl_table;
    opencl_table.p_clGetPlatformInfo = platform_info;
    opencl_table.p_clCreateProgramWithSource = from_source;
    opencl_table.p_clCreateProgramWithBinary = from_binary;
    opencl_table.p_clBuildProgram = build;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(binaries_are_kept, use_fresh_folder),
        cmocka_unit_test_setup(damaged_binaries_are_not_loaded, use_fresh_folder),
        cmocka_unit_test_setup(refused_binaries_are_compiled_anew, use_fresh_folder),
        cmocka_unit_test_setup(off_keeps_nothing, use_fresh_folder),
        cmocka_unit_test_setup(pocl_is_not_asked, use_fresh_folder),
    };
    return cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
}
