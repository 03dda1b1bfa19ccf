/* The ops of the CPU backend but the field: each formula of graph/ops.h written out naively here,
 * against the double and the float build. */
#include "backends/cpu/device.h"
#include "base/rng.h"
#include "graph/rules.h"
#include "tests/op_builders.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the formulas ---- */

typedef long double Real;

static double *copy_of(const double *from, int64_t n)
{
    double *to = test_memory((size_t)n * sizeof *to);
    memcpy(to, from, (size_t)n * sizeof *to);
    return to;
}

static double *blank(const Operand *like)
{
    return test_memory((size_t)operand_elements(like) * sizeof(double));
}

static Real sigmoid(Real x)
{
    return 1 / (1 + expl(-x));
}

static double naive_element(const OneOp *op, int64_t i)
{
    Real a = op->n_in > 0 ? op->in[0].value[i] : 0, b = 0;
    if (op->n_in > 1 && op->op != OP_DROPOUT) b = op->in[1].value[i];
    switch (op->op) {
    case OP_FILL: return (double)op->params.fill.value;
    case OP_COPY: return (double)a;
    case OP_ADD: return (double)(a + b);
    case OP_GELU: return (double)(a / 2 * erfcl(-a / sqrtl(2)));
    case OP_FEATURE: return (double)((fmaxl(a, 0) + 1e-6L) * b);
    case OP_GATE: return (double)(a * sigmoid(b));
    default: break;
    }
    double p = (double)op->params.dropout.p; /* OP_DROPOUT */
    uint32_t key[2] = {(uint32_t)(int32_t)op->in[1].value[0], 0}, word[4];
    uint32_t counter[4] = {(uint32_t)i, 0, op->params.dropout.stream, (uint32_t)op->in[1].value[1]};
    philox4x32(counter, key, word);
    return (double)word[0] >= p * 0x1p32 ? (double)(a / (1 - (Real)p)) : 0;
}

static void naive_elementwise(const OneOp *op, double **out)
{
    for (int64_t i = 0; i < operand_elements(&op->out[0]); i++) out[0][i] = naive_element(op, i);
}

static void naive_embed(const OneOp *op, double **out)
{
    int64_t width = shape_width(op->in[1].shape), tokens = op->in[0].shape.dim[1];
    for (int64_t i = 0; i < operand_elements(&op->out[0]); i++) {
        int64_t row = i / width, column = i % width;
        out[0][i] = op->in[1].value[(int64_t)op->in[0].value[row] * width + column] +
                    op->in[2].value[row % tokens * width + column];
    }
}

