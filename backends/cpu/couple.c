#include "backends/cpu/couple.h"

#include "backends/cpu/math.h"
#include "backends/cpu/sums.h"

/* shares[a,b] = softmax over b of coupling[a,b]. */
static void softmax_rows(const real *coupling, int64_t heads, real *shares)
{
    for (int64_t a = 0; a < heads; a++, coupling += heads, shares += heads) {
        real largest = coupling[0], sum = 0;
        for (int64_t b = 1; b < heads; b++) largest = coupling[b] > largest ? coupling[b] : largest;
        for (int64_t b = 0; b < heads; b++) {
            shares[b] = real_exp(coupling[b] - largest);
            sum += shares[b];
        }
        for (int64_t b = 0; b < heads; b++) shares[b] /= sum;
    }
}

/* Heads whose sums are taken together, so that each head read serves all of them. */
enum { TOGETHER = 4 };

/* y[a,:] = Σ_b m(a,b)·x[b,:] for one token and heads a … a+n-1, n <= TOGETHER. m(a,b) is
 * m[a·row + b·col]. */
static inline void mix_heads(const real *x, const real *m, int64_t row, int64_t col, int64_t heads,
                             int64_t width, int64_t n, real *y, bool add)
{
    enum { LANES = 32 };
    for (int64_t first = 0; first < width; first += LANES) {
        int64_t lanes = int64_min(LANES, width - first);
        real sum[TOGETHER][LANES] = {{0}};
        for (int64_t b = 0; b < heads; b++) {
            const real *from = x + b * width + first;
            for (int64_t a = 0; a < n; a++) {
                real share = m[a * row + b * col];
#pragma omp simd
                for (int64_t i = 0; i < lanes; i++) sum[a][i] += share * from[i];
            }
        }
        for (int64_t a = 0; a < n; a++) EACH(i, lanes, y + a * width + first, sum[a][i], add);
    }
}

static void mix(const real *x, const real *m, int64_t row, int64_t col, int64_t heads,
                int64_t width, real *y, bool add)
{
    for (int64_t a = 0; a < heads; a += TOGETHER)
        mix_heads(x, m + a * row, row, col, heads, width, int64_min(TOGETHER, heads - a),
                  y + a * width, add);
}

void CPU_NAME(couple)(const CpuCall *call)
{
    Shape shape = call_in_shape(call, 0); /* [B, N, H, d] */
    int64_t tokens = shape.dim[0] * shape.dim[1], heads = shape.dim[2], width = shape.dim[3];
    const real *r = call->in[0];
    real *y = call->out[0], *shares = call->workspace;
    bool add = call_accumulates(call, 0);
    softmax_rows(call->in[1], heads, shares);
#pragma omp parallel for schedule(static) if (worth_threads(tokens * heads * width))
    for (int64_t t = 0; t < tokens; t++)
        mix(r + t * heads * width, shares, heads, 1, heads, width, y + t * heads * width, add);
}

int64_t CPU_NAME(couple_workspace)(const Graph *graph, const Node *node)
{
    return shape_elements(graph_shape(graph, node->in[1])) * (int64_t)sizeof(real);
}

/* dshares[a,b] += <dy[a,:], r[b,:]> of one token. */
static void add_shares(const real *dy, const real *r, int64_t heads, int64_t width, real *dshares)
{
    for (int64_t a = 0; a < heads; a++)
        for (int64_t b = 0; b < heads; b++) {
            const real *x = dy + a * width, *y = r + b * width;
            real sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < width; i++) sum += x[i] * y[i];
            dshares[a * heads + b] += sum;
        }
}

/* dcoupling[a,b] += C[a,b]·(dC[a,b] - Σ_j C[a,j]·dC[a,j]) */
static void softmax_backward(const real *shares, const real *dshares, int64_t heads,
                             real *dcoupling)
{
    for (int64_t a = 0; a < heads; a++) {
        const real *c = shares + a * heads, *dc = dshares + a * heads;
        real along = 0;
        for (int64_t b = 0; b < heads; b++) along += c[b] * dc[b];
        for (int64_t b = 0; b < heads; b++) dcoupling[a * heads + b] += c[b] * (dc[b] - along);
    }
}

void CPU_NAME(couple_backward)(const CpuCall *call)
{
    Shape shape = call_in_shape(call, 1);
    int64_t tokens = shape.dim[0] * shape.dim[1], heads = shape.dim[2], width = shape.dim[3];
    int64_t row = heads * width, square = heads * heads;
    int64_t step = sum_block_rows(tokens), blocks = sum_blocks(tokens);
    const real *dy = call->in[0], *r = call->in[1];
    real *dr = call->out[0], *shares = call->workspace, *partial = shares + square;
    bool add = call_accumulates(call, 0);
    softmax_rows(call->in[2], heads, shares);
#pragma omp parallel for schedule(static) if (worth_threads(tokens * row))
    for (int64_t block = 0; block < blocks; block++) {
        real *dshares = partial + block * square;
        for (int64_t i = 0; i < square; i++) dshares[i] = 0;
        for (int64_t t = block * step; t < int64_min(tokens, (block + 1) * step); t++) {
            mix(dy + t * row, shares, 1, heads, heads, width, dr + t * row, add);
            add_shares(dy + t * row, r + t * row, heads, width, dshares);
        }
    }
    join_sums(partial, blocks, square, square, partial, false);
    softmax_backward(shares, partial, heads, call->out[1]);
}

int64_t CPU_NAME(couple_backward_workspace)(const Graph *graph, const Node *node)
{
    Shape shape = graph_shape(graph, node->in[1]);
    int64_t square = shape.dim[2] * shape.dim[2];
    return (1 + sum_blocks(shape.dim[0] * shape.dim[1])) * square * (int64_t)sizeof(real);
}
