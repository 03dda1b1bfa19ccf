/* Cases of the ops of every transformer: elementwise, products, norms, embedding, loss, optimizer.
 */
#include "check/builders.h"

#include "graph/rules.h"

#include <math.h>
#include <stdlib.h>

static const OpParams no_params;

static int64_t size(const CaseGraph *graph, int k)
{
    return graph->of->size[k];
}

static bool has(const CaseGraph *graph, unsigned flag)
{
    return (graph->of->flags & flag) != 0;
}

static Fill fill_of(const CaseGraph *graph)
{
    return has(graph, CASE_WIDE) ? fill_wide : fill_normal;
}

/* The first output: overwritten, or added to where the case says so. */
static TensorId first_output(CaseGraph *graph, const char *name, Shape shape, int64_t reduction)
{
    if (has(graph, CASE_ACCUMULATE)) return case_in_out(graph, name, shape, fill_normal, reduction);
    return case_output(graph, name, shape, reduction);
}

static uint32_t accumulate_bits(const CaseGraph *graph)
{
    return has(graph, CASE_ACCUMULATE) ? 1 : 0;
}

/* Sets a row of an input to zero. */
static void zero_row(CaseGraph *graph, TensorId id, int64_t row, int64_t width)
{
    for (int i = 0; i < graph->n_tensors; i++) {
        CaseTensor *tensor = &graph->tensors[i];
        if (tensor->id != id || !tensor->reals) continue;
        for (int64_t w = 0; w < width; w++) tensor->reals[row * width + w] = 0;
    }
}

static double fill_offset(Rng *rng, int64_t i)
{
    (void)i;
    return 4 + rng_normal(rng);
}

static double fill_small(Rng *rng, int64_t i)
{
    (void)i;
    return 0.1 * rng_normal(rng);
}

/* A second moment: none so near 0 that one element's step dwarfs all others'. */
static double fill_square(Rng *rng, int64_t i)
{
    double value = fill_small(rng, i);
    return value * value + 1e-3;
}

static double fill_angle(Rng *rng, int64_t i)
{
    (void)i;
    return 2 * rng_uniform(rng) - 1;
}

void build_fill(CaseGraph *graph)
{
    TensorId y = case_output(graph, "y", SHAPE(size(graph, 0)), 1);
    case_node(graph, OP_FILL, (OpParams){.fill = {1.5f}}, NULL, 0, CASE_IDS(y), 0);
}

void build_elementwise(CaseGraph *graph)
{
    static const char *const in_names[] = {"a", "b", "c"}, *const out_names[] = {"y", "z"};
    const OpRule *rule = op_rule(graph->of->op);
    Shape shape = SHAPE(size(graph, 0), size(graph, 1));
    TensorId in[3], out[2];
    for (int k = 0; k < rule->n_in; k++)
        in[k] = case_input(graph, in_names[k], shape, fill_of(graph));
    for (int k = 0; k < rule->n_out; k++)
        out[k] = k == 0 ? first_output(graph, out_names[k], shape, 1)
                        : case_output(graph, out_names[k], shape, 1);
    case_node(graph, graph->of->op, no_params, in, rule->n_in, out, rule->n_out,
              accumulate_bits(graph));
}

void build_dropout(CaseGraph *graph)
{
    Shape shape = SHAPE(size(graph, 0), size(graph, 1));
    TensorId x = case_input(graph, "x", shape, fill_normal);
    int32_t *values;
    TensorId key = case_ints(graph, "key", SHAPE(2), &values);
    if (!values) return;
    values[0] = -7; /* a seed with all high bits set */
    values[1] = 12345;
    TensorId y = first_output(graph, "y", shape, 1);
    case_node(graph, OP_DROPOUT, (OpParams){.dropout = {0.3f, 5}}, CASE_IDS(x, key), CASE_IDS(y),
              accumulate_bits(graph));
}