static void naive_layernorm(const OneOp *op, double **out)
{
    int64_t n = shape_width(op->in[0].shape);
    for (int64_t r = 0; r < shape_rows(op->in[0].shape); r++) {
        const double *x = op->in[0].value + r * n;
        Real mean = 0, variance = 0;
        for (int64_t i = 0; i < n; i++) mean += (Real)x[i] / n;
        for (int64_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / n;
        Real rstd = 1 / sqrtl(variance + 1e-5L);
        for (int64_t i = 0; i < n; i++)
            out[0][r * n + i] =
                (double)((x[i] - mean) * rstd * op->in[1].value[i] + op->in[2].value[i]);
        out[1][r] = (double)mean;
        out[2][r] = (double)rstd;
    }
}

static void naive_product(const OneOp *op, double **out)
{
    const ProductParams *p = &op->params.product;
    const double *a = op->in[0].value, *b = op->in[1].value;
    const double *bias = op->in[2].absent ? NULL : op->in[2].value;
    int64_t items = p->sum_batch ? 1 : p->batch, summed = p->sum_batch ? p->batch : 1;
    for (int64_t item = 0; item < items; item++)
        for (int64_t r = 0; r < p->rows; r++)
            for (int64_t c = 0; c < p->cols; c++) {
                Real sum = bias ? bias[item * p->stride_bias + c] : 0;
                for (int64_t s = item; s < item + summed; s++)
                    for (int64_t k = 0; k < p->inner; k++)
                        sum +=
                            (Real)a[s * p->stride_a +
                                    (p->trans_a ? k * p->ld_a + r : r * p->ld_a + k)] *
                            b[s * p->stride_b + (p->trans_b ? c * p->ld_b + k : k * p->ld_b + c)];
                out[0][item * p->stride_c + r * p->ld_c + c] = (double)sum;
            }
}

static void naive_column_sum(const OneOp *op, double **out)
{
    int64_t rows = op->in[0].shape.dim[1], width = op->in[0].shape.dim[2];
    for (int64_t i = 0; i < operand_elements(&op->out[0]); i++) {
        Real sum = 0;
        for (int64_t r = 0; r < rows; r++)
            sum += op->in[0].value[(i / width * rows + r) * width + i % width];
        out[0][i] = (double)sum;
    }
}

static void naive_key_norm(const OneOp *op, double **out)
{
    int64_t width = shape_width(op->in[0].shape);
    for (int64_t i = 0; i < operand_elements(&op->out[0]); i++) {
        const double *k = op->in[0].value + i / width * width;
        Real square = 0;
        for (int64_t j = 0; j < width; j++) square += (Real)k[j] * k[j];
        out[0][i] = (double)(op->in[1].value[i] * sqrtl(square));
    }
}

static void naive_couple(const OneOp *op, double **out)
{
    int64_t heads = op->in[0].shape.dim[2], width = op->in[0].shape.dim[3];
    for (int64_t i = 0; i < operand_elements(&op->out[0]); i++) {
        int64_t token = i / (heads * width), a = i / width % heads;
        Real sum = 0, all = 0;
        for (int64_t b = 0; b < heads; b++) {
            Real share = expl(op->in[1].value[a * heads + b]);
            all += share;
            sum += share * op->in[0].value[(token * heads + b) * width + i % width];
        }
        out[0][i] = (double)(sum / all);
    }
}

static void naive_first_token(const OneOp *op, double **out)
{
    int64_t width = op->in[0].shape.dim[2], sample = op->in[0].shape.dim[1] * width;
    for (int64_t i = 0; i < operand_elements(&op->out[0]); i++)
        out[0][i] = op->in[0].value[i / width * sample + i % width];
}

/* OP_CAUSAL_MEAN and, with tokens and their sum before, its stream. */
static void naive_causal_mean(const OneOp *op, double **out)
{
    int64_t tokens = op->in[0].shape.dim[1], width = op->in[0].shape.dim[2];
    int64_t before = op->n_in > 1 ? (int64_t)op->in[1].value[0] : 0;
    for (int64_t c = 0; c < op->in[0].shape.dim[0] * width; c++) {
        Real sum = op->n_in > 1 ? op->out[1].value[c] : 0;
        for (int64_t n = 0; n < tokens; n++) {
            int64_t at = (c / width * tokens + n) * width + c % width;
            sum += op->in[0].value[at];
            out[0][at] = (double)(sum / (before + n + 1));
        }
        if (op->n_in > 1) out[1][c] = (double)sum;
    }
}

static void naive_cosine(const OneOp *op, double **out)
{
    int64_t width = shape_width(op->in[0].shape);
    for (int64_t r = 0; r < operand_elements(&op->out[0]); r++) {
        const double *a = op->in[0].value + r * width, *b = op->in[1].value + r * width;
        Real ab = 0, aa = 0, bb = 0;
        for (int64_t i = 0; i < width; i++) {
            ab += (Real)a[i] * b[i];
            aa += (Real)a[i] * a[i];
            bb += (Real)b[i] * b[i];
        }
        out[0][r] = (double)(ab / (fmaxl(sqrtl(aa), 1e-12L) * fmaxl(sqrtl(bb), 1e-12L)));
    }
}

static void naive_interfere(const OneOp *op, double **out)
{
    int64_t width = shape_width(op->in[0].shape);
    Real temperature = log1pl(expl(op->in[4].value[0])) + 0.05L;
    for (int64_t i = 0; i < operand_elements(&op->out[0]); i++)
        out[0][i] =
            (double)(op->in[0].value[i] + sigmoid(op->in[2].value[i]) * op->in[1].value[i] *
                                              sigmoid(op->in[3].value[i / width] / temperature));
}

/* Adds to what the outputs hold; dh is overwritten. */
static void naive_head_loss(const OneOp *op, double **out)
{
    int64_t rows = shape_rows(op->in[0].shape), width = shape_width(op->in[0].shape);
    int64_t vocabulary = op->in[1].shape.dim[0];
    Real *logit = test_memory((size_t)vocabulary * sizeof *logit), loss = 0;
    for (int64_t r = 0; r < rows; r++) {
        const double *h = op->in[0].value + r * width, *table = op->in[1].value;
        int64_t target = (int64_t)op->in[2].value[r], best = 0;
        Real all = 0;
        for (int64_t i = 0; i < width && out[2]; i++) out[2][r * width + i] = 0;
        if (target == -100) continue;
        for (int64_t v = 0; v < vocabulary; v++) {
            logit[v] = 0;
            for (int64_t i = 0; i < width; i++) logit[v] += (Real)h[i] * table[v * width + i];
            if (logit[v] > logit[best]) best = v;
            all += expl(logit[v]);
        }
        loss += logl(all) - logit[target];
        out[1][0]++;
        out[1][1] += best == target;
        for (int64_t v = 0; v < vocabulary && out[2]; v++) {
            Real d = op->in[3].value[0] * (expl(logit[v]) / all - (v == target));
            for (int64_t i = 0; i < width; i++) {
                out[2][r * width + i] += (double)(d * table[v * width + i]);
                out[3][v * width + i] += (double)(d * h[i]);
            }
        }
    }
    out[0][0] += (double)loss;
}

static void naive_square_sum(const OneOp *op, double **out)
{
    for (int64_t i = 0; i < operand_elements(&op->in[0]); i++) {
        out[0][0] += op->in[0].value[i] * op->in[0].value[i];
        out[1][0] += !isfinite(op->in[0].value[i]);
    }
}

static void naive_adamw(const OneOp *op, double **out)
{
    const double *record = op->in[2].value;
    Real clip = record[RECORD_CLIP], norm = sqrt(op->in[3].value[0]) / record[RECORD_SCALE];
    Real scale = (clip > 0 ? fminl(1, clip / norm) : 1) / record[RECORD_SCALE];
    Real beta1 = record[RECORD_BETA1], beta2 = record[RECORD_BETA2];
    bool bad = op->in[4].value[0] != 0;
    for (int64_t s = 0; s < op->in[0].shape.dim[0]; s++) {
        const double *segment = op->in[0].value + 4 * s;
        Real rate = record[RECORD_LEARNING_RATE] * op->in[1].value[(int)segment[2]];
        for (int64_t i = (int64_t)segment[0]; i < (int64_t)(segment[0] + segment[1]); i++) {
            Real g = out[1][i] * scale, value = out[0][i];
            out[1][i] = 0;
            if (bad) continue;
            Real first = beta1 * out[2][i] + (1 - beta1) * g;
            Real second = beta2 * out[3][i] + (1 - beta2) * g * g;
            if (segment[3] != 0) value -= rate * record[RECORD_DECAY] * value;
            value -= rate * (first / record[RECORD_CORRECTION1]) /
                     (sqrtl(second / record[RECORD_CORRECTION2]) + record[RECORD_EPSILON]);
            out[0][i] = (double)value;
            out[2][i] = (double)first;
            out[3][i] = (double)second;
        }
    }
}

/* Outputs start as blank, or as the op's own content where it reads or adds by its nature. */
static void naive(const OneOp *op, double **out)
{
    switch (op->op) {
    case OP_EMBED: naive_embed(op, out); return;
    case OP_LAYERNORM: naive_layernorm(op, out); return;
    case OP_PRODUCT: naive_product(op, out); return;
    case OP_COLUMN_SUM: naive_column_sum(op, out); return;
    case OP_KEY_NORM: naive_key_norm(op, out); return;
    case OP_COUPLE: naive_couple(op, out); return;
    case OP_FIRST_TOKEN: naive_first_token(op, out); return;
    case OP_CAUSAL_MEAN:
    case OP_CAUSAL_MEAN_STREAM: naive_causal_mean(op, out); return;
    case OP_COSINE: naive_cosine(op, out); return;
    case OP_INTERFERE: naive_interfere(op, out); return;
    case OP_HEAD_LOSS: naive_head_loss(op, out); return;
    case OP_SQUARE_SUM: naive_square_sum(op, out); return;
    case OP_ADAMW: naive_adamw(op, out); return;
    default: naive_elementwise(op, out); return;
    }
}

/* ---- comparing ---- */

static bool starts_from_content(Op op)
{
    return op == OP_HEAD_LOSS || op == OP_SQUARE_SUM || op == OP_ADAMW;
}

/* What the op must give, whatever it starts from. */
static OneOpResult expected_of(const OneOp *op)
{
    OneOpResult expected = {{0}};
    for (int k = 0; k < op->n_out; k++) {
        if (op->out[k].absent) continue;
        bool keep = starts_from_content(op->op) && op->out[k].value;
        expected.out[k] =
            keep ? copy_of(op->out[k].value, operand_elements(&op->out[k])) : blank(&op->out[k]);
    }
    naive(op, expected.out);
    for (int k = 0; k < op->n_out && !starts_from_content(op->op); k++)
        for (int64_t i = 0; i < operand_elements(&op->out[k]); i++)
            if (op->accumulate >> k & 1u) expected.out[k][i] += op->out[k].value[i];
    return expected;
}

/* Of a product with gaps only what it covers is compared; the gaps must keep their content. */
static bool covered(const OneOp *op, int64_t i)
{
    const ProductParams *p = &op->params.product;
    if (op->op != OP_PRODUCT) return true;
    if (!p->sum_batch) i %= int64_max(p->stride_c, 1);
    return i / p->ld_c < p->rows && i % p->ld_c < p->cols;
}

static void expect(const char *what, const OneOp *op, const OneOpResult *expected)
{
    for (int as_double = 0; as_double < 2; as_double++) {
        OneOpResult got = test_run(test_device(as_double), op);
        for (int k = 0; k < op->n_out; k++) {
            int64_t n = operand_elements(&op->out[k]);
            if (n == 0) continue;
            for (int64_t i = 0; i < n; i++) {
                if (covered(op, i)) continue;
                double before = op->out[k].value ? op->out[k].value[i] : NAN;
                if (memcmp(&before, &got.out[k][i], sizeof before) != 0 && !isnan(before))
                    fail_msg("%s: a gap was written", what);
                got.out[k][i] = expected->out[k][i] = 0;
            }
            if (op->out[k].dtype == DTYPE_I32)
                assert_memory_equal(got.out[k], expected->out[k], (size_t)n * sizeof(double));
            else
                test_close(what, got.out[k], expected->out[k], n, op->out[k].terms, as_double);
        }
    }
}

static bool runs_in_place(Op op)
{
    return op == OP_COPY || op == OP_ADD || op == OP_GELU || op == OP_DROPOUT || op == OP_FEATURE ||
           op == OP_GATE;
}

/* Overwriting, adding to every output, and where allowed in the input's place. */
static void check_op(const char *what, OneOp op)
{
    OneOpResult expected = expected_of(&op);
    expect(what, &op, &expected);
    if (runs_in_place(op.op)) {
        op.in_place = true;
        expect(what, &op, &expected);
        op.in_place = false;
    }
    if (starts_from_content(op.op) || op.op == OP_CAUSAL_MEAN_STREAM) return;
    for (int k = 0; k < op.n_out; k++) op_accumulate(&op, k);
    expected = expected_of(&op);
    expect(what, &op, &expected);
}

static const char *label(OpCase of, char *text, size_t size)
{
    snprintf(text, size, "%s %lld %lld %lld %lld", op_rule(of.op)->name, (long long)of.size[0],
             (long long)of.size[1], (long long)of.size[2], (long long)of.size[3]);
    return text;
}

/* ---- tests ---- */

static const OpCase cases[] = {
    {OP_FILL, {1}},
    {OP_FILL, {9001}},
    {OP_COPY, {1}},
    {OP_COPY, {9001}},
    {OP_ADD, {1}},
    {OP_ADD, {9001}},
    {OP_GELU, {1}},
    {OP_GELU, {9001}},
    {OP_FEATURE, {1}},
    {OP_FEATURE, {9001}},
    {OP_GATE, {1}},
    {OP_GATE, {9001}},
    {OP_DROPOUT, {1}},
    {OP_DROPOUT, {9001}},
    {OP_EMBED, {1, 1, 1, 1}},
    {OP_EMBED, {3, 17, 13, 11}},
    {OP_EMBED, {2, 97, 67, 31}},
    {OP_LAYERNORM, {1, 3}},
    {OP_LAYERNORM, {7, 5}},
    {OP_LAYERNORM, {131, 97}},
    {OP_COLUMN_SUM, {1, 1, 1}},
    {OP_COLUMN_SUM, {3, 37, 5}},
    {OP_COLUMN_SUM, {2, 1301, 7}},
    {OP_KEY_NORM, {1, 1}},
    {OP_KEY_NORM, {7, 13}},
    {OP_KEY_NORM, {1031, 11}},
    {OP_COUPLE, {1, 1, 1, 1}},
    {OP_COUPLE, {2, 3, 5, 7}},
    {OP_COUPLE, {1, 41, 6, 47}},
    {OP_FIRST_TOKEN, {1, 1, 1}},
    {OP_FIRST_TOKEN, {3, 5, 7}},
    {OP_CAUSAL_MEAN, {1, 1, 1}},
    {OP_CAUSAL_MEAN, {2, 301, 35}},
    {OP_CAUSAL_MEAN_STREAM, {1, 1, 1, 0}},
    {OP_CAUSAL_MEAN_STREAM, {2, 5, 33, 29}},
    {OP_COSINE, {1, 1}},
    {OP_COSINE, {31, 53}},
    {OP_COSINE, {257, 40}},
    {OP_INTERFERE, {1, 1}},
    {OP_INTERFERE, {31, 53}},
    {OP_INTERFERE, {257, 40}},
    {OP_HEAD_LOSS, {1, 1, 2}},
    {OP_HEAD_LOSS, {13, 5, 7}},
    {OP_HEAD_LOSS, {67, 19, 301}},
    {OP_HEAD_LOSS, {521, 3, 4099}},
    {OP_SQUARE_SUM, {1, 0}},
    {OP_SQUARE_SUM, {40009, 0}},
    {OP_ADAMW, {1, 1, 0, 0}},
    {OP_ADAMW, {1009, 7, 64, 0}},
    {OP_ADAMW, {1009, 7, 640, 0}},
    {OP_ADAMW, {40009, 5, 64, 0}},
    {OP_ADAMW, {1009, 7, 64, 2}},
};

static void test_formulas(void **state)
{
    (void)state;
    char text[96];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_op(label(cases[i], text, sizeof text), op_build(cases[i]));
        test_release(NULL);
    }
}

