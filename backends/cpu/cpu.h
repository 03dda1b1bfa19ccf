/* The plain C backend: the oracle of every other backend, and the default where no GPU is.
 *
 * Its op files are compiled several times: in double (REAL_IS_DOUBLE) as the reference device, and in
 * float for the product, once for every instruction set worth having; the best one the machine runs
 * is chosen when the device is opened. CPU_NAME gives each build's functions their own names. */
#ifndef BACKENDS_CPU_CPU_H
#define BACKENDS_CPU_CPU_H

#include "backends/backend.h"

#ifdef REAL_IS_DOUBLE
typedef double real;
#else
typedef float real;
#endif

#define CPU_JOIN2(a, b) a##b
#define CPU_JOIN(a, b) CPU_JOIN2(a, b)
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

/* What one build of the op files offers. */
typedef struct CpuOps {
    CpuOp run[OP_COUNT]; /* NULL: not an op of this build */
    /* Bytes of scratch for the node; NULL entries: none. */
    int64_t (*workspace[OP_COUNT])(const Graph *graph, const Node *node);
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

#endif
