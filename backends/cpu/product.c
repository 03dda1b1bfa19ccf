/* Products cut into panels of C, and along the inner axis where C alone is too small to share out.
 * The cut depends on the shape only, and a panel is one thread's: so are the bits of the result. */
#include "backends/cpu/product.h"

#include "backends/cpu/blas.h"

enum {
    LEAST_VOLUME = 1 << 23,   /* multiplications that make a panel worth its own thread */
    FEW_PANELS = 16,          /* enough of those, until each has */
    LARGEST_VOLUME = 1 << 27, /* more than this */
    LEAST_SIDE = 16,          /* no side of C is cut finer than this */
    LEAST_INNER = 512,        /* nor the inner axis than this */
    LARGEST_SPLIT = 1 << 18,  /* elements of a C worth keeping several of */
    VECTOR_ROWS = 4,          /* up to here B is read once a row, as matrix times vector */
    VECTOR_VOLUME = 1 << 15,  /* elements of B in a panel of such a product, and where its rows */
    VECTOR_COLS = 256         /* run across the panel, at least this much of each */
};

typedef struct Tiling {
    int64_t rows, cols, inner;       /* of a panel */
    int64_t n_rows, n_cols, n_inner; /* panels along each axis */
    int64_t items;                   /* results: the batch, or 1 where it is summed */
} Tiling;

static int64_t tasks(const Tiling *t)
{
    return t->items * t->n_rows * t->n_cols * t->n_inner;
}

/* Cuts `length` into n nearly equal pieces, a multiple of 16 long but the last; returns the piece.
 */
static int64_t cut(int64_t length, int64_t *n)
{
    int64_t piece = round_up(ceil_div(length, *n), 16);
    *n = ceil_div(length, piece);
    return int64_min(piece, length);
}

/* Few enough rows, each in one piece, to go as matrix times vector? */
static bool is_vector(const ProductParams *p)
{
    return p->rows <= VECTOR_ROWS && (!p->trans_a || (p->rows == 1 && p->ld_a == 1));
}

static Tiling vector_tiling(const ProductParams *p)
{
    Tiling t = {.rows = p->rows, .inner = p->inner, .n_rows = 1, .n_inner = 1};
    t.items = p->sum_batch ? 1 : p->batch;
    t.n_cols = int64_max(1, p->cols * p->inner / VECTOR_VOLUME);
    if (!p->trans_b) t.n_cols = int64_min(t.n_cols, ceil_div(p->cols, VECTOR_COLS));
    t.cols = cut(p->cols, &t.n_cols);
    return t;
}

/* How many panels the product should be cut into. */
static int64_t panels_wanted(const ProductParams *p)
{
    int64_t volume = p->batch * p->rows * p->cols * p->inner;
    return int64_max(int64_min(volume / LEAST_VOLUME, FEW_PANELS), volume / LARGEST_VOLUME);
}

/* Halves the longest side until there are panels enough. The inner axis counts for less: cutting it
 * costs memory and a sum. */
static Tiling choose_tiling(const ProductParams *p)
{
    if (is_vector(p)) return vector_tiling(p);
    Tiling t = {.items = p->sum_batch ? 1 : p->batch,
                .rows = p->rows,
                .cols = p->cols,
                .inner = p->inner,
                .n_rows = 1,
                .n_cols = 1,
                .n_inner = 1};
    bool small = t.items * p->rows * p->cols <= LARGEST_SPLIT;
    int64_t wanted = panels_wanted(p);
    while (tasks(&t) < wanted) {
        int64_t side = int64_max(t.rows, t.cols);
        if (small && t.inner >= 2 * LEAST_INNER && t.inner >= 4 * side) {
            t.n_inner *= 2;
            t.inner = cut(p->inner, &t.n_inner);
        } else if (side < 2 * LEAST_SIDE) {
            break;
        } else if (t.rows > t.cols) {
            t.n_rows *= 2;
            t.rows = cut(p->rows, &t.n_rows);
        } else {
            t.n_cols *= 2;
            t.cols = cut(p->cols, &t.n_cols);
        }
    }
    return t;
}

int64_t CPU_NAME(multiply_workspace)(const ProductParams *p)
{
    Tiling t = choose_tiling(p);
    if (t.n_inner == 1) return 0;
    return t.n_inner * t.items * p->rows * p->cols * (int64_t)sizeof(real);
}

/* One panel: where it lies, and what it starts from. */
typedef struct Panel {
    int64_t row, col, inner; /* first of each */
    int64_t rows, cols, depth;
    int64_t item;
    real *c; /* its first element */
    int64_t ld_c;
    const real *bias; /* of its first column, or NULL */
    bool add;
} Panel;

