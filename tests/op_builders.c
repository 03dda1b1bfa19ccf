#include "tests/op_builders.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Operands drawn so far, so that each gets numbers of its own. */
static uint64_t seed_of(const OneOp *op)
{
    return 1000u * (uint64_t)op->op + 10u * (uint64_t)op->n_in + (uint64_t)op->n_out;
}

static double *input(OneOp *op, Shape shape, double deviation)
{
    double *value = test_normal(seed_of(op), shape_elements(shape), deviation);
    op->in[op->n_in++] = (Operand){.shape = shape, .value = value};
    return value;
}

static double *input_ints(OneOp *op, Shape shape)
{
    double *value = test_memory((size_t)shape_elements(shape) * sizeof *value);
    op->in[op->n_in++] = (Operand){.dtype = DTYPE_I32, .shape = shape, .value = value};
    return value;
}

static void output(OneOp *op, Shape shape, int64_t terms)
{
    op->out[op->n_out++] = (Operand){.shape = shape, .terms = terms};
}

static void output_ints(OneOp *op, Shape shape)
{
    double *value = test_memory((size_t)shape_elements(shape) * sizeof *value);
    op->out[op->n_out++] =
        (Operand){.dtype = DTYPE_I32, .shape = shape, .value = value, .terms = 1};
}

void op_accumulate(OneOp *op, int k)
{
    op->out[k].value = test_normal(seed_of(op) + 5 + (uint64_t)k, operand_elements(&op->out[k]), 1);
    op->accumulate |= 1u << k;
}

/* Whole numbers in [0, bound). */
static void draw_ints(double *value, int64_t n, int64_t bound)
{
    for (int64_t i = 0; i < n; i++) value[i] = (double)((i * 7919 + i * i * 31) % bound);
}

/* A value is a product of several rounded factors: they count as terms. */
static void build_elementwise(OneOp *op, const int64_t *size, int n_in, double deviation)
{
    for (int k = 0; k < n_in; k++) input(op, SHAPE(size[0]), deviation);
    output(op, SHAPE(size[0]), 4);
}

static void build_dropout(OneOp *op, const int64_t *size)
{
    input(op, SHAPE(size[0]), 1);
    double *key = input_ints(op, SHAPE(2));
    key[0] = -7;
    key[1] = 12345;
    op->params.dropout.p = 0.3f;
    op->params.dropout.stream = 4;
    output(op, SHAPE(size[0]), 1);
}

static void build_fill(OneOp *op, const int64_t *size)
{
    op->params.fill.value = 2.5f;
    output(op, SHAPE(size[0]), 1);
}

static const double *sorted_by;
static int compare_rows(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (sorted_by[(int64_t)x] != sorted_by[(int64_t)y])
        return sorted_by[(int64_t)x] < sorted_by[(int64_t)y] ? -1 : 1;
    return x < y ? -1 : 1;
}

/* size: B, N, D, V */
static void build_embed(OneOp *op, const int64_t *size)
{
    int64_t rows = size[0] * size[1];
    double *token = input_ints(op, SHAPE(size[0], size[1]));
    draw_ints(token, rows, size[3]);
    input(op, SHAPE(size[3], size[2]), 1);
    input(op, SHAPE(size[1], size[2]), 1);
    double *order = input_ints(op, SHAPE(rows));
    for (int64_t i = 0; i < rows; i++) order[i] = (double)i;
    sorted_by = token;
    qsort(order, (size_t)rows, sizeof *order, compare_rows);
    output(op, SHAPE(size[0], size[1], size[2]), 1);
}

/* size: rows, width */
static void build_layernorm(OneOp *op, const int64_t *size)
{
    input(op, SHAPE(size[0], size[1]), 2);
    input(op, SHAPE(size[1]), 1);
    input(op, SHAPE(size[1]), 1);
    output(op, SHAPE(size[0], size[1]), size[1]);
    output(op, SHAPE(size[0]), size[1]);
    output(op, SHAPE(size[0]), size[1]);
}

/* size: batch, rows, width */
static void build_column_sum(OneOp *op, const int64_t *size)
{
    op->params.column_sum.batch = size[0];
    op->params.column_sum.rows = size[1];
    op->params.column_sum.width = size[2];
    input(op, SHAPE(size[0], size[1], size[2]), 1);
    output(op, SHAPE(size[0], size[2]), size[1]);
}

