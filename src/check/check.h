/* The check: one list of cases, each run on a device and on the double-precision reference.
 *
 * A device's memory is NaN before each run; every case runs twice and must give the same bits. An
 * output's error is its largest deviation from the reference over the reference's root mean square,
 * and one function states every bound. Whole numbers must be equal. */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include "backends/backend.h"
#include "wavefield/model.h"

typedef enum CheckVerdict {
    CHECK_OK,
    CHECK_FAILED,
    CHECK_MISSING /* the device cannot run it: neither passed nor failed */
} CheckVerdict;

typedef struct CheckResult {
    const char *name;
    CheckVerdict verdict;
    double error, bound; /* of the output that is nearest to its bound, or farthest past it */
    const char *detail;  /* that output's name; or why it failed or is missing */
    double seconds;      /* median of a run; 0: not timed */
    double elapsed;      /* of the whole case, the reference's part included */
} CheckResult;

/* Called as each case ends; the texts live until it returns. */
typedef void (*CheckReport)(void *context, const CheckResult *result);

typedef struct CheckParams {
    const char *op; /* cases whose name starts so; NULL: all */
    bool bench;     /* time each case */
    DType storage;  /* of activations and weights */
    CheckReport report;
    void *context;
} CheckParams;

typedef struct CheckTotals {
    int passed, failed, missing;
} CheckTotals;

/* A status other than WF_OK says that the check itself could not run. */
wf_status check_device(Device *device, const CheckParams *params, CheckTotals *totals);

/* The relative error allowed to a sum of `reduction` terms in float: c·ε·√reduction. */
double check_bound(int64_t reduction);
/* The same where `roundings` results one after the other are stored in a type of 16 bits: a value
 * half-way between two of its numbers may be rounded to either. */
double check_bound_stored(int64_t reduction, int64_t roundings, DType storage);

/* Does any output before token j depend on token j? Results are one an evaluator (scan, direct,
 * stream: equal bits; fft: within the bound) plus the geometry; a model without a field has neither
 * evaluators nor geometry, and goes "auto" and in a stream; errors as above. */
wf_status check_causality(wf_model *model, const CheckParams *params, CheckTotals *totals);

#endif
