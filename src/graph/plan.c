#include "graph/plan.h"

#include "graph/rules.h"

#include <stdlib.h>
#include <string.h>

/* Something that needs bytes from node `first` to node `last`: an activation, several that take
 * over one another's place, or a node's workspace. */
typedef struct Item {
    int64_t size;
    int first, last; /* the first nodes of the groups they stand in */
    int merged;      /* index of the item whose place this one takes, or itself */
    bool read;
    Place place;
} Item;

typedef struct Ranked {
    int64_t size;
    int item;
} Ranked;

typedef struct Planner {
    Plan *plan;
    const Graph *graph;
    int *leader; /* one a node: the first node of its group */
    Item *items; /* tensors first, then workspaces */
    int n_items;
    Ranked *order; /* the items that want a place, largest first */
} Planner;

static int64_t tensor_bytes(const Plan *plan, const Tensor *tensor)
{
    return shape_elements(tensor->shape) * plan->limits.dtype_size[tensor->dtype];
}

/* ---- groups ---- */

static wf_status find_groups(Planner *planner, const PlanQueries *queries)
{
    const Graph *graph = planner->graph;
    for (int n = 0; n < graph->n_nodes;) {
        int count = queries && queries->fuse ? queries->fuse(queries->context, graph, n) : 1;
        if (count < 1 || count > graph->n_nodes - n)
            return fail(WF_ERROR_ARGUMENT, "%s: a group of %d nodes from %s on",
                        graph->nodes[n].scope, count, op_rule(graph->nodes[n].op)->name);
        planner->plan->group[n] = count;
        for (int end = n + count, first = n; n < end; n++) planner->leader[n] = first;
    }
    return WF_OK;
}

static wf_status check_support(const Plan *plan, const PlanQueries *queries)
{
    if (!queries || !queries->supports) return WF_OK;
    for (int n = 0; n < plan->graph->n_nodes; n++) {
        const Node *node = &plan->graph->nodes[n];
        if (plan->group[n] == 1 && !queries->supports(queries->context, plan->graph, node))
            return fail(WF_ERROR_UNSUPPORTED, "%s: this device cannot run %s", node->scope,
                        op_rule(node->op)->name);
    }
    return WF_OK;
}

/* ---- lives ---- */

/* All nodes of a group run at the same time, that of its first. */
static void touch(Planner *planner, TensorId id, int node, bool reads)
{
    if (id == NO_TENSOR) return;
    Item *item = &planner->items[graph_root(planner->graph, id)];
    int time = planner->leader[node];
    if (item->first < 0) item->first = time;
    item->last = time;
    item->read |= reads;
}

/* Does the tensor live within one group only, for its nodes to pass on? */
static bool is_passed_on(const Planner *planner, TensorId id)
{
    const Item *item = &planner->items[id];
    return item->read && item->first == item->last && planner->plan->group[item->first] > 1;
}

/* Checks that a node reads only what something wrote, and notes when each tensor lives. */
static wf_status find_lives(Planner *planner)
{
    const Graph *graph = planner->graph;
    for (int i = 0; i < planner->n_items; i++)
        planner->items[i] = (Item){.first = -1, .last = -1, .merged = i};
    for (int n = 0; n < graph->n_nodes; n++) {
        const Node *node = &graph->nodes[n];
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] == NO_TENSOR) continue;
            TensorId root = graph_root(graph, node->in[k]);
            if (!graph->tensors[root].region && planner->items[root].first < 0)
                return fail(WF_ERROR_ARGUMENT, "%s: %s reads %s before anything writes it",
                            node->scope, op_rule(node->op)->name, graph->tensors[root].name);
            touch(planner, node->in[k], n, true);
        }
        for (int k = 0; k < node->n_out; k++) touch(planner, node->out[k], n, false);
    }
    for (int i = 0; i < graph->n_tensors; i++) {
        const Tensor *tensor = &graph->tensors[i];
        if (tensor->base == NO_TENSOR && !tensor->region && !is_passed_on(planner, i))
            planner->items[i].size = tensor_bytes(planner->plan, tensor);
    }
    return WF_OK;
}

