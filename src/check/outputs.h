/* What a case gave on one device, and the comparison with what it should have given. */
#ifndef CHECK_OUTPUTS_H
#define CHECK_OUTPUTS_H

#include "check/check.h"

typedef struct Output {
    char *name;
    DType dtype;
    int64_t elements;
    int64_t reduction; /* terms summed into one element */
    double *values;    /* whole numbers too */
} Output;

typedef struct Outputs {
    Output *items;
    int count, capacity;
    int64_t roundings; /* results stored one after the other on the longest way to an output */
    double seconds;    /* median of a run; 0: not timed */
} Outputs;

/* Appends one with room for its values, which the caller fills. */
wf_status outputs_add(Outputs *outputs, const char *name, DType dtype, int64_t elements,
                      int64_t reduction, double **values);
wf_status outputs_add_region(Outputs *outputs, const char *name, DType dtype, const Region *region,
                             int64_t offset, int64_t elements, int64_t reduction);
void outputs_destroy(Outputs *outputs);

/* Largest |a - b| over the root mean square of b: HUGE_VAL where either is not finite, or where b
 * is all zero and a is not. */
double relative_error(const double *a, const double *b, int64_t n);

/* Sets verdict, error, bound and detail from the output that is nearest to its bound. */
void outputs_compare(const Outputs *outputs, const Outputs *reference, DType storage,
                     CheckResult *result);

/* The name of the first output whose bits differ, or NULL. */
const char *outputs_differ(const Outputs *a, const Outputs *b);

#endif
