/* The parameters of a configuration, in the one order that files, sequences and optimizer share:
 * names and layouts of the published checkpoints, initial values, optimizer groups (spec §1, §3 to
 * §6). */
#ifndef MODEL_PARAMETERS_H
#define MODEL_PARAMETERS_H

#include "base/named.h"
#include "model/config.h"
#include "tensor/tensor.h"

typedef enum ParameterGroup {
    GROUP_BASE,
    GROUP_QK,     /* a wave's projection of queries, keys, values (and gates) */
    GROUP_KERNEL, /* wave_* and the spectral gate: no decay */
    GROUP_COUNT
} ParameterGroup;

typedef enum InitialKind {
    INITIAL_CONSTANT,          /* a */
    INITIAL_NORMAL,            /* a·normal */
    INITIAL_IDENTITY,          /* 1 on the diagonal, plus a·normal */
    INITIAL_LINSPACE,          /* a … b over the elements; a when there is one */
    INITIAL_GEOMETRIC,         /* the same in equal ratios */
    INITIAL_SOFTPLUS_GEOMETRIC /* softplus of the values goes from a to b in equal ratios */
} InitialKind;

/* Elements from `tail` on are the constant `tail_value` instead (the rows of a gate). */
typedef struct Initial {
    InitialKind kind;
    double a, b;
    int64_t tail;
    double tail_value;
} Initial;

typedef struct Parameter {
    char name[128];
    Shape shape;
    ParameterGroup group;
    bool decays;
    Initial initial;
} Parameter;

typedef struct ParameterList {
    Parameter *items;
    int count, capacity;
    Named *by_name; /* of items, sorted */
} ParameterList;

wf_status parameters_create(const Config *config, ParameterList *out);
void parameters_destroy(ParameterList *list);

/* Index of a name, or -1. */
int parameters_find(const ParameterList *list, const char *name);
int64_t parameters_elements(const ParameterList *list);

/* Initial values of parameter `index`: each parameter draws from a stream of its own. */
void parameter_initialise(const ParameterList *list, int index, uint64_t seed, float *values);

#endif
