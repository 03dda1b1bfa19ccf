/* Softmax attention by blocks of queries and keys: each query's largest score and sum run along
 * with the blocks, and backward makes a block's probabilities anew from their logarithm, so that no
 * more than one block of scores exists in a thread (the idea: Dao et al., FlashAttention, 2022). */
#include "backends/cpu/attention.h"

#include "backends/cpu/blas.h"
#include "backends/cpu/math.h"

enum {
    SPAN = 64,    /* tokens in a block, of queries and of keys */
    FEW_ROWS = 4, /* up to here a product goes as matrix times vector */
    MOST_SLOTS = 64
};

/* Queries of tokens position … position + n - 1 over all the keys kept. */
typedef struct Attention {
    const real *q, *keys, *values; /* [B, n, H, d], [B, M, H, d], [B, M, H, d] */
    int64_t batch, tokens, kept;   /* B, n, M */
    int64_t heads, width, row;     /* H, d, H·d */
    int64_t position;              /* of the first query among the keys */
    real *y, *lse;                 /* [B, n, H, d], [B, H, n] or NULL */
    bool add_y, add_lse;
} Attention;

/* Where token n of head h of sample b begins in [B, tokens, H, d]. */
static int64_t at(const Attention *a, int64_t tokens, int64_t b, int64_t n, int64_t h)
{
    return (b * tokens + n) * a->row + h * a->width;
}

static void multiply(const Gemm *g, const real *a, const real *b, real *c)
{
    if (g->m <= FEW_ROWS && !g->trans_a)
        CPU_NAME(gemv)(g, a, b, c);
    else
        CPU_NAME(gemm)(g, a, b, c);
}

/* The product of m rows with n others, each a head's share of a token: [m, n] in a block. */
static Gemm rows_by_rows(const Attention *a, int64_t m, int64_t n)
{
    return (Gemm){.trans_b = true,
                  .m = m,
                  .n = n,
                  .k = a->width,
                  .ld_a = a->row,
                  .ld_b = a->row,
                  .ld_c = SPAN};
}

/* ---- forward ---- */

/* What is known of a query's softmax after the keys so far. */
typedef struct Running {
    real largest, total; /* of the scores; Σ e^(score - largest) */
} Running;

/* The scores of n more keys become e^(scale·score - largest); what was summed before follows where
 * the largest grew. */
static void soften(real *score, int64_t n, real scale, Running *running, real *sum, int64_t width)
{
    real largest = running->largest, total = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < n; j++) {
        score[j] *= scale;
        largest = score[j] > largest ? score[j] : largest;
    }
    real before = real_exp(running->largest - largest);
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < n; j++) {
        score[j] = real_exp(score[j] - largest);
        total += score[j];
    }
    running->largest = largest;
    running->total = running->total * before + total;
#pragma omp simd
    for (int64_t c = 0; c < width; c++) sum[c] *= before;
}

/* sum [m, d] += p [m, n]·v. Where not every query sees every key (the first sees `visible`, each
 * next one more) a row takes those it sees and no other: a later token must not reach it even as a
 * NaN. */
static void add_values(const Attention *a, const real *p, int64_t m, int64_t n, int64_t visible,
                       const real *v, real *sum)
{
    Gemm g = {
        .add = true, .m = m, .n = a->width, .k = n, .ld_a = SPAN, .ld_b = a->row, .ld_c = a->width};
    if (visible >= n) {
        multiply(&g, p, v, sum);
        return;
    }
    g.m = 1;
    for (int64_t r = int64_max(0, 1 - visible); r < m; r++) {
        g.k = int64_min(visible + r, n);
        CPU_NAME(gemv)(&g, p + r * SPAN, v, sum + r * a->width);
    }
}

static void put_rows(const Attention *a, int64_t b, int64_t h, int64_t first, int64_t m,
                     const Running *running, const real *sum)
{
    for (int64_t r = 0; r < m; r++) {
        real share = 1 / running[r].total, *y = a->y + at(a, a->tokens, b, first + r, h);
        const real *from = sum + r * a->width;
        EACH(c, a->width, y, share * from[c], a->add_y);
        if (!a->lse) continue;
        real lse = running[r].largest + (real)log((double)running[r].total);
        real_put(a->lse + (b * a->heads + h) * a->tokens + first + r, lse, a->add_lse);
    }
}

