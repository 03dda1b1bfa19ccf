#include "backends/gpu/lower.h"

#include "base/array.h"
#include "graph/rules.h"

#include <string.h>

static const LowerOp ops[OP_COUNT] = {
    [OP_FILL] = lower_fill,
    [OP_COPY] = lower_copy,
    [OP_ADD] = lower_add,
    [OP_LAYERNORM] = lower_layernorm,
    [OP_LAYERNORM_BACKWARD] = lower_layernorm_backward,
    [OP_PRODUCT] = lower_product,
    [OP_COLUMN_SUM] = lower_column_sum,
    [OP_COUPLE] = lower_couple,
    [OP_COUPLE_BACKWARD] = lower_couple_backward,
    [OP_FIELD] = lower_field,
    [OP_FIELD_BACKWARD] = lower_field_backward,
    [OP_FIELD_NORM] = lower_field_norm,
    [OP_FIELD_STREAM] = lower_field_stream,
    [OP_FIELD_KERNEL] = lower_field_kernel,
    [OP_FIELD_RECALL] = lower_field_recall,

    [OP_GELU] = lower_gelu,
    [OP_GELU_BACKWARD] = lower_gelu_backward,
    [OP_DROPOUT] = lower_dropout,
    [OP_FEATURE] = lower_feature,
    [OP_FEATURE_BACKWARD] = lower_feature_backward,
    [OP_GATE] = lower_gate,
    [OP_GATE_BACKWARD] = lower_gate_backward,
    [OP_KEY_NORM] = lower_key_norm,
    [OP_KEY_NORM_BACKWARD] = lower_key_norm_backward,
    [OP_FIRST_TOKEN] = lower_first_token,
    [OP_FIRST_TOKEN_BACKWARD] = lower_first_token_backward,
    [OP_CAUSAL_MEAN] = lower_causal_mean,
    [OP_CAUSAL_MEAN_BACKWARD] = lower_causal_mean_backward,
    [OP_CAUSAL_MEAN_STREAM] = lower_causal_mean_stream,
    [OP_COSINE] = lower_cosine,
    [OP_COSINE_BACKWARD] = lower_cosine_backward,
    [OP_INTERFERE] = lower_interfere,
    [OP_INTERFERE_BACKWARD] = lower_interfere_backward,

    [OP_EMBED] = lower_embed,
    [OP_EMBED_BACKWARD] = lower_embed_backward,
    [OP_HEAD_LOSS] = lower_head_loss,
    [OP_SQUARE_SUM] = lower_square_sum,
    [OP_ADAMW] = lower_adamw,
    [OP_ATTENTION] = lower_attention,
    [OP_ATTENTION_BACKWARD] = lower_attention_backward,
    [OP_ATTENTION_STREAM] = lower_attention_stream,
};

/* ---- what an op's function asks ---- */

void lower_refuse(Lowering *l, const char *why)
{
    if (!l->refusal) l->refusal = why;
}

Shape lower_in_shape(const Lowering *l, int k)
{
    return graph_shape(l->graph, l->node->in[k]);
}

Shape lower_out_shape(const Lowering *l, int k)
{
    return graph_shape(l->graph, l->node->out[k]);
}

DType lower_in_type(const Lowering *l, int k)
{
    return graph_tensor(l->graph, l->node->in[k])->dtype;
}

DType lower_out_type(const Lowering *l, int k)
{
    return graph_tensor(l->graph, l->node->out[k])->dtype;
}

bool lower_has_in(const Lowering *l, int k)
{
    return k < l->node->n_in && l->node->in[k] != NO_TENSOR;
}

bool lower_has_out(const Lowering *l, int k)
{
    return k < l->node->n_out && l->node->out[k] != NO_TENSOR;
}

uint32_t lower_accumulates(const Lowering *l, int k)
{
    return ((l->node->accumulate | op_rule(l->node->op)->adds_outputs) >> k) & 1u;
}

int64_t lower_element(DType dtype)
{
    return dtype == DTYPE_F16 || dtype == DTYPE_BF16 ? 2 : 4;
}

/* While only measuring there are no places. Sizes still count, for they are checked, and of offsets
 * the alignment: plans put activations at multiples of Limits.alignment. */
Place lower_place(const Lowering *l, TensorId id)
{
    if (l->plan) return l->plan->places[id];
    const Tensor *tensor = graph_tensor(l->graph, id);
    const Tensor *root = graph_tensor(l->graph, graph_root(l->graph, id));
    int64_t element = lower_element(tensor->dtype);
    return (Place){.offset = (root->region ? root->region_offset : 0) + element * tensor->offset,
                   .size = element * shape_elements(tensor->shape)};
}

