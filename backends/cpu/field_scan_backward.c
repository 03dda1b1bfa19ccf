/* The token scan backward (spec §2, "Gradients of the field"). Chunks from the last to the first:
 * the states inside a chunk are computed again from its carry into a buffer that fits in cache,
 * then the adjoint walks back over them. As forward, a chunk's adjoint starts from rest, what
 * follows the chunk enters through exact powers, and between chunks it is kept in double. */
#include <string.h>

#include "backends/cpu/field_scan.h"

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

/* Groups worked on together, chunk by chunk: 768 channels. What they need of a chunk stays in a
 * second-level cache, and rows are long enough to stream. */
enum { BLOCK_GROUPS = 48 };

/* The adjoint of a group in a chunk, conjugated: the chunk's own, what follows it, and the
 * chunk's part of the kernel's moments (KernelMoments: plain, weighted). */
typedef struct Group {
    real local[2][LANES];
    real end[2][LANES];
    real moments[4][LANES];
} Group;

typedef struct Exact {
    double adjoint[2][LANES];
    double moments[4][LANES];
} Exact;

/* S after a token. */
typedef struct State {
    real value[2][LANES];
} State;

typedef struct Slot {
    StepTable table;
    Group *group; /* [BLOCK_GROUPS] */
    State *state; /* [1 + FIELD_CHUNK, BLOCK_GROUPS]: as the chunk begins, then after each token */
} Slot;

typedef struct ScanWork {
    const Field *field;
    const ScanBackward *scan;
    Groups groups;
    Steps steps;
    Exact *exact; /* [items] */
    int64_t slots, slot_bytes;
    char *slot;
} ScanWork;

static Slot slot_carve(Carve *carve, const Field *field)
{
    Slot slot = {.table = step_table_carve(carve, field, BACKWARD_STEPS)};
    slot.group = CARVE(carve, Group, BLOCK_GROUPS);
    slot.state = CARVE(carve, State, (1 + FIELD_CHUNK) * BLOCK_GROUPS);
    return slot;
}

static ScanWork scan_carve(Carve *carve, const Field *field)
{
    ScanWork work = {.field = field, .groups = groups_of(field)};
    Carve slot = {0};
    slot_carve(&slot, field);
    work.slot_bytes = slot.used;
    work.slots = field_slots(work.groups.items, slot.used);
    work.steps = steps_carve(carve, field);
    work.exact = CARVE(carve, Exact, work.groups.items);
    work.slot = CARVE(carve, char, work.slots *work.slot_bytes);
    return work;
}

/* One block of one chunk. */
typedef struct Block {
    const ScanWork *work;
    const Slot *slot;
    Span span;
    int64_t chunk, first, end; /* tokens */
} Block;

#define EACH_HEAD(block, h)                                                                        \
    for (int64_t h = span_first_head((block)->work->groups, (block)->span);                        \
         h < span_end_head((block)->work->groups, (block)->span); h++)

static const real *step_at(const Block *block, int64_t n, int64_t h)
{
    const int64_t heads = block->work->field->heads;
    return block->slot->table.row + (n - block->first) * BACKWARD_STEPS * heads + h;
}

/* ---- the states again ---- */

static inline void recompute_group(const real *restrict step, int64_t heads, int64_t count,
                                   const real *restrict u, const State *restrict before,
                                   State *restrict after)
{
    const real move = step[BACK_MOVE * heads], move_im = step[BACK_MOVE_IM * heads];
    const real take = step[BACK_TAKE * heads], take_im = step[BACK_TAKE_IM * heads];
    for (int64_t c = 0; c < count; c++) {
        real re = before->value[0][c], im = before->value[1][c];
        after->value[0][c] = move * re - move_im * im + take * u[c];
        after->value[1][c] = move * im + move_im * re + take_im * u[c];
    }
}

static void load_carry(const Block *block)
{
    const Field *field = block->work->field;
    EACH_HEAD(block, h)
    {
        Share share = share_of(field, block->work->groups, block->span, h);
        const real *carry = block->work->scan->carry +
                            carry_at(field, block->span.b, h, block->chunk) + share.channel;
        for (int64_t c = 0; c < share.count; c++) {
            State *state = &block->slot->state[share.group + c / LANES];
            state->value[0][c % LANES] = carry[c];
            state->value[1][c % LANES] = carry[c + field->width];
        }
    }
}

static void prefetch_row(const real *row, int64_t count)
{
    for (int64_t c = 0; c < count; c += 64 / (int64_t)sizeof(real)) PREFETCH(row + c);
}

