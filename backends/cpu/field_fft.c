/* The field by fast convolution (spec §2, "FFT"): KissFFT, any kernel and any geometry. Two
 * channels of a head ride in one complex transform; lengths cover the cells reached, zero-padded so
 * that nothing wraps round. Float only. */
#include <string.h>

#include "backends/cpu/field_convolve.h"

#ifndef REAL_IS_DOUBLE
#include <kiss_fft.h>

enum { BUFFERS = 5 }; /* of one slot: the kernel's spectrum, a sum, and three to work in */

static void *transform_carve(Carve *carve, int64_t size, bool inverse)
{
    size_t bytes = 0;
    kiss_fft_alloc((int)size, inverse, NULL, &bytes);
    void *memory = CARVE(carve, char, (int64_t)bytes);
    return memory ? kiss_fft_alloc((int)size, inverse, memory, &bytes) : NULL;
}

ConvolveWork fft_carve(Carve *carve, const Field *field)
{
    ConvolveWork work = {.size = kiss_fft_next_fast_size((int)(2 * field->params.reach))};
    int64_t slot = BUFFERS * work.size;
    work.slots = field_slots(field->batch * field->heads, slot * (int64_t)sizeof(kiss_fft_cpx));
    work.forward = transform_carve(carve, work.size, false);
    work.inverse = transform_carve(carve, work.size, true);
    work.buffers = CARVE(carve, kiss_fft_cpx, work.slots * slot);
    return work;
}

/* One head of one sample, and its slot. */
typedef struct Head {
    const Field *field;
    const Convolution *conv;
    const ConvolveWork *work;
    int64_t b, h;
    kiss_fft_cpx *kernel, *sum, *a, *b_hat, *c; /* [size] each */
} Head;

/* cells ← channels c and, where there is one, c+1 of x [B, N, H, d]. */
static void scatter(const Head *head, const float *x, int64_t c, kiss_fft_cpx *cells)
{
    const Field *field = head->field;
    bool pair = c + 1 < field->width;
    memset(cells, 0, (size_t)head->work->size * sizeof *cells);
    for (int64_t n = 0; n < field->tokens; n++) {
        const float *at = x + field_at(field, head->b, n, head->h) + c;
        kiss_fft_cpx value = {at[0], pair ? at[1] : 0}, *cell = cells + field->cell[n];
        float f = field->fraction[n];
        cell[0].r += (1 - f) * value.r;
        cell[0].i += (1 - f) * value.i;
        if (f > 0) {
            cell[1].r += f * value.r;
            cell[1].i += f * value.i;
        }
    }
}

static void gather(const Head *head, const kiss_fft_cpx *cells, int64_t c, bool add, float *y)
{
    const Field *field = head->field;
    bool pair = c + 1 < field->width;
    for (int64_t n = 0; n < field->tokens; n++) {
        float *at = y + field_at(field, head->b, n, head->h) + c;
        const kiss_fft_cpx *cell = cells + field->cell[n];
        float f = field->fraction[n];
        kiss_fft_cpx value = cell[0];
        if (f > 0) {
            value.r = (1 - f) * value.r + f * cell[1].r;
            value.i = (1 - f) * value.i + f * cell[1].i;
        }
        at[0] = add ? at[0] + value.r : value.r;
        if (pair) at[1] = add ? at[1] + value.i : value.i;
    }
}

/* kernel ← its spectrum / size, so that a forward and an inverse transform cancel. */
static void load_kernel(const Head *head)
{
    const double *kernel = kernel_of(head->field, &head->conv->kernels, head->b, head->h);
    double scale = 1 / (double)head->work->size;
    memset(head->a, 0, (size_t)head->work->size * sizeof *head->a);
    for (int64_t t = 0; t < head->field->params.reach; t++)
        head->a[t].r = (float)(kernel[t] * scale);
    kiss_fft(head->work->forward, head->a, head->kernel);
}

