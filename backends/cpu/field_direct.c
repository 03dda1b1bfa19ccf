/* The field by direct summation, any kernel and any geometry: r_i = Σ_j W[i,j]·u_j, where W[i,j]
 * adds the kernel over the cells token i reads and token j writes. O(N²), double precision in every
 * build, no recurrence and no transform: what the other evaluators are held against. */
#include <string.h>

#include "backends/cpu/field_convolve.h"

ConvolveWork direct_carve(Carve *carve, const Field *field)
{
    ConvolveWork work = {.size = field->width};
    work.slots = field_slots(field->batch * field->heads, work.size * (int64_t)sizeof(double));
    work.buffers = CARVE(carve, double, work.slots *work.size);
    return work;
}

/* Token n's share of its cell lo+k, k = 0, 1. */
static double share(const Field *field, int64_t n, int k)
{
    double f = (double)field->fraction[n];
    return k ? f : 1 - f;
}

static double pair_weight(const Field *field, const double *kernel, int64_t i, int64_t j)
{
    double sum = 0;
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++) {
            double weight = share(field, i, a) * share(field, j, b);
            int64_t t = (int64_t)field->cell[i] + a - field->cell[j] - b;
            if (weight != 0 && t >= 0) sum += weight * kernel[t];
        }
    return sum;
}

/* The adjoint of pair_weight: `gradient` of W[i,j] to the kernel. */
static void pair_gradient(const Field *field, double gradient, int64_t i, int64_t j,
                          double *dkernel)
{
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++) {
            double weight = share(field, i, a) * share(field, j, b);
            int64_t t = (int64_t)field->cell[i] + a - field->cell[j] - b;
            if (weight != 0 && t >= 0) dkernel[t] += weight * gradient;
        }
}

static void store(const double *sum, int64_t width, bool add, real *out)
{
    for (int64_t c = 0; c < width; c++) out[c] = (real)((add ? (double)out[c] : 0) + sum[c]);
}

static void forward_head(const Field *field, const Convolution *conv, int64_t b, int64_t h,
                         double *sum)
{
    const double *kernel = kernel_of(field, &conv->kernels, b, h);
    for (int64_t i = 0; i < field->tokens; i++) {
        memset(sum, 0, (size_t)field->width * sizeof *sum);
        for (int64_t j = 0; j < field->tokens; j++) {
            const real *u = conv->u + field_at(field, b, j, h);
            double weight = pair_weight(field, kernel, i, j);
            if (weight == 0) continue;
            for (int64_t c = 0; c < field->width; c++) sum[c] += weight * (double)u[c];
        }
        store(sum, field->width, conv->add, conv->r + field_at(field, b, i, h));
    }
}

static void backward_head(const Field *field, const Convolution *conv, int64_t b, int64_t h,
                          double *sum)
{
    const int64_t width = field->width, reach = field->params.reach;
    const double *kernel = kernel_of(field, &conv->kernels, b, h);
    double *dkernel = conv->dkernels + (b * field->heads + h) * reach;
    memset(dkernel, 0, (size_t)reach * sizeof *dkernel);
    for (int64_t j = 0; j < field->tokens; j++) {
        const real *u = conv->u + field_at(field, b, j, h);
        memset(sum, 0, (size_t)width * sizeof *sum);
        for (int64_t i = 0; i < field->tokens; i++) {
            const real *dr = conv->dr + field_at(field, b, i, h);
            double weight = pair_weight(field, kernel, i, j), product = 0;
            for (int64_t c = 0; c < width; c++) {
                sum[c] += weight * (double)dr[c];
                product += (double)dr[c] * (double)u[c];
            }
            pair_gradient(field, product, i, j, dkernel);
        }
        store(sum, width, conv->add, conv->du + field_at(field, b, j, h));
    }
}

static void each_head(const ConvolveWork *work, const Field *field, const Convolution *conv,
                      void (*head)(const Field *, const Convolution *, int64_t, int64_t, double *))
{
    const int64_t items = field->batch * field->heads;
    const int64_t slots = slots_used(work->slots, field_elements(field));
#pragma omp parallel for schedule(static) if (slots > 1)
    for (int64_t slot = 0; slot < slots; slot++) {
        double *sum = (double *)work->buffers + slot * work->size;
        int64_t end = slot_first(slot + 1, slots, items);
        for (int64_t i = slot_first(slot, slots, items); i < end; i++)
            head(field, conv, i / field->heads, i % field->heads, sum);
    }
}

void direct_forward(const ConvolveWork *work, const Field *field, const Convolution *conv)
{
    each_head(work, field, conv, forward_head);
}

void direct_backward(const ConvolveWork *work, const Field *field, const Convolution *conv)
{
    each_head(work, field, conv, backward_head);
}