static void test_products(void **state)
{
    (void)state;
    static const int64_t sizes[][4] = {
        /* batch, rows, cols, inner */
        {1, 1, 1, 1},   {1, 7, 13, 5},     {1, 1, 301, 129},  {1, 3, 40, 257}, {1, 67, 1, 300},
        {3, 5, 19, 11}, {2, 130, 150, 33}, {1, 31, 29, 5003}, {2, 2, 17, 64},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned bits = 0; bits < 64; bits++) {
            const int64_t *size = sizes[i];
            ProductCase of = {.batch = size[0],
                              .rows = size[1],
                              .cols = size[2],
                              .inner = size[3],
                              .trans_a = bits & 1u,
                              .trans_b = bits & 2u,
                              .bias = bits & 4u,
                              .gap = bits & 8u ? 3 : 0,
                              .sum_batch = bits & 16u,
                              .shared_a = (bits & 32u) && (bits & 1u),
                              .shared_b = (bits & 32u) && !(bits & 1u)};
            if (size[0] * size[1] * size[2] * size[3] > 1000000 && bits > 7) continue;
            char text[96];
            snprintf(text, sizeof text, "product %lld %lld %lld %lld %u", (long long)size[0],
                     (long long)size[1], (long long)size[2], (long long)size[3], bits);
            check_op(text, product_build(of));
            test_release(NULL);
        }
}

