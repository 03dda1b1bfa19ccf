#include "graph/hazards.h"

#include "base/array.h"
#include "graph/rules.h"

#include <stdio.h>
#include <stdlib.h>

void commands_free(CommandList *list)
{
    free(list->commands);
    free(list->accesses);
    *list = (CommandList){0};
}

wf_status commands_begin(CommandList *list, int node)
{
    if (!array_reserve((void **)&list->commands, list->n_commands, &list->command_capacity,
                       sizeof(Command)))
        return fail(WF_ERROR_MEMORY, "out of memory for a list of %d commands", list->n_commands);
    list->commands[list->n_commands++] = (Command){.node = node, .first = list->n_accesses};
    return WF_OK;
}

wf_status commands_access(CommandList *list, Place place, bool read, bool write)
{
    if (place.size <= 0) return WF_OK;
    if (!array_reserve((void **)&list->accesses, list->n_accesses, &list->access_capacity,
                       sizeof(Access)))
        return fail(WF_ERROR_MEMORY, "out of memory for a list of %d accesses", list->n_accesses);
    list->accesses[list->n_accesses++] = (Access){place, read, write};
    list->commands[list->n_commands - 1].count++;
    return WF_OK;
}

wf_status commands_access_node(CommandList *list, const Plan *plan, int n)
{
    const Node *node = &plan->graph->nodes[n];
    uint32_t reads = node->accumulate | op_rule(node->op)->reads_outputs;
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != NO_TENSOR)
            TRY(commands_access(list, plan->places[node->in[k]], true, false));
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != NO_TENSOR)
            TRY(commands_access(list, plan->places[node->out[k]], (reads >> k) & 1u, true));
    return commands_access(list, plan->workspace[n], true, true);
}

wf_status commands_from_plan(CommandList *list, const Plan *plan)
{
    for (int n = 0; n < plan->graph->n_nodes; n++) {
        if (plan->group[n] > 0) TRY(commands_begin(list, n));
        TRY(commands_access_node(list, plan, n));
    }
    return WF_OK;
}

static bool conflict(const Access *a, const Access *b)
{
    if (!a->write && !b->write) return false;
    if (a->place.slab != b->place.slab) return false;
    return a->place.offset < b->place.offset + b->place.size &&
           b->place.offset < a->place.offset + a->place.size;
}

wf_status hazards_derive(CommandList *list)
{
    int open = 0; /* accesses from here on are not yet ordered by a barrier */
    for (int c = 0; c < list->n_commands; c++) {
        Command *command = &list->commands[c];
        command->barrier = false;
        for (int i = command->first; i < command->first + command->count; i++)
            for (int j = open; j < command->first; j++)
                command->barrier |= conflict(&list->accesses[i], &list->accesses[j]);
        if (command->barrier) open = command->first;
    }
    return WF_OK;
}

static const char *command_text(const CommandList *list, const Plan *plan, int c, char *text,
                                size_t size)
{
    const Node *node = &plan->graph->nodes[list->commands[c].node];
    snprintf(text, size, "command %d (%s.%s)", c, node->scope, op_rule(node->op)->name);
    return text;
}

/* Do the two commands touch common bytes, one of them writing? */
static wf_status check_pair(const CommandList *list, const Plan *plan, int earlier, int later)
{
    const Command *a = &list->commands[earlier], *b = &list->commands[later];
    for (int i = a->first; i < a->first + a->count; i++) {
        const Access *x = &list->accesses[i];
        for (int j = b->first; j < b->first + b->count; j++) {
            const Access *y = &list->accesses[j];
            int64_t begin = int64_max(x->place.offset, y->place.offset);
            int64_t end =
                int64_min(x->place.offset + x->place.size, y->place.offset + y->place.size);
            if (x->place.slab != y->place.slab || begin >= end || !(x->write || y->write)) continue;
            char first[200], second[200];
            return fail(WF_ERROR_DEVICE,
                        "no barrier between %s and %s, which share bytes %lld to %lld of slab %d",
                        command_text(list, plan, earlier, first, sizeof first),
                        command_text(list, plan, later, second, sizeof second), (long long)begin,
                        (long long)end, x->place.slab);
        }
    }
    return WF_OK;
}

wf_status hazards_check(const CommandList *list, const Plan *plan)
{
    for (int later = 1; later < list->n_commands; later++) {
        if (list->commands[later].barrier) continue;
        for (int earlier = later - 1; earlier >= 0; earlier--) {
            TRY(check_pair(list, plan, earlier, later));
            if (list->commands[earlier].barrier) break;
        }
    }
    return WF_OK;
}