static int item_root(const Planner *planner, int i)
{
    while (planner->items[i].merged != i) i = planner->items[i].merged;
    return i;
}

/* Does the node read the tensor of input `k` as another input too? */
static bool reads_otherwise(const Graph *graph, const Node *node, int k)
{
    TensorId root = graph_root(graph, node->in[k]);
    for (int other = 0; other < node->n_in; other++)
        if (other != k && node->in[other] != NO_TENSOR &&
            graph_root(graph, node->in[other]) == root)
            return true;
    return false;
}

/* Does another node of its group touch the place of the node's input `k`? */
static bool shared_in_group(const Planner *planner, int n, int k)
{
    const Graph *graph = planner->graph;
    int first = planner->leader[n], item = item_root(planner, graph->nodes[n].in[k]);
    for (int other = first; other < first + planner->plan->group[first]; other++) {
        const Node *node = &graph->nodes[other];
        if (other == n) continue;
        for (int i = 0; i < node->n_in + node->n_out; i++) {
            TensorId id = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
            if (id != NO_TENSOR && item_root(planner, graph_root(graph, id)) == item) return true;
        }
    }
    return false;
}

/* Lets an output take over the place of an input that nobody needs any more. */
static void merge_in_place(Planner *planner)
{
    const Graph *graph = planner->graph;
    for (int n = 0; n < graph->n_nodes; n++) {
        const Node *node = &graph->nodes[n];
        int k = op_rule(node->op)->in_place;
        if (k < 0 || node->n_in <= k || node->in[k] == NO_TENSOR || node->out[0] == NO_TENSOR)
            continue;
        TensorId in = node->in[k], out = node->out[0];
        if (graph->tensors[in].base != NO_TENSOR || graph->tensors[out].base != NO_TENSOR) continue;
        if (graph->tensors[in].region || graph->tensors[out].region || in == out) continue;
        Item *from = &planner->items[item_root(planner, in)], *to = &planner->items[out];
        int time = planner->leader[n];
        if (from->last != time || to->first != time || from->size != to->size) continue;
        if (graph->tensors[in].dtype != graph->tensors[out].dtype) continue;
        if (reads_otherwise(graph, node, k) || shared_in_group(planner, n, k)) continue;
        to->merged = item_root(planner, in);
        from->last = to->last;
    }
}

static void add_workspaces(Planner *planner, const PlanQueries *queries)
{
    if (!queries || !queries->workspace) return;
    for (int n = 0; n < planner->graph->n_nodes; n++) {
        int count = planner->plan->group[n];
        if (count == 0) continue;
        Item *item = &planner->items[planner->graph->n_tensors + n];
        item->size = queries->workspace(queries->context, planner->graph, n, count);
        item->first = item->last = n;
    }
}

static int by_size(const void *a, const void *b)
{
    const Ranked *x = a, *y = b;
    if (x->size != y->size) return x->size < y->size ? 1 : -1;
    return x->item - y->item;
}

static int by_offset(const void *a, const void *b)
{
    const Place *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return 0;
}

static wf_status add_slab(Plan *plan, Region *region)
{
    Region **grown = realloc(plan->slabs, (size_t)(plan->n_slabs + 1) * sizeof *grown);
    if (!grown) return fail(WF_ERROR_MEMORY, "out of memory for a plan");
    plan->slabs = grown;
    plan->slabs[plan->n_slabs++] = region;
    return WF_OK;
}

static wf_status add_own_slab(Plan *plan)
{
    Region *region = calloc(1, sizeof *region);
    if (!region) return fail(WF_ERROR_MEMORY, "out of memory for a plan");
    region->name = "activations";
    wf_status status = add_slab(plan, region);
    if (status) free(region);
    return status;
}

