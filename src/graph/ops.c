/* The op table, and the rules that check a node's inputs and state its outputs' shapes. */
#include "graph/rules.h"

#include "graph/gradients.h"

#define BIT(k) (1u << (k))

static Shape in_shape(const Graph *graph, const Node *node, int k)
{
    return graph->tensors[node->in[k]].shape;
}

static wf_status mismatch(Graph *graph, const Node *node, int k, Shape expected)
{
    const Tensor *tensor = &graph->tensors[node->in[k]];
    return graph_fail(graph, WF_ERROR_ARGUMENT, "%s: %s expects %s as input %d, found %s (%s)",
                      node->scope, op_rule(node->op)->name, SHAPE_TEXT(expected), k,
                      SHAPE_TEXT(tensor->shape), tensor->name);
}

/* Input k, where present, must hold as many elements as `expected`. */
static wf_status want(Graph *graph, const Node *node, int k, Shape expected)
{
    if (node->in[k] == NO_TENSOR) return WF_OK;
    if (shape_elements(in_shape(graph, node, k)) == shape_elements(expected)) return WF_OK;
    return mismatch(graph, node, k, expected);
}

static wf_status want_rank(Graph *graph, const Node *node, int k, int rank)
{
    Shape shape = in_shape(graph, node, k);
    if (shape.rank == rank) return WF_OK;
    return graph_fail(graph, WF_ERROR_ARGUMENT, "%s: %s expects %d axes in input %d, found %s (%s)",
                      node->scope, op_rule(node->op)->name, rank, k, SHAPE_TEXT(shape),
                      graph->tensors[node->in[k]].name);
}

#define SHAPE_RULE(name)                                                                           \
    static wf_status name(Graph *graph, const Node *node, Shape *shapes, DType *dtypes)
#define IN(k)            in_shape(graph, node, (k))
#define WANT(k, ...)     TRY(want(graph, node, (k), SHAPE(__VA_ARGS__)))
#define WANT_SAME(k, of) TRY(want(graph, node, (k), IN(of)))

/* Outputs of any shape the caller gives. */
SHAPE_RULE(shapes_given)
{
    (void)dtypes;
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != NO_TENSOR) shapes[k] = graph->tensors[node->out[k]].shape;
    return WF_OK;
}

/* All real inputs have the first one's size; all outputs too. */
SHAPE_RULE(shapes_elementwise)
{
    (void)dtypes;
    for (int k = 1; k < node->n_in; k++)
        if (node->in[k] != NO_TENSOR) WANT_SAME(k, 0);
    for (int k = 0; k < node->n_out; k++) shapes[k] = IN(0);
    return WF_OK;
}

SHAPE_RULE(shapes_dropout)
{
    (void)dtypes;
    WANT(1, 2);
    shapes[0] = IN(0);
    return WF_OK;
}

SHAPE_RULE(shapes_embed)
{
    (void)dtypes;
    TRY(want_rank(graph, node, 0, 2));
    TRY(want_rank(graph, node, 1, 2));
    int64_t batch = IN(0).dim[0], tokens = IN(0).dim[1], width = IN(1).dim[1];
    WANT(2, tokens, width);
    if (node->n_in > 3) WANT(3, batch * tokens);
    shapes[0] = SHAPE(batch, tokens, width);
    return WF_OK;
}

SHAPE_RULE(shapes_embed_backward)
{
    TRY(want_rank(graph, node, 0, 3));
    WANT(1, IN(0).dim[0] * IN(0).dim[1]);
    WANT(2, IN(0).dim[0] * IN(0).dim[1]);
    return shapes_given(graph, node, shapes, dtypes);
}

SHAPE_RULE(shapes_layernorm)
{
    (void)dtypes;
    WANT(1, shape_width(IN(0)));
    WANT(2, shape_width(IN(0)));
    shapes[0] = IN(0);
    shapes[1] = shapes[2] = SHAPE(shape_rows(IN(0)));
    return WF_OK;
}