/* Loss and counts alone. */
static void test_head_without_gradients(void **state)
{
    (void)state;
    OneOp op = op_build((OpCase){OP_HEAD_LOSS, {29, 11, 37}});
    op.out[2].absent = op.out[3].absent = true;
    OneOpResult expected = expected_of(&op);
    expect("head_loss without gradients", &op, &expected);
}

/* The lowest index wins a tie, and only a row whose target is that index is a hit. */
static void test_head_ties(void **state)
{
    (void)state;
    OneOp op = op_build((OpCase){OP_HEAD_LOSS, {4, 3, 5}});
    for (int64_t i = 0; i < 12; i++) op.in[0].value[i] = 1;
    for (int64_t i = 0; i < 15; i++) op.in[1].value[i] = i / 3 == 1 || i / 3 == 3 ? 1 : 0;
    for (int64_t r = 0; r < 4; r++) op.in[2].value[r] = (const double[]){1, 3, 0, -100}[r];
    OneOpResult got = test_run(test_device(false), &op);
    assert_true(got.out[1][0] == 17 + 3);
    assert_true(got.out[1][1] == 5 + 1);
}

static void test_square_sum_of_bad_numbers(void **state)
{
    (void)state;
    for (int as_double = 0; as_double < 2; as_double++) {
        OneOp op = op_build((OpCase){OP_SQUARE_SUM, {5003, 7}});
        OneOpResult got = test_run(test_device(as_double), &op);
        assert_true(isnan(got.out[0][0]));
        assert_true(got.out[1][0] == 3 + 7);
    }
}