/* size: rows, width */
static void build_key_norm(OneOp *op, const int64_t *size)
{
    double *k = input(op, SHAPE(size[0], size[1]), 1);
    if (size[0] > 2) memset(k + size[1], 0, (size_t)size[1] * sizeof *k);
    input(op, SHAPE(size[0], size[1]), 1);
    output(op, SHAPE(size[0], size[1]), size[1]);
}

/* size: B, N, H, d */
static void build_couple(OneOp *op, const int64_t *size)
{
    input(op, SHAPE(size[0], size[1], size[2], size[3]), 1);
    input(op, SHAPE(size[2], size[2]), 1);
    output(op, SHAPE(size[0], size[1], size[2], size[3]), size[2]);
}

/* size: B, N, H, d */
static void build_attention(OneOp *op, const int64_t *size)
{
    for (int k = 0; k < 3; k++) input(op, SHAPE(size[0], size[1], size[2], size[3]), 1);
    output(op, SHAPE(size[0], size[1], size[2], size[3]), size[1] + size[3]);
    output(op, SHAPE(size[0], size[2], size[1]), size[1] + size[3]);
}

/* size: B, N, width */
static void build_first_token(OneOp *op, const int64_t *size)
{
    input(op, SHAPE(size[0], size[1], size[2]), 1);
    output(op, SHAPE(size[0], size[2]), 1);
}

/* size: B, N, width */
static void build_causal_mean(OneOp *op, const int64_t *size)
{
    input(op, SHAPE(size[0], size[1], size[2]), 1);
    output(op, SHAPE(size[0], size[1], size[2]), size[1]);
}

/* size: B, n, width, tokens before */
static void build_causal_mean_stream(OneOp *op, const int64_t *size)
{
    input(op, SHAPE(size[0], size[1], size[2]), 1);
    double *position = input_ints(op, SHAPE(1));
    position[0] = (double)size[3];
    output(op, SHAPE(size[0], size[1], size[2]), size[1] + size[3]);
    output(op, SHAPE(size[0], size[2]), size[1] + size[3]);
    op->out[1].value = test_normal(77, size[0] * size[2], sqrt((double)size[3]));
}

/* size: rows, width */
static void build_cosine(OneOp *op, const int64_t *size)
{
    double *a = input(op, SHAPE(size[0], size[1]), 1);
    double *b = input(op, SHAPE(size[0], size[1]), 1);
    for (int64_t i = 0; i < size[0] * size[1]; i++) b[i] = (double)(float)(b[i] + 0.5 * a[i]);
    output(op, SHAPE(size[0]), size[1]);
}

/* size: rows, width */
static void build_interfere(OneOp *op, const int64_t *size)
{
    for (int k = 0; k < 3; k++) input(op, SHAPE(size[0], size[1]), 1);
    input(op, SHAPE(size[0]), 0.3);
    double *temperature = input(op, SHAPE(1), 1);
    temperature[0] = -0.75;
    output(op, SHAPE(size[0], size[1]), 4);
}

/* size: rows, width, vocabulary; every fifth row does not count */
static void build_head_loss(OneOp *op, const int64_t *size)
{
    input(op, SHAPE(size[0], size[1]), 1);
    input(op, SHAPE(size[2], size[1]), 1);
    double *target = input_ints(op, SHAPE(size[0]));
    draw_ints(target, size[0], size[2]);
    for (int64_t r = 3; r < size[0]; r += 5) target[r] = -100;
    double *seed = input(op, SHAPE(1), 1);
    seed[0] = 0.37109375;
    int64_t terms = size[1] + size[2];
    output(op, SHAPE(1), terms);
    output_ints(op, SHAPE(2));
    output(op, SHAPE(size[0], size[1]), terms);
    output(op, SHAPE(size[2], size[1]), terms + size[0]);
    op_accumulate(op, 0);
    op_accumulate(op, 3);
    op->accumulate |= 2;
    op->out[1].value[0] = 17;
    op->out[1].value[1] = 5;
}

/* size: elements, how many of them are not finite */
static void build_square_sum(OneOp *op, const int64_t *size)
{
    double *x = input(op, SHAPE(size[0]), 1);
    for (int64_t i = 0; i < size[1]; i++)
        x[i * size[0] / size[1]] = (const double[]){NAN, INFINITY, -INFINITY}[i % 3];
    output(op, SHAPE(1), size[0]);
    output_ints(op, SHAPE(1));
    op_accumulate(op, 0);
    op->accumulate |= 2;
    op->out[1].value[0] = 3;
}

