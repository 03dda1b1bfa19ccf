/* Memory hazards of a command list: which commands need a barrier before them, and the proof.
 *
 * A backend lowers a plan's nodes to commands and states the byte ranges each reads and writes.
 * hazards_derive() puts the fewest barriers that order every dependent pair; hazards_check() is
 * written independently and proves a barrier stands between every pair of commands that touch
 * common bytes, at least one of them writing. Removing any one derived barrier makes it fail. */
#ifndef GRAPH_HAZARDS_H
#define GRAPH_HAZARDS_H

#include "base/status.h"
#include "graph/plan.h"

typedef struct Access {
    Place place;
    bool read, write;
} Access;

typedef struct Command {
    int node;         /* of the plan's graph; of a group's commands its first */
    int first, count; /* its accesses in CommandList.accesses */
    bool barrier;     /* all earlier commands' writes are visible before this one starts */
} Command;

typedef struct CommandList {
    Command *commands;
    int n_commands, command_capacity;
    Access *accesses;
    int n_accesses, access_capacity;
} CommandList;

void commands_free(CommandList *list);

/* Appends a command of `node` with no accesses yet. */
wf_status commands_begin(CommandList *list, int node);
/* Adds an access to the last command. Places of size 0 are ignored. */
wf_status commands_access(CommandList *list, Place place, bool read, bool write);

/* One command a node, or a group of nodes, with the accesses its inputs, outputs and workspace
 * imply. */
wf_status commands_from_plan(CommandList *list, const Plan *plan);
/* The accesses of one node, for backends with several commands a node. */
wf_status commands_access_node(CommandList *list, const Plan *plan, int node);

wf_status hazards_derive(CommandList *list);

/* WF_OK, or WF_ERROR_DEVICE with a message naming the two commands and the bytes. */
wf_status hazards_check(const CommandList *list, const Plan *plan);

#endif
