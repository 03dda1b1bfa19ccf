/* A plan: a graph with a place for every tensor on one kind of device.
 *
 * plan_create() decides places and sizes and allocates nothing; the caller adds up what it needs
 * (plan_memory) and refuses early; then the backend records it (Backend.program_create) and replays
 * it. Nodes run in the graph's order. Two tensors whose lives do not overlap may share bytes. */
#ifndef GRAPH_PLAN_H
#define GRAPH_PLAN_H

#include "graph/graph.h"

/* What a device allows; 0 means "unsupported" or "no limit" as said. */
typedef struct Limits {
    int64_t largest_allocation; /* bytes; 0: no limit but total */
    int64_t total;              /* bytes the device has; 0: unknown */
    int64_t alignment;          /* of a place, bytes, a power of two */
    int64_t dtype_size[DTYPE_COUNT];
} Limits;

typedef struct Place {
    int slab;       /* index into Plan.slabs */
    int64_t offset; /* bytes */
    int64_t size;
} Place;

typedef struct Plan {
    const Graph *graph; /* borrowed; must outlive the plan */
    Limits limits;
    Place *places;    /* one a tensor; views resolved; size 0: it has no bytes (see fuse) */
    Place *workspace; /* one a node; size 0: none; a group's is its first node's */
    int *group;       /* one a node: how many nodes from it on run as one; 0: an earlier one's */
    Region **slabs;   /* the external regions the graph names, then the plan's own */
    int n_slabs, n_external;
} Plan;

/* What the plan must ask of a backend. */
typedef struct PlanQueries {
    void *context;
    /* NULL: every op. False refuses the node: plan_create fails and names it. */
    bool (*supports)(void *context, const Graph *graph, const Node *node);
    /* How many consecutive nodes from `first` on the device runs as one, at least 1; it supports
     * what it names here. NULL: 1, always. What is made and read among them only gets no place, and
     * the device passes it on by itself; all else they make is written. An elementwise node's
     * output may take over its input's place as ever, if no other node of the group touches that.
     */
    int (*fuse)(void *context, const Graph *graph, int first);
    /* Bytes of scratch that `count` nodes from `first` on want, run as one. NULL: none. */
    int64_t (*workspace)(void *context, const Graph *graph, int first, int count);
} PlanQueries;

wf_status plan_create(const Graph *graph, const Limits *limits, const PlanQueries *queries,
                      Plan **out);
void plan_destroy(Plan *plan); /* frees the plan's own regions' records, not their buffers */

/* Bytes of the plan's own slabs (activations and workspace). */
int64_t plan_memory(const Plan *plan);

#endif