static void start_from_bias(const Panel *panel)
{
    for (int64_t r = 0; r < panel->rows; r++) {
        real *c = panel->c + r * panel->ld_c;
        if (panel->add) {
#pragma omp simd
            for (int64_t j = 0; j < panel->cols; j++) c[j] += panel->bias[j];
        } else {
#pragma omp simd
            for (int64_t j = 0; j < panel->cols; j++) c[j] = panel->bias[j];
        }
    }
}

static void multiply_panel(const ProductParams *p, const Panel *panel, const real *a, const real *b)
{
    bool add = panel->add;
    if (panel->bias) {
        start_from_bias(panel);
        add = true;
    }
    a += p->trans_a ? panel->inner * p->ld_a + panel->row : panel->row * p->ld_a + panel->inner;
    b += p->trans_b ? panel->col * p->ld_b + panel->inner : panel->inner * p->ld_b + panel->col;
    int64_t first = p->sum_batch ? 0 : panel->item;
    int64_t last = p->sum_batch ? p->batch : panel->item + 1;
    for (int64_t item = first; item < last; item++, add = true) {
        const real *item_a = a + item * p->stride_a, *item_b = b + item * p->stride_b;
        Gemm g = {.trans_a = p->trans_a,
                  .trans_b = p->trans_b,
                  .add = add,
                  .m = panel->rows,
                  .n = panel->cols,
                  .k = panel->depth,
                  .ld_a = p->ld_a,
                  .ld_b = p->ld_b,
                  .ld_c = panel->ld_c};
        if (is_vector(p))
            CPU_NAME(gemv)(&g, item_a, item_b, panel->c);
        else
            CPU_NAME(gemm)(&g, item_a, item_b, panel->c);
    }
}

static Panel find_panel(const ProductParams *p, const Tiling *t, int64_t task)
{
    Panel panel = {.col = task % t->n_cols * t->cols};
    task /= t->n_cols;
    panel.row = task % t->n_rows * t->rows;
    task /= t->n_rows;
    panel.inner = task % t->n_inner * t->inner;
    panel.item = task / t->n_inner;
    panel.rows = int64_min(t->rows, p->rows - panel.row);
    panel.cols = int64_min(t->cols, p->cols - panel.col);
    panel.depth = int64_min(t->inner, p->inner - panel.inner);
    return panel;
}

/* C from the sums over each part of the inner axis, in order. parts [items, n_inner, rows, cols].
 */
static void join_parts(const ProductParams *p, const Tiling *t, const real *parts, const real *bias,
                       real *c, bool add)
{
    int64_t size = p->rows * p->cols;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < t->items * p->rows; row++) {
        int64_t item = row / p->rows, r = row % p->rows;
        const real *part = parts + item * t->n_inner * size + r * p->cols;
        real *to = c + item * p->stride_c + r * p->ld_c;
        const real *from = bias ? bias + item * p->stride_bias : NULL;
        for (int64_t j = 0; j < p->cols; j++) {
            real sum = part[j];
            for (int64_t k = 1; k < t->n_inner; k++) sum += part[k * size + j];
            if (from) sum += from[j];
            to[j] = add ? to[j] + sum : sum;
        }
    }
}

void CPU_NAME(multiply)(const ProductParams *p, const real *a, const real *b, const real *bias,
                        real *c, bool add, void *workspace)
{
    Tiling t = choose_tiling(p);
    real *parts = t.n_inner > 1 ? workspace : NULL;
    int64_t n = tasks(&t);
#pragma omp parallel for schedule(dynamic, 1) if (n > 1 || blas_wants_region())
    for (int64_t task = 0; task < n; task++) {
        Panel panel = find_panel(p, &t, task);
        if (parts) {
            int64_t part = panel.item * t.n_inner + panel.inner / t.inner;
            panel.ld_c = p->cols;
            panel.c = parts + part * p->rows * p->cols;
        } else {
            panel.ld_c = p->ld_c;
            panel.c = c + panel.item * p->stride_c;
            panel.bias = bias ? bias + panel.item * p->stride_bias + panel.col : NULL;
            panel.add = add;
        }
        panel.c += panel.row * panel.ld_c + panel.col;
        multiply_panel(p, &panel, a, b);
    }
    if (parts) join_parts(p, &t, parts, bias, c, add);
}

void CPU_NAME(product)(const CpuCall *call)
{
    const ProductParams *p = &call->node->params.product;
    const real *a = call->in[0], *b = call->in[1],
               *bias = call->node->n_in > 2 ? call->in[2] : NULL;
    bool add = call_accumulates(call, 0);
    CPU_NAME(multiply)(p, a, b, bias, call->out[0], add, call->workspace);
}

int64_t CPU_NAME(product_workspace)(const Graph *graph, const Node *node)
{
    (void)graph;
    return CPU_NAME(multiply_workspace)(&node->params.product);
}