SHAPE_RULE(shapes_layernorm_backward)
{
    (void)dtypes;
    WANT_SAME(1, 0);
    WANT(2, shape_width(IN(1)));
    WANT(3, shape_rows(IN(1)));
    WANT(4, shape_rows(IN(1)));
    shapes[0] = IN(1);
    shapes[1] = shapes[2] = IN(2);
    return WF_OK;
}

/* Does an operand of rows × cols items, `stride` apart, stay within its tensor? */
static wf_status operand_fits(Graph *graph, const Node *node, const char *which, int64_t rows,
                              int64_t cols, int64_t ld, int64_t stride, int64_t batch, int64_t has)
{
    int64_t needs = (batch - 1) * stride + (rows - 1) * ld + cols;
    if (rows >= 1 && cols >= 1 && ld >= cols && stride >= 0 && batch >= 1 && needs <= has)
        return WF_OK;
    return graph_fail(graph, WF_ERROR_ARGUMENT,
                      "%s: product operand %s: %lld items of [%lld, %lld], rows %lld apart, items "
                      "%lld apart, need %lld elements, the tensor has %lld",
                      node->scope, which, (long long)batch, (long long)rows, (long long)cols,
                      (long long)ld, (long long)stride, (long long)needs, (long long)has);
}

SHAPE_RULE(shapes_product)
{
    (void)dtypes;
    const ProductParams *p = &node->params.product;
    TRY(operand_fits(graph, node, "A", p->trans_a ? p->inner : p->rows,
                     p->trans_a ? p->rows : p->inner, p->ld_a, p->stride_a, p->batch,
                     shape_elements(IN(0))));
    TRY(operand_fits(graph, node, "B", p->trans_b ? p->cols : p->inner,
                     p->trans_b ? p->inner : p->cols, p->ld_b, p->stride_b, p->batch,
                     shape_elements(IN(1))));
    if (node->n_in > 2 && node->in[2] != NO_TENSOR)
        TRY(operand_fits(graph, node, "bias", 1, p->cols, p->cols, p->stride_bias, p->batch,
                         shape_elements(IN(2))));
    int64_t items = p->sum_batch ? 1 : p->batch;
    if (node->out[0] == NO_TENSOR) {
        shapes[0] = items == 1 ? SHAPE(p->rows, p->cols) : SHAPE(items, p->rows, p->cols);
        return p->ld_c == p->cols && (items == 1 || p->stride_c == p->rows * p->cols)
                   ? WF_OK
                   : graph_fail(graph, WF_ERROR_ARGUMENT,
                                "%s: a product with gaps in its result wants it given",
                                node->scope);
    }
    shapes[0] = graph->tensors[node->out[0]].shape;
    return operand_fits(graph, node, "C", p->rows, p->cols, p->ld_c, p->sum_batch ? 0 : p->stride_c,
                        p->batch, shape_elements(shapes[0]));
}

SHAPE_RULE(shapes_column_sum)
{
    (void)dtypes;
    WANT(0, node->params.column_sum.batch, node->params.column_sum.rows,
         node->params.column_sum.width);
    shapes[0] = SHAPE(node->params.column_sum.batch, node->params.column_sum.width);
    return WF_OK;
}

SHAPE_RULE(shapes_couple)
{
    (void)dtypes;
    TRY(want_rank(graph, node, 0, 4));
    WANT(1, IN(0).dim[2], IN(0).dim[2]);
    shapes[0] = IN(0);
    return WF_OK;
}

SHAPE_RULE(shapes_couple_backward)
{
    (void)dtypes;
    TRY(want_rank(graph, node, 1, 4));
    WANT_SAME(0, 1);
    WANT(2, IN(1).dim[2], IN(1).dim[2]);
    shapes[0] = IN(1);
    shapes[1] = IN(2);
    return WF_OK;
}

