/* The token scan: the numbers each token needs, and the two directions. */
#ifndef BACKENDS_CPU_FIELD_SCAN_H
#define BACKENDS_CPU_FIELD_SCAN_H

#include "backends/cpu/field_parts.h"

#define steps_carve         CPU_NAME(steps_carve)
#define step_table_carve    CPU_NAME(step_table_carve)
#define steps_prepare       CPU_NAME(steps_prepare)
#define steps_forward       CPU_NAME(steps_forward)
#define steps_backward      CPU_NAME(steps_backward)
#define scan_forward_bytes  CPU_NAME(scan_forward_bytes)
#define scan_forward        CPU_NAME(scan_forward)
#define scan_backward_bytes CPU_NAME(scan_backward_bytes)
#define scan_backward       CPU_NAME(scan_backward)

/* ---- the token scan: what each token does, as numbers (field_steps.c) ---- */

/* Between the tokens of a causal geometry the field holds nothing new, so a token is one affine map
 * of a head's state S (spec §2, "Token scan"):
 *     r = Re(READ·S + OWN·u),  S ← MOVE·S + TAKE·u.
 * A chunk of FIELD_CHUNK tokens starts from rest, and what came before it enters through exact
 * powers of z (PAST), so rounded factors are never multiplied over more than a chunk. */
enum {
    READ,
    READ_IM,
    OWN,
    MOVE,
    MOVE_IM,
    TAKE,
    TAKE_IM,
    PAST, /* READ times the z-power from the chunk's start to S */
    PAST_IM,
    FORWARD_STEPS
};

/* Backward, with S and h after the token, h the conjugate of ∂L/∂S, and g the token's ∂L/∂r:
 *     du = Re(OWN·g + h + MORE·h),  h ← MOVE·h + READ·g,  MORE = TAKE - 1.
 * conj(A)·S is the same in every cell of a jump (spec §2, "Gradients of the field"), so z·Q counts
 * h·S once for each cell from the token to the next one, and a token with f > 0 once more for its
 * second cell, where the adjoint is h + c·f·g and the state S - f·u before its deposit:
 *     z·Q += WEIGHT·h·S + NEAR·g·(S - f·u) - f·u·h,  NEAR = c·f.
 * AHEAD is the z-power from S to the chunk's end. Where f = 0, MORE and NEAR are 0. */
enum {
    BACK_READ,
    BACK_READ_IM,
    BACK_OWN,
    BACK_OWN_IM,
    BACK_MOVE,
    BACK_MOVE_IM,
    BACK_TAKE,
    BACK_TAKE_IM,
    BACK_AHEAD,
    BACK_AHEAD_IM,
    BACK_MORE,
    BACK_MORE_IM,
    NEAR,
    NEAR_IM,
    WEIGHT,
    BACKWARD_STEPS
};

/* What all chunks are made from. Complex rows are [2, H]: real parts, then imaginary. */
enum { POWERS = 16 };
typedef struct Steps {
    const Field *field;
    int64_t at;     /* the cell where the state sits before the first token */
    int64_t chunks; /* C */
    Pole *poles;    /* [H] */
    double *z, *c;  /* [2, H] */
    int n_powers;   /* distinct numbers of cells, and z to their power */
    int64_t cells[POWERS];
    double *power; /* [POWERS, 2, H] */
} Steps;

/* One chunk's numbers, of one thread. */
typedef struct StepTable {
    int64_t chunk;                /* whose numbers these are; -1: none */
    int64_t first_head, end_head; /* those wanted */
    real *row;                    /* [FIELD_CHUNK, numbers, H] */
    double *span;                 /* [2, H] z to the number of cells the chunk moves */
    double *run, *miss;           /* [2, H] a running product; a power that is not in the table */
} StepTable;

Steps steps_carve(Carve *carve, const Field *field);
/* `numbers`: FORWARD_STEPS or BACKWARD_STEPS. */
StepTable step_table_carve(Carve *carve, const Field *field, int numbers);
/* Poles, and the powers that a walk from `at` over all tokens meets. */
void steps_prepare(Steps *steps, int64_t at);
/* The numbers of a chunk; nothing to do where its tokens lie as those of the table's chunk do. */
void steps_forward(const Steps *steps, int64_t chunk, StepTable *table);
void steps_backward(const Steps *steps, int64_t chunk, StepTable *table);