/* The lowest offset in `slab` where `item` meets no placed item that lives at the same time. */
static int64_t lowest_gap(const Planner *planner, const Item *item, int slab, int n_placed,
                          Place *neighbours)
{
    int n = 0;
    for (int i = 0; i < n_placed; i++) {
        const Item *other = &planner->items[planner->order[i].item];
        if (other->place.slab != slab) continue;
        if (other->last < item->first || item->last < other->first) continue;
        neighbours[n++] = other->place;
    }
    qsort(neighbours, (size_t)n, sizeof *neighbours, by_offset);
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        if (at + item->size <= neighbours[i].offset) break;
        at = int64_max(at, round_up(neighbours[i].offset + neighbours[i].size,
                                    planner->plan->limits.alignment));
    }
    return at;
}

static wf_status place_item(Planner *planner, Item *item, int n_placed, Place *neighbours)
{
    Plan *plan = planner->plan;
    int64_t cap = plan->limits.largest_allocation;
    if (cap && item->size > cap)
        return fail(
            WF_ERROR_MEMORY,
            "a tensor of %.2f GiB exceeds the device's largest allocation of %.2f GiB: lower "
            "the batch size or the sequence length",
            (double)item->size / 0x1p30, (double)cap / 0x1p30);
    for (int slab = plan->n_external;; slab++) {
        if (slab == plan->n_slabs) TRY(add_own_slab(plan));
        int64_t at = lowest_gap(planner, item, slab, n_placed, neighbours);
        if (cap && at + item->size > cap) continue;
        item->place = (Place){.slab = slab, .offset = at, .size = item->size};
        plan->slabs[slab]->size = int64_max(plan->slabs[slab]->size, at + item->size);
        return WF_OK;
    }
}

/* Largest first, each at the lowest free offset: within a few per cent of the peak of live bytes.
 */
static wf_status place_items(Planner *planner)
{
    int n = 0;
    for (int i = 0; i < planner->n_items; i++) {
        const Item *item = &planner->items[i];
        if (item->size > 0 && item->first >= 0 && item->merged == i)
            planner->order[n++] = (Ranked){item->size, i};
    }
    qsort(planner->order, (size_t)n, sizeof *planner->order, by_size);
    Place *neighbours = malloc((size_t)(n + 1) * sizeof *neighbours);
    if (!neighbours) return fail(WF_ERROR_MEMORY, "out of memory for a plan");
    wf_status status = WF_OK;
    for (int i = 0; i < n && !status; i++)
        status = place_item(planner, &planner->items[planner->order[i].item], i, neighbours);
    free(neighbours);
    return status;
}

static wf_status find_external(Plan *plan, const Tensor *tensor, Place *place)
{
    int slab = 0;
    while (slab < plan->n_slabs && plan->slabs[slab] != tensor->region) slab++;
    if (slab == plan->n_slabs) {
        TRY(add_slab(plan, tensor->region));
        plan->n_external = plan->n_slabs;
    }
    *place = (Place){slab, tensor->region_offset, tensor_bytes(plan, tensor)};
    if (place->offset < 0 || place->offset + place->size > tensor->region->size)
        return fail(WF_ERROR_ARGUMENT, "%s: bytes %lld to %lld lie outside region %s of %lld bytes",
                    tensor->name, (long long)place->offset,
                    (long long)(place->offset + place->size), tensor->region->name,
                    (long long)tensor->region->size);
    return WF_OK;
}

static wf_status place_externals(Plan *plan)
{
    for (int i = 0; i < plan->graph->n_tensors; i++) {
        const Tensor *tensor = &plan->graph->tensors[i];
        if (tensor->base == NO_TENSOR && tensor->region)
            TRY(find_external(plan, tensor, &plan->places[i]));
    }
    return WF_OK;
}

