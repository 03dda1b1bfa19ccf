#include "backends/cpu/optimizer.h"

#include "backends/cpu/math.h"

/* Elements in a block of the passes over whole pages. */
enum { PAGE_BLOCK = 16384 };

/* What one block adds to the norm and to the count of what is not finite. */
typedef struct BlockSum {
    double squares;
    int64_t bad;
} BlockSum;

static BlockSum sum_block(const real *x, int64_t n)
{
    double squares = 0;
    int64_t bad = 0;
#pragma omp simd reduction(+ : squares, bad)
    for (int64_t i = 0; i < n; i++) {
        squares += (double)x[i] * (double)x[i];
        bad += !(real_abs(x[i]) < (real)INFINITY);
    }
    return (BlockSum){squares, bad};
}

void CPU_NAME(square_sum)(const CpuCall *call)
{
    const real *x = call->in[0];
    BlockSum *sums = call->workspace, total = {0};
    int64_t n = shape_elements(call_in_shape(call, 0)), blocks = ceil_div(n, PAGE_BLOCK);
#pragma omp parallel for schedule(static) if (worth_threads(n))
    for (int64_t block = 0; block < blocks; block++)
        sums[block] =
            sum_block(x + block * PAGE_BLOCK, int64_min(PAGE_BLOCK, n - block * PAGE_BLOCK));
    for (int64_t block = 0; block < blocks; block++) {
        total.squares += sums[block].squares;
        total.bad += sums[block].bad;
    }
    *(real *)call->out[0] += (real)total.squares;
    int32_t *bad = call->out[1];
    *bad = (int32_t)int64_min(*bad + total.bad, INT32_MAX);
}

int64_t CPU_NAME(square_sum_workspace)(const Graph *graph, const Node *node)
{
    int64_t n = shape_elements(graph_shape(graph, node->in[0]));
    return ceil_div(n, PAGE_BLOCK) * (int64_t)sizeof(BlockSum);
}

/* One step's numbers, for the elements of one segment. */
typedef struct AdamW {
    real scale; /* of the gradient: clipping */
    real beta1, beta2;
    real rate; /* learning rate over 1 - β₁^step */
    real root; /* 1 / √(1 - β₂^step) */
    real epsilon;
    real keep; /* 1 - learning rate · decay */
} AdamW;

static void adamw_block(const AdamW *step, int64_t n, real *restrict value, real *restrict gradient,
                        real *restrict first, real *restrict second)
{
    const AdamW s = *step;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        real g = gradient[i] * s.scale;
        real m = s.beta1 * first[i] + (1 - s.beta1) * g;
        real v = s.beta2 * second[i] + (1 - s.beta2) * g * g;
        first[i] = m;
        second[i] = v;
        value[i] = value[i] * s.keep - s.rate * m / (real_sqrt(v) * s.root + s.epsilon);
        gradient[i] = 0;
    }
}

/* Takes the loss's scale off the gradients, and clips them. */
static real gradient_scale(const real *record, real norm2)
{
    real scale = record[RECORD_SCALE], clip = record[RECORD_CLIP], norm = real_sqrt(norm2) / scale;
    return (clip > 0 && norm > clip ? clip / norm : 1) / scale;
}

static AdamW adamw_step(const CpuCall *call, int32_t group, bool decays)
{
    const real *rate = call->in[1], *record = call->in[2], *norm2 = call->in[3];
    real learning_rate = record[RECORD_LEARNING_RATE] * rate[group];
    return (AdamW){.scale = gradient_scale(record, *norm2),
                   .beta1 = record[RECORD_BETA1],
                   .beta2 = record[RECORD_BETA2],
                   .rate = learning_rate / record[RECORD_CORRECTION1],
                   .root = 1 / real_sqrt(record[RECORD_CORRECTION2]),
                   .epsilon = record[RECORD_EPSILON],
                   .keep = decays ? 1 - learning_rate * record[RECORD_DECAY] : 1};
}

void CPU_NAME(adamw)(const CpuCall *call)
{
    const int32_t(*segment)[4] = call->in[0]; /* first element, elements, group, decays */
    int64_t segments = call_in_shape(call, 0).dim[0];
    bool bad = *(const int32_t *)call->in[4] != 0;
    real *value = call->out[0], *gradient = call->out[1], *first = call->out[2],
         *second = call->out[3];
#pragma omp parallel
    for (int64_t s = 0; s < segments; s++) {
        AdamW step = adamw_step(call, segment[s][2], segment[s][3] != 0);
        int64_t start = segment[s][0], n = segment[s][1], blocks = ceil_div(n, PAGE_BLOCK);
#pragma omp for schedule(static) nowait
        for (int64_t block = 0; block < blocks; block++) {
            int64_t at = start + block * PAGE_BLOCK;
            int64_t count = int64_min(PAGE_BLOCK, start + n - at);
            if (!bad)
                adamw_block(&step, count, value + at, gradient + at, first + at, second + at);
            else
                for (int64_t i = at; i < at + count; i++) gradient[i] = 0;
        }
    }
}
