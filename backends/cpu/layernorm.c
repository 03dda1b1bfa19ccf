#include "backends/cpu/math.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/sums.h"

static const real EPSILON = (real)1e-5;

static void normalise_row(const real *x, const real *weight, const real *bias, int64_t n, real *y,
                          real *mean_out, real *rstd_out, uint32_t accumulate)
{
    real sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += x[i];
    real mean = sum / (real)n;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    real rstd = 1 / real_sqrt(squares / (real)n + EPSILON);
    EACH(i, n, y, (x[i] - mean) * rstd * weight[i] + bias[i], accumulate & 1u);
    real_put(mean_out, mean, accumulate & 2u);
    real_put(rstd_out, rstd, accumulate & 4u);
}

void CPU_NAME(layernorm)(const CpuCall *call)
{
    const real *x = call->in[0];
    real *y = call->out[0], *mean = call->out[1], *rstd = call->out[2];
    int64_t rows = shape_rows(call_in_shape(call, 0)), width = shape_width(call_in_shape(call, 0));
#pragma omp parallel for schedule(static) if (worth_threads(rows * width))
    for (int64_t r = 0; r < rows; r++)
        normalise_row(x + r * width, call->in[1], call->in[2], width, y + r * width, mean + r,
                      rstd + r, call->node->accumulate);
}

typedef struct Backward {
    const real *dy, *x, *weight, *mean, *rstd;
    real *dx;
    bool add;
    int64_t width;
} Backward;

/* dx of one row, and its share of the sums. With x̂ = (x-mean)·rstd and g = dy·weight:
 * dx = rstd·(g - mean(g) - x̂·mean(g·x̂)). */
static void backward_row(const Backward *b, int64_t r, real *dweight, real *dbias)
{
    int64_t n = b->width;
    const real *dy = b->dy + r * n, *x = b->x + r * n, *weight = b->weight;
    real *dx = b->dx + r * n, mean = b->mean[r], rstd = b->rstd[r], sum = 0, along = 0;
#pragma omp simd reduction(+ : sum, along)
    for (int64_t i = 0; i < n; i++) {
        real normal = (x[i] - mean) * rstd, g = dy[i] * weight[i];
        sum += g;
        along += g * normal;
        dweight[i] += dy[i] * normal;
        dbias[i] += dy[i];
    }
    sum /= (real)n;
    along /= (real)n;
    EACH(i, n, dx, rstd * (dy[i] * weight[i] - sum - (x[i] - mean) * rstd * along), b->add);
}

void CPU_NAME(layernorm_backward)(const CpuCall *call)
{
    Shape shape = call_in_shape(call, 1);
    int64_t rows = shape_rows(shape), width = shape_width(shape);
    int64_t step = sum_block_rows(rows), blocks = sum_blocks(rows);
    Backward b = {.dy = call->in[0],
                  .x = call->in[1],
                  .weight = call->in[2],
                  .mean = call->in[3],
                  .rstd = call->in[4],
                  .dx = call->out[0],
                  .add = call_accumulates(call, 0),
                  .width = width};
    real *partial = call->workspace; /* [blocks, 2, width] */
#pragma omp parallel for schedule(static) if (worth_threads(rows * width))
    for (int64_t block = 0; block < blocks; block++) {
        real *dweight = partial + block * 2 * width, *dbias = dweight + width;
        for (int64_t i = 0; i < 2 * width; i++) dweight[i] = 0;
        for (int64_t r = block * step; r < int64_min(rows, (block + 1) * step); r++)
            backward_row(&b, r, dweight, dbias);
    }
    join_sums(partial, blocks, 2 * width, width, call->out[1], true);
    join_sums(partial + width, blocks, 2 * width, width, call->out[2], true);
}

int64_t CPU_NAME(layernorm_backward_workspace)(const Graph *graph, const Node *node)
{
    Shape shape = graph_shape(graph, node->in[1]);
    return sum_blocks(shape_rows(shape)) * 2 * shape_width(shape) * (int64_t)sizeof(real);
}