/* Inputs `first` … `first`+4 of the field ops: frequency, damping, phase, cell, fraction. */
static wf_status want_field(Graph *graph, const Node *node, Shape u, int first)
{
    const FieldParams *p = &node->params.field;
    if (u.rank != 4 || u.dim[2] != p->heads || u.dim[3] != p->width || p->cells < 2 ||
        p->reach < 1 || p->reach > p->cells)
        return graph_fail(
            graph, WF_ERROR_ARGUMENT,
            "%s: a field of %lld cells (%lld reached), %lld heads of %lld cannot take "
            "a deposit of shape %s",
            node->scope, (long long)p->cells, (long long)p->reach, (long long)p->heads,
            (long long)p->width, SHAPE_TEXT(u));
    for (int k = first; k < first + 3; k++) WANT(k, p->heads);
    WANT(first + 3, u.dim[1]);
    WANT(first + 4, u.dim[1]);
    return WF_OK;
}

static wf_status want_gate(Graph *graph, const Node *node, int64_t batch, int k)
{
    if (node->n_in <= k || node->in[k] == NO_TENSOR) return WF_OK;
    if (node->params.field.evaluator == FIELD_SCAN)
        return graph_fail(graph, WF_ERROR_UNSUPPORTED,
                          "%s: a gated kernel has no pole to scan by: choose the fft evaluator",
                          node->scope);
    WANT(k, batch, node->params.field.heads, FIELD_GATE_POINTS);
    return WF_OK;
}

SHAPE_RULE(shapes_field)
{
    (void)dtypes;
    Shape u = IN(0);
    TRY(want_field(graph, node, u, 1));
    TRY(want_gate(graph, node, u.dim[0], 6));
    shapes[0] = u;
    shapes[1] = SHAPE(u.dim[0], u.dim[2], ceil_div(u.dim[1], FIELD_CHUNK), 2, u.dim[3]);
    return WF_OK;
}

SHAPE_RULE(shapes_field_backward)
{
    (void)dtypes;
    Shape u = IN(1);
    WANT_SAME(0, 1);
    TRY(want_field(graph, node, u, 2));
    WANT(7, u.dim[0], u.dim[2], ceil_div(u.dim[1], FIELD_CHUNK), 2, u.dim[3]);
    TRY(want_gate(graph, node, u.dim[0], 8));
    shapes[0] = u;
    shapes[1] = shapes[2] = shapes[3] = SHAPE(u.dim[2]);
    shapes[4] = SHAPE(u.dim[0], u.dim[2], FIELD_GATE_POINTS);
    return WF_OK;
}

SHAPE_RULE(shapes_field_norm)
{
    (void)dtypes;
    for (int k = 0; k < 3; k++) WANT(k, node->params.field.heads);
    shapes[0] = SHAPE(node->params.field.heads);
    return WF_OK;
}

SHAPE_RULE(shapes_field_stream)
{
    (void)dtypes;
    TRY(want_field(graph, node, IN(0), 1));
    WANT(6, 1);
    WANT(7, node->params.field.heads);
    shapes[0] = IN(0);
    shapes[1] = SHAPE(IN(0).dim[0], IN(0).dim[2], 2, IN(0).dim[3]);
    return WF_OK;
}

SHAPE_RULE(shapes_field_kernel)
{
    (void)dtypes;
    const FieldParams *p = &node->params.field;
    for (int k = 0; k < 3; k++) WANT(k, p->heads);
    TRY(want_rank(graph, node, 3, 3));
    WANT(3, IN(3).dim[0], p->heads, FIELD_GATE_POINTS);
    shapes[0] = SHAPE(IN(3).dim[0], p->heads, p->cells);
    return WF_OK;
}

SHAPE_RULE(shapes_field_recall)
{
    (void)dtypes;
    const FieldParams *p = &node->params.field;
    TRY(want_rank(graph, node, 0, 4));
    Shape u = IN(0);
    WANT(1, u.dim[0], p->heads, p->cells);
    WANT_SAME(3, 2);
    WANT(4, 1);
    shapes[0] = u;
    shapes[1] = SHAPE(u.dim[0], shape_elements(IN(2)), u.dim[2], u.dim[3]);
    return WF_OK;
}

