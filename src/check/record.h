/* What a check found, device after device, kept for its reports. */
#ifndef CHECK_RECORD_H
#define CHECK_RECORD_H

#include "check/check.h"

typedef struct CheckedCase {
    char *name, *detail; /* detail may be "" */
    CheckVerdict verdict;
    double error, bound; /* as in CheckResult */
    double seconds;      /* median of a run; 0: not timed */
    double elapsed;      /* of the whole case, the reference's part included */
} CheckedCase;

typedef struct CheckedDevice {
    char id[32], name[128], driver[128];
    bool absent;   /* a backend without a device: `id` is its name, `problem` says why */
    char *problem; /* why the device could not be checked to the end; NULL: it was */
    CheckedCase *cases;
    int n_cases, capacity;
    CheckTotals totals;
    double worst;    /* largest share of a bound; infinite where something was not finite */
    double training; /* largest relative deviation of a loss in training; negative: not trained */
    double seconds;
} CheckedDevice;

typedef struct CheckRecord {
    CheckedDevice *devices;
    int count, capacity;
    bool failed; /* out of memory: the record is not whole */
} CheckRecord;

/* Appends a device; NULL: out of memory. Valid until the next is appended. */
CheckedDevice *record_device(CheckRecord *record, const char *id);

/* Appends a case's result to the device appended last, and counts it. */
void record_case(CheckRecord *record, const CheckResult *result);

/* Notes why the device appended last could not be checked, or why there is none. */
void record_problem(CheckRecord *record, const char *problem);

/* No case failed, and every device that is present could be checked. */
bool record_nothing_failed(const CheckRecord *record);

void record_destroy(CheckRecord *record);

#endif