/* Tokens, with repeats; and the rows sorted by token where `order` is not NULL. */
static TensorId token_input(CaseGraph *graph, TensorId *order)
{
    int64_t rows = size(graph, 0) * size(graph, 1), vocabulary = size(graph, 3);
    int32_t *tokens, *sorted = NULL;
    TensorId id = case_ints(graph, "token", SHAPE(size(graph, 0), size(graph, 1)), &tokens);
    if (order) *order = case_ints(graph, "order", SHAPE(rows), &sorted);
    if (!tokens || (order && !sorted)) return id;
    Rng rng = {.seed = 1};
    for (int64_t i = 0; i < rows; i++) {
        bool repeat = i > 0 && rng_below(&rng, 3) == 0;
        tokens[i] = repeat ? tokens[i - 1] : (int32_t)rng_below(&rng, (uint64_t)vocabulary);
    }
    int64_t n = 0;
    for (int32_t token = 0; order && token < vocabulary; token++)
        for (int64_t i = 0; i < rows; i++)
            if (tokens[i] == token) sorted[n++] = (int32_t)i;
    return id;
}

void build_embed(CaseGraph *graph)
{
    int64_t width = size(graph, 2);
    TensorId token = token_input(graph, NULL);
    TensorId table = case_input(graph, "table", SHAPE(size(graph, 3), width), fill_normal);
    TensorId position = case_input(graph, "position", SHAPE(size(graph, 1), width), fill_normal);
    TensorId x = case_output(graph, "x", SHAPE(size(graph, 0), size(graph, 1), width), 1);
    case_node(graph, OP_EMBED, no_params, CASE_IDS(token, table, position, NO_TENSOR), CASE_IDS(x),
              0);
}

void build_embed_backward(CaseGraph *graph)
{
    int64_t rows = size(graph, 0) * size(graph, 1), width = size(graph, 2);
    TensorId order, token = token_input(graph, &order);
    TensorId dx =
        case_input(graph, "dx", SHAPE(size(graph, 0), size(graph, 1), width), fill_normal);
    TensorId dtable = case_in_out(graph, "dtable", SHAPE(size(graph, 3), width), fill_normal, rows);
    case_node(graph, OP_EMBED_BACKWARD, no_params, CASE_IDS(dx, token, order), CASE_IDS(dtable), 0);
}

typedef struct LayerNorm {
    TensorId x, weight, bias, mean, rstd;
} LayerNorm;

static LayerNorm add_layernorm(CaseGraph *graph)
{
    int64_t rows = size(graph, 0), width = size(graph, 1);
    LayerNorm n = {
        .x = case_input(graph, "x", SHAPE(rows, width), fill_offset),
        .weight = case_input(graph, "weight", SHAPE(width), fill_normal),
        .bias = case_input(graph, "bias", SHAPE(width), fill_normal),
        .mean = case_output(graph, "mean", SHAPE(rows), width),
        .rstd = case_output(graph, "rstd", SHAPE(rows), width),
    };
    TensorId y = case_output(graph, "y", SHAPE(rows, width), width);
    case_node(graph, OP_LAYERNORM, no_params, CASE_IDS(n.x, n.weight, n.bias),
              CASE_IDS(y, n.mean, n.rstd), 0);
    return n;
}

void build_layernorm(CaseGraph *graph)
{
    add_layernorm(graph);
}

void build_layernorm_backward(CaseGraph *graph)
{
    int64_t rows = size(graph, 0), width = size(graph, 1);
    LayerNorm n = add_layernorm(graph);
    TensorId dy = case_input(graph, "dy", SHAPE(rows, width), fill_normal);
    TensorId dx = first_output(graph, "dx", SHAPE(rows, width), 2 * width);
    TensorId dweight = case_in_out(graph, "dweight", SHAPE(width), fill_normal, rows + width);
    TensorId dbias = case_in_out(graph, "dbias", SHAPE(width), fill_normal, rows);
    case_node(graph, OP_LAYERNORM_BACKWARD, no_params, CASE_IDS(dy, n.x, n.weight, n.mean, n.rstd),
              CASE_IDS(dx, dweight, dbias), accumulate_bits(graph));
}