Place lower_in(const Lowering *l, int k)
{
    return lower_has_in(l, k) ? lower_place(l, l->node->in[k]) : (Place){0};
}

Place lower_out(const Lowering *l, int k)
{
    return lower_has_out(l, k) ? lower_place(l, l->node->out[k]) : (Place){0};
}

Place lower_scratch(Lowering *l, int64_t bytes)
{
    Place place = {.offset = l->scratch, .size = bytes};
    if (l->plan) {
        place.slab = l->plan->workspace[l->index].slab;
        place.offset += l->plan->workspace[l->index].offset;
    }
    l->scratch += round_up(bytes, int64_max(256, l->limits->alignment));
    l->workspace = int64_max(l->workspace, l->scratch);
    return place;
}

void lower_release(Lowering *l, int64_t scratch)
{
    l->scratch = scratch;
}

Place lower_part(Place place, int64_t offset, int64_t size)
{
    return (Place){place.slab, place.offset + offset, size};
}

Groups lower_groups_over(const Lowering *l, KernelId kernel, int64_t n)
{
    int64_t groups = ceil_div(n, gpu_kernels[kernel].threads);
    return GROUPS(int64_min(groups, l->limits->groups[0]), 1, 1);
}

/* At least 16 rows a slice, at most 256 slices; enough to keep the device busy. */
int64_t lower_slices(const Lowering *l, int64_t rows, int64_t groups)
{
    int64_t wanted = ceil_div(2 * l->limits->busy_groups, int64_max(groups, 1));
    int64_t slices = int64_min(int64_min(wanted, ceil_div(rows, 16)), 256);
    /* Slices of ceil(rows / slices) rows may leave the last ones empty: ask for no such ones. */
    return ceil_div(rows, ceil_div(rows, int64_max(slices, 1)));
}

/* ---- steps ---- */

static GpuStep *add_step(Lowering *l)
{
    GpuList *list = l->list;
    if (!list || l->status) return NULL;
    if (!array_reserve((void **)&list->steps, list->n_steps, &list->step_capacity,
                       sizeof(GpuStep))) {
        l->status = fail(WF_ERROR_MEMORY, "out of memory for a list of %d steps", list->n_steps);
        return NULL;
    }
    l->status = commands_begin(&list->commands, l->index);
    if (l->status) return NULL;
    GpuStep *step = &list->steps[list->n_steps++];
    memset(step, 0, sizeof *step);
    return step;
}

static void add_access(Lowering *l, Place place, uint8_t access)
{
    if (l->list && !l->status)
        l->status = commands_access(&l->list->commands, place, (access & KERNEL_READS) != 0,
                                    (access & KERNEL_WRITES) != 0);
}

static KernelId variant_of(KernelId kernel, DType storage)
{
    if (gpu_kernels[kernel].variants == 1 || storage == DTYPE_REAL) return kernel;
    return (KernelId)(kernel + (storage == DTYPE_F16 ? 1 : 2));
}

void lower_dispatch(Lowering *l, KernelId kernel, Groups groups, const Place *buffers,
                    int n_buffers, const void *scalars, size_t scalar_bytes, double operations)
{
    kernel = variant_of(kernel, l->graph->storage);
    const GpuKernel *k = &gpu_kernels[kernel];
    const int64_t *most = l->limits->groups;
    if (groups.x > most[0] || groups.y > most[1] || groups.z > most[2])
        lower_refuse(l, "more groups of work than this device allows in one dispatch");
    double cost = operations;
    for (int i = 0; i < n_buffers; i++) {
        if (buffers[i].size / k->buffers[i].element > INT32_MAX)
            lower_refuse(l, "an operand of more than 2^31-1 elements");
        cost += (double)buffers[i].size;
    }
    if (groups.x < 1 || groups.y < 1 || groups.z < 1) return;
    if (n_buffers != k->n_buffers || scalar_bytes != 4 * (size_t)k->n_scalars) {
        l->status =
            fail(WF_ERROR_ARGUMENT, "kernel %s takes %d buffers and %d scalars, not %d and %d",
                 k->name, k->n_buffers, k->n_scalars, n_buffers, (int)(scalar_bytes / 4));
        return;
    }
    GpuStep *step = add_step(l);
    if (!step) return;
    step->kind = GPU_DISPATCH;
    step->cost = cost;
    Dispatch *dispatch = &step->dispatch;
    dispatch->kernel = kernel;
    memcpy(dispatch->buffers, buffers, (size_t)n_buffers * sizeof *buffers);
    memcpy(dispatch->scalars, scalars, scalar_bytes);
    dispatch->groups[0] = (uint32_t)groups.x;
    dispatch->groups[1] = (uint32_t)groups.y;
    dispatch->groups[2] = (uint32_t)groups.z;
    for (int i = 0; i < n_buffers; i++) add_access(l, buffers[i], k->buffers[i].access);
}

