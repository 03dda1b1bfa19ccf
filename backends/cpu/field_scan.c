/* The token scan, forward and backward (spec §2, "Token scan"): O(N) whatever the field's length,
 * vectorised over the channels of a head, parallel over samples and blocks of channels. Every
 * channel is computed alone, so results do not depend on how the work is cut.
 *
 * State between chunks is kept in double; inside a chunk the arithmetic is `real`. */
#include <string.h>

#include "backends/cpu/field_parts.h"

/* Channels of one sample are cut into spans of whole GRAINs. */
enum { GRAIN = 16, BLOCK = 128 };

/* The part of head h that channels [first, end) of the D of a token hold. */
typedef struct Part {
    int64_t channel; /* in the head */
    int64_t count;
} Part;

static inline Part part_of(const Field *field, int64_t h, int64_t first, int64_t end)
{
    int64_t head = h * field->width, from = int64_max(first, head);
    return (Part){from - head, int64_min(end, head + field->width) - from};
}

#define EACH_HEAD(field, h, first, end)                                                            \
    for (int64_t h = (first) / (field)->width; h * (field)->width < (end); h++)

/* ---- forward ---- */

ScanWork CPU_NAME(scan_carve)(Carve *carve, const Field *field)
{
    ScanWork work = {.steps = CPU_NAME(steps_carve)(carve, field, FORWARD_STEPS)};
    int64_t states = field->batch * field->heads * 2 * field->width;
    work.begin = CARVE(carve, real, states);
    work.local = CARVE(carve, real, states);
    work.exact = CARVE(carve, double, states);
    return work;
}

/* One token of one head: x is the chunk's own state, s what came before the chunk. */
static inline void advance(const real *restrict step, int64_t stride, int64_t count,
                           const real *restrict u, real *restrict r, bool add, real *restrict x_re,
                           real *restrict x_im, const real *restrict s_re,
                           const real *restrict s_im)
{
    const real read = step[READ * stride], read_im = step[READ_IM * stride];
    const real own = step[OWN * stride];
    const real move = step[MOVE * stride], move_im = step[MOVE_IM * stride];
    const real take = step[TAKE * stride], take_im = step[TAKE_IM * stride];
    const real past = step[PAST * stride], past_im = step[PAST_IM * stride];
    for (int64_t c = 0; c < count; c++) {
        real re = x_re[c], im = x_im[c], value = u[c];
        real sum = past * s_re[c] - past_im * s_im[c] + own * value + read * re - read_im * im;
        r[c] = add ? r[c] + sum : sum;
        x_re[c] = move * re - move_im * im + take * value;
        x_im[c] = move * im + move_im * re + take_im * value;
    }
}

static void chunk_tokens(const ScanWork *work, const Field *field, const ScanForward *scan,
                         int64_t b, int64_t first, int64_t end, int64_t chunk)
{
    const int64_t d = field->width, heads = field->heads;
    const int64_t last = int64_min((chunk + 1) * FIELD_CHUNK, field->tokens);
    for (int64_t n = chunk * FIELD_CHUNK; n < last; n++) EACH_HEAD(field, h, first, end)
        {
            Part part = part_of(field, h, first, end);
            int64_t at = field_at(field, b, n, h) + part.channel;
            int64_t state = (b * heads + h) * 2 * d + part.channel;
            const real *step = work->steps.table + n * FORWARD_STEPS * heads + h;
            const real *u = scan->u + at, *s = work->begin + state;
            real *r = scan->r + at, *x = work->local + state;
            if (scan->add)
                advance(step, heads, part.count, u, r, true, x, x + d, s, s + d);
            else
                advance(step, heads, part.count, u, r, false, x, x + d, s, s + d);
        }
}

/* begin ← exact, rounded; local ← 0; the carry keeps what begins the chunk. */
static void chunk_enter(const ScanWork *work, const Field *field, const ScanForward *scan,
                        int64_t b, int64_t first, int64_t end, int64_t chunk)
{
    const int64_t d = field->width;
    EACH_HEAD(field, h, first, end)
    {
        Part part = part_of(field, h, first, end);
        for (int k = 0; k < 2; k++) {
            int64_t state = ((b * field->heads + h) * 2 + k) * d + part.channel;
            int64_t carry =
                (((b * field->heads + h) * work->steps.chunks + chunk) * 2 + k) * d + part.channel;
            for (int64_t c = 0; c < part.count; c++)
                work->begin[state + c] = (real)work->exact[state + c];
            memset(work->local + state, 0, (size_t)part.count * sizeof(real));
            if (scan->carry)
                memcpy(scan->carry + carry, work->begin + state, (size_t)part.count * sizeof(real));
        }
    }
}