/* ---- the token scan itself (field_scan.c, field_scan_backward.c) ---- */

/* A head's channels are worked on in groups of LANES, the last one short. Threads share samples and
 * groups; every channel is computed alone, so results do not depend on how. */
enum { LANES = 16 };

/* Groups of all samples, in order, are the items that slots share out. */
typedef struct Groups {
    int64_t per_head, per_sample, items;
} Groups;

static inline Groups groups_of(const Field *field)
{
    int64_t per_head = ceil_div(field->width, LANES), per_sample = per_head * field->heads;
    return (Groups){per_head, per_sample, per_sample * field->batch};
}

/* Some groups of one sample, counted from its first, and one head's share of them. */
typedef struct Span {
    int64_t b, first, end;
} Span;
typedef struct Share {
    int64_t group;          /* the first, counted from the span's first */
    int64_t channel, count; /* channels of the head */
} Share;

static inline Share share_of(const Field *field, Groups groups, Span span, int64_t head)
{
    int64_t base = head * groups.per_head;
    int64_t first = int64_max(span.first - base, 0);
    int64_t end = int64_min(span.end - base, groups.per_head);
    return (Share){base + first - span.first, first * LANES,
                   int64_min(end * LANES, field->width) - first * LANES};
}

static inline int64_t span_first_head(Groups groups, Span span)
{
    return span.first / groups.per_head;
}
static inline int64_t span_end_head(Groups groups, Span span)
{
    return (span.end - 1) / groups.per_head + 1;
}

/* Of items [first, end), those of the sample that has the first. */
static inline Span span_of(Groups groups, int64_t first, int64_t end)
{
    int64_t b = first / groups.per_sample, base = b * groups.per_sample;
    return (Span){b, first - base, int64_min(end - base, groups.per_sample)};
}

/* The heads that items [first, end) need. */
static inline void table_heads(StepTable *table, Groups groups, int64_t first, int64_t end)
{
    Span span = span_of(groups, first, end);
    bool one_sample = span.first + end - first <= groups.per_sample;
    table->first_head = one_sample ? span_first_head(groups, span) : 0;
    table->end_head =
        (one_sample ? span_end_head(groups, span) : groups.per_sample / groups.per_head);
}

/* Where head h of sample b has its carry into a chunk: [2, d] of [B, H, C, 2, d]. */
static inline int64_t carry_at(const Field *field, int64_t b, int64_t h, int64_t chunk)
{
    int64_t chunks = ceil_div(field->tokens, FIELD_CHUNK);
    return ((b * field->heads + h) * chunks + chunk) * 2 * field->width;
}

typedef struct ScanForward {
    const real *u; /* [B, N, H, d] */
    real *r;       /* [B, N, H, d] */
    bool add;      /* to r */
    real *carry;   /* [B, H, C, 2, d] or NULL */
    real *state;   /* [B, H, 2, d], continued from and left here, or NULL: from rest */
    int64_t at;    /* the cell where the state sits */
} ScanForward;

int64_t scan_forward_bytes(const Field *field);
void scan_forward(void *workspace, const Field *field, const ScanForward *scan);

typedef struct ScanBackward {
    const real *dr, *u;                   /* [B, N, H, d] */
    const real *carry;                    /* [B, H, C, 2, d] */
    real *du;                             /* [B, N, H, d] */
    bool add;                             /* to du */
    real *dfrequency, *ddamping, *dphase; /* [H], added to */
} ScanBackward;

int64_t scan_backward_bytes(const Field *field);
void scan_backward(void *workspace, const Field *field, const ScanBackward *scan);

/* How many slots have work. Threads that share a sample's rows pull at each other's cache lines:
 * two of them take longer than one (docs/benchmarks.md), so that only many are worth it. */
static inline int64_t scan_slots(int64_t slots, const Field *field)
{
    enum { WORTH_SHARING = 4 };
    int64_t used = slots_used(slots, field_elements(field));
    return used < WORTH_SHARING * field->batch ? int64_min(used, field->batch) : used;
}

#endif