void lower_transform(Lowering *l, const Transform *transform)
{
    GpuStep *step = add_step(l);
    if (!step) return;
    step->kind = GPU_TRANSFORM;
    step->transform = *transform;
    double points = (double)transform->length * (double)transform->rows;
    for (int64_t n = transform->length; n > 1; n /= 2) step->cost += 10 * points;
    add_access(l, transform->data, KERNEL_UPDATES);
    add_access(l, transform->scratch, KERNEL_UPDATES);
}

void lower_product_step(Lowering *l, const GpuProduct *product)
{
    GpuStep *step = add_step(l);
    if (!step) return;
    const ProductParams *p = &product->shape;
    step->kind = GPU_PRODUCT;
    step->product = *product;
    step->cost = 2.0 * (double)p->batch * (double)p->rows * (double)p->cols * (double)p->inner;
    add_access(l, product->a, KERNEL_READS);
    add_access(l, product->b, KERNEL_READS);
    add_access(l, product->bias, KERNEL_READS);
    add_access(l, product->c, product->accumulate ? KERNEL_UPDATES : KERNEL_WRITES);
    add_access(l, product->workspace, KERNEL_UPDATES);
}

/* ---- the interface ---- */

static void lower_node(Lowering *l)
{
    for (int k = 1; k < l->node->n_out; k++)
        if ((l->node->accumulate & ~op_rule(l->node->op)->adds_outputs) >> k & 1u)
            lower_refuse(l, "adding to an output other than the first");
    if (ops[l->node->op])
        ops[l->node->op](l);
    else
        lower_refuse(l, "not yet on this backend");
}

static void lower_nodes(Lowering *l)
{
    if (l->count > 1)
        lower_group(l);
    else
        lower_node(l);
}

bool gpu_supports(const GpuLimits *limits, const Graph *graph, const Node *node, const char **why)
{
    Lowering l = {.graph = graph, .node = node, .count = 1, .limits = limits};
    lower_nodes(&l);
    if (why && l.refusal) *why = l.refusal;
    return !l.refusal;
}

int gpu_fuse(const GpuLimits *limits, const Graph *graph, int first)
{
    int count = limits->apart ? 1 : group_length(limits, graph, first);
    if (count == 1) return 1;
    Lowering l = {.graph = graph, .node = &graph->nodes[first], .count = count, .limits = limits};
    lower_nodes(&l);
    return l.refusal ? 1 : count;
}

int64_t gpu_workspace(const GpuLimits *limits, const Graph *graph, int first, int count)
{
    Lowering l = {.graph = graph, .node = &graph->nodes[first], .count = count, .limits = limits};
    lower_nodes(&l);
    return l.workspace;
}

void gpu_products(const GpuLimits *limits, const Graph *graph, const Node *node,
                  GpuProductVisit visit, void *context)
{
    Lowering l = {.graph = graph,
                  .node = node,
                  .count = 1,
                  .limits = limits,
                  .visit = visit,
                  .visit_context = context};
    lower_nodes(&l);
}

wf_status gpu_lower(const Plan *plan, const GpuLimits *limits, GpuList *list)
{
    for (int n = 0; n < plan->graph->n_nodes; n++) {
        if (plan->group[n] == 0) continue;
        const Node *node = &plan->graph->nodes[n];
        Lowering l = {.graph = plan->graph,
                      .node = node,
                      .count = plan->group[n],
                      .limits = limits,
                      .plan = plan,
                      .list = list,
                      .index = n};
        lower_nodes(&l);
        TRY(l.status);
        if (l.refusal)
            return fail(WF_ERROR_UNSUPPORTED, "%s: %s: %s", node->scope, op_rule(node->op)->name,
                        l.refusal);
        if (l.workspace > plan->workspace[n].size)
            return fail(WF_ERROR_ARGUMENT,
                        "%s: %s needs %lld bytes of workspace, the plan has %lld", node->scope,
                        op_rule(node->op)->name, (long long)l.workspace,
                        (long long)plan->workspace[n].size);
    }
    return hazards_derive(&list->commands);
}

void gpu_list_free(GpuList *list)
{
    free(list->steps);
    commands_free(&list->commands);
    *list = (GpuList){0};
}