/* A NaN in an operand shows in the outputs made from it, and nowhere else. */
static void test_nan_spreads_no_further(void **state)
{
    (void)state;
    static const OpCase of[] = {
        {OP_COPY, {700}}, {OP_ADD, {700}},          {OP_GELU, {700}},      {OP_FEATURE, {700}},
        {OP_GATE, {700}}, {OP_LAYERNORM, {7, 100}}, {OP_COSINE, {7, 100}}, {OP_KEY_NORM, {7, 100}}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        for (int k = 0; k < (of[i].op == OP_LAYERNORM ? 1 : 2); k++) {
            OneOp op = op_build(of[i]);
            if (k >= op.n_in) continue;
            int64_t row = of[i].size[1] ? of[i].size[1] : 1, at = 3 * 100 + 17;
            op.in[k].value[at] = NAN;
            OneOpResult got = test_run(test_device(false), &op);
            int64_t n = operand_elements(&op.out[0]), part = n == 7 ? 1 : row;
            for (int64_t j = 0; j < n; j++) {
                bool same = n == 7 ? j == 3 : j / part == at / part;
                if (of[i].op == OP_KEY_NORM && k == 1) same = j == at;
                if (isnan(got.out[0][j]) != same)
                    fail_msg("%s, input %d: element %lld", op_rule(of[i].op)->name, k,
                             (long long)j);
            }
        }
}

static void test_gelu_tails(void **state)
{
    (void)state;
    OneOp op = op_build((OpCase){OP_GELU, {2001}});
    for (int64_t i = 0; i < 2001; i++) op.in[0].value[i] = (double)(float)((double)(i - 1000) / 40);
    OneOpResult got = test_run(test_device(false), &op);
    for (int64_t i = 0; i < 2001; i++) {
        double x = op.in[0].value[i], true_value = x / 2 * erfc(-x / sqrt(2));
        assert_true(fabs(got.out[0][i] - true_value) <= 1e-6 * fabs(true_value) + 0x1p-140);
    }
}

static void test_dropout_keeps_its_share(void **state)
{
    (void)state;
    OneOp op = op_build((OpCase){OP_DROPOUT, {100000}});
    OneOpResult got = test_run(test_device(false), &op);
    int64_t kept = 0;
    for (int64_t i = 0; i < 100000; i++) kept += got.out[0][i] != 0;
    assert_true(kept > 69000 && kept < 71000);
}

/* ---- finite differences ---- */

static double objective(const OneOp *forward, const double *dy)
{
    OneOpResult y = test_run(test_device(true), forward);
    Real sum = 0;
    for (int64_t i = 0; i < operand_elements(&forward->out[0]); i++)
        sum += (Real)dy[i] * y.out[0][i];
    return (double)sum;
}

/* ∂(Σ dy·y)/∂(input k) by central differences. */
static double *differences(OneOp *forward, int k, const double *dy)
{
    const double step = 1e-5;
    int64_t n = operand_elements(&forward->in[k]);
    double *gradient = test_memory((size_t)n * sizeof *gradient), *x = forward->in[k].value;
    for (int64_t i = 0; i < n; i++) {
        double at = x[i];
        x[i] = at + step;
        double up = objective(forward, dy);
        x[i] = at - step;
        double down = objective(forward, dy);
        x[i] = at;
        gradient[i] = (up - down) / (2 * step);
    }
    return gradient;
}

static void expect_gradient(const char *what, const double *got, const double *expected, int64_t n)
{
    double largest = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double off = fabs(got[i] - expected[i]);
        if (!(off <= largest)) largest = isnan(off) ? INFINITY : off;
        squares += expected[i] * expected[i];
    }
    double bound = 1e-6 * sqrt(squares / (double)n) + 1e-11;
    if (!(largest <= bound))
        fail_msg("%s: off by %g, the differences allow %g", what, largest, bound);
}