SHAPE_RULE(shapes_attention)
{
    (void)dtypes;
    TRY(want_rank(graph, node, 0, 4));
    WANT_SAME(1, 0);
    WANT_SAME(2, 0);
    shapes[0] = IN(0);
    shapes[1] = SHAPE(IN(0).dim[0], IN(0).dim[2], IN(0).dim[1]);
    return WF_OK;
}

SHAPE_RULE(shapes_attention_backward)
{
    (void)dtypes;
    TRY(want_rank(graph, node, 1, 4));
    WANT_SAME(0, 1);
    for (int k = 2; k < 5; k++) WANT_SAME(k, 1);
    WANT(5, IN(1).dim[0], IN(1).dim[2], IN(1).dim[1]);
    shapes[0] = shapes[1] = shapes[2] = IN(1);
    return WF_OK;
}

SHAPE_RULE(shapes_attention_stream)
{
    (void)dtypes;
    TRY(want_rank(graph, node, 0, 4));
    Shape q = IN(0), kept = {.rank = 0};
    if (node->out[1] != NO_TENSOR) kept = graph_shape(graph, node->out[1]);
    WANT_SAME(1, 0);
    WANT_SAME(2, 0);
    WANT(3, 1);
    if (kept.rank != 4 || kept.dim[1] < q.dim[1])
        return graph_fail(graph, WF_ERROR_ARGUMENT, "%s: keys kept as %s cannot take those of %s",
                          node->scope, SHAPE_TEXT(kept), SHAPE_TEXT(q));
    shapes[0] = q;
    shapes[1] = shapes[2] = SHAPE(q.dim[0], kept.dim[1], q.dim[2], q.dim[3]);
    return WF_OK;
}

SHAPE_RULE(shapes_first_token)
{
    (void)dtypes;
    TRY(want_rank(graph, node, 0, 3));
    shapes[0] = SHAPE(IN(0).dim[0], IN(0).dim[2]);
    return WF_OK;
}

SHAPE_RULE(shapes_first_token_backward)
{
    TRY(want_rank(graph, node, 0, 2));
    return shapes_given(graph, node, shapes, dtypes);
}

SHAPE_RULE(shapes_causal_mean)
{
    (void)dtypes;
    TRY(want_rank(graph, node, 0, 3));
    shapes[0] = IN(0);
    return WF_OK;
}

SHAPE_RULE(shapes_causal_mean_stream)
{
    (void)dtypes;
    TRY(want_rank(graph, node, 0, 3));
    WANT(1, 1);
    shapes[0] = IN(0);
    shapes[1] = SHAPE(IN(0).dim[0], IN(0).dim[2]);
    return WF_OK;
}

SHAPE_RULE(shapes_cosine)
{
    (void)dtypes;
    WANT_SAME(1, 0);
    shapes[0] = SHAPE(shape_rows(IN(0)));
    return WF_OK;
}

SHAPE_RULE(shapes_cosine_backward)
{
    (void)dtypes;
    WANT_SAME(2, 1);
    WANT(0, shape_rows(IN(1)));
    shapes[0] = shapes[1] = IN(1);
    return WF_OK;
}

SHAPE_RULE(shapes_interfere)
{
    (void)dtypes;
    WANT_SAME(1, 0);
    WANT_SAME(2, 0);
    WANT(3, shape_rows(IN(0)));
    WANT(4, 1);
    shapes[0] = IN(0);
    return WF_OK;
}

SHAPE_RULE(shapes_interfere_backward)
{
    (void)dtypes;
    WANT_SAME(1, 0);
    WANT_SAME(2, 0);
    WANT(3, shape_rows(IN(0)));
    WANT(4, 1);
    shapes[0] = shapes[1] = IN(0);
    shapes[2] = IN(3);
    shapes[3] = IN(4);
    return WF_OK;
}