/* A product of the case's sizes and flags, whose rows are `gap` elements longer than they need be.
 */
static ProductParams product_of(const CaseGraph *graph, int64_t gap)
{
    ProductParams p = {
        .rows = size(graph, 0),
        .cols = size(graph, 1),
        .inner = size(graph, 2),
        .batch = size(graph, 3),
        .trans_a = has(graph, CASE_TRANS_A),
        .trans_b = has(graph, CASE_TRANS_B),
        .sum_batch = has(graph, CASE_SUM_BATCH),
    };
    p.ld_a = (p.trans_a ? p.rows : p.inner) + gap;
    p.ld_b = (p.trans_b ? p.inner : p.cols) + gap;
    p.ld_c = p.cols + gap;
    p.stride_a = (p.trans_a ? p.inner : p.rows) * p.ld_a;
    p.stride_b = (p.trans_b ? p.cols : p.inner) * p.ld_b;
    p.stride_c = p.rows * p.ld_c;
    p.stride_bias = p.cols;
    return p;
}

static int64_t results_of(const ProductParams *p)
{
    return p->sum_batch ? 1 : p->batch;
}

static int64_t terms_of(const ProductParams *p)
{
    return p->inner * (p->sum_batch ? p->batch : 1);
}

/* a, b and the bias, if there is one. */
static void product_inputs(CaseGraph *graph, const ProductParams *p, TensorId in[3])
{
    Shape shape_a = SHAPE(p->batch, p->stride_a / p->ld_a, p->ld_a);
    Shape shape_b = SHAPE(p->batch, p->stride_b / p->ld_b, p->ld_b);
    in[0] = case_input(graph, "a", shape_a, fill_normal);
    in[1] = case_input(graph, "b", shape_b, fill_normal);
    in[2] = NO_TENSOR;
    if (has(graph, CASE_BIAS))
        in[2] = case_input(graph, "bias", SHAPE(p->batch, p->cols), fill_normal);
}

void build_product(CaseGraph *graph)
{
    ProductParams p = product_of(graph, has(graph, CASE_GAPS) ? 3 : 0);
    TensorId in[3];
    product_inputs(graph, &p, in);
    /* What lies in the gaps of C must stay as it was: it starts from values there. */
    Shape shape = SHAPE(results_of(&p), p.rows, p.ld_c);
    TensorId c = has(graph, CASE_GAPS) ? case_in_out(graph, "c", shape, fill_normal, terms_of(&p))
                                       : first_output(graph, "c", shape, terms_of(&p));
    case_node(graph, OP_PRODUCT, (OpParams){.product = p}, in, 3, CASE_IDS(c),
              accumulate_bits(graph));
}

void build_follower(CaseGraph *graph)
{
    ProductParams p = product_of(graph, 0);
    Shape shape = SHAPE(results_of(&p), p.rows, p.cols);
    TensorId of[3];
    product_inputs(graph, &p, of);
    TensorId c = has(graph, CASE_KEPT) ? case_output(graph, "c", shape, terms_of(&p))
                                       : graph_activation(graph->graph, "c", graph->storage, shape);
    case_node(graph, OP_PRODUCT, (OpParams){.product = p}, of, 3, CASE_IDS(c), 0);
    TensorId x = NO_TENSOR, y = case_output(graph, "y", shape, terms_of(&p));
    int n_in = op_rule(graph->of->op)->n_in;
    if (n_in == 2) x = case_input(graph, "x", shape, fill_normal);
    bool second = has(graph, CASE_SECOND);
    const TensorId in[] = {second ? x : c, second ? c : x};
    case_node(graph, graph->of->op, no_params, in, n_in, CASE_IDS(y), 0);
}

