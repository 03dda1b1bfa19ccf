/* What tests share: numbers drawn from a seed, comparison under one bound, one op run alone.
 *
 * Every helper fails the running cmocka test when something goes wrong, so none returns a status.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include "backends/backend.h" /* before cmocka, whose `fail` is a macro */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Memory that lives until test_release() (a teardown function) frees all of it. */
void *test_memory(size_t size);
int test_release(void **state);

/* The CPU in float or in double, opened for this test program. */
Device *test_device(bool as_double);
void test_close_devices(void);

/* Device 0 of a backend, or why not: the exit code of a program that cannot go on, 77 (a skip)
 * where this build or machine has none. */
int test_open(const char *backend, Device **out);

/* Makes `device` the one in float from here on; test_close_devices() closes it. */
void test_use_device(Device *device);

/* WF_OK, or the test fails with the message. */
void test_ok(wf_status status);

/* n numbers, normal with this deviation, rounded to float so that every device starts from the same
 * ones. */
double *test_normal(uint64_t seed, int64_t n, double deviation);

/* ---- comparison ---- */

enum { TEST_C = 8 };

/* The one bound: TEST_C·ε·√reduction of the expected values' root mean square, ε that of float or
 * double, reduction the number of terms summed into one value. */
typedef struct Closeness {
    double error; /* largest deviation over the root mean square; infinite where either is NaN */
    double bound;
} Closeness;
Closeness test_closeness(const double *got, const double *expected, int64_t n, int64_t reduction,
                         bool as_double);

/* Fails when out of the bound, and when an element moved by ten bounds would not be noticed. */
void test_close(const char *what, const double *got, const double *expected, int64_t n,
                int64_t reduction, bool as_double);

/* ---- one op ---- */

/* Whole numbers are kept as doubles here too. */
typedef struct Operand {
    DType dtype;
    Shape shape;
    double *value; /* an output's content before the run; NULL: NaN */
    int64_t terms; /* of an output: numbers summed into one of its elements */
    bool absent;
} Operand;

typedef struct OneOp {
    Op op;
    OpParams params;
    int n_in, n_out;
    Operand in[NODE_MAX_IN], out[NODE_MAX_OUT];
    uint32_t accumulate;
    bool in_place; /* output 0 stands on input 0 */
} OneOp;

static inline Operand operand_real(Shape shape, double *value)
{
    return (Operand){.dtype = DTYPE_REAL, .shape = shape, .value = value};
}

static inline int64_t operand_elements(const Operand *operand)
{
    return operand->absent ? 0 : shape_elements(operand->shape);
}

/* Runs the op in memory filled with NaN and returns its outputs, which live until test_release().
 */
typedef struct OneOpResult {
    double *out[NODE_MAX_OUT];
} OneOpResult;
OneOpResult test_run(Device *device, const OneOp *op);

/* ---- barriers ---- */

/* The recorded commands are ordered, and stop being so when one barrier is taken away: any one, or
 * about `most` of them spread over the program. Returns how many were tried. */
int test_ordered(const Program *program, int most);

#endif
