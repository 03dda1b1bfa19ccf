/* Tuning: how a GPU computes products fastest, measured with the programs that models run.
 *
 * The products are those that training steps and decoding of given configurations are lowered to on
 * the device, one of each class of shapes (backends/gpu/tuning.h). Each is run in every way there
 * is, and the fastest is kept; the rules' own stays where nothing is TUNE_GAIN faster. */
#ifndef CHECK_TUNE_H
#define CHECK_TUNE_H

#include "backends/gpu/tuning.h"
#include "check/timing.h"
#include "wavefield/config.h"

#define TUNE_GAIN 1.03

typedef struct TuneCandidate {
    ProductChoice choice;
    double seconds; /* median of one product; 0: not timed, as fewer splits were faster already */
} TuneCandidate;

typedef struct TuneResult {
    ProductParams product;
    DType storage;                                     /* of its operands */
    TuneCandidate candidates[PRODUCT_MOST_CANDIDATES]; /* the first is the rules' own */
    int count, best;
} TuneResult;

/* Called as each class of products has been measured. */
typedef void (*TuneReport)(void *context, const TuneResult *result);

typedef struct TuneEffort {
    double run;    /* seconds that a timed program should take at least: products are repeated */
    Timing timing; /* of those programs */
} TuneEffort;

typedef struct ProductList {
    DType storage; /* of the operands of all */
    ProductParams *items;
    int count, capacity;
} ProductList;

/* Adds what training at batch × tokens and decoding of a configuration, in the list's storage type,
 * are lowered to, without gaps, where the list has none of the class yet. Allocates nothing on the
 * device. WF_ERROR_UNSUPPORTED where it does not store the type. */
wf_status tune_products(Device *device, const wf_config *config, int64_t batch, int64_t tokens,
                        ProductList *list);
void product_list_free(ProductList *list);

/* WF_ERROR_MEMORY where the product is too large for the device. */
wf_status tune_product(Device *device, const ProductParams *product, DType storage,
                       const TuneEffort *effort, TuneResult *result);

/* All of a list into a tuning, beside the classes it has; what is too large for the device is left
 * as it is. */
wf_status tune_list(Device *device, const ProductList *list, const TuneEffort *effort,
                    TuneReport report, void *context, GpuTuning *tuning);

#endif
