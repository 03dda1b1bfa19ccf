#include "backends/cpu/head.h"

#include "backends/cpu/math.h"
#include "backends/cpu/product.h"

enum {
    CHUNK_ELEMENTS = 1 << 20, /* of logits, unless that leaves fewer rows than the next: */
    CHUNK_ROWS = 256,         /* with fewer the table is read for too little work */
    NO_TARGET = -100
};

typedef struct Head {
    int64_t rows, width, vocabulary, chunk;
    ProductParams logits, dh, dtable; /* of a whole chunk */
    int64_t product_bytes;            /* scratch of any of them */
} Head;

static void set_chunk(Head *head, int64_t rows)
{
    head->logits = product_packed(rows, head->vocabulary, head->width, false, true);
    head->dh = product_packed(rows, head->width, head->vocabulary, false, false);
    head->dtable = product_packed(head->vocabulary, head->width, rows, true, false);
}

static int64_t product_bytes(const Head *head)
{
    int64_t bytes = CPU_NAME(multiply_workspace)(&head->logits);
    bytes = int64_max(bytes, CPU_NAME(multiply_workspace)(&head->dh));
    return int64_max(bytes, CPU_NAME(multiply_workspace)(&head->dtable));
}

static Head head_of(const Graph *graph, const Node *node)
{
    Shape h = graph_shape(graph, node->in[0]);
    Head head = {.rows = shape_rows(h), .width = shape_width(h)};
    head.vocabulary = shape_elements(graph_shape(graph, node->in[1])) / head.width;
    int64_t chunk = int64_max(CHUNK_ELEMENTS / head.vocabulary, CHUNK_ROWS);
    head.chunk = int64_min(head.rows, chunk);
    set_chunk(&head, head.rows % head.chunk ? head.rows % head.chunk : head.chunk);
    head.product_bytes = product_bytes(&head); /* of the last chunk */
    set_chunk(&head, head.chunk);
    head.product_bytes = int64_max(head.product_bytes, product_bytes(&head));
    return head;
}

/* What one row contributes to loss and counts. */
typedef struct RowResult {
    double loss;
    int32_t counted, hit;
} RowResult;

/* Scratch: [rows] results, then a chunk's logits, then the products'. */
int64_t CPU_NAME(head_loss_workspace)(const Graph *graph, const Node *node)
{
    Head head = head_of(graph, node);
    int64_t logits = head.chunk * head.vocabulary * (int64_t)sizeof(real);
    return round_up(head.rows * (int64_t)sizeof(RowResult), 64) + round_up(logits, 64) +
           head.product_bytes;
}

static real largest_of(const real *x, int64_t n)
{
    real largest = x[0];
#pragma omp simd reduction(max : largest)
    for (int64_t i = 1; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* Is `target` the first of the largest? */
static bool is_hit(const real *x, int32_t target, real largest)
{
    if (!(x[target] == largest)) return false;
    int earlier = 0;
#pragma omp simd reduction(+ : earlier)
    for (int32_t i = 0; i < target; i++) earlier += x[i] == largest;
    return earlier == 0;
}

/* Turns a row of logits into seed·(softmax - onehot(target)), all zeros where it does not count. */
static RowResult finish_row(real *x, int64_t n, int32_t target, real seed)
{
    if (target == NO_TARGET) {
        for (int64_t i = 0; i < n; i++) x[i] = 0;
        return (RowResult){0};
    }
    real largest = largest_of(x, n), sum = 0, at_target = x[target] - largest;
    RowResult result = {.counted = 1, .hit = is_hit(x, target, largest)};
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        x[i] = real_exp(x[i] - largest);
        sum += x[i];
    }
    result.loss = log((double)sum) - (double)at_target;
    real scale = seed / sum;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) x[i] *= scale;
    x[target] -= seed;
    return result;
}

static void run_chunk(const CpuCall *call, const Head *head, int64_t first, real *logits,
                      RowResult *results, void *scratch)
{
    const real *h = (const real *)call->in[0] + first * head->width, *table = call->in[1];
    const int32_t *target = (const int32_t *)call->in[2] + first;
    real seed = *(const real *)call->in[3], *dh = call->out[2], *dtable = call->out[3];
    int64_t rows = head->logits.rows, vocabulary = head->vocabulary;
    bool add = call_accumulates(call, 2);
    CPU_NAME(multiply)(&head->logits, h, table, NULL, logits, false, scratch);
#pragma omp parallel for schedule(static) if (worth_threads(rows * vocabulary))
    for (int64_t r = 0; r < rows; r++)
        results[first + r] = finish_row(logits + r * vocabulary, vocabulary, target[r], seed);
    if (dh) dh += first * head->width;
    if (dh) CPU_NAME(multiply)(&head->dh, logits, table, NULL, dh, add, scratch);
    if (dtable) CPU_NAME(multiply)(&head->dtable, logits, h, NULL, dtable, true, scratch);
}

void CPU_NAME(head_loss)(const CpuCall *call)
{
    Head head = head_of(call->graph, call->node);
    RowResult *results = call->workspace;
    char *after = (char *)call->workspace + round_up(head.rows * (int64_t)sizeof *results, 64);
    real *logits = (real *)after;
    after += round_up(head.chunk * head.vocabulary * (int64_t)sizeof(real), 64);
    for (int64_t first = 0; first < head.rows; first += head.chunk) {
        if (head.rows - first < head.chunk) set_chunk(&head, head.rows - first);
        run_chunk(call, &head, first, logits, results, after);
    }
    double loss = 0;
    int32_t *counts = call->out[1];
    for (int64_t r = 0; r < head.rows; r++) {
        loss += results[r].loss;
        counts[0] += results[r].counted;
        counts[1] += results[r].hit;
    }
    *(real *)call->out[0] += (real)loss;
}
