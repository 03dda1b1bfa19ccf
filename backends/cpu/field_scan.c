/* The token scan (spec §2, "Token scan"): O(N) whatever the field's length, vectorised over the
 * channels of a head. Chunk by chunk, so that a chunk's numbers serve all samples while they are in
 * cache; the state between chunks is kept in double, the arithmetic inside one is `real`. */
#include <string.h>

#include "backends/cpu/field_scan.h"

/* The state of a group of channels in a chunk: the chunk's own, and what came before it. Real
 * parts, then imaginary ones. */
typedef struct Group {
    real local[2][LANES];
    real begin[2][LANES];
} Group;

typedef struct Exact {
    double value[2][LANES];
} Exact;

typedef struct ScanWork {
    const Field *field;
    const ScanForward *scan;
    Groups groups;
    Steps steps;
    Group *group; /* [items] */
    Exact *exact; /* [items] */
    int64_t slots, slot_bytes;
    char *slot; /* a StepTable's memory each */
} ScanWork;

static ScanWork scan_carve(Carve *carve, const Field *field)
{
    ScanWork work = {.field = field, .groups = groups_of(field)};
    Carve slot = {0};
    step_table_carve(&slot, field, FORWARD_STEPS);
    work.slot_bytes = slot.used;
    work.slots = field_slots(work.groups.items, slot.used);
    work.steps = steps_carve(carve, field);
    work.group = CARVE(carve, Group, work.groups.items);
    work.exact = CARVE(carve, Exact, work.groups.items);
    work.slot = CARVE(carve, char, work.slots *work.slot_bytes);
    return work;
}

/* ---- one token ---- */

/* Channels of one group: LANES, or fewer in a head's last. */
static inline void advance_group(const real *restrict step, int64_t heads, int64_t count,
                                 const real *restrict u, real *restrict r, bool add,
                                 Group *restrict group)
{
    const real read = step[READ * heads], read_im = step[READ_IM * heads];
    const real move = step[MOVE * heads], move_im = step[MOVE_IM * heads];
    const real take = step[TAKE * heads], take_im = step[TAKE_IM * heads];
    const real past = step[PAST * heads], past_im = step[PAST_IM * heads];
    const real own = step[OWN * heads];
    for (int64_t c = 0; c < count; c++) {
        real re = group->local[0][c], im = group->local[1][c], value = u[c];
        real sum = past * group->begin[0][c] - past_im * group->begin[1][c] + own * value +
                   read * re - read_im * im;
        r[c] = add ? r[c] + sum : sum;
        group->local[0][c] = move * re - move_im * im + take * value;
        group->local[1][c] = move * im + move_im * re + take_im * value;
    }
}

static inline void advance(const real *step, int64_t heads, int64_t count, const real *u, real *r,
                           bool add, Group *group)
{
    for (; count >= LANES; count -= LANES, u += LANES, r += LANES, group++)
        advance_group(step, heads, LANES, u, r, add, group);
    if (count) advance_group(step, heads, count, u, r, add, group);
}

static void chunk_tokens(const ScanWork *work, Span span, const StepTable *table)
{
    const Field *field = work->field;
    const ScanForward *scan = work->scan;
    const int64_t first = table->chunk * FIELD_CHUNK;
    const int64_t end = int64_min(first + FIELD_CHUNK, field->tokens);
    Group *groups = work->group + span.b * work->groups.per_sample + span.first;
    for (int64_t n = first; n < end; n++)
        for (int64_t h = span_first_head(work->groups, span); h < span_end_head(work->groups, span);
             h++) {
            Share share = share_of(field, work->groups, span, h);
            int64_t at = field_at(field, span.b, n, h) + share.channel;
            const real *step = table->row + (n - first) * FORWARD_STEPS * field->heads + h;
            Group *group = groups + share.group;
            if (scan->add)
                advance(step, field->heads, share.count, scan->u + at, scan->r + at, true, group);
            else
                advance(step, field->heads, share.count, scan->u + at, scan->r + at, false, group);
        }
}

/* ---- between chunks ---- */

