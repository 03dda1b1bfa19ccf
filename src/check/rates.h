/* How fast a device is, each figure beside a floor: what its own memory and its own products would
 * allow.
 *
 * Every rate is measured on the device with random inputs. A floor is the bytes that must move over
 * the measured rate of a copy, or the operations over the best measured rate of a product, or the
 * larger of both. What fits into a cache may be faster than its floor. */
#ifndef CHECK_RATES_H
#define CHECK_RATES_H

#include "backends/backend.h"
#include "model/model.h"

typedef struct Rate {
    const char *figure; /* "copy", "product", "field", "training", "generation" */
    char title[128];
    double seconds;   /* of a run; 0: missing, and `why` says why */
    double per_run;   /* bytes, operations or tokens */
    const char *unit; /* "B/s", "FLOP/s", "tokens/s" */
    double floor;     /* seconds; 0: none */
    int64_t memory;   /* planned bytes; 0: not stated */
    const char *why;
} Rate;

typedef struct RateParams {
    const char *figure; /* only this one ("model": training and generation); NULL: all */
    const char *name;   /* the configuration's */
    const Config *config;
    int64_t batch;  /* of training; 0: 8, or less where memory or time is short */
    int64_t tokens; /* a sequence; 0: max_seq_len, at most 2048 */
    DType storage;  /* of training and generation */
    bool quick;     /* small sizes, for a device that computes on the CPU */
    void (*report)(void *context, const Rate *rate);
    void *context;
} RateParams;

extern const char *const rate_figures[]; /* NULL-terminated */

wf_status measure_rates(Device *device, const RateParams *params);

/* ---- the parts, one a file ---- */

typedef struct Rates {
    Device *device;
    const RateParams *params;
    double copy;                 /* bytes moved a second, read and written */
    double product[DTYPE_COUNT]; /* best operations a second; 0: not measured */
} Rates;

/* What was not possible is reported as missing, other failures are returned. */
wf_status rates_report(const Rates *rates, Rate *rate, wf_status status);
bool rates_wanted(const Rates *rates, const char *figure);

wf_status rates_copy(Rates *rates);
wf_status rates_products(Rates *rates);
wf_status rates_field(Rates *rates);
wf_status rates_training(Rates *rates, wf_model *model);
wf_status rates_generation(Rates *rates, wf_model *model);

#endif