/* size: elements, segments, hundredths of the clip, bad. Segments leave gaps between them. */
static void build_adamw(OneOp *op, const int64_t *size)
{
    int64_t n = size[0], segments = size[1];
    double *segment = input_ints(op, SHAPE(segments, 4));
    for (int64_t s = 0; s < segments; s++) {
        int64_t first = n * s / segments, length = n * (s + 1) / segments - first;
        segment[4 * s] = (double)first;
        segment[4 * s + 1] = (double)int64_max(length - s % 3, 0);
        segment[4 * s + 2] = (double)(s % 2);
        segment[4 * s + 3] = (double)(s / 2 % 2);
    }
    double *rate = input(op, SHAPE(2), 1), *record = input(op, SHAPE(RECORD_COUNT), 1);
    rate[0] = 1;
    rate[1] = 3;
    record[RECORD_LEARNING_RATE] = 0x1p-7;
    record[RECORD_CLIP] = (double)size[2] / 128;
    record[RECORD_BETA1] = 0.875;
    record[RECORD_BETA2] = 0.96875;
    record[RECORD_CORRECTION1] = 1 - 0.875 * 0.875;
    record[RECORD_CORRECTION2] = 1 - 0.96875 * 0.96875;
    record[RECORD_EPSILON] = 0x1p-20;
    record[RECORD_DECAY] = 0.125;
    record[RECORD_SCALE] = 4;
    input(op, SHAPE(1), 1)[0] = 6.25;
    input_ints(op, SHAPE(1))[0] = (double)size[3];
    for (int k = 0; k < 4; k++) {
        output(op, SHAPE(n), 1);
        op->out[k].value = test_normal(500 + (uint64_t)k, n, 1);
    }
    for (int64_t i = 0; i < n; i++) op->out[3].value[i] = fabs(op->out[3].value[i]);
}

OneOp op_build(OpCase of)
{
    OneOp op = {.op = of.op};
    switch (of.op) {
    case OP_FILL: build_fill(&op, of.size); break;
    case OP_COPY: build_elementwise(&op, of.size, 1, 1); break;
    case OP_GELU: build_elementwise(&op, of.size, 1, 2); break;
    case OP_ADD: build_elementwise(&op, of.size, 2, 1); break;
    case OP_FEATURE: build_elementwise(&op, of.size, 2, 1); break;
    case OP_GATE: build_elementwise(&op, of.size, 2, 4); break;
    case OP_DROPOUT: build_dropout(&op, of.size); break;
    case OP_EMBED: build_embed(&op, of.size); break;
    case OP_LAYERNORM: build_layernorm(&op, of.size); break;
    case OP_COLUMN_SUM: build_column_sum(&op, of.size); break;
    case OP_KEY_NORM: build_key_norm(&op, of.size); break;
    case OP_COUPLE: build_couple(&op, of.size); break;
    case OP_ATTENTION: build_attention(&op, of.size); break;
    case OP_FIRST_TOKEN: build_first_token(&op, of.size); break;
    case OP_CAUSAL_MEAN: build_causal_mean(&op, of.size); break;
    case OP_CAUSAL_MEAN_STREAM: build_causal_mean_stream(&op, of.size); break;
    case OP_COSINE: build_cosine(&op, of.size); break;
    case OP_INTERFERE: build_interfere(&op, of.size); break;
    case OP_HEAD_LOSS: build_head_loss(&op, of.size); break;
    case OP_SQUARE_SUM: build_square_sum(&op, of.size); break;
    case OP_ADAMW: build_adamw(&op, of.size); break;
    default: fail_msg("op %d has no builder", (int)of.op);
    }
    return op;
}

OneOp product_build(ProductCase of)
{
    OneOp op = {.op = OP_PRODUCT};
    int64_t rows_a = of.trans_a ? of.inner : of.rows, cols_a = of.trans_a ? of.rows : of.inner;
    int64_t rows_b = of.trans_b ? of.cols : of.inner, cols_b = of.trans_b ? of.inner : of.cols;
    ProductParams p = {.batch = of.batch,
                       .rows = of.rows,
                       .cols = of.cols,
                       .inner = of.inner,
                       .trans_a = of.trans_a,
                       .trans_b = of.trans_b,
                       .sum_batch = of.sum_batch,
                       .ld_a = cols_a + of.gap,
                       .ld_b = cols_b + of.gap,
                       .ld_c = of.cols + of.gap};
    p.stride_a = of.shared_a ? 0 : rows_a * p.ld_a + of.gap;
    p.stride_b = of.shared_b ? 0 : rows_b * p.ld_b + of.gap;
    p.stride_c = of.sum_batch ? 0 : of.rows * p.ld_c + of.gap;
    p.stride_bias = of.sum_batch ? 0 : of.cols + of.gap;
    op.params.product = p;
    input(&op, SHAPE((of.batch - 1) * p.stride_a + rows_a * p.ld_a), 1);
    input(&op, SHAPE((of.batch - 1) * p.stride_b + rows_b * p.ld_b), 1);
    input(&op, SHAPE((of.batch - 1) * p.stride_bias + of.cols), 1);
    op.in[2].absent = !of.bias;
    output(&op, SHAPE((of.batch - 1) * p.stride_c + of.rows * p.ld_c),
           of.inner * (of.sum_batch ? of.batch : 1) + 1);
    return op;
}