/* Queries first … first + SPAN - 1 of one head; sum [SPAN, d] is scratch. */
static void attend(const Attention *a, int64_t b, int64_t h, int64_t first, real *sum)
{
    const int64_t m = int64_min(SPAN, a->tokens - first), seen = a->position + first + m;
    const real scale = 1 / real_sqrt((real)a->width);
    const real *q = a->q + at(a, a->tokens, b, first, h);
    real score[SPAN * SPAN];
    Running running[SPAN];
    for (int64_t r = 0; r < m; r++) running[r] = (Running){.largest = -INFINITY};
    memset(sum, 0, (size_t)(m * a->width) * sizeof *sum);
    for (int64_t key = 0; key < seen; key += SPAN) {
        const int64_t n = int64_min(SPAN, seen - key), visible = a->position + first + 1 - key;
        const int64_t from = at(a, a->kept, b, key, h);
        const Gemm g = rows_by_rows(a, m, n);
        multiply(&g, q, a->keys + from, score);
        for (int64_t r = int64_max(0, 1 - visible); r < m; r++)
            soften(score + r * SPAN, int64_min(visible + r, n), scale, &running[r],
                   sum + r * a->width, a->width);
        add_values(a, score, m, n, visible, a->values + from, sum);
    }
    put_rows(a, b, h, first, m, running, sum);
}

/* Each slot has its own scratch, and takes every slots-th block, for later ones see more keys. */
static int64_t slots_of(Shape q)
{
    return int64_min(q.dim[0] * q.dim[2] * ceil_div(q.dim[1], SPAN), MOST_SLOTS);
}

static int64_t slot_bytes(Shape q)
{
    return round_up(SPAN * q.dim[3] * (int64_t)sizeof(real), 64);
}

static void attend_all(const Attention *a, Shape q, void *workspace)
{
    const int64_t slots = slots_of(q), blocks = ceil_div(a->tokens, SPAN);
    const int64_t items = a->batch * a->heads * blocks;
    const int64_t work = a->batch * a->tokens * a->row * (a->position + a->tokens);
    const bool threads = (slots > 1 && worth_threads(work)) || blas_wants_region();
#pragma omp parallel for schedule(dynamic, 1) if (threads)
    for (int64_t slot = 0; slot < slots; slot++) {
        real *sum = (real *)((char *)workspace + slot * slot_bytes(q));
        for (int64_t item = slot; item < items; item += slots) {
            int64_t head = item / blocks;
            attend(a, head / a->heads, head % a->heads, item % blocks * SPAN, sum);
        }
    }
}

static Attention attention_of(Shape q)
{
    return (Attention){.batch = q.dim[0],
                       .tokens = q.dim[1],
                       .kept = q.dim[1],
                       .heads = q.dim[2],
                       .width = q.dim[3],
                       .row = q.dim[2] * q.dim[3]};
}

int64_t CPU_NAME(attention_workspace)(const Graph *graph, const Node *node)
{
    Shape q = graph_shape(graph, node->in[0]);
    return slots_of(q) * slot_bytes(q);
}

void CPU_NAME(attention)(const CpuCall *call)
{
    Shape q = call_in_shape(call, 0);
    Attention a = attention_of(q);
    a.q = call->in[0];
    a.keys = call->in[1];
    a.values = call->in[2];
    a.y = call->out[0];
    a.lse = call->out[1];
    a.add_y = call_accumulates(call, 0);
    a.add_lse = call_accumulates(call, 1);
    attend_all(&a, q, call->workspace);
}

/* ---- continued ---- */

int64_t CPU_NAME(attention_stream_workspace)(const Graph *graph, const Node *node)
{
    return CPU_NAME(attention_workspace)(graph, node);
}

void CPU_NAME(attention_stream)(const CpuCall *call)
{
    Shape q = call_in_shape(call, 0);
    Attention a = attention_of(q);
    a.kept = call_out_shape(call, 1).dim[1];
    a.position = *(const int32_t *)call->in[3];
    real *keys = call->out[1], *values = call->out[2];
    const size_t bytes = (size_t)(a.tokens * a.row) * sizeof(real);
    for (int64_t b = 0; b < a.batch; b++) {
        int64_t to = at(&a, a.kept, b, a.position, 0), from = at(&a, a.tokens, b, 0, 0);
        memcpy(keys + to, (const real *)call->in[1] + from, bytes);
        memcpy(values + to, (const real *)call->in[2] + from, bytes);
    }
    a.q = call->in[0];
    a.keys = keys;
    a.values = values;
    a.y = call->out[0];
    a.add_y = call_accumulates(call, 0);
    attend_all(&a, q, call->workspace);
}

/* ---- backward ---- */