static void check_gradient(OpCase of)
{
    char text[96];
    OneOp forward = op_build(of);
    if (of.op == OP_KEY_NORM) /* no derivative where k is 0 */
        for (int64_t i = 0; i < of.size[1]; i++)
            forward.in[0].value[of.size[1] + i] = 1 + (double)i;
    OneOpResult y = test_run(test_device(true), &forward);
    int of_input[NODE_MAX_OUT];
    OneOp backward = op_backward(&forward, &y, of_input);
    OneOpResult got = test_run(test_device(true), &backward);
    for (int k = 0; k < backward.n_out; k++) {
        int64_t n = operand_elements(&backward.out[k]);
        double *expected = differences(&forward, of_input[k], backward.in[0].value);
        for (int64_t i = 0; i < n && backward.accumulate >> k & 1u; i++)
            got.out[k][i] -= backward.out[k].value[i];
        expect_gradient(label(of, text, sizeof text), got.out[k], expected, n);
    }
}

static void test_gradients(void **state)
{
    (void)state;
    static const OpCase of[] = {
        {OP_GELU, {37}},
        {OP_DROPOUT, {37}},
        {OP_FEATURE, {37}},
        {OP_GATE, {37}},
        {OP_EMBED, {2, 7, 3, 5}},
        {OP_LAYERNORM, {5, 7}},
        {OP_LAYERNORM, {19, 3}},
        {OP_KEY_NORM, {3, 5}},
        {OP_KEY_NORM, {3, 1}},
        {OP_COUPLE, {2, 3, 4, 3}},
        {OP_COUPLE, {1, 2, 1, 3}},
        {OP_ATTENTION, {2, 7, 2, 3}},
        {OP_ATTENTION, {1, 67, 1, 2}},
        {OP_ATTENTION, {1, 1, 2, 3}},
        {OP_FIRST_TOKEN, {2, 3, 5}},
        {OP_CAUSAL_MEAN, {2, 7, 3}},
        {OP_COSINE, {3, 7}},
        {OP_INTERFERE, {5, 7}},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        check_gradient(of[i]);
        test_release(NULL);
    }
}