void build_column_sum(CaseGraph *graph)
{
    int64_t batch = size(graph, 0), rows = size(graph, 1), width = size(graph, 2);
    TensorId x = case_input(graph, "x", SHAPE(batch, rows, width), fill_normal);
    TensorId y = first_output(graph, "y", SHAPE(batch, width), rows);
    case_node(graph, OP_COLUMN_SUM, (OpParams){.column_sum = {batch, rows, width}}, CASE_IDS(x),
              CASE_IDS(y), accumulate_bits(graph));
}

/* Forward and backward; one row of keys is zero. */
void build_key_norm(CaseGraph *graph)
{
    int64_t rows = size(graph, 0), width = size(graph, 1);
    Shape shape = SHAPE(rows, width);
    TensorId k = case_input(graph, "k", shape, fill_normal);
    TensorId v = case_input(graph, "v", shape, fill_normal);
    if (rows > 1) zero_row(graph, k, rows / 2, width);
    if (graph->of->op == OP_KEY_NORM) {
        TensorId u = first_output(graph, "u", shape, width);
        case_node(graph, OP_KEY_NORM, no_params, CASE_IDS(k, v), CASE_IDS(u),
                  accumulate_bits(graph));
        return;
    }
    TensorId du = case_input(graph, "du", shape, fill_normal);
    TensorId dk = first_output(graph, "dk", shape, width);
    TensorId dv = case_output(graph, "dv", shape, width);
    case_node(graph, OP_KEY_NORM_BACKWARD, no_params, CASE_IDS(du, k, v), CASE_IDS(dk, dv),
              accumulate_bits(graph));
}

/* q, k, v [B,N,H,d] into a whole sequence's attention; its outputs follow them in ids. */
static void add_attention(CaseGraph *graph, TensorId ids[5])
{
    Shape shape = SHAPE(size(graph, 0), size(graph, 1), size(graph, 2), size(graph, 3));
    Shape rows = SHAPE(size(graph, 0), size(graph, 2), size(graph, 1));
    int64_t sum = size(graph, 1) + size(graph, 3);
    static const char *const names[] = {"q", "k", "v"};
    for (int k = 0; k < 3; k++) ids[k] = case_input(graph, names[k], shape, fill_normal);
    bool adds = graph->of->op == OP_ATTENTION;
    ids[3] = adds ? first_output(graph, "y", shape, sum) : case_output(graph, "y", shape, sum);
    ids[4] = case_output(graph, "lse", rows, sum);
    case_node(graph, OP_ATTENTION, no_params, ids, 3, ids + 3, 2,
              adds ? accumulate_bits(graph) : 0);
}

void build_attention(CaseGraph *graph)
{
    TensorId ids[5];
    add_attention(graph, ids);
}

void build_attention_backward(CaseGraph *graph)
{
    TensorId ids[5];
    add_attention(graph, ids);
    Shape shape = SHAPE(size(graph, 0), size(graph, 1), size(graph, 2), size(graph, 3));
    int64_t sum = 2 * (size(graph, 1) + size(graph, 3));
    TensorId dy = case_input(graph, "dy", shape, fill_normal);
    TensorId dq = first_output(graph, "dq", shape, sum);
    TensorId dk = case_output(graph, "dk", shape, sum), dv = case_output(graph, "dv", shape, sum);
    case_node(graph, OP_ATTENTION_BACKWARD, no_params,
              CASE_IDS(dy, ids[0], ids[1], ids[2], ids[3], ids[4]), CASE_IDS(dq, dk, dv),
              accumulate_bits(graph));
}

