/* Which NVRTC is taken, by the driver's version. What is loaded stays loaded, so that each case is
 * a process of its own. */
#include "backends/cuda/loader.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int present; /* the driver's version */

static CUresult version(int *out)
{
    *out = present;
    return CUDA_SUCCESS;
}

/* Exit statuses. */
enum { LOADED, ABSENT, NEWER, OTHER };

static int load_with(int driver)
{
    present = driver;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (driver) cuDriverGetVersion = version;
        const char *why = cuda_load_compiler();
        _exit(!why                              ? LOADED
              : strstr(why, "newer than the")   ? NEWER
              : strstr(why, "not on this mach") ? ABSENT
                                                : OTHER);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_compiler_too_new_for_the_driver_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(load_with(99000), LOADED);
    assert_int_equal(load_with(10020), NEWER); /* none as old as that is looked for */
}

int main(void)
{
    if (load_with(0) != LOADED) {
        printf("skipped: no libnvrtc\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compiler_too_new_for_the_driver_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
