/* What the tests of a GPU backend share. */
#ifndef TESTS_GPU_SUPPORT_H
#define TESTS_GPU_SUPPORT_H

#include "tests/support.h"

extern Device *gpu; /* the device under test */

/* Device 0 of the backend that a program is given by name, or why not: its exit code. gpu_close()
 * is the teardown of its group of tests. */
int gpu_open(int argc, char **argv);
int gpu_close(void **state);

/* The op on it and on the CPU in double: every output within the bound. */
void expect_same(const char *what, const OneOp *op, int64_t reduction);

#endif