/* exact ← z^cells·exact + local. */
static void chunk_leave(const ScanWork *work, const Field *field, int64_t b, int64_t first,
                        int64_t end, int64_t chunk)
{
    const int64_t d = field->width;
    EACH_HEAD(field, h, first, end)
    {
        Part part = part_of(field, h, first, end);
        int64_t state = (b * field->heads + h) * 2 * d + part.channel;
        Complex span = work->steps.span[chunk * field->heads + h];
        for (int64_t c = state; c < state + part.count; c++) {
            double re = work->exact[c], im = work->exact[c + d];
            work->exact[c] = span.re * re - span.im * im + (double)work->local[c];
            work->exact[c + d] = span.re * im + span.im * re + (double)work->local[c + d];
        }
    }
}

/* exact ← the state given (zero: at rest), or the state ← exact. */
static void load_state(const ScanWork *work, const Field *field, const real *state)
{
    int64_t states = field->batch * field->heads * 2 * field->width;
    for (int64_t i = 0; i < states; i++) work->exact[i] = state ? (double)state[i] : 0;
}

static void save_state(const ScanWork *work, const Field *field, real *state)
{
    int64_t states = field->batch * field->heads * 2 * field->width;
    for (int64_t i = 0; i < states; i++) state[i] = (real)work->exact[i];
}

void CPU_NAME(scan_forward)(ScanWork *work, const Field *field, const ScanForward *scan)
{
    const int64_t channels = field->heads * field->width;
    const int64_t grains = ceil_div(channels, GRAIN), items = field->batch * grains;
    CPU_NAME(steps_forward)(&work->steps, field, scan->at);
    load_state(work, field, scan->state);
    const int64_t slots = CPU_NAME(field_slots)(items, 1);
#pragma omp parallel for schedule(static)
    for (int64_t slot = 0; slot < slots; slot++) {
        int64_t item = slot_first(slot, slots, items), stop = slot_first(slot + 1, slots, items);
        while (item < stop) { /* a run of one sample's grains at a time */
            int64_t b = item / grains, next = int64_min((b + 1) * grains, stop);
            int64_t first = (item - b * grains) * GRAIN;
            int64_t end = int64_min((next - b * grains) * GRAIN, channels);
            for (int64_t chunk = 0; chunk < work->steps.chunks; chunk++) {
                chunk_enter(work, field, scan, b, first, end, chunk);
                chunk_tokens(work, field, scan, b, first, end, chunk);
                chunk_leave(work, field, b, first, end, chunk);
            }
            item = next;
        }
    }
    if (scan->state) save_state(work, field, scan->state);
}

/* ---- backward ---- */

/* Of one slot: a block of channels, with the states before each token of a chunk. */
typedef struct Scratch {
    real state[FIELD_CHUNK][2][BLOCK]; /* S before each token */
    real begin[2][BLOCK];              /* the adjoint (conjugate) at the chunk's end, rounded */
    real local[2][BLOCK];              /* the chunk's own */
    real moments[4][BLOCK];            /* of the chunk: plain, weighted (KernelMoments) */
    double exact[2][BLOCK];            /* the adjoint */
} Scratch;

ScanBackwardWork CPU_NAME(scan_backward_carve)(Carve *carve, const Field *field)
{
    const int64_t channels = field->heads * field->width;
    ScanBackwardWork work = {.steps = CPU_NAME(steps_carve)(carve, field, BACKWARD_STEPS),
                             .blocks = ceil_div(channels, BLOCK)};
    work.slots = CPU_NAME(field_slots)(field->batch * work.blocks, (int64_t)sizeof(Scratch));
    work.slot = CARVE(carve, Scratch, work.slots);
    work.moments = CARVE(carve, double, field->batch * 4 * channels);
    return work;
}

/* What a block needs of its sample. */
typedef struct Block {
    const ScanBackwardWork *work;
    const Field *field;
    const ScanBackward *scan;
    Scratch *scratch;
    int64_t b, first, end; /* channels [first, end) of D */
} Block;

static inline void recompute(const real *restrict step, int64_t stride, int64_t count,
                             const real *restrict u, const real *restrict re,
                             const real *restrict im, real *restrict next_re,
                             real *restrict next_im)
{
    const real move = step[BACK_MOVE * stride], move_im = step[BACK_MOVE_IM * stride];
    const real take = step[BACK_TAKE * stride], take_im = step[BACK_TAKE_IM * stride];
    for (int64_t c = 0; c < count; c++) {
        next_re[c] = move * re[c] - move_im * im[c] + take * u[c];
        next_im[c] = move * im[c] + move_im * re[c] + take_im * u[c];
    }
}