/* dk is 0, not NaN, where k is 0, and a cosine at its floor has the floor's derivative. */
static void test_gradients_at_zero(void **state)
{
    (void)state;
    for (int as_double = 0; as_double < 2; as_double++) {
        OneOp forward = op_build((OpCase){OP_KEY_NORM, {3, 5}});
        OneOpResult y = test_run(test_device(as_double), &forward);
        int of_input[NODE_MAX_OUT];
        OneOp backward = op_backward(&forward, &y, of_input);
        OneOpResult got = test_run(test_device(as_double), &backward);
        for (int64_t i = 5; i < 10; i++) assert_true(got.out[0][i] == 0 && got.out[1][i] == 0);

        forward = op_build((OpCase){OP_COSINE, {2, 5}});
        for (int64_t i = 0; i < 5; i++) forward.in[0].value[i] = 0;
        y = test_run(test_device(as_double), &forward);
        assert_true(y.out[0][0] == 0);
        backward = op_backward(&forward, &y, of_input);
        got = test_run(test_device(as_double), &backward);
        for (int64_t i = 0; i < 10; i++)
            assert_true(isfinite(got.out[0][i]) && isfinite(got.out[1][i]));
    }
}

/* ∂loss/∂h and ∂loss/∂table come with the loss. */
static void test_head_gradients(void **state)
{
    (void)state;
    OneOp op = op_build((OpCase){OP_HEAD_LOSS, {7, 5, 11}});
    OneOpResult got = test_run(test_device(true), &op);
    double seed = op.in[3].value[0];
    double *dh = differences(&op, 0, &seed), *dtable = differences(&op, 1, &seed);
    for (int64_t i = 0; i < 55; i++) got.out[3][i] -= op.out[3].value[i];
    expect_gradient("head_loss dh", got.out[2], dh, 35);
    expect_gradient("head_loss dtable", got.out[3], dtable, 55);
}

