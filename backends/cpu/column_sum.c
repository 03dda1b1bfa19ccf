#include "backends/cpu/rows.h"
#include "backends/cpu/sums.h"

static void sum_rows(const real *x, int64_t rows, int64_t width, real *y)
{
    for (int64_t i = 0; i < width; i++) y[i] = x[i];
    for (int64_t r = 1; r < rows; r++) {
        const real *row = x + r * width;
#pragma omp simd
        for (int64_t i = 0; i < width; i++) y[i] += row[i];
    }
}

void CPU_NAME(column_sum)(const CpuCall *call)
{
    int64_t batch = call->node->params.column_sum.batch, rows = call->node->params.column_sum.rows;
    int64_t width = call->node->params.column_sum.width;
    int64_t step = sum_block_rows(rows), blocks = sum_blocks(rows);
    const real *x = call->in[0];
    real *y = call->out[0], *partial = call->workspace; /* [batch, blocks, width] */
#pragma omp parallel for schedule(static) if (worth_threads(batch * rows * width))
    for (int64_t task = 0; task < batch * blocks; task++) {
        int64_t first = task % blocks * step;
        sum_rows(x + (task / blocks * rows + first) * width, int64_min(step, rows - first), width,
                 partial + task * width);
    }
    for (int64_t item = 0; item < batch; item++)
        join_sums(partial + item * blocks * width, blocks, width, width, y + item * width,
                  call_accumulates(call, 0));
}

int64_t CPU_NAME(column_sum_workspace)(const Graph *graph, const Node *node)
{
    (void)graph;
    return node->params.column_sum.batch * sum_blocks(node->params.column_sum.rows) *
           node->params.column_sum.width * (int64_t)sizeof(real);
}