static void publish(Planner *planner)
{
    Plan *plan = planner->plan;
    const Graph *graph = planner->graph;
    for (int i = 0; i < graph->n_tensors; i++) {
        if (graph->tensors[i].base != NO_TENSOR || graph->tensors[i].region) continue;
        plan->places[i] = planner->items[item_root(planner, i)].place;
        plan->places[i].size = planner->items[i].size;
    }
    for (int i = 0; i < graph->n_tensors; i++) {
        const Tensor *tensor = &graph->tensors[i];
        if (tensor->base == NO_TENSOR) continue;
        Place base = plan->places[tensor->base];
        if (base.size == 0) continue; /* it has no bytes, nor have its views */
        int64_t offset = base.offset + tensor->offset * plan->limits.dtype_size[tensor->dtype];
        plan->places[i] = (Place){base.slab, offset, tensor_bytes(plan, tensor)};
    }
    for (int n = 0; n < graph->n_nodes; n++)
        plan->workspace[n] = planner->items[graph->n_tensors + n].place;
}

/* A device that cannot store a type says so with a size of 0. */
static wf_status check_types(const Graph *graph, const Limits *limits)
{
    for (int i = 0; i < graph->n_tensors; i++) {
        const Tensor *tensor = &graph->tensors[i];
        if (limits->dtype_size[tensor->dtype] == 0)
            return fail(WF_ERROR_UNSUPPORTED, "%s: this device does not store %s", tensor->name,
                        dtype_name(tensor->dtype));
    }
    return WF_OK;
}

static wf_status plan_build(Plan *plan, const PlanQueries *queries)
{
    const Graph *graph = plan->graph;
    size_t n_tensors = (size_t)graph->n_tensors, n_nodes = (size_t)graph->n_nodes;
    plan->places = calloc(n_tensors + 1, sizeof *plan->places);
    plan->workspace = calloc(n_nodes + 1, sizeof *plan->workspace);
    plan->group = calloc(n_nodes + 1, sizeof *plan->group);
    Planner planner = {.plan = plan, .graph = graph, .n_items = (int)(n_tensors + n_nodes)};
    planner.leader = calloc(n_nodes + 1, sizeof *planner.leader);
    planner.items = calloc(n_tensors + n_nodes + 1, sizeof *planner.items);
    planner.order = calloc(n_tensors + n_nodes + 1, sizeof *planner.order);
    wf_status status = WF_OK;
    if (!plan->places || !plan->workspace || !plan->group || !planner.leader || !planner.items ||
        !planner.order)
        status = fail(WF_ERROR_MEMORY, "out of memory for a plan");
    if (!status) status = find_groups(&planner, queries);
    if (!status) status = check_support(plan, queries);
    if (!status) status = place_externals(plan);
    if (!status) status = find_lives(&planner);
    if (!status) {
        merge_in_place(&planner);
        add_workspaces(&planner, queries);
        status = place_items(&planner);
    }
    if (!status) publish(&planner);
    free(planner.leader);
    free(planner.items);
    free(planner.order);
    return status;
}

wf_status plan_create(const Graph *graph, const Limits *limits, const PlanQueries *queries,
                      Plan **out)
{
    TRY(graph_status(graph));
    TRY(check_types(graph, limits));
    Plan *plan = calloc(1, sizeof *plan);
    if (!plan) return fail(WF_ERROR_MEMORY, "out of memory for a plan");
    plan->graph = graph;
    plan->limits = *limits;
    wf_status status = plan_build(plan, queries);
    if (status) {
        plan_destroy(plan);
        return status;
    }
    *out = plan;
    return WF_OK;
}

void plan_destroy(Plan *plan)
{
    if (!plan) return;
    for (int i = plan->n_external; i < plan->n_slabs; i++) free(plan->slabs[i]);
    free(plan->slabs);
    free(plan->places);
    free(plan->workspace);
    free(plan->group);
    free(plan);
}

int64_t plan_memory(const Plan *plan)
{
    int64_t bytes = 0;
    for (int i = plan->n_external; i < plan->n_slabs; i++) bytes += plan->slabs[i]->size;
    return bytes;
}
