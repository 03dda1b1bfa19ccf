/* A case of the check: a small graph with its inputs, built anew for each device it runs on.
 *
 * Every tensor a case touches is external, so that the runner can fill it before and read it after.
 * Values are drawn in double from a stream that depends on the case and the tensor only, then
 * rounded to float: every device starts from the same numbers. */
#ifndef CHECK_CASE_H
#define CHECK_CASE_H

#include "backends/backend.h"
#include "base/rng.h"

enum { CASE_MAX_TENSORS = 32, CASE_MAX_SIZES = 6 };

typedef struct CheckCase CheckCase;

/* How element `i` of an input is drawn. */
typedef double (*Fill)(Rng *rng, int64_t i);

typedef struct CaseTensor {
    TensorId id;
    const char *name;
    int64_t offset; /* bytes into the region */
    int64_t elements;
    DType dtype;
    double *reals; /* values before the run; NULL: NaN */
    int32_t *ints;
    int64_t reduction; /* terms summed into one element; 0: not compared */
} CaseTensor;

typedef struct CaseGraph {
    const CheckCase *of;
    const Limits *limits;
    DType storage;
    uint32_t stored;          /* bits of the tensors that ops take or make in that type */
    FieldEvaluator evaluator; /* the reference propagates by direct summation, whatever the case */
    Graph *graph;
    Region region;
    CaseTensor tensors[CASE_MAX_TENSORS];
    int n_tensors;
} CaseGraph;

enum {
    CASE_ACCUMULATE = 1, /* the first output is added to */
    CASE_TRANS_A = 2,
    CASE_TRANS_B = 4,
    CASE_SUM_BATCH = 8,
    CASE_BIAS = 16,
    CASE_GAPS = 32, /* leading dimensions larger than the rows */
    CASE_GATED = 64,
    CASE_DC = 128,
    CASE_V35 = 256,  /* the geometry of version 3.5 */
    CASE_WIDE = 512, /* values far into the tails, and exact zeros */
    CASE_NO_GRADIENT = 1024,
    CASE_BAD = 2048,       /* some elements are not finite */
    CASE_ATTENTION = 4096, /* of a model: attention in every layer */
    CASE_HYBRID = 8192,    /* of a model: attention in one layer, waves in the others */
    CASE_FOLLOWS = 16384,  /* the op takes a product's result: devices may run both as one */
    CASE_SECOND = 32768,   /* as its second input, not its first */
    CASE_KEPT = 65536      /* the product's result is looked at too */
};

struct CheckCase {
    Op op;
    void (*build)(CaseGraph *graph);
    int64_t size[CASE_MAX_SIZES]; /* as `build` reads them */
    unsigned flags;
    FieldEvaluator evaluator;
    const char *model; /* a tiny model of this version instead of an op; NULL: the op */
};

/* The list, and a case's name: "product 7x13x5 bias". Returns `text`. */
extern const CheckCase check_cases[];
extern const int n_check_cases;
const char *case_name(const CheckCase *this, char *text, size_t size);

/* Builds the case for a device of these limits, its activations in the storage type. The caller
 * destroys it, whatever is returned. */
wf_status case_graph_create(const CheckCase *this, const Limits *limits, bool reference,
                            DType storage, CaseGraph *out);
void case_graph_destroy(CaseGraph *graph);

/* ---- for builders ---- */

TensorId case_input(CaseGraph *graph, const char *name, Shape shape, Fill fill);

/* What a value becomes when it is stored in this type. */
double stored_value(double value, DType dtype);

/* An input of whole numbers, zero: *values is what the device will get. */
TensorId case_ints(CaseGraph *graph, const char *name, Shape shape, int32_t **values);

/* An output, NaN before the run, each of whose elements is a sum of `reduction` terms. */
TensorId case_output(CaseGraph *graph, const char *name, Shape shape, int64_t reduction);

/* An output that is read or added to: it starts from values. */
TensorId case_in_out(CaseGraph *graph, const char *name, Shape shape, Fill fill, int64_t reduction);

/* Compares an input's content after the run too. */
void case_compare(CaseGraph *graph, TensorId id, int64_t reduction);

/* Appends the node; in and out as ops.h lists them. */
void case_node(CaseGraph *graph, Op op, OpParams params, const TensorId *in, int n_in,
               const TensorId *out, int n_out, uint32_t accumulate);
#define CASE_IDS(...)                                                                              \
    (const TensorId[]){__VA_ARGS__},                                                               \
        (int)(sizeof((const TensorId[]){__VA_ARGS__}) / sizeof(TensorId))

double fill_normal(Rng *rng, int64_t i);
double fill_wide(Rng *rng, int64_t i); /* to ±30, every fifth exactly zero */

#endif
