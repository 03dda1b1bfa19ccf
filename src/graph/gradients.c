#include "graph/gradients.h"

#include "graph/rules.h"

/* Appends a backward op whose output k is the gradient of forward tensor `of[k]` (NO_TENSOR: skip).
 * Forward tensors among `in` are read where their values are now. Does nothing when no gradient is
 * wanted. */
static wf_status backward(Autodiff *autodiff, Op op, OpParams params, const TensorId *in, int n_in,
                          const TensorId *of, int n_out)
{
    uint32_t accumulate = 0, skip = 0;
    TensorId out[NODE_MAX_OUT], value[NODE_MAX_IN];
    bool any = false;
    for (int k = 0; k < n_out; k++) {
        out[k] = autodiff_target(autodiff, of[k], k, &accumulate);
        if (out[k] == NO_TENSOR && (op_rule(op)->optional_outputs >> k & 1u)) skip |= 1u << k;
        any |= out[k] != NO_TENSOR;
    }
    if (!any) return autodiff->graph->status;
    for (int k = 0; k < n_in; k++) value[k] = autodiff_value(autodiff, in[k]);
    graph_append(autodiff->graph, &(NodeParams){.op = op,
                                                .params = params,
                                                .in = value,
                                                .n_in = n_in,
                                                .out = out,
                                                .n_out = n_out,
                                                .accumulate = accumulate,
                                                .skip = skip});
    return autodiff->graph->status;
}

#define INPUTS(...)                                                                                \
    (const TensorId[]){__VA_ARGS__},                                                               \
        (int)(sizeof((const TensorId[]){__VA_ARGS__}) / sizeof(TensorId))
#define GRADIENTS_OF(...) INPUTS(__VA_ARGS__)

/* Most rules: `forward` is a copy of the node (appending moves the array), `dy` the gradient of its
 * first output; without one there is nothing to do. */
#define GRADIENT_RULE(op)                                                                          \
    static wf_status op##_rule(Autodiff *ad, Node forward, TensorId dy);                           \
    wf_status gradient_##op(Autodiff *autodiff, int node)                                          \
    {                                                                                              \
        Node forward = autodiff->graph->nodes[node];                                               \
        TensorId dy = autodiff_arrived(autodiff, forward.out[0]);                                  \
        if (dy == NO_TENSOR) return autodiff->graph->status;                                       \
        return op##_rule(autodiff, forward, dy);                                                   \
    }                                                                                              \
    static wf_status op##_rule(Autodiff *ad, Node forward, TensorId dy)

GRADIENT_RULE(copy)
{
    autodiff_pass(ad, forward.in[0], dy);
    return ad->graph->status;
}

GRADIENT_RULE(add)
{
    autodiff_pass(ad, forward.in[0], dy);
    autodiff_pass(ad, forward.in[1], dy);
    return ad->graph->status;
}

GRADIENT_RULE(embed)
{
    if (!autodiff_wanted(ad, forward.in[1])) return WF_OK;
    if (forward.n_in < 4 || forward.in[3] == NO_TENSOR)
        return graph_fail(ad->graph, WF_ERROR_ARGUMENT,
                          "%s: the gradient of an embedding needs the token order", forward.scope);
    return backward(ad, OP_EMBED_BACKWARD, forward.params, INPUTS(dy, forward.in[0], forward.in[3]),
                    GRADIENTS_OF(forward.in[1]));
}

GRADIENT_RULE(layernorm)
{
    return backward(ad, OP_LAYERNORM_BACKWARD, forward.params,
                    INPUTS(dy, forward.in[0], forward.in[1], forward.out[1], forward.out[2]),
                    GRADIENTS_OF(forward.in[0], forward.in[1], forward.in[2]));
}

/* dA = dC·op(B)ᵀ, or its transpose where A is stored transposed. An operand that all items share
 * (stride 0) gathers the gradients of all of them. */