/* The states before each token of the chunk, from its carry. */
static void recompute_chunk(const Block *block, int64_t chunk, int64_t n0, int64_t n1)
{
    const Field *field = block->field;
    const int64_t d = field->width, heads = field->heads;
    Scratch *scratch = block->scratch;
    for (int64_t n = n0; n < n1; n++) EACH_HEAD(field, h, block->first, block->end)
        {
            Part part = part_of(field, h, block->first, block->end);
            int64_t k = n - n0, at = h * d + part.channel - block->first;
            if (k == 0) {
                int64_t carry =
                    (((block->b * heads + h) * block->work->steps.chunks + chunk) * 2) * d +
                    part.channel;
                for (int i = 0; i < 2; i++)
                    memcpy(&scratch->state[0][i][at], block->scan->carry + carry + i * d,
                           (size_t)part.count * sizeof(real));
            }
            if (n + 1 < n1)
                recompute(block->work->steps.table + n * BACKWARD_STEPS * heads + h, heads,
                          part.count,
                          block->scan->u + field_at(field, block->b, n, h) + part.channel,
                          &scratch->state[k][0][at], &scratch->state[k][1][at],
                          &scratch->state[k + 1][0][at], &scratch->state[k + 1][1][at]);
        }
}

/* One token of one head backward (field_parts.h). */
static inline void retreat(const real *restrict step, int64_t stride, int64_t count,
                           const real *restrict dr, const real *restrict u, real *restrict du,
                           bool add, const real *restrict s_re, const real *restrict s_im,
                           Scratch *restrict scratch, int64_t at)
{
    const real read = step[BACK_READ * stride], read_im = step[BACK_READ_IM * stride];
    const real own = step[BACK_OWN * stride], own_im = step[BACK_OWN_IM * stride];
    const real move = step[BACK_MOVE * stride], move_im = step[BACK_MOVE_IM * stride];
    const real take = step[BACK_TAKE * stride], take_im = step[BACK_TAKE_IM * stride];
    const real ahead = step[BACK_AHEAD * stride], ahead_im = step[BACK_AHEAD_IM * stride];
    const real q_read = step[Q_READ * stride], q_read_im = step[Q_READ_IM * stride];
    const real q_move = step[Q_MOVE * stride], q_move_im = step[Q_MOVE_IM * stride];
    const real q_own = step[Q_OWN * stride], q_own_im = step[Q_OWN_IM * stride];
    const real q_take = step[Q_TAKE * stride], q_take_im = step[Q_TAKE_IM * stride];
    const real *restrict e_re = scratch->begin[0] + at, *restrict e_im = scratch->begin[1] + at;
    real *restrict x_re = scratch->local[0] + at, *restrict x_im = scratch->local[1] + at;
    real *restrict m0 = scratch->moments[0] + at, *restrict m1 = scratch->moments[1] + at;
    real *restrict m2 = scratch->moments[2] + at, *restrict m3 = scratch->moments[3] + at;
    for (int64_t c = 0; c < count; c++) {
        real g = dr[c], value = u[c];
        real re = x_re[c] + ahead * e_re[c] - ahead_im * e_im[c];
        real im = x_im[c] + ahead * e_im[c] + ahead_im * e_re[c];
        real own_re = own * g + take * re - take_im * im;
        du[c] = add ? du[c] + own_re : own_re;
        m0[c] += value * own_re;
        m1[c] += value * (own_im * g + take * im + take_im * re);
        real t_re = q_read * g + q_move * re - q_move_im * im;
        real t_im = q_read_im * g + q_move * im + q_move_im * re;
        real v_re = q_own * g + q_take * re - q_take_im * im;
        real v_im = q_own_im * g + q_take * im + q_take_im * re;
        m2[c] += t_re * s_re[c] - t_im * s_im[c] + v_re * value;
        m3[c] += t_re * s_im[c] + t_im * s_re[c] + v_im * value;
        real next = move * x_re[c] - move_im * x_im[c] + read * g;
        x_im[c] = move * x_im[c] + move_im * x_re[c] + read_im * g;
        x_re[c] = next;
    }
}