/* Tokens from the middle of the sequence on. */
void build_attention_stream(CaseGraph *graph)
{
    int64_t tokens = size(graph, 1), kept = size(graph, 4), first = (kept - tokens) / 2;
    Shape shape = SHAPE(size(graph, 0), tokens, size(graph, 2), size(graph, 3));
    Shape history = SHAPE(size(graph, 0), kept, size(graph, 2), size(graph, 3));
    TensorId q = case_input(graph, "q", shape, fill_normal);
    TensorId k = case_input(graph, "k", shape, fill_normal);
    TensorId v = case_input(graph, "v", shape, fill_normal);
    int32_t *values;
    TensorId position = case_ints(graph, "position", SHAPE(1), &values);
    if (!values) return;
    values[0] = (int32_t)first;
    TensorId y = case_output(graph, "y", shape, first + tokens + size(graph, 3));
    TensorId keys_kept = case_in_out(graph, "keys", history, fill_normal, 1);
    TensorId values_kept = case_in_out(graph, "values", history, fill_normal, 1);
    case_node(graph, OP_ATTENTION_STREAM, no_params, CASE_IDS(q, k, v, position),
              CASE_IDS(y, keys_kept, values_kept), 0);
}

void build_first_token(CaseGraph *graph)
{
    int64_t batch = size(graph, 0), tokens = size(graph, 1), width = size(graph, 2);
    TensorId x = case_input(graph, "x", SHAPE(batch, tokens, width), fill_normal);
    TensorId y = first_output(graph, "y", SHAPE(batch, width), 1);
    case_node(graph, OP_FIRST_TOKEN, no_params, CASE_IDS(x), CASE_IDS(y), accumulate_bits(graph));
}

void build_first_token_backward(CaseGraph *graph)
{
    int64_t batch = size(graph, 0), tokens = size(graph, 1), width = size(graph, 2);
    TensorId dy = case_input(graph, "dy", SHAPE(batch, width), fill_normal);
    TensorId dx = first_output(graph, "dx", SHAPE(batch, tokens, width), 1);
    case_node(graph, OP_FIRST_TOKEN_BACKWARD, no_params, CASE_IDS(dy), CASE_IDS(dx),
              accumulate_bits(graph));
}

void build_causal_mean(CaseGraph *graph)
{
    Shape shape = SHAPE(size(graph, 0), size(graph, 1), size(graph, 2));
    TensorId x = case_input(graph, "x", shape, fill_normal);
    TensorId y = first_output(graph, "y", shape, size(graph, 1));
    case_node(graph, graph->of->op, no_params, CASE_IDS(x), CASE_IDS(y), accumulate_bits(graph));
}

void build_causal_mean_stream(CaseGraph *graph)
{
    int64_t batch = size(graph, 0), tokens = size(graph, 1), width = size(graph, 2);
    TensorId x = case_input(graph, "x", SHAPE(batch, tokens, width), fill_normal);
    int32_t *values;
    TensorId position = case_ints(graph, "position", SHAPE(1), &values);
    if (!values) return;
    values[0] = 5;
    TensorId y = case_output(graph, "y", SHAPE(batch, tokens, width), tokens);
    TensorId sum = case_in_out(graph, "sum", SHAPE(batch, width), fill_normal, tokens);
    case_node(graph, OP_CAUSAL_MEAN_STREAM, no_params, CASE_IDS(x, position), CASE_IDS(y, sum), 0);
}

void build_cosine(CaseGraph *graph)
{
    int64_t rows = size(graph, 0), width = size(graph, 1);
    TensorId a = case_input(graph, "a", SHAPE(rows, width), fill_normal);
    TensorId b = case_input(graph, "b", SHAPE(rows, width), fill_normal);
    if (rows > 1) zero_row(graph, b, rows / 2, width);
    TensorId s = first_output(graph, "s", SHAPE(rows), width);
    case_node(graph, OP_COSINE, no_params, CASE_IDS(a, b), CASE_IDS(s), accumulate_bits(graph));
}

void build_cosine_backward(CaseGraph *graph)
{
    int64_t rows = size(graph, 0), width = size(graph, 1);
    TensorId ds = case_input(graph, "ds", SHAPE(rows), fill_normal);
    TensorId a = case_input(graph, "a", SHAPE(rows, width), fill_normal);
    TensorId b = case_input(graph, "b", SHAPE(rows, width), fill_normal);
    TensorId da = first_output(graph, "da", SHAPE(rows, width), 2 * width);
    TensorId db = case_output(graph, "db", SHAPE(rows, width), 2 * width);
    case_node(graph, OP_COSINE_BACKWARD, no_params, CASE_IDS(ds, a, b), CASE_IDS(da, db),
              accumulate_bits(graph));
}