static ProductParams gradient_of_a(const ProductParams *p)
{
    int64_t stride_dc = p->sum_batch ? 0 : p->stride_c;
    ProductParams q = {.batch = p->batch,
                       .rows = p->rows,
                       .cols = p->inner,
                       .inner = p->cols,
                       .trans_b = !p->trans_b,
                       .ld_a = p->ld_c,
                       .ld_b = p->ld_b,
                       .ld_c = p->ld_a,
                       .stride_a = stride_dc,
                       .stride_b = p->stride_b,
                       .stride_c = p->stride_a,
                       .sum_batch = p->batch > 1 && p->stride_a == 0};
    if (!p->trans_a) return q;
    q.rows = p->inner;
    q.cols = p->rows;
    q.trans_a = p->trans_b;
    q.trans_b = true;
    q.ld_a = p->ld_b;
    q.ld_b = p->ld_c;
    q.stride_a = p->stride_b;
    q.stride_b = stride_dc;
    return q;
}

/* dB = op(A)ᵀ·dC, or its transpose where B is stored transposed. */
static ProductParams gradient_of_b(const ProductParams *p)
{
    int64_t stride_dc = p->sum_batch ? 0 : p->stride_c;
    ProductParams q = {.batch = p->batch,
                       .rows = p->inner,
                       .cols = p->cols,
                       .inner = p->rows,
                       .trans_a = !p->trans_a,
                       .ld_a = p->ld_a,
                       .ld_b = p->ld_c,
                       .ld_c = p->ld_b,
                       .stride_a = p->stride_a,
                       .stride_b = stride_dc,
                       .stride_c = p->stride_b,
                       .sum_batch = p->batch > 1 && p->stride_b == 0};
    if (!p->trans_b) return q;
    q.rows = p->cols;
    q.cols = p->inner;
    q.trans_a = true;
    q.trans_b = p->trans_a;
    q.ld_a = p->ld_c;
    q.ld_b = p->ld_a;
    q.stride_a = stride_dc;
    q.stride_b = p->stride_a;
    return q;
}

/* An activation's gradient is overwritten, so the product must write all of it. */
static wf_status covers(Graph *graph, const Node *forward, TensorId operand, int64_t elements)
{
    const Tensor *tensor = graph_tensor(graph, operand);
    if (tensor->gradient != NO_TENSOR || elements == shape_elements(tensor->shape)) return WF_OK;
    return graph_fail(graph, WF_ERROR_UNSUPPORTED,
                      "%s: the gradient of a product with gaps in an operand (%s)", forward->scope,
                      tensor->name);
}

GRADIENT_RULE(product)
{
    const ProductParams *p = &forward.params.product;
    if (p->ld_c != p->cols)
        return graph_fail(ad->graph, WF_ERROR_UNSUPPORTED,
                          "%s: the gradient of a product with gaps in its result", forward.scope);
    if (forward.n_in > 2 && autodiff_wanted(ad, forward.in[2])) {
        bool shared = p->stride_bias == 0 || p->sum_batch;
        int64_t rows = shared && !p->sum_batch ? p->batch * p->rows : p->rows;
        OpParams sum = {
            .column_sum = {.batch = shared ? 1 : p->batch, .rows = rows, .width = p->cols}};
        TRY(backward(ad, OP_COLUMN_SUM, sum, INPUTS(dy), GRADIENTS_OF(forward.in[2])));
    }
    if (autodiff_wanted(ad, forward.in[1])) {
        int64_t items = p->stride_b == 0 ? 1 : p->batch;
        TRY(covers(ad->graph, &forward, forward.in[1], items * p->inner * p->cols));
        OpParams q = {.product = gradient_of_b(p)};
        bool first = q.product.trans_a && p->trans_b; /* dCᵀ stands on the left */
        TensorId left = first ? dy : forward.in[0], right = first ? forward.in[0] : dy;
        TRY(backward(ad, OP_PRODUCT, q, INPUTS(left, right), GRADIENTS_OF(forward.in[1])));
    }
    if (autodiff_wanted(ad, forward.in[0])) {
        int64_t items = p->stride_a == 0 ? 1 : p->batch;
        TRY(covers(ad->graph, &forward, forward.in[0], items * p->rows * p->inner));
        OpParams q = {.product = gradient_of_a(p)};
        TensorId left = p->trans_a ? forward.in[1] : dy, right = p->trans_a ? dy : forward.in[1];
        TRY(backward(ad, OP_PRODUCT, q, INPUTS(left, right), GRADIENTS_OF(forward.in[0])));
    }
    return WF_OK;
}

