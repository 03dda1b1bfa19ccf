#include "backends/cpu/sequence.h"

void CPU_NAME(embed)(const CpuCall *call)
{
    Shape shape = call_out_shape(call, 0); /* [B, N, D] */
    int64_t width = shape_width(call_in_shape(call, 1));
    int64_t tokens = shape_elements(call_in_shape(call, 2)) / width;
    int64_t rows = shape_elements(shape) / width;
    const int32_t *token = call->in[0];
    const real *table = call->in[1], *position = call->in[2];
    real *x = call->out[0];
    bool add = call_accumulates(call, 0);
#pragma omp parallel for schedule(static) if (worth_threads(rows * width))
    for (int64_t r = 0; r < rows; r++) {
        const real *of_token = table + token[r] * width, *at = position + r % tokens * width;
        real *to = x + r * width;
        EACH(i, width, to, of_token[i] + at[i], add);
    }
}

/* Adds the rows of one token, order[first …], to its row of the table. Returns where they end. */
static int64_t add_token(const real *dx, const int32_t *token, const int32_t *order, int64_t first,
                         int64_t rows, int64_t width, real *dtable)
{
    int32_t which = token[order[first]];
    real *to = dtable + which * width;
    int64_t k = first;
    for (; k < rows && token[order[k]] == which; k++) {
        const real *from = dx + order[k] * width;
#pragma omp simd
        for (int64_t i = 0; i < width; i++) to[i] += from[i];
    }
    return k;
}

/* A block of the order has the tokens whose rows begin in it. */
void CPU_NAME(embed_backward)(const CpuCall *call)
{
    int64_t rows = shape_elements(call_in_shape(call, 1)),
            width = shape_width(call_in_shape(call, 0));
    int64_t step = sum_block_rows(rows), blocks = sum_blocks(rows);
    const real *dx = call->in[0];
    const int32_t *token = call->in[1], *order = call->in[2];
#pragma omp parallel for schedule(dynamic, 1) if (worth_threads(rows * width))
    for (int64_t block = 0; block < blocks; block++) {
        int64_t k = block * step, last = int64_min(rows, k + step);
        while (k > 0 && k < last && token[order[k]] == token[order[k - 1]]) k++;
        while (k < last) k = add_token(dx, token, order, k, rows, width, call->out[0]);
    }
}

void CPU_NAME(first_token)(const CpuCall *call)
{
    Shape shape = call_in_shape(call, 0); /* [B, N, D] */
    int64_t width = shape.dim[2], sample = shape.dim[1] * width;
    const real *x = call->in[0];
    real *y = call->out[0];
    bool add = call_accumulates(call, 0);
    for (int64_t b = 0; b < shape.dim[0]; b++)
        EACH(i, width, y + b * width, x[b * sample + i], add);
}

void CPU_NAME(first_token_backward)(const CpuCall *call)
{
    Shape shape = call_in_shape(call, 0); /* [B, D] */
    int64_t width = shape.dim[1];
    int64_t sample = shape_elements(call_out_shape(call, 0)) / shape.dim[0];
    const real *dy = call->in[0];
    real *dx = call->out[0];
    bool add = call_accumulates(call, 0);
#pragma omp parallel for schedule(static) if (worth_threads(shape.dim[0] * sample))
    for (int64_t b = 0; b < shape.dim[0]; b++) {
        real *to = dx + b * sample;
        EACH(i, width, to, dy[b * width + i], add);
        for (int64_t i = width; i < sample && !add; i++) to[i] = 0;
    }
}