/* ---- backward ---- */

enum { DY = -1, Y = 10 }; /* else: forward input k; Y + k: forward output k */

typedef struct Wiring {
    Op forward, backward;
    int n_in, in[6];
    int n_out, of_input[4];
    uint32_t adds; /* outputs marked += */
} Wiring;

static const Wiring wirings[] = {
    {OP_GELU, OP_GELU_BACKWARD, 2, {DY, 0}, 1, {0}, 0},
    {OP_DROPOUT, OP_DROPOUT, 2, {DY, 1}, 1, {0}, 0},
    {OP_FEATURE, OP_FEATURE_BACKWARD, 3, {DY, 0, 1}, 2, {0, 1}, 0},
    {OP_GATE, OP_GATE_BACKWARD, 3, {DY, 0, 1}, 2, {0, 1}, 0},
    {OP_EMBED, OP_EMBED_BACKWARD, 3, {DY, 0, 3}, 1, {1}, 1},
    {OP_LAYERNORM, OP_LAYERNORM_BACKWARD, 5, {DY, 0, 1, Y + 1, Y + 2}, 3, {0, 1, 2}, 6},
    {OP_KEY_NORM, OP_KEY_NORM_BACKWARD, 3, {DY, 0, 1}, 2, {0, 1}, 0},
    {OP_COUPLE, OP_COUPLE_BACKWARD, 3, {DY, 0, 1}, 2, {0, 1}, 2},
    {OP_ATTENTION, OP_ATTENTION_BACKWARD, 6, {DY, 0, 1, 2, Y, Y + 1}, 3, {0, 1, 2}, 0},
    {OP_FIRST_TOKEN, OP_FIRST_TOKEN_BACKWARD, 1, {DY}, 1, {0}, 0},
    {OP_CAUSAL_MEAN, OP_CAUSAL_MEAN_BACKWARD, 1, {DY}, 1, {0}, 0},
    {OP_COSINE, OP_COSINE_BACKWARD, 3, {DY, 0, 1}, 2, {0, 1}, 0},
    {OP_INTERFERE, OP_INTERFERE_BACKWARD, 5, {DY, 1, 2, 3, 4}, 4, {1, 2, 3, 4}, 8},
};

OneOp op_backward(const OneOp *forward, const OneOpResult *result, int of_input[NODE_MAX_OUT])
{
    const Wiring *w = wirings;
    while (w->forward != forward->op) assert_true(++w < wirings + sizeof wirings / sizeof *wirings);
    int64_t n = operand_elements(&forward->out[0]), all = n;
    OneOp op = {.op = w->backward, .params = forward->params, .n_in = w->n_in, .n_out = w->n_out};
    for (int k = 0; k < w->n_in; k++) {
        if (w->in[k] == DY)
            op.in[k] = (Operand){.shape = forward->out[0].shape, .value = test_normal(9, n, 1)};
        else if (w->in[k] < Y)
            op.in[k] = forward->in[w->in[k]];
        else
            op.in[k] = (Operand){.shape = forward->out[w->in[k] - Y].shape,
                                 .value = result->out[w->in[k] - Y]};
    }
    for (int k = 0; k < forward->n_in; k++) all = int64_max(all, operand_elements(&forward->in[k]));
    for (int k = 0; k < w->n_out; k++) {
        of_input[k] = w->of_input[k];
        op.out[k] = (Operand){.shape = forward->in[w->of_input[k]].shape};
        /* An element of the gradient sums over all that its input was spread to. */
        op.out[k].terms = forward->out[0].terms * int64_max(1, all / operand_elements(&op.out[k]));
        if (w->adds >> k & 1u) op_accumulate(&op, k);
    }
    return op;
}
