#include "check/outputs.h"

#include "base/array.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double check_bound(int64_t reduction)
{
    const double c = 16; /* a few roundings an element, and the largest of many elements */
    return c * (double)FLT_EPSILON * sqrt((double)reduction);
}

double check_bound_stored(int64_t reduction, int64_t roundings, DType storage)
{
    const double c = 16, unit = storage == DTYPE_F16 ? 0x1p-11 : storage == DTYPE_BF16 ? 0x1p-8 : 0;
    return check_bound(reduction) + c * unit * sqrt((double)roundings);
}

wf_status outputs_add(Outputs *outputs, const char *name, DType dtype, int64_t elements,
                      int64_t reduction, double **values)
{
    char *copy = strdup(name);
    *values = calloc((size_t)elements, sizeof **values);
    if (!copy || !*values ||
        !array_reserve((void **)&outputs->items, outputs->count, &outputs->capacity,
                       sizeof *outputs->items)) {
        free(copy);
        free(*values);
        return fail(WF_ERROR_MEMORY, "out of memory for the output %s", name);
    }
    outputs->items[outputs->count++] = (Output){copy, dtype, elements, reduction, *values};
    return WF_OK;
}

static wf_status read_ints(const Region *region, int64_t offset, double *values, int64_t n)
{
    int32_t *ints = malloc((size_t)n * sizeof *ints);
    if (!ints) return fail(WF_ERROR_MEMORY, "out of memory for %lld numbers", (long long)n);
    wf_status status = device_read_ints(region, offset, ints, n);
    for (int64_t i = 0; !status && i < n; i++) values[i] = ints[i];
    free(ints);
    return status;
}

wf_status outputs_add_region(Outputs *outputs, const char *name, DType dtype, const Region *region,
                             int64_t offset, int64_t elements, int64_t reduction)
{
    double *values;
    TRY(outputs_add(outputs, name, dtype, elements, reduction, &values));
    if (dtype == DTYPE_I32) return read_ints(region, offset, values, elements);
    return device_read_stored(region, dtype, offset, values, elements);
}

void outputs_destroy(Outputs *outputs)
{
    for (int i = 0; i < outputs->count; i++) {
        free(outputs->items[i].name);
        free(outputs->items[i].values);
    }
    free(outputs->items);
    *outputs = (Outputs){0};
}

double relative_error(const double *a, const double *b, int64_t n)
{
    double squares = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = fabs(a[i] - b[i]);
        if (!isfinite(difference)) return HUGE_VAL;
        if (difference > largest) largest = difference;
        squares += b[i] * b[i];
    }
    if (largest == 0) return 0;
    double rms = sqrt(squares / (double)n);
    return rms > 0 ? largest / rms : HUGE_VAL;
}

/* Whole numbers: the largest difference, in units. */
static double whole_error(const double *a, const double *b, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(a[i] - b[i]));
    return largest;
}

/* How far along to its bound an error is; past 1 it fails. */
static double share(double error, double bound)
{
    if (error == 0) return 0;
    return bound > 0 ? error / bound : HUGE_VAL;
}

void outputs_compare(const Outputs *outputs, const Outputs *reference, DType storage,
                     CheckResult *result)
{
    result->verdict = CHECK_FAILED;
    result->detail = "no outputs to compare";
    if (outputs->count == 0 || outputs->count != reference->count) return;
    double worst = -1;
    for (int i = 0; i < outputs->count; i++) {
        const Output *a = &outputs->items[i], *b = &reference->items[i];
        bool whole = a->dtype == DTYPE_I32;
        double bound = whole ? 0 : check_bound_stored(a->reduction, reference->roundings, storage);
        double error = HUGE_VAL;
        if (a->elements == b->elements)
            error = whole ? whole_error(a->values, b->values, a->elements)
                          : relative_error(a->values, b->values, a->elements);
        if (share(error, bound) <= worst) continue;
        worst = share(error, bound);
        result->error = error;
        result->bound = bound;
        result->detail = a->name;
    }
    if (worst <= 1) result->verdict = CHECK_OK;
}

const char *outputs_differ(const Outputs *a, const Outputs *b)
{
    for (int i = 0; i < a->count && i < b->count; i++) {
        const Output *x = &a->items[i], *y = &b->items[i];
        size_t bytes = (size_t)x->elements * sizeof *x->values;
        if (x->elements != y->elements || memcmp(x->values, y->values, bytes)) return x->name;
    }
    return a->count == b->count ? NULL : "the number of outputs";
}