static void recompute(const Block *block)
{
    const Field *field = block->work->field;
    const ScanBackward *scan = block->work->scan;
    load_carry(block);
    for (int64_t n = block->first; n < block->end; n++) {
        State *states = block->slot->state + (n - block->first) * BLOCK_GROUPS;
        EACH_HEAD(block, h)
        {
            Share share = share_of(field, block->work->groups, block->span, h);
            int64_t at = field_at(field, block->span.b, n, h) + share.channel;
            int64_t count = share.count;
            const real *step = step_at(block, n, h), *u = scan->u + at;
            State *state = states + share.group;
            for (; count >= LANES; count -= LANES, u += LANES, state++)
                recompute_group(step, field->heads, LANES, u, state, state + BLOCK_GROUPS);
            if (count) recompute_group(step, field->heads, count, u, state, state + BLOCK_GROUPS);
            prefetch_row(scan->dr + at, share.count);
            prefetch_row(scan->du + at, share.count);
        }
    }
}

/* ---- one token back ---- */

/* One group's result to its place. */
static inline void put_row(const real *restrict from, int64_t count, bool add, real *restrict to)
{
    if (add) {
#pragma omp simd
        for (int64_t c = 0; c < count; c++) to[c] += from[c];
    } else {
#pragma omp simd
        for (int64_t c = 0; c < count; c++) to[c] = from[c];
    }
}

static inline void retreat_group(const real *restrict step, int64_t heads, real f, int64_t count,
                                 const real *restrict dr, const real *restrict u, real *restrict du,
                                 bool add, const State *restrict state, Group *restrict group)
{
    const real read = step[BACK_READ * heads], read_im = step[BACK_READ_IM * heads];
    const real own = step[BACK_OWN * heads], own_im = step[BACK_OWN_IM * heads];
    const real move = step[BACK_MOVE * heads], move_im = step[BACK_MOVE_IM * heads];
    const real ahead = step[BACK_AHEAD * heads], ahead_im = step[BACK_AHEAD_IM * heads];
    const real weight = step[WEIGHT * heads];
    real h_re[LANES], h_im[LANES], y_re[LANES], y_im[LANES];
#pragma omp simd
    for (int64_t c = 0; c < count; c++) {
        real g = dr[c], s_re = state->value[0][c], s_im = state->value[1][c];
        real x_re = group->local[0][c], x_im = group->local[1][c];
        real re = x_re + ahead * group->end[0][c] - ahead_im * group->end[1][c];
        real im = x_im + ahead * group->end[1][c] + ahead_im * group->end[0][c];
        group->moments[2][c] += weight * (re * s_re - im * s_im);
        group->moments[3][c] += weight * (re * s_im + im * s_re);
        group->local[0][c] = move * x_re - move_im * x_im + read * g;
        group->local[1][c] = move * x_im + move_im * x_re + read_im * g;
        h_re[c] = re;
        h_im[c] = im;
        y_re[c] = own * g + re;
        y_im[c] = own_im * g + im;
    }
    if (f > 0) { /* between two cells */
        const real more = step[BACK_MORE * heads], more_im = step[BACK_MORE_IM * heads];
        const real near = step[NEAR * heads], near_im = step[NEAR_IM * heads];
#pragma omp simd
        for (int64_t c = 0; c < count; c++) {
            real second = f * u[c];
            real t_re = dr[c] * (state->value[0][c] - second), t_im = dr[c] * state->value[1][c];
            group->moments[2][c] += near * t_re - near_im * t_im - second * h_re[c];
            group->moments[3][c] += near * t_im + near_im * t_re - second * h_im[c];
            y_re[c] += more * h_re[c] - more_im * h_im[c];
            y_im[c] += more * h_im[c] + more_im * h_re[c];
        }
    }
#pragma omp simd
    for (int64_t c = 0; c < count; c++) {
        group->moments[0][c] += u[c] * y_re[c];
        group->moments[1][c] += u[c] * y_im[c];
    }
    put_row(y_re, count, add, du);
}

static void retreat(const Block *block)
{
    const Field *field = block->work->field;
    const ScanBackward *scan = block->work->scan;
    for (int64_t n = block->end - 1; n >= block->first; n--) EACH_HEAD(block, h)
        {
            Share share = share_of(field, block->work->groups, block->span, h);
            int64_t at = field_at(field, block->span.b, n, h) + share.channel, left = share.count;
            const real *step = step_at(block, n, h), f = field->fraction[n];
            const State *state =
                block->slot->state + (n + 1 - block->first) * BLOCK_GROUPS + share.group;
            Group *group = block->slot->group + share.group;
            for (; left >= LANES; left -= LANES, at += LANES, state++, group++)
                retreat_group(step, field->heads, f, LANES, scan->dr + at, scan->u + at,
                              scan->du + at, scan->add, state, group);
            if (left)
                retreat_group(step, field->heads, f, left, scan->dr + at, scan->u + at,
                              scan->du + at, scan->add, state, group);
        }
}