/* begin ← exact, rounded; local ← 0. */
static void enter_chunk(const ScanWork *work, Span span)
{
    const int64_t item = span.b * work->groups.per_sample + span.first;
    for (int64_t i = item; i < item + span.end - span.first; i++) {
        Group *group = &work->group[i];
        memset(group->local, 0, sizeof group->local);
        for (int k = 0; k < 2; k++)
            for (int c = 0; c < LANES; c++) group->begin[k][c] = (real)work->exact[i].value[k][c];
    }
}

static void save_carry(const ScanWork *work, Span span, int64_t chunk)
{
    const Field *field = work->field;
    const Group *groups = work->group + span.b * work->groups.per_sample + span.first;
    for (int64_t h = span_first_head(work->groups, span); h < span_end_head(work->groups, span);
         h++) {
        Share share = share_of(field, work->groups, span, h);
        real *carry = work->scan->carry + carry_at(field, span.b, h, chunk) + share.channel;
        for (int64_t c = 0; c < share.count; c++) {
            const Group *group = &groups[share.group + c / LANES];
            carry[c] = group->begin[0][c % LANES];
            carry[c + field->width] = group->begin[1][c % LANES];
        }
    }
}

/* exact ← z^cells·exact + local. */
static void leave_chunk(const ScanWork *work, Span span, const StepTable *table)
{
    const int64_t heads = work->field->heads, item = span.b * work->groups.per_sample + span.first;
    for (int64_t i = item; i < item + span.end - span.first; i++) {
        int64_t h = i % work->groups.per_sample / work->groups.per_head;
        const double z = table->span[h], z_im = table->span[heads + h];
        double(*restrict exact)[LANES] = work->exact[i].value;
        for (int c = 0; c < LANES; c++) {
            double re = exact[0][c], im = exact[1][c];
            exact[0][c] = z * re - z_im * im + (double)work->group[i].local[0][c];
            exact[1][c] = z * im + z_im * re + (double)work->group[i].local[1][c];
        }
    }
}

/* Between the exact state of items and the given one [B, H, 2, d]. */
static void move_state(const ScanWork *work, bool load)
{
    const Field *field = work->field;
    real *state = work->scan->state;
    for (int64_t row = 0; row < field->batch * field->heads; row++)
        for (int k = 0; k < 2; k++)
            for (int64_t c = 0; c < field->width; c++, state++) {
                Exact *exact = &work->exact[row * work->groups.per_head + c / LANES];
                if (load)
                    exact->value[k][c % LANES] = (double)*state;
                else
                    *state = (real)exact->value[k][c % LANES];
            }
}

/* ---- all of it ---- */

/* Items [first, end): all chunks, the samples within each. */
static void scan_items(const ScanWork *work, int64_t slot, int64_t first, int64_t end)
{
    Carve carve = {.base = work->slot + slot * work->slot_bytes};
    StepTable table = step_table_carve(&carve, work->field, FORWARD_STEPS);
    table_heads(&table, work->groups, first, end);
    for (int64_t chunk = 0; chunk < work->steps.chunks; chunk++) {
        steps_forward(&work->steps, chunk, &table);
        for (int64_t item = first; item < end;) {
            Span span = span_of(work->groups, item, end);
            enter_chunk(work, span);
            if (work->scan->carry) save_carry(work, span, chunk);
            chunk_tokens(work, span, &table);
            leave_chunk(work, span, &table);
            item += span.end - span.first;
        }
    }
}

int64_t scan_forward_bytes(const Field *field)
{
    Carve carve = {0};
    scan_carve(&carve, field);
    return carve.used;
}

void scan_forward(void *workspace, const Field *field, const ScanForward *scan)
{
    Carve carve = {.base = workspace};
    ScanWork work = scan_carve(&carve, field);
    work.scan = scan;
    steps_prepare(&work.steps, scan->at);
    memset(work.exact, 0, (size_t)work.groups.items * sizeof *work.exact);
    if (scan->state) move_state(&work, true);
    const int64_t slots = scan_slots(work.slots, field), items = work.groups.items;
#pragma omp parallel for schedule(static) if (slots > 1)
    for (int64_t slot = 0; slot < slots; slot++)
        scan_items(&work, slot, slot_first(slot, slots, items), slot_first(slot + 1, slots, items));
    if (scan->state) move_state(&work, false);
}