GRADIENT_RULE(gelu)
{
    return backward(ad, OP_GELU_BACKWARD, forward.params, INPUTS(dy, forward.in[0]),
                    GRADIENTS_OF(forward.in[0]));
}

GRADIENT_RULE(dropout)
{
    return backward(ad, OP_DROPOUT, forward.params, INPUTS(dy, forward.in[1]),
                    GRADIENTS_OF(forward.in[0]));
}

GRADIENT_RULE(feature)
{
    return backward(ad, OP_FEATURE_BACKWARD, forward.params,
                    INPUTS(dy, forward.in[0], forward.in[1]),
                    GRADIENTS_OF(forward.in[0], forward.in[1]));
}

GRADIENT_RULE(gate)
{
    return backward(ad, OP_GATE_BACKWARD, forward.params, INPUTS(dy, forward.in[0], forward.in[1]),
                    GRADIENTS_OF(forward.in[0], forward.in[1]));
}

GRADIENT_RULE(key_norm)
{
    return backward(ad, OP_KEY_NORM_BACKWARD, forward.params,
                    INPUTS(dy, forward.in[0], forward.in[1]),
                    GRADIENTS_OF(forward.in[0], forward.in[1]));
}

GRADIENT_RULE(couple)
{
    return backward(ad, OP_COUPLE_BACKWARD, forward.params,
                    INPUTS(dy, forward.in[0], forward.in[1]),
                    GRADIENTS_OF(forward.in[0], forward.in[1]));
}

GRADIENT_RULE(field)
{
    TensorId gate = forward.n_in > 6 ? forward.in[6] : NO_TENSOR;
    return backward(ad, OP_FIELD_BACKWARD, forward.params,
                    INPUTS(dy, forward.in[0], forward.in[1], forward.in[2], forward.in[3],
                           forward.in[4], forward.in[5], forward.out[1], gate),
                    GRADIENTS_OF(forward.in[0], forward.in[1], forward.in[2], forward.in[3], gate));
}

GRADIENT_RULE(attention)
{
    return backward(
        ad, OP_ATTENTION_BACKWARD, forward.params,
        INPUTS(dy, forward.in[0], forward.in[1], forward.in[2], forward.out[0], forward.out[1]),
        GRADIENTS_OF(forward.in[0], forward.in[1], forward.in[2]));
}

GRADIENT_RULE(first_token)
{
    return backward(ad, OP_FIRST_TOKEN_BACKWARD, forward.params, INPUTS(dy),
                    GRADIENTS_OF(forward.in[0]));
}

GRADIENT_RULE(causal_mean)
{
    return backward(ad, OP_CAUSAL_MEAN_BACKWARD, forward.params, INPUTS(dy),
                    GRADIENTS_OF(forward.in[0]));
}

GRADIENT_RULE(cosine)
{
    return backward(ad, OP_COSINE_BACKWARD, forward.params,
                    INPUTS(dy, forward.in[0], forward.in[1]),
                    GRADIENTS_OF(forward.in[0], forward.in[1]));
}

GRADIENT_RULE(interfere)
{
    TRY(backward(ad, OP_INTERFERE_BACKWARD, forward.params,
                 INPUTS(dy, forward.in[1], forward.in[2], forward.in[3], forward.in[4]),
                 GRADIENTS_OF(forward.in[1], forward.in[2], forward.in[3], forward.in[4])));
    autodiff_pass(ad, forward.in[0], dy);
    return ad->graph->status;
}

/* The head computes its gradients while the logits exist: its node gains the outputs. */
wf_status gradient_head_loss(Autodiff *autodiff, int node)
{
    Graph *graph = autodiff->graph;
    uint32_t accumulate = graph->nodes[node].accumulate;
    TensorId dh = autodiff_target(autodiff, graph->nodes[node].in[0], 2, &accumulate);
    TensorId dtable = autodiff_target(autodiff, graph->nodes[node].in[1], 3, &accumulate);
    if (graph->status) return graph->status;
    graph->nodes[node].out[2] = dh;
    graph->nodes[node].out[3] = dtable;
    graph->nodes[node].accumulate = accumulate;
    if (dh != NO_TENSOR) graph->tensors[dh].producer = node;
    return WF_OK;
}