/* ---- between chunks ---- */

static Exact *exact_of(const Block *block)
{
    return block->work->exact + block->span.b * block->work->groups.per_sample + block->span.first;
}

static void enter_chunk(const Block *block)
{
    const Exact *exact = exact_of(block);
    memset(block->slot->group, 0, BLOCK_GROUPS * sizeof(Group));
    for (int64_t i = 0; i < block->span.end - block->span.first; i++)
        for (int k = 0; k < 2; k++)
            for (int c = 0; c < LANES; c++)
                block->slot->group[i].end[k][c] = (real)exact[i].adjoint[k][c];
}

/* exact ← z^cells·exact + local; the moments to their sums. */
static void leave_chunk(const Block *block)
{
    const int64_t heads = block->work->field->heads;
    Exact *exact = exact_of(block);
    for (int64_t i = 0; i < block->span.end - block->span.first; i++) {
        const Group *group = &block->slot->group[i];
        int64_t h = (block->span.first + i) / block->work->groups.per_head;
        const double z = block->slot->table.span[h], z_im = block->slot->table.span[heads + h];
        for (int c = 0; c < LANES; c++) {
            double re = exact[i].adjoint[0][c], im = exact[i].adjoint[1][c];
            exact[i].adjoint[0][c] = z * re - z_im * im + (double)group->local[0][c];
            exact[i].adjoint[1][c] = z * im + z_im * re + (double)group->local[1][c];
        }
        for (int k = 0; k < 4; k++)
            for (int c = 0; c < LANES; c++) exact[i].moments[k][c] += (double)group->moments[k][c];
    }
}

/* ---- all of it ---- */

static void scan_chunk(const Block *block)
{
    enter_chunk(block);
    recompute(block);
    retreat(block);
    leave_chunk(block);
}

/* The first of the equal parts, of BLOCK_GROUPS at most, that a span is cut into. */
static Span next_block(Span span)
{
    int64_t count = span.end - span.first, parts = ceil_div(count, BLOCK_GROUPS);
    return (Span){span.b, span.first, span.first + ceil_div(count, parts)};
}

static void scan_items(const ScanWork *work, int64_t index, int64_t first, int64_t end)
{
    Carve carve = {.base = work->slot + index * work->slot_bytes};
    Slot slot = slot_carve(&carve, work->field);
    table_heads(&slot.table, work->groups, first, end);
    for (int64_t chunk = work->steps.chunks - 1; chunk >= 0; chunk--) {
        const int64_t n0 = chunk * FIELD_CHUNK;
        const int64_t n1 = int64_min(n0 + FIELD_CHUNK, work->field->tokens);
        steps_backward(&work->steps, chunk, &slot.table);
        for (int64_t item = first; item < end;) {
            Span span = next_block(span_of(work->groups, item, end));
            scan_chunk(&(Block){work, &slot, span, chunk, n0, n1});
            item += span.end - span.first;
        }
    }
}

/* Sums over the samples and the head's channels, in order. */
static KernelMoments head_moments(const ScanWork *work, int64_t h)
{
    const Groups *groups = &work->groups;
    double sum[4] = {0};
    for (int64_t b = 0; b < work->field->batch; b++)
        for (int64_t c = 0; c < work->field->width; c++) {
            int64_t item = b * groups->per_sample + h * groups->per_head + c / LANES;
            for (int k = 0; k < 4; k++) sum[k] += work->exact[item].moments[k][c % LANES];
        }
    return (KernelMoments){{sum[0], sum[1]}, {sum[2], sum[3]}};
}

int64_t scan_backward_bytes(const Field *field)
{
    Carve carve = {0};
    scan_carve(&carve, field);
    return carve.used;
}

void scan_backward(void *workspace, const Field *field, const ScanBackward *scan)
{
    Carve carve = {.base = workspace};
    ScanWork work = scan_carve(&carve, field);
    work.scan = scan;
    steps_prepare(&work.steps, 0);
    memset(work.exact, 0, (size_t)work.groups.items * sizeof *work.exact);
    const int64_t slots = scan_slots(work.slots, field), items = work.groups.items;
#pragma omp parallel for schedule(static) if (slots > 1)
    for (int64_t slot = 0; slot < slots; slot++)
        scan_items(&work, slot, slot_first(slot, slots, items), slot_first(slot + 1, slots, items));
    for (int64_t h = 0; h < field->heads; h++)
        field_pole_gradient(&work.steps.poles[h], head_moments(&work, h), h, scan->dfrequency,
                            scan->ddamping, scan->dphase);
}