/* Backward ops in float against double, overwriting and adding. */
static void test_backward_in_float(void **state)
{
    (void)state;
    static const OpCase of[] = {
        {OP_GELU, {9001}},
        {OP_DROPOUT, {9001}},
        {OP_FEATURE, {9001}},
        {OP_GATE, {9001}},
        {OP_EMBED, {2, 97, 67, 31}},
        {OP_LAYERNORM, {131, 97}},
        {OP_LAYERNORM, {1, 3}},
        {OP_KEY_NORM, {1031, 11}},
        {OP_COUPLE, {1, 41, 6, 47}},
        {OP_FIRST_TOKEN, {3, 5, 7}},
        {OP_CAUSAL_MEAN, {2, 301, 35}},
        {OP_COSINE, {257, 40}},
        {OP_INTERFERE, {257, 40}},
        {OP_ATTENTION, {2, 13, 3, 5}},
        {OP_ATTENTION, {1, 200, 2, 33}},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        for (int adds = 0; adds < 2; adds++) {
            char text[96];
            label(of[i], text, sizeof text);
            int of_input[NODE_MAX_OUT];
            OneOp forward = op_build(of[i]);
            OneOpResult y = test_run(test_device(true), &forward);
            OneOp backward = op_backward(&forward, &y, of_input);
            for (int k = 0; k < backward.n_out && adds; k++) op_accumulate(&backward, k);
            OneOpResult expected = test_run(test_device(true), &backward);
            OneOpResult got = test_run(test_device(false), &backward);
            for (int k = 0; k < backward.n_out; k++)
                test_close(text, got.out[k], expected.out[k], operand_elements(&backward.out[k]),
                           backward.out[k].terms, false);
            test_release(NULL);
        }
}

/* Adding is overwriting, then adding: checked in double, exactly enough. */
static void test_backward_accumulates(void **state)
{
    (void)state;
    static const OpCase of[] = {
        {OP_GELU, {53}},           {OP_DROPOUT, {53}},          {OP_FEATURE, {53}},
        {OP_GATE, {53}},           {OP_LAYERNORM, {5, 7}},      {OP_KEY_NORM, {3, 5}},
        {OP_COUPLE, {1, 5, 3, 4}}, {OP_FIRST_TOKEN, {3, 5, 7}}, {OP_CAUSAL_MEAN, {2, 5, 3}},
        {OP_COSINE, {5, 7}},       {OP_INTERFERE, {5, 7}},      {OP_ATTENTION, {2, 9, 2, 3}},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        int of_input[NODE_MAX_OUT];
        OneOp forward = op_build(of[i]);
        OneOpResult y = test_run(test_device(true), &forward);
        OneOp backward = op_backward(&forward, &y, of_input);
        OneOpResult plain = test_run(test_device(true), &backward);
        for (int k = 0; k < backward.n_out; k++) {
            if (backward.accumulate >> k & 1u) continue;
            op_accumulate(&backward, k);
            for (int64_t j = 0; j < operand_elements(&backward.out[k]); j++)
                plain.out[k][j] += backward.out[k].value[j];
        }
        OneOpResult got = test_run(test_device(true), &backward);
        for (int k = 0; k < backward.n_out; k++)
            test_close(op_rule(backward.op)->name, got.out[k], plain.out[k],
                       operand_elements(&backward.out[k]), 1, true);
    }
}

int main(void)
{
    const struct CMUnitTest in_float[] = {
        cmocka_unit_test_teardown(test_formulas, test_release),
        cmocka_unit_test_teardown(test_products, test_release),
        cmocka_unit_test_teardown(test_head_without_gradients, test_release),
        cmocka_unit_test_teardown(test_head_ties, test_release),
        cmocka_unit_test_teardown(test_square_sum_of_bad_numbers, test_release),
        cmocka_unit_test_teardown(test_nan_spreads_no_further, test_release),
        cmocka_unit_test_teardown(test_gelu_tails, test_release),
        cmocka_unit_test_teardown(test_dropout_keeps_its_share, test_release),
        cmocka_unit_test_teardown(test_gradients_at_zero, test_release),
        cmocka_unit_test_teardown(test_backward_in_float, test_release),
    };
    const struct CMUnitTest in_double[] = {
        cmocka_unit_test_teardown(test_gradients, test_release),
        cmocka_unit_test_teardown(test_head_gradients, test_release),
        cmocka_unit_test_teardown(test_backward_accumulates, test_release),
    };
    int failed = 0;
    for (int i = 0; i < cpu_variant_count(); i++) { /* every float build that this machine runs */
        Device *device = NULL;
        if (cpu_open_variant(i, &device) || !device) continue;
        test_use_device(device);
        failed += cmocka_run_group_tests_name(device->info.driver, in_float, NULL, NULL);
    }
    failed += cmocka_run_group_tests(in_double, NULL, NULL);
    test_close_devices();
    return failed;
}