typedef struct Gradient {
    const real *dy, *q, *k, *v, *y, *lse; /* lse [B, H, N], all else [B, N, H, d] */
    real *dq, *dk, *dv;
} Gradient;

/* The block's scores to probabilities; on the diagonal nothing sees what comes after it. */
static void probabilities(real *score, int64_t m, int64_t n, bool diagonal, real scale,
                          const real *lse)
{
    for (int64_t r = 0; r < m; r++, score += SPAN) {
        const int64_t visible = diagonal ? r + 1 : n;
        const real whole = lse[r];
#pragma omp simd
        for (int64_t j = 0; j < visible; j++) score[j] = real_exp(scale * score[j] - whole);
        for (int64_t j = visible; j < n; j++) score[j] = 0;
    }
}

/* dp to the scores' gradient: scale·p·(dp - Σ dy·y), the sum being that of p·dp over all keys. */
static void score_gradients(const Attention *a, const real *p, real *dp, int64_t m, int64_t n,
                            bool diagonal, real scale, const real *dy, const real *y)
{
    for (int64_t r = 0; r < m; r++, p += SPAN, dp += SPAN, dy += a->row, y += a->row) {
        const int64_t visible = diagonal ? r + 1 : n;
        real along = 0;
#pragma omp simd reduction(+ : along)
        for (int64_t c = 0; c < a->width; c++) along += dy[c] * y[c];
#pragma omp simd
        for (int64_t j = 0; j < visible; j++) dp[j] = scale * p[j] * (dp[j] - along);
        for (int64_t j = visible; j < n; j++) dp[j] = 0;
    }
}

/* What queries first … of one head say about keys key …, key <= first. */
static void attend_backward(const Attention *a, const Gradient *g, int64_t b, int64_t h,
                            int64_t first, int64_t key)
{
    const int64_t m = int64_min(SPAN, a->tokens - first), n = int64_min(SPAN, a->tokens - key);
    const int64_t query_at = at(a, a->tokens, b, first, h), key_at = at(a, a->tokens, b, key, h);
    const real scale = 1 / real_sqrt((real)a->width);
    const real *dy = g->dy + query_at;
    real p[SPAN * SPAN], ds[SPAN * SPAN];
    const Gemm scores = rows_by_rows(a, m, n);
    Gemm to_queries = {
        .add = true, .m = m, .n = a->width, .k = n, .ld_a = SPAN, .ld_b = a->row, .ld_c = a->row};
    Gemm to_keys = to_queries;
    to_keys.trans_a = true;
    to_keys.m = n;
    to_keys.k = m;
    multiply(&scores, g->q + query_at, g->k + key_at, p);
    probabilities(p, m, n, first == key, scale, g->lse + (b * a->heads + h) * a->tokens + first);
    multiply(&to_keys, p, dy, g->dv + key_at);
    multiply(&scores, dy, g->v + key_at, ds);
    score_gradients(a, p, ds, m, n, first == key, scale, dy, g->y + query_at);
    multiply(&to_queries, ds, g->k + key_at, g->dq + query_at);
    multiply(&to_keys, ds, g->q + query_at, g->dk + key_at);
}

static void clear_head(const Attention *a, int64_t b, int64_t h, real *x)
{
    for (int64_t n = 0; n < a->tokens; n++)
        memset(x + at(a, a->tokens, b, n, h), 0, (size_t)a->width * sizeof *x);
}

/* A head of a sample is one thread's: its gradients gather over the blocks in their order. */
void CPU_NAME(attention_backward)(const CpuCall *call)
{
    Shape q = call_in_shape(call, 1);
    const Attention a = attention_of(q);
    const Gradient g = {.dy = call->in[0],
                        .q = call->in[1],
                        .k = call->in[2],
                        .v = call->in[3],
                        .y = call->in[4],
                        .lse = call->in[5],
                        .dq = call->out[0],
                        .dk = call->out[1],
                        .dv = call->out[2]};
    const int64_t heads = a.batch * a.heads;
    const bool threads =
        (heads > 1 && worth_threads(a.batch * a.tokens * a.row * a.tokens)) || blas_wants_region();
#pragma omp parallel for schedule(dynamic, 1) if (threads)
    for (int64_t head = 0; head < heads; head++) {
        const int64_t b = head / a.heads, h = head % a.heads;
        for (int k = 0; k < 3; k++)
            if (!call_accumulates(call, k)) clear_head(&a, b, h, call->out[k]);
        for (int64_t key = 0; key < a.tokens; key += SPAN)
            for (int64_t first = key; first < a.tokens; first += SPAN)
                attend_backward(&a, &g, b, h, first, key);
    }
}
