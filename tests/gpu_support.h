/* What the tests of a GPU backend share. */
#ifndef TESTS_GPU_SUPPORT_H
#define TESTS_GPU_SUPPORT_H

#include "tests/support.h"

extern Device *gpu; /* the device under test, opened by main() */

/* The op on it and on the CPU in double: every output within the bound. */
void expect_same(const char *what, const OneOp *op, int64_t reduction);

#endif
