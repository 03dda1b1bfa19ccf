/* Lowering of several nodes as one: a product and the elementwise op that follows it.
 *
 * What the product's kernels hold in registers goes through the follower before it is written.
 * Where nobody else reads the product, as in inference, that saves writing and reading it: two
 * moves of [R, W], R rows of W. Where backward reads it, it is written and not read back: one move.
 *
 *   gelu            the feed-forward's first layer (W = F), feature maps and gates  1, inference 2
 *   add             a residual, after out_proj and the feed-forward's last layer    2
 *   feature         the deposit, and the output's feature map                       1, inference 2
 *   gate            after cross_dim, and after gate_proj in version 3.5             1, inference 2
 *   gelu_backward   the gradient of what a layer took from GELU                     2
 *
 * Bits do not change: an intermediate is rounded to the storage type even where it is not stored.
 * So a recomputed node gives what it gave, whether its neighbours are recomputed with it or not. */
#include "backends/gpu/lower.h"

typedef struct Follower {
    Op op;
    int of, x; /* its inputs: the product, and the other one or -1 */
    uint32_t follower;
} Follower;

static const Follower followers[] = {
    {OP_GELU, 0, -1, FOLLOW_GELU},      {OP_GELU_BACKWARD, 0, 1, FOLLOW_GELU_BACKWARD},
    {OP_FEATURE, 0, 1, FOLLOW_FEATURE}, {OP_GATE, 0, 1, FOLLOW_GATE},
    {OP_GATE, 1, 0, FOLLOW_GATED},      {OP_ADD, 0, 1, FOLLOW_ADD},
    {OP_ADD, 1, 0, FOLLOW_ADD},
};

/* The bytes a tensor stands on, as far as a graph says. */
typedef struct Bytes {
    const void *of; /* a region, or the tensor that makes them */
    int64_t begin, end;
} Bytes;

static Bytes bytes_of(const Graph *graph, TensorId id)
{
    const Tensor *tensor = graph_tensor(graph, id);
    const Tensor *root = graph_tensor(graph, graph_root(graph, id));
    int64_t element = lower_element(tensor->dtype);
    int64_t begin = tensor->base == NO_TENSOR ? 0 : element * tensor->offset;
    if (root->region) begin += root->region_offset;
    return (Bytes){root->region ? (const void *)root->region : root, begin,
                   begin + element * shape_elements(tensor->shape)};
}

static bool same_bytes(const Graph *graph, TensorId a, TensorId b)
{
    Bytes x = bytes_of(graph, a), y = bytes_of(graph, b);
    return x.of == y.of && x.begin == y.begin && x.end == y.end;
}

static bool overlap(const Graph *graph, TensorId a, TensorId b)
{
    if (a == NO_TENSOR || b == NO_TENSOR) return false;
    Bytes x = bytes_of(graph, a), y = bytes_of(graph, b);
    return x.of == y.of && x.begin < y.end && y.begin < x.end;
}

/* Is the product's result all of its tensor, row after row, in the storage type, and overwritten?
 */
static bool is_plain(const Graph *graph, const Node *product)
{
    const ProductParams *p = &product->params.product;
    int64_t results = p->sum_batch ? 1 : p->batch, size = p->rows * p->cols;
    const Tensor *c = graph_tensor(graph, product->out[0]);
    return product->accumulate == 0 && c->dtype == graph->storage && p->ld_c == p->cols &&
           (results == 1 || p->stride_c == size) && shape_elements(c->shape) == results * size;
}

/* Is every element of what the nodes read, they themselves apart, still there when it is read?
 * Groups of one kernel write y and c while others still read A, B, the bias and other elements of
 * x. */
static bool keeps_apart(const Graph *graph, const Node *product, TensorId x, TensorId y)
{
    TensorId c = product->out[0];
    for (int k = 0; k < product->n_in; k++)
        if (overlap(graph, y, product->in[k])) return false;
    return !overlap(graph, c, y) && !overlap(graph, c, x) &&
           (!overlap(graph, x, y) || same_bytes(graph, x, y));
}

static const Follower *follower_of(const Graph *graph, const Node *product)
{
    const Node *node = product + 1;
    if (!is_plain(graph, product) || node->accumulate != 0) return NULL;
    for (size_t i = 0; i < sizeof followers / sizeof *followers; i++) {
        const Follower *follower = &followers[i];
        if (follower->op != node->op) continue;
        TensorId x = follower->x < 0 ? NO_TENSOR : node->in[follower->x];
        if (same_bytes(graph, node->in[follower->of], product->out[0]) &&
            keeps_apart(graph, product, x, node->out[0]))
            return follower;
    }
    return NULL;
}

int group_length(const GpuLimits *limits, const Graph *graph, int first)
{
    const Node *node = &graph->nodes[first];
    if (node->op != OP_PRODUCT || first + 1 == graph->n_nodes) return 1;
    if (!lower_own_product(limits, &node->params.product, graph->storage)) return 1;
    return follower_of(graph, node) ? 2 : 1;
}

void lower_group(Lowering *l)
{
    const Node *node = l->node + 1;
    const Follower *follower = follower_of(l->graph, l->node);
    if (!follower) {
        lower_refuse(l, "nodes that do not go together");
        return;
    }
    const ProductPlaces places = {.a = lower_in(l, 0),
                                  .b = lower_in(l, 1),
                                  .bias = lower_in(l, 2),
                                  .c = lower_out(l, 0),
                                  .follower = follower->follower,
                                  .x = follower->x < 0 ? (Place){0}
                                                       : lower_place(l, node->in[follower->x]),
                                  .y = lower_place(l, node->out[0])};
    lower_multiply(l, &l->node->params.product, &places, 0);
}
