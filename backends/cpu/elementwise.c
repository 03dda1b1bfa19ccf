#include "backends/cpu/elementwise.h"

#include "backends/cpu/math.h"
#include "base/rng.h"

typedef void (*Loop)(real *y, const real *a, const real *b, const real *c, int64_t n, bool add);

/* Defines a loop over one block: y[i] = value, or += value, with A, B and C the inputs' elements.
 */
#define LOOP(name, value)                                                                          \
    static void name(real *y, const real *in0, const real *in1, const real *in2, int64_t n,        \
                     bool add)                                                                     \
    {                                                                                              \
        (void)in1;                                                                                 \
        (void)in2;                                                                                 \
        EACH(i, n, y, value, add);                                                                 \
    }
#define A in0[i]
#define B in1[i]
#define C in2[i]

/* Calls one loop an output, block by block. */
static void run(const CpuCall *call, const Loop *loops)
{
    const Node *node = call->node;
    int64_t n = shape_elements(call_in_shape(call, 0)), blocks = ceil_div(n, BLOCK);
#pragma omp parallel for schedule(static) if (worth_threads(n))
    for (int64_t block = 0; block < blocks; block++) {
        int64_t first = block * BLOCK;
        const real *in[3] = {NULL, NULL, NULL};
        for (int k = 0; k < node->n_in; k++) in[k] = (const real *)call->in[k] + first;
        for (int k = 0; k < node->n_out; k++)
            if (call->out[k])
                loops[k]((real *)call->out[k] + first, in[0], in[1], in[2],
                         int64_min(BLOCK, n - first), call_accumulates(call, k));
    }
}

static inline real gelu_of(real x)
{
    real gaussian;
    return x * normal_cdf(x, &gaussian);
}

/* d/dx x·Φ(x) = Φ(x) + x·e^(-x²/2)/√(2π) */
static inline real gelu_slope(real x)
{
    real gaussian, cdf = normal_cdf(x, &gaussian);
    return cdf + x * gaussian * (real)0.39894228040143267794;
}

/* The feature map's last step: a ReLU that lets NaN through, kept above zero. */
static inline real feature_of(real p)
{
    return (p < 0 ? 0 : p) + (real)1e-6;
}

/* Both arguments are formed first, so that a loop needs no conditional loads. */
static inline real zero_if(bool zero, real value)
{
    return zero ? 0 : value;
}

LOOP(copy_loop, A)
LOOP(add_loop, A + B)
LOOP(gelu_loop, gelu_of(A))
LOOP(feature_loop, feature_of(A) * B)
LOOP(gate_loop, A *real_sigmoid(B))

/* Backward: A is dy. */
LOOP(gelu_backward_loop, A *gelu_slope(B))
LOOP(feature_backward_p, zero_if(B <= 0, A *C))
LOOP(feature_backward_v, A *feature_of(B))
LOOP(gate_backward_x, A *real_sigmoid(C))
LOOP(gate_backward_g, A *B *sigmoid_slope(C))

void CPU_NAME(copy)(const CpuCall *call)
{
    run(call, (const Loop[]){copy_loop});
}

void CPU_NAME(add)(const CpuCall *call)
{
    run(call, (const Loop[]){add_loop});
}

void CPU_NAME(gelu)(const CpuCall *call)
{
    run(call, (const Loop[]){gelu_loop});
}

void CPU_NAME(gelu_backward)(const CpuCall *call)
{
    run(call, (const Loop[]){gelu_backward_loop});
}

void CPU_NAME(feature)(const CpuCall *call)
{
    run(call, (const Loop[]){feature_loop});
}

void CPU_NAME(feature_backward)(const CpuCall *call)
{
    run(call, (const Loop[]){feature_backward_p, feature_backward_v});
}

void CPU_NAME(gate)(const CpuCall *call)
{
    run(call, (const Loop[]){gate_loop});
}

void CPU_NAME(gate_backward)(const CpuCall *call)
{
    run(call, (const Loop[]){gate_backward_x, gate_backward_g});
}

void CPU_NAME(fill)(const CpuCall *call)
{
    real *y = call->out[0], value = (real)call->node->params.fill.value;
    int64_t n = shape_elements(call_out_shape(call, 0));
    bool add = call_accumulates(call, 0);
#pragma omp parallel for simd schedule(static) if (worth_threads(n))
    for (int64_t i = 0; i < n; i++) y[i] = add ? y[i] + value : value;
}

/* Which elements of one block are kept is drawn first, as words, so that the drawing vectorises. */
static void dropout_block(const CpuCall *call, int64_t first, int64_t n)
{
    const real *x = (const real *)call->in[0] + first;
    const int32_t *seed_step = call->in[1];
    real *y = (real *)call->out[0] + first;
    double p = (double)call->node->params.dropout.p;
    real scale = (real)(1 / (1 - p));
    uint32_t least = (uint32_t)fmin(ceil(p * 0x1p32), 0xffffffff), word[BLOCK];
    uint32_t key[2] = {(uint32_t)seed_step[0], 0}, step = (uint32_t)seed_step[1];
    uint32_t stream = call->node->params.dropout.stream;
    for (int64_t i = 0; i < n; i++) {
        uint64_t element = (uint64_t)(first + i);
        uint32_t counter[4] = {(uint32_t)element, (uint32_t)(element >> 32), stream, step}, out[4];
        philox4x32(counter, key, out);
        word[i] = out[0];
    }
    EACH(i, n, y, zero_if(word[i] < least, x[i] * scale), call_accumulates(call, 0));
}

void CPU_NAME(dropout)(const CpuCall *call)
{
    int64_t n = shape_elements(call_in_shape(call, 0)), blocks = ceil_div(n, BLOCK);
#pragma omp parallel for schedule(static) if (worth_threads(n))
    for (int64_t block = 0; block < blocks; block++)
        dropout_block(call, block * BLOCK, int64_min(BLOCK, n - block * BLOCK));
}