void build_interfere(CaseGraph *graph)
{
    int64_t rows = size(graph, 0), width = size(graph, 1);
    TensorId x = case_input(graph, "x", SHAPE(rows, width), fill_normal);
    TensorId c = case_input(graph, "c", SHAPE(rows, width), fill_normal);
    TensorId g = case_input(graph, "g", SHAPE(rows, width), fill_of(graph));
    TensorId s = case_input(graph, "s", SHAPE(rows), fill_angle);
    TensorId temperature = case_input(graph, "temperature", SHAPE(1), fill_normal);
    TensorId y = first_output(graph, "y", SHAPE(rows, width), 1);
    case_node(graph, OP_INTERFERE, no_params, CASE_IDS(x, c, g, s, temperature), CASE_IDS(y),
              accumulate_bits(graph));
}

void build_interfere_backward(CaseGraph *graph)
{
    int64_t rows = size(graph, 0), width = size(graph, 1);
    TensorId dy = case_input(graph, "dy", SHAPE(rows, width), fill_normal);
    TensorId c = case_input(graph, "c", SHAPE(rows, width), fill_normal);
    TensorId g = case_input(graph, "g", SHAPE(rows, width), fill_of(graph));
    TensorId s = case_input(graph, "s", SHAPE(rows), fill_angle);
    TensorId temperature = case_input(graph, "temperature", SHAPE(1), fill_normal);
    TensorId dc = first_output(graph, "dc", SHAPE(rows, width), 1);
    TensorId dg = case_output(graph, "dg", SHAPE(rows, width), 4); /* a product of four values */
    TensorId ds = case_output(graph, "ds", SHAPE(rows), width);
    TensorId dtemperature = case_in_out(graph, "dtemperature", SHAPE(1), fill_normal, rows * width);
    case_node(graph, OP_INTERFERE_BACKWARD, no_params, CASE_IDS(dy, c, g, s, temperature),
              CASE_IDS(dc, dg, ds, dtemperature), accumulate_bits(graph));
}

void build_head_loss(CaseGraph *graph)
{
    int64_t rows = size(graph, 0), width = size(graph, 1), vocabulary = size(graph, 2);
    TensorId h = case_input(graph, "h", SHAPE(rows, width), fill_of(graph));
    TensorId table = case_input(graph, "table", SHAPE(vocabulary, width), fill_normal);
    int32_t *targets, *counted;
    TensorId target = case_ints(graph, "target", SHAPE(rows), &targets);
    TensorId counts = case_ints(graph, "counts", SHAPE(2), &counted);
    if (!targets || !counted) return;
    Rng rng = {.seed = 2};
    for (int64_t r = 0; r < rows; r++)
        targets[r] = r % 4 == 2 ? -100 : (int32_t)rng_below(&rng, (uint64_t)vocabulary);
    counted[0] = 1000;
    counted[1] = 10;
    case_compare(graph, counts, 1);
    TensorId seed = case_input(graph, "seed", SHAPE(1), fill_offset);
    TensorId loss = case_in_out(graph, "loss", SHAPE(1), fill_normal, rows + vocabulary + width);
    TensorId dh = NO_TENSOR, dtable = NO_TENSOR;
    if (!has(graph, CASE_NO_GRADIENT)) {
        dh = case_output(graph, "dh", SHAPE(rows, width), vocabulary + width);
        dtable = case_in_out(graph, "dtable", SHAPE(vocabulary, width), fill_normal,
                             rows + vocabulary + width);
    }
    case_node(graph, OP_HEAD_LOSS, no_params, CASE_IDS(h, table, target, seed),
              CASE_IDS(loss, counts, dh, dtable), 0);
}

