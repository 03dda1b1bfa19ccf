/* Inside the lowering: one function an op emits its steps. The same function, run without a plan,
 * measures the op's workspace and says whether the op can run at all, so the three never disagree.
 */
#ifndef BACKENDS_GPU_LOWER_H
#define BACKENDS_GPU_LOWER_H

#include "backends/gpu/gpu.h"
#include "backends/gpu/scalars.h"
#include "shaders/product.h"

typedef struct Lowering {
    const Graph *graph;
    const Node *node; /* the first, where several run as one */
    int count;        /* of nodes, consecutive */
    const GpuLimits *limits;
    const Plan *plan;    /* NULL: only measure */
    GpuList *list;       /* NULL: only measure */
    int index;           /* of the node */
    int64_t scratch;     /* bytes of workspace handed out */
    int64_t workspace;   /* the most they have been */
    const char *refusal; /* why the node cannot run, or NULL */
    wf_status status;
    GpuProductVisit visit; /* NULL: nobody asks for products */
    void *visit_context;
} Lowering;

typedef void (*LowerOp)(Lowering *lowering);

/* The first refusal counts; `why` is a constant text. */
void lower_refuse(Lowering *lowering, const char *why);

Shape lower_in_shape(const Lowering *lowering, int k);
Shape lower_out_shape(const Lowering *lowering, int k);
DType lower_in_type(const Lowering *lowering, int k);
DType lower_out_type(const Lowering *lowering, int k);
bool lower_has_in(const Lowering *lowering, int k);
bool lower_has_out(const Lowering *lowering, int k);
/* Does the node add to output k rather than overwrite it? */
uint32_t lower_accumulates(const Lowering *lowering, int k);

/* Bytes of an element on a GPU. */
int64_t lower_element(DType dtype);

/* Places of a tensor, of inputs, outputs (size 0 where absent) and of fresh workspace. */
Place lower_place(const Lowering *lowering, TensorId id);
Place lower_in(const Lowering *lowering, int k);
Place lower_out(const Lowering *lowering, int k);
Place lower_scratch(Lowering *lowering, int64_t bytes);
/* What was handed out since `scratch` was this much may be handed out again. */
void lower_release(Lowering *lowering, int64_t scratch);
/* The bytes of `place` from `offset` on. */
Place lower_part(Place place, int64_t offset, int64_t size);

/* The kernel is the one for float32 storage; the graph's storage type chooses its variant.
 * lower_dispatch(l, KERNEL_ADD, GROUPS(n, 1, 1), BUFFERS(a, b, y), SCALARS(add, .n = …), cost):
 * `operations` is an estimate of the arithmetic; bytes moved are added to it. Refuses counts of
 * groups that the device does not allow, and buffers of more than 2^31-1 elements. */
typedef struct Groups {
    int64_t x, y, z;
} Groups;
#define GROUPS(x, y, z) ((Groups){(x), (y), (z)})
#define BUFFERS(...)                                                                               \
    (const Place[]){__VA_ARGS__}, (int)(sizeof((const Place[]){__VA_ARGS__}) / sizeof(Place))
#define SCALARS(kernel, ...) &(const kernel##_scalars){__VA_ARGS__}, sizeof(kernel##_scalars)
void lower_dispatch(Lowering *lowering, KernelId kernel, Groups groups, const Place *buffers,
                    int n_buffers, const void *scalars, size_t scalar_bytes, double operations);

/* Groups for kernels that loop over n elements, a thread each, however many groups there are. */
Groups lower_groups_over(const Lowering *lowering, KernelId kernel, int64_t n);

/* For kernels that give each row of `width` to some neighbouring lanes: how many, a power of two,
 * so that a lane has about four elements; groups that loop over all rows; and the dispatch of one
 * whose scalars are as key_norm's, of so many operations an element. */
uint32_t lower_row_lanes(KernelId kernel, int64_t width);
Groups lower_groups_over_rows(const Lowering *lowering, KernelId kernel, int64_t rows,
                              int64_t width);
void lower_rows(Lowering *lowering, KernelId kernel, Shape shape, const Place *buffers,
                int n_buffers, double operations);

/* How many slices to cut `rows` into when each slice keeps `groups` groups busy. */
int64_t lower_slices(const Lowering *lowering, int64_t rows, int64_t groups);

void lower_transform(Lowering *lowering, const Transform *transform);
void lower_product_step(Lowering *lowering, const GpuProduct *product);

/* Sums [items, slices, width] of `partial` over slices into, or onto, output k of the node. */
void lower_sum_slices(Lowering *lowering, Place partial, int k, int64_t items, int64_t slices,
                      int64_t width);