/* y ← x·kernel, or x·conj(kernel): conv with k, and its adjoint. */
static void filter(const Head *head, kiss_fft_cpx *x, float sign)
{
    const kiss_fft_cpx *k = head->kernel;
    for (int64_t f = 0; f < head->work->size; f++) {
        float re = x[f].r * k[f].r - sign * (x[f].i * k[f].i);
        x[f].i = x[f].i * k[f].r + sign * (x[f].r * k[f].i);
        x[f].r = re;
    }
}

static void forward_head(const Head *head)
{
    const Convolution *conv = head->conv;
    load_kernel(head);
    for (int64_t c = 0; c < head->field->width; c += 2) {
        scatter(head, conv->u, c, head->a);
        kiss_fft(head->work->forward, head->a, head->b_hat);
        filter(head, head->b_hat, 1);
        kiss_fft(head->work->inverse, head->b_hat, head->a);
        gather(head, head->a, c, conv->add, conv->r);
    }
}

/* With x = u₀+iu₁ and y = r₀+ir₁ (the adjoint at the cells), the real part of the inverse of
 * Σ conj(X)·Y is Σ_g r₀[g]·u₀[g-t] + r₁[g]·u₁[g-t]: the kernel's gradient. */
static void backward_head(const Head *head)
{
    const Convolution *conv = head->conv;
    const int64_t size = head->work->size, reach = head->field->params.reach;
    load_kernel(head);
    memset(head->sum, 0, (size_t)size * sizeof *head->sum);
    for (int64_t c = 0; c < head->field->width; c += 2) {
        scatter(head, conv->u, c, head->a);
        kiss_fft(head->work->forward, head->a, head->b_hat);
        scatter(head, conv->dr, c, head->a);
        kiss_fft(head->work->forward, head->a, head->c);
        for (int64_t f = 0; f < size; f++) {
            kiss_fft_cpx x = head->b_hat[f], y = head->c[f];
            head->sum[f].r += x.r * y.r + x.i * y.i;
            head->sum[f].i += x.r * y.i - x.i * y.r;
        }
        filter(head, head->c, -1);
        kiss_fft(head->work->inverse, head->c, head->a);
        gather(head, head->a, c, conv->add, conv->du);
    }
    kiss_fft(head->work->inverse, head->sum, head->a);
    double *dkernel = conv->dkernels + (head->b * head->field->heads + head->h) * reach;
    for (int64_t t = 0; t < reach; t++) dkernel[t] = (double)head->a[t].r / (double)size;
}

static void each_head(const ConvolveWork *work, const Field *field, const Convolution *conv,
                      void (*run)(const Head *))
{
    const int64_t items = field->batch * field->heads;
    const int64_t slots = slots_used(work->slots, field_elements(field));
#pragma omp parallel for schedule(static) if (slots > 1)
    for (int64_t slot = 0; slot < slots; slot++) {
        kiss_fft_cpx *buffer = (kiss_fft_cpx *)work->buffers + slot * BUFFERS * work->size;
        int64_t end = slot_first(slot + 1, slots, items);
        for (int64_t i = slot_first(slot, slots, items); i < end; i++)
            run(&(Head){field, conv, work, i / field->heads, i % field->heads, buffer,
                        buffer + work->size, buffer + 2 * work->size, buffer + 3 * work->size,
                        buffer + 4 * work->size});
    }
}

void fft_forward(const ConvolveWork *work, const Field *field, const Convolution *conv)
{
    each_head(work, field, conv, forward_head);
}

void fft_backward(const ConvolveWork *work, const Field *field, const Convolution *conv)
{
    each_head(work, field, conv, backward_head);
}

#else

ConvolveWork fft_carve(Carve *carve, const Field *field)
{
    return direct_carve(carve, field);
}

void fft_forward(const ConvolveWork *work, const Field *field, const Convolution *conv)
{
    direct_forward(work, field, conv);
}

void fft_backward(const ConvolveWork *work, const Field *field, const Convolution *conv)
{
    direct_backward(work, field, conv);
}

#endif