void build_square_sum(CaseGraph *graph)
{
    int64_t n = size(graph, 0);
    TensorId x = case_input(graph, "x", SHAPE(n), fill_normal);
    int32_t *count;
    TensorId bad = case_ints(graph, "bad", SHAPE(1), &count);
    if (!count) return;
    count[0] = 3;
    case_compare(graph, bad, 1);
    bool not_finite = has(graph, CASE_BAD);
    if (not_finite) {
        double *values = graph->tensors[0].reals;
        values[0] = (double)NAN;
        values[n / 2] = (double)INFINITY;
        values[n - 1] = (double)-INFINITY;
    }
    /* The sum itself means nothing where elements are not finite. */
    TensorId norm2 = case_in_out(graph, "norm2", SHAPE(1), fill_offset, not_finite ? 0 : n);
    case_node(graph, OP_SQUARE_SUM, no_params, CASE_IDS(x), CASE_IDS(norm2, bad), 0);
}

/* Sets an input's values from an array. */
static void set_values(CaseGraph *graph, TensorId id, const double *values)
{
    for (int i = 0; i < graph->n_tensors; i++) {
        CaseTensor *tensor = &graph->tensors[i];
        for (int64_t e = 0; tensor->id == id && tensor->reals && e < tensor->elements; e++)
            tensor->reals[e] = (double)(float)values[e];
    }
}

/* Segments of unequal sizes with a gap after the first, over three groups; the norm is clipped. */
void build_adamw(CaseGraph *graph)
{
    enum { GROUPS = 3 };
    static const double rates[GROUPS] = {1, 3, 50};
    static const double record_values[RECORD_COUNT] = {
        [RECORD_LEARNING_RATE] = 1e-2, [RECORD_CLIP] = 1,           [RECORD_BETA1] = 0.9,
        [RECORD_BETA2] = 0.95,         [RECORD_CORRECTION1] = 0.41, [RECORD_CORRECTION2] = 0.23,
        [RECORD_EPSILON] = 1e-8,       [RECORD_DECAY] = 0.1,        [RECORD_SCALE] = 2};
    static const double norm2_value[1] = {7.3};
    int64_t n = size(graph, 0), segments = size(graph, 1), gap = n > 2 * segments ? 3 : 0;

    int32_t *rows, *bad_value;
    TensorId segment = case_ints(graph, "segment", SHAPE(segments, 4), &rows);
    TensorId bad = case_ints(graph, "bad", SHAPE(1), &bad_value);
    if (!rows || !bad_value) return;
    bad_value[0] = has(graph, CASE_BAD) ? 2 : 0;
    for (int64_t s = 0; s < segments; s++) {
        int64_t first = n * s / segments, last = n * (s + 1) / segments;
        if (s == 0) last -= gap;
        rows[4 * s] = (int32_t)first;
        rows[4 * s + 1] = (int32_t)(last - first);
        rows[4 * s + 2] = (int32_t)(s % GROUPS);
        rows[4 * s + 3] = s % 2 == 0;
    }
    TensorId rate = case_input(graph, "rate", SHAPE(GROUPS), fill_normal);
    set_values(graph, rate, rates);
    TensorId record = case_input(graph, "record", SHAPE(RECORD_COUNT), fill_normal);
    set_values(graph, record, record_values);
    TensorId norm2 = case_input(graph, "norm2", SHAPE(1), fill_normal);
    set_values(graph, norm2, norm2_value);
    TensorId value = case_in_out(graph, "value", SHAPE(n), fill_normal, 1);
    TensorId gradient = case_in_out(graph, "gradient", SHAPE(n), fill_small, 1);
    TensorId first = case_in_out(graph, "first", SHAPE(n), fill_small, 1);
    TensorId second = case_in_out(graph, "second", SHAPE(n), fill_square, 1);
    case_node(graph, OP_ADAMW, no_params, CASE_IDS(segment, rate, record, norm2, bad),
              CASE_IDS(value, gradient, first, second), 0);
}
