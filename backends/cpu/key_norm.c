/* The deposit of version 3.5: u = v·‖k‖₂ (spec §3). */
#include "backends/cpu/math.h"
#include "backends/cpu/rows.h"

static real dot(const real *a, const real *b, int64_t n)
{
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

void CPU_NAME(key_norm)(const CpuCall *call)
{
    const real *k = call->in[0], *v = call->in[1];
    real *u = call->out[0];
    int64_t rows = shape_rows(call_in_shape(call, 0)), width = shape_width(call_in_shape(call, 0));
    bool add = call_accumulates(call, 0);
#pragma omp parallel for schedule(static) if (worth_threads(rows * width))
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = r * width;
        real norm = real_sqrt(dot(k + at, k + at, width));
        EACH(i, width, u + at, v[at + i] * norm, add);
    }
}

void CPU_NAME(key_norm_backward)(const CpuCall *call)
{
    const real *du = call->in[0], *k = call->in[1], *v = call->in[2];
    real *dk = call->out[0], *dv = call->out[1];
    int64_t rows = shape_rows(call_in_shape(call, 1)), width = shape_width(call_in_shape(call, 1));
    bool add_k = call_accumulates(call, 0), add_v = call_accumulates(call, 1);
#pragma omp parallel for schedule(static) if (worth_threads(rows * width))
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = r * width;
        real norm = real_sqrt(dot(k + at, k + at, width));
        real scale = norm == 0 ? 0 : dot(du + at, v + at, width) / norm;
        EACH(i, width, dk + at, scale * k[at + i], add_k);
        EACH(i, width, dv + at, du[at + i] * norm, add_v);
    }
}