/* c = op(a)·op(b) + bias as `product` says, or added onto c; a bias of size 0 is none. a and b are
 * in the storage type, bias is float, c is either. Where `follower` (FOLLOW_… of shaders/product.h)
 * says so y is made of c and x, both laid out as c is. Then c is of the storage type, and of size 0
 * where nobody else reads it. */
typedef struct ProductPlaces {
    Place a, b, bias, c;
    bool to_real;      /* c is float */
    uint32_t follower; /* 0: none */
    Place x, y;
} ProductPlaces;
void lower_multiply(Lowering *lowering, const ProductParams *product, const ProductPlaces *places,
                    uint32_t accumulate);
/* The same by the device's library, where that is what tuning or rules say and it takes the form.
 * False: it was not, and nothing was emitted. */
bool lower_by_library(Lowering *lowering, const ProductParams *product, const ProductPlaces *places,
                      uint32_t accumulate);
/* Does the library take the product, operands and result in this type? Is it what a choice, or
 * where that is TILE_RULE the rules, say? */
bool lower_library_takes(const GpuLimits *limits, const ProductParams *product, DType storage);
bool lower_library_wanted(const GpuLimits *limits, const ProductParams *product,
                          ProductChoice choice);
/* The same for a product's kernels: buffers and flags of the end, whose `then` wants the kernels
 * with a follower. */
typedef struct ProductEnd {
    Place bias, x, c, real, y;
    uint32_t flags;
    bool then;
} ProductEnd;
ProductEnd lower_product_end(const Lowering *lowering, const ProductPlaces *places,
                             uint32_t accumulate);
/* Can an operand be read in fours along its contiguous axis, of `along` elements? */
bool lower_in_fours(Place place, int64_t along, int64_t ld, int64_t stride);
/* A product of few rows, C of `batch` items, where lower_suits_few_rows(). */
bool lower_suits_few_rows(const ProductParams *product);
void lower_product_few(Lowering *lowering, const ProductParams *product, Place a, Place b,
                       const ProductEnd *end, int64_t splits);
/* Adds the splits of `items` results and ends. */
void lower_product_sum(Lowering *lowering, const ProductParams *product, const ProductEnd *end,
                       Place partial, int64_t items, int64_t splits);
/* How many splits it takes: those asked for (0: what suits the device), less where some would be
 * empty. Of as many as it answers it answers as many. */
int64_t lower_few_splits(const GpuLimits *limits, const ProductParams *product, int64_t splits);

/* Is the product computed by the kernels in shaders/, which can do more than that? */
bool lower_own_product(const GpuLimits *limits, const ProductParams *product, DType storage);

/* ---- several nodes as one (lower_group.c) ---- */

/* How many nodes from `first` on, as gpu_fuse(), by their ops and tensors alone. */
int group_length(const GpuLimits *limits, const Graph *graph, int first);
/* The l->count nodes of one. */
void lower_group(Lowering *lowering);

/* The ops (lower_*.c). */
void lower_fill(Lowering *lowering);
void lower_copy(Lowering *lowering);
void lower_add(Lowering *lowering);
void lower_layernorm(Lowering *lowering);
void lower_layernorm_backward(Lowering *lowering);
void lower_product(Lowering *lowering);
void lower_column_sum(Lowering *lowering);
void lower_couple(Lowering *lowering);
void lower_couple_backward(Lowering *lowering);
void lower_field(Lowering *lowering);
void lower_field_backward(Lowering *lowering);
void lower_embed(Lowering *lowering);
void lower_embed_backward(Lowering *lowering);
void lower_head_loss(Lowering *lowering);
void lower_square_sum(Lowering *lowering);
void lower_adamw(Lowering *lowering);
void lower_field_norm(Lowering *lowering);
void lower_field_stream(Lowering *lowering);
void lower_field_kernel(Lowering *lowering);
void lower_field_recall(Lowering *lowering);
void lower_attention(Lowering *lowering);
void lower_attention_backward(Lowering *lowering);
void lower_attention_stream(Lowering *lowering);

void lower_gelu(Lowering *lowering);
void lower_gelu_backward(Lowering *lowering);
void lower_dropout(Lowering *lowering);
void lower_feature(Lowering *lowering);
void lower_feature_backward(Lowering *lowering);
void lower_gate(Lowering *lowering);
void lower_gate_backward(Lowering *lowering);
void lower_key_norm(Lowering *lowering);
void lower_key_norm_backward(Lowering *lowering);
void lower_first_token(Lowering *lowering);
void lower_first_token_backward(Lowering *lowering);
void lower_causal_mean(Lowering *lowering);
void lower_causal_mean_backward(Lowering *lowering);
void lower_causal_mean_stream(Lowering *lowering);
void lower_cosine(Lowering *lowering);
void lower_cosine_backward(Lowering *lowering);
void lower_interfere(Lowering *lowering);
void lower_interfere_backward(Lowering *lowering);

#endif