SHAPE_RULE(shapes_head_loss)
{
    WANT(1, shape_elements(IN(1)) / int64_max(shape_width(IN(0)), 1), shape_width(IN(0)));
    WANT(2, shape_rows(IN(0)));
    WANT(3, 1);
    shapes[0] = SHAPE(1);
    shapes[1] = SHAPE(2);
    dtypes[1] = DTYPE_I32;
    shapes[2] = IN(0);
    shapes[3] = IN(1);
    return WF_OK;
}

SHAPE_RULE(shapes_square_sum)
{
    (void)graph;
    (void)node;
    shapes[0] = shapes[1] = SHAPE(1);
    dtypes[1] = DTYPE_I32;
    return WF_OK;
}

SHAPE_RULE(shapes_adamw)
{
    TRY(want_rank(graph, node, 0, 2));
    WANT(0, IN(0).dim[0], 4);
    WANT(2, RECORD_COUNT);
    WANT(3, 1);
    WANT(4, 1);
    return shapes_given(graph, node, shapes, dtypes);
}

static const OpRule rules[OP_COUNT] = {
    [OP_FILL] = {"fill", 0, 1, .either_outputs = BIT(0), .given_outputs = BIT(0),
                 .shapes = shapes_given, .in_place = -1},
    [OP_COPY] = {"copy", 1, 1, .either_inputs = BIT(0), .either_outputs = BIT(0),
                 .shapes = shapes_elementwise, .gradient = gradient_copy},
    [OP_ADD] = {"add", 2, 1, .stored_inputs = BIT(0) | BIT(1), .stored_outputs = BIT(0),
                .shapes = shapes_elementwise, .gradient = gradient_add},
    [OP_EMBED] = {"embed", 4, 1, .stored_inputs = BIT(1), .stored_outputs = BIT(0),
                  .optional_inputs = BIT(3), .shapes = shapes_embed, .gradient = gradient_embed,
                  .in_place = -1},
    [OP_EMBED_BACKWARD] = {"embed_backward", 3, 1, .stored_inputs = BIT(0), .given_outputs = BIT(0),
                           .adds_outputs = BIT(0), .shapes = shapes_embed_backward, .in_place = -1},
    [OP_LAYERNORM] = {"layernorm", 3, 3, .stored_inputs = BIT(0), .stored_outputs = BIT(0),
                      .shapes = shapes_layernorm, .gradient = gradient_layernorm, .in_place = -1},
    [OP_LAYERNORM_BACKWARD] = {"layernorm_backward", 5, 3, .stored_inputs = BIT(0) | BIT(1),
                               .stored_outputs = BIT(0), .given_outputs = BIT(1) | BIT(2),
                               .adds_outputs = BIT(1) | BIT(2), .shapes = shapes_layernorm_backward,
                               .in_place = -1},
    [OP_PRODUCT] = {"product", 3, 1, .stored_inputs = BIT(0) | BIT(1), .either_outputs = BIT(0),
                    .optional_inputs = BIT(2), .shapes = shapes_product,
                    .gradient = gradient_product, .in_place = -1},
    [OP_COLUMN_SUM] = {"column_sum", 1, 1, .stored_inputs = BIT(0), .shapes = shapes_column_sum,
                       .in_place = -1},
    [OP_GELU] = {"gelu", 1, 1, .stored_inputs = BIT(0), .stored_outputs = BIT(0),
                 .shapes = shapes_elementwise, .gradient = gradient_gelu},
    [OP_GELU_BACKWARD] = {"gelu_backward", 2, 1, .stored_inputs = BIT(0) | BIT(1),
                          .stored_outputs = BIT(0), .shapes = shapes_elementwise},
    [OP_DROPOUT] = {"dropout", 2, 1, .stored_inputs = BIT(0), .stored_outputs = BIT(0),
                    .shapes = shapes_dropout, .gradient = gradient_dropout},
    [OP_FEATURE] = {"feature", 2, 1, .stored_inputs = BIT(0) | BIT(1), .stored_outputs = BIT(0),
                    .shapes = shapes_elementwise, .gradient = gradient_feature},
    [OP_FEATURE_BACKWARD] = {"feature_backward", 3, 2, .stored_inputs = BIT(0) | BIT(1) | BIT(2),
                             .stored_outputs = BIT(0) | BIT(1), .optional_outputs = BIT(0) | BIT(1),
                             .shapes = shapes_elementwise, .in_place = -1},
    [OP_GATE] = {"gate", 2, 1, .stored_inputs = BIT(0) | BIT(1), .stored_outputs = BIT(0),
                 .shapes = shapes_elementwise, .gradient = gradient_gate},
    [OP_GATE_BACKWARD] = {"gate_backward", 3, 2, .stored_inputs = BIT(0) | BIT(1) | BIT(2),
                          .stored_outputs = BIT(0) | BIT(1), .shapes = shapes_elementwise,
                          .in_place = -1},
    [OP_KEY_NORM] = {"key_norm", 2, 1, .stored_inputs = BIT(0) | BIT(1), .stored_outputs = BIT(0),
                     .shapes = shapes_elementwise, .gradient = gradient_key_norm, .in_place = -1},
    [OP_KEY_NORM_BACKWARD] = {"key_norm_backward", 3, 2, .stored_inputs = BIT(0) | BIT(1) | BIT(2),
                              .stored_outputs = BIT(0) | BIT(1), .shapes = shapes_elementwise,
                              .in_place = -1},
    [OP_COUPLE] = {"couple", 2, 1, .stored_inputs = BIT(0), .stored_outputs = BIT(0),
                   .shapes = shapes_couple, .gradient = gradient_couple, .in_place = -1},
    [OP_COUPLE_BACKWARD] = {"couple_backward", 3, 2, .stored_inputs = BIT(0) | BIT(1),
                            .stored_outputs = BIT(0), .given_outputs = BIT(1),
                            .adds_outputs = BIT(1), .shapes = shapes_couple_backward,
                            .in_place = -1},
    [OP_FIELD] = {"field", 7, 2, .stored_inputs = BIT(0) | BIT(6), .stored_outputs = BIT(0),
                  .optional_inputs = BIT(6), .shapes = shapes_field, .gradient = gradient_field,
                  .in_place = -1},
    [OP_FIELD_BACKWARD] = {"field_backward", 9, 5, .stored_inputs = BIT(0) | BIT(1) | BIT(8),
                           .stored_outputs = BIT(0) | BIT(4), .optional_inputs = BIT(8),
                           .optional_outputs = BIT(4), .given_outputs = BIT(1) | BIT(2) | BIT(3),
                           .adds_outputs = BIT(1) | BIT(2) | BIT(3),
                           .shapes = shapes_field_backward, .in_place = -1},
    [OP_FIELD_NORM] = {"field_norm", 3, 1, .shapes = shapes_field_norm, .in_place = -1},
    [OP_FIELD_STREAM] = {"field_stream", 8, 2, .stored_inputs = BIT(0), .stored_outputs = BIT(0),
                         .given_outputs = BIT(1), .reads_outputs = BIT(1),
                         .shapes = shapes_field_stream, .in_place = -1},
    [OP_FIELD_KERNEL] = {"field_kernel", 4, 1, .stored_inputs = BIT(3),
                         .shapes = shapes_field_kernel, .in_place = -1},
    [OP_FIELD_RECALL] = {"field_recall", 5, 2, .stored_inputs = BIT(0),
                         .stored_outputs = BIT(0) | BIT(1), .given_outputs = BIT(1),
                         .reads_outputs = BIT(1), .shapes = shapes_field_recall, .in_place = -1},
    [OP_ATTENTION] = {"attention", 3, 2, .stored_inputs = BIT(0) | BIT(1) | BIT(2),
                      .stored_outputs = BIT(0), .shapes = shapes_attention,
                      .gradient = gradient_attention, .in_place = -1},
    [OP_ATTENTION_BACKWARD] = {"attention_backward", 6, 3,
                               .stored_inputs = BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4),
                               .stored_outputs = BIT(0) | BIT(1) | BIT(2),
                               .shapes = shapes_attention_backward, .in_place = -1},
    [OP_ATTENTION_STREAM] = {"attention_stream", 4, 3, .stored_inputs = BIT(0) | BIT(1) | BIT(2),
                             .stored_outputs = BIT(0) | BIT(1) | BIT(2),
                             .given_outputs = BIT(1) | BIT(2), .reads_outputs = BIT(1) | BIT(2),
                             .shapes = shapes_attention_stream, .in_place = -1},
    [OP_FIRST_TOKEN] = {"first_token", 1, 1, .stored_inputs = BIT(0), .stored_outputs = BIT(0),
                        .shapes = shapes_first_token, .gradient = gradient_first_token,
                        .in_place = -1},
    [OP_FIRST_TOKEN_BACKWARD] = {"first_token_backward", 1, 1, .stored_inputs = BIT(0),
                                 .stored_outputs = BIT(0), .given_outputs = BIT(0),
                                 .shapes = shapes_first_token_backward, .in_place = -1},
    [OP_CAUSAL_MEAN] = {"causal_mean", 1, 1, .stored_inputs = BIT(0), .stored_outputs = BIT(0),
                        .shapes = shapes_causal_mean, .gradient = gradient_causal_mean,
                        .in_place = -1},
    [OP_CAUSAL_MEAN_BACKWARD] = {"causal_mean_backward", 1, 1, .stored_inputs = BIT(0),
                                 .stored_outputs = BIT(0), .shapes = shapes_causal_mean,
                                 .in_place = -1},
    [OP_CAUSAL_MEAN_STREAM] = {"causal_mean_stream", 2, 2, .stored_inputs = BIT(0),
                               .stored_outputs = BIT(0), .given_outputs = BIT(1),
                               .reads_outputs = BIT(1), .shapes = shapes_causal_mean_stream,
                               .in_place = -1},
    [OP_COSINE] = {"cosine", 2, 1, .stored_inputs = BIT(0) | BIT(1), .shapes = shapes_cosine,
                   .gradient = gradient_cosine, .in_place = -1},
    [OP_COSINE_BACKWARD] = {"cosine_backward", 3, 2, .stored_inputs = BIT(1) | BIT(2),
                            .stored_outputs = BIT(0) | BIT(1), .shapes = shapes_cosine_backward,
                            .in_place = -1},
    [OP_INTERFERE] = {"interfere", 5, 1, .stored_inputs = BIT(0) | BIT(1) | BIT(2),
                      .stored_outputs = BIT(0), .shapes = shapes_interfere,
                      .gradient = gradient_interfere, .in_place = -1},
    [OP_INTERFERE_BACKWARD] = {"interfere_backward", 5, 4,
                               .stored_inputs = BIT(0) | BIT(1) | BIT(2),
                               .stored_outputs = BIT(0) | BIT(1), .given_outputs = BIT(3),
                               .adds_outputs = BIT(3), .shapes = shapes_interfere_backward,
                               .in_place = -1},
    [OP_HEAD_LOSS] = {"head_loss", 4, 4, .stored_inputs = BIT(0) | BIT(1), .stored_outputs = BIT(2),
                      .optional_outputs = BIT(2) | BIT(3), .given_outputs = BIT(0) | BIT(1),
                      .adds_outputs = BIT(0) | BIT(1) | BIT(3), .shapes = shapes_head_loss,
                      .gradient = gradient_head_loss, .in_place = -1},
    [OP_SQUARE_SUM] = {"square_sum", 1, 2, .given_outputs = BIT(0) | BIT(1),
                       .adds_outputs = BIT(0) | BIT(1), .shapes = shapes_square_sum,
                       .in_place = -1},
    [OP_ADAMW] = {"adamw", 5, 4, .given_outputs = 15u, .reads_outputs = 15u, .shapes = shapes_adamw,
                  .in_place = -1},
};

const OpRule *op_rule(Op op)
{
    return &rules[op];
}
