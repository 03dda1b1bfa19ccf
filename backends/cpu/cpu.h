/* The plain C backend: the oracle of every other backend, and the default where no GPU is.
 *
 * Its op files are compiled several times: in double (REAL_IS_DOUBLE) as the reference device, and
 * in float for the product, once for every instruction set worth having; the best one the machine
 * runs is chosen when the device is opened. CPU_NAME gives each build's functions their own names.
 */
#ifndef BACKENDS_CPU_CPU_H
#define BACKENDS_CPU_CPU_H

#include "backends/backend.h"

#ifdef REAL_IS_DOUBLE
typedef double real;
#else
typedef float real;
#endif

#define CPU_JOIN2(a, b) a##b
#define CPU_JOIN(a, b)  CPU_JOIN2(a, b)
#ifndef CPU_VARIANT
#define CPU_VARIANT cpu32_
#endif
#define CPU_NAME(name) CPU_JOIN(CPU_VARIANT, name)

/* One node about to run: addresses resolved, NULL where an optional tensor is absent. */
typedef struct CpuCall {
    const Graph *graph;
    const Node *node;
    const void *in[NODE_MAX_IN];
    void *out[NODE_MAX_OUT];
    void *workspace;
} CpuCall;

typedef void (*CpuOp)(const CpuCall *call);

/* Rounds n reals in place to what `dtype` can store. */
typedef void (*CpuStore)(DType dtype, void *values, int64_t n);

/* What one build of the op files offers. */
typedef struct CpuOps {
    CpuOp run[OP_COUNT]; /* NULL: not an op of this build */
    /* Bytes of scratch for the node; NULL entries: none. */
    int64_t (*workspace[OP_COUNT])(const Graph *graph, const Node *node);
    CpuStore store;
} CpuOps;

static inline Shape call_in_shape(const CpuCall *call, int k)
{
    return call->graph->tensors[call->node->in[k]].shape;
}

static inline Shape call_out_shape(const CpuCall *call, int k)
{
    return call->graph->tensors[call->node->out[k]].shape;
}

static inline bool call_accumulates(const CpuCall *call, int k)
{
    return (call->node->accumulate >> k) & 1u;
}

/* to[i] = value, or += value, for 0 <= i < n: a loop each, so that both vectorise. `to` may stand
 * on the same bytes as an operand of `value`, element on element, which is what the pragma states.
 */
#define EACH(i, n, to, value, add)                                                                 \
    do {                                                                                           \
        if (add) {                                                                                 \
            _Pragma("omp simd") for (int64_t i = 0; i < (n); i++)(to)[i] += (value);               \
        } else {                                                                                   \
            _Pragma("omp simd") for (int64_t i = 0; i < (n); i++)(to)[i] = (value);                \
        }                                                                                          \
    } while (0)

/* The same for one value. */
static inline void real_put(real *to, real value, bool add)
{
    *to = add ? *to + value : value;
}

/* ---- how work is cut: by its size alone, so that results do not depend on the thread count ----
 */

enum {
    BLOCK = 4096,           /* elements in a block of an elementwise loop */
    WORTH_THREADS = 1 << 15 /* elements: some 10 µs of work */
};

/* Is a loop over this many elements worth waking the other cores? */
static inline bool worth_threads(int64_t elements)
{
    return elements > WORTH_THREADS;
}

/* A sum over rows is taken in blocks of this many, each from its first row on; the blocks' sums are
 * then added in order. */
static inline int64_t sum_block_rows(int64_t rows)
{
    return int64_max(16, ceil_div(rows, 64));
}
static inline int64_t sum_blocks(int64_t rows)
{
    return ceil_div(rows, sum_block_rows(rows));
}

#endif
