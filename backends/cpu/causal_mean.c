/* Running means over the tokens. Channels are independent: a block of them is one thread's, and its
 * sums are kept in double, so that a long sequence loses nothing. */
#include "backends/cpu/sequence.h"

enum { CHANNELS = 32 };

typedef struct Means {
    const real *x; /* [B, N, W] */
    real *y;
    int64_t batch, tokens, width;
    int64_t position; /* tokens seen before these */
    real *sum;        /* [B, W] of those tokens, or NULL: none */
    bool add;
} Means;

static void mean_block(const Means *m, int64_t b, int64_t first, int64_t n)
{
    const real *x = m->x + b * m->tokens * m->width + first;
    real *y = m->y + b * m->tokens * m->width + first;
    real *kept = m->sum ? m->sum + b * m->width + first : NULL;
    double sum[CHANNELS] = {0};
    for (int64_t i = 0; i < n && kept; i++) sum[i] = (double)kept[i];
    for (int64_t t = 0; t < m->tokens; t++, x += m->width, y += m->width) {
        double share = 1 / (double)(m->position + t + 1);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) sum[i] += (double)x[i];
        EACH(i, n, y, (real)(sum[i] * share), m->add);
    }
    for (int64_t i = 0; i < n && kept; i++) kept[i] = (real)sum[i];
}

/* dx[t] = Σ_{n>=t} dy[n]/(n+1) */
static void mean_backward_block(const Means *m, int64_t b, int64_t first, int64_t n)
{
    double sum[CHANNELS] = {0};
    for (int64_t t = m->tokens - 1; t >= 0; t--) {
        int64_t at = (b * m->tokens + t) * m->width + first;
        const real *dy = m->x + at;
        real *dx = m->y + at;
        double share = 1 / (double)(t + 1);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) sum[i] += (double)dy[i] * share;
        EACH(i, n, dx, (real)sum[i], m->add);
    }
}

static void each_block(const Means *m, void (*run)(const Means *, int64_t, int64_t, int64_t))
{
    int64_t blocks = ceil_div(m->width, CHANNELS);
#pragma omp parallel for schedule(static) if (worth_threads(m->batch * m->tokens * m->width))
    for (int64_t task = 0; task < m->batch * blocks; task++) {
        int64_t first = task % blocks * CHANNELS;
        run(m, task / blocks, first, int64_min(CHANNELS, m->width - first));
    }
}

static Means means_of(const CpuCall *call)
{
    Shape shape = call_in_shape(call, 0);
    return (Means){.x = call->in[0],
                   .y = call->out[0],
                   .batch = shape.dim[0],
                   .tokens = shape.dim[1],
                   .width = shape.dim[2],
                   .add = call_accumulates(call, 0)};
}

void CPU_NAME(causal_mean)(const CpuCall *call)
{
    Means m = means_of(call);
    each_block(&m, mean_block);
}

void CPU_NAME(causal_mean_backward)(const CpuCall *call)
{
    Means m = means_of(call);
    each_block(&m, mean_backward_block);
}

void CPU_NAME(causal_mean_stream)(const CpuCall *call)
{
    Means m = means_of(call);
    m.position = *(const int32_t *)call->in[1];
    m.sum = call->out[1];
    each_block(&m, mean_block);
}