static void retreat_chunk(const Block *block, int64_t n0, int64_t n1)
{
    const Field *field = block->field;
    const int64_t d = field->width, heads = field->heads;
    const ScanBackward *scan = block->scan;
    Scratch *scratch = block->scratch;
    for (int64_t n = n1 - 1; n >= n0; n--) EACH_HEAD(field, h, block->first, block->end)
        {
            Part part = part_of(field, h, block->first, block->end);
            int64_t at = h * d + part.channel - block->first;
            int64_t x = field_at(field, block->b, n, h) + part.channel;
            const real *step = block->work->steps.table + n * BACKWARD_STEPS * heads + h;
            const real *s_re = &scratch->state[n - n0][0][at];
            const real *s_im = &scratch->state[n - n0][1][at];
            if (scan->add)
                retreat(step, heads, part.count, scan->dr + x, scan->u + x, scan->du + x, true,
                        s_re, s_im, scratch, at);
            else
                retreat(step, heads, part.count, scan->dr + x, scan->u + x, scan->du + x, false,
                        s_re, s_im, scratch, at);
        }
}

/* exact ← z^cells·exact + local, and the chunk's moments to the channels' sums. */
static void leave_chunk(const Block *block, int64_t chunk)
{
    const Field *field = block->field;
    const int64_t channels = field->heads * field->width;
    Scratch *scratch = block->scratch;
    for (int64_t c = block->first; c < block->end; c++) {
        int64_t i = c - block->first;
        Complex span = block->work->steps.span[chunk * field->heads + c / field->width];
        double re = scratch->exact[0][i], im = scratch->exact[1][i];
        scratch->exact[0][i] = span.re * re - span.im * im + (double)scratch->local[0][i];
        scratch->exact[1][i] = span.re * im + span.im * re + (double)scratch->local[1][i];
        for (int k = 0; k < 4; k++)
            block->work->moments[(block->b * 4 + k) * channels + c] +=
                (double)scratch->moments[k][i];
    }
}

static void backward_block(const Block *block)
{
    const Field *field = block->field;
    const int64_t channels = field->heads * field->width, count = block->end - block->first;
    Scratch *scratch = block->scratch;
    memset(scratch->exact, 0, sizeof scratch->exact);
    for (int k = 0; k < 4; k++)
        memset(block->work->moments + (block->b * 4 + k) * channels + block->first, 0,
               (size_t)count * sizeof(double));
    for (int64_t chunk = block->work->steps.chunks - 1; chunk >= 0; chunk--) {
        int64_t n0 = chunk * FIELD_CHUNK, n1 = int64_min(n0 + FIELD_CHUNK, field->tokens);
        for (int k = 0; k < 2; k++)
            for (int64_t i = 0; i < count; i++) scratch->begin[k][i] = (real)scratch->exact[k][i];
        memset(scratch->local, 0, sizeof scratch->local);
        memset(scratch->moments, 0, sizeof scratch->moments);
        recompute_chunk(block, chunk, n0, n1);
        retreat_chunk(block, n0, n1);
        leave_chunk(block, chunk);
    }
}

/* Sums the channels of a head over the samples, in order. */
static KernelMoments head_moments(const ScanBackwardWork *work, const Field *field, int64_t h)
{
    const int64_t channels = field->heads * field->width;
    double sum[4] = {0};
    for (int64_t b = 0; b < field->batch; b++)
        for (int k = 0; k < 4; k++)
            for (int64_t c = h * field->width; c < (h + 1) * field->width; c++)
                sum[k] += work->moments[(b * 4 + k) * channels + c];
    return (KernelMoments){{sum[0], sum[1]}, {sum[2], sum[3]}};
}

void CPU_NAME(scan_backward)(ScanBackwardWork *work, const Field *field, const ScanBackward *scan)
{
    const int64_t channels = field->heads * field->width, items = field->batch * work->blocks;
    CPU_NAME(steps_backward)(&work->steps, field);
#pragma omp parallel for schedule(static)
    for (int64_t slot = 0; slot < work->slots; slot++) {
        Scratch *scratch = (Scratch *)work->slot + slot;
        int64_t stop = slot_first(slot + 1, work->slots, items);
        for (int64_t i = slot_first(slot, work->slots, items); i < stop; i++) {
            int64_t first = i % work->blocks * BLOCK;
            backward_block(&(Block){work, field, scan, scratch, i / work->blocks, first,
                                    int64_min(first + BLOCK, channels)});
        }
    }
    for (int64_t h = 0; h < field->heads; h++)
        CPU_NAME(field_pole_gradient)
        (&work->steps.poles[h], head_moments(work, field, h), h, scan->dfrequency, scan->ddamping,
         scan->dphase);
}
