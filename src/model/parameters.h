/* The parameters of a configuration, in one fixed order: names and shapes of the published
 * checkpoints, initial values (spec §3 to §6), optimizer groups. */
#ifndef MODEL_PARAMETERS_H
#define MODEL_PARAMETERS_H

#include "model/config.h"
#include "tensor/tensor.h"

/* Rates of the groups: 1, qk_lr_mult, kernel_lr_mult (spec §6). */
typedef enum ParameterGroup { GROUP_BASE, GROUP_QK, GROUP_KERNEL, GROUP_COUNT } ParameterGroup;

typedef enum InitialKind {
    INITIAL_CONSTANT, /* value */
    INITIAL_NORMAL,   /* sigma · normal */
    INITIAL_LINSPACE, /* from value to last, both included */
    INITIAL_IDENTITY  /* identity + sigma · normal */
} InitialKind;

typedef struct Initial {
    InitialKind kind;
    double value, last, sigma;
    int64_t tail; /* the last `tail` entries of the first axis are tail_value instead */
    double tail_value;
} Initial;

enum { PARAMETER_NAME_SIZE = 96 };

typedef struct Parameter {
    char name[PARAMETER_NAME_SIZE];
    Shape shape;
    Initial initial;
    ParameterGroup group;
    bool decays;
} Parameter;

typedef struct ParameterList {
    Parameter *items;
    int count, capacity;
    int *by_name; /* [count] indices of items, sorted by name */
} ParameterList;

/* Of a valid configuration. */
wf_status parameters_create(const Config *config, ParameterList *out);
void parameters_destroy(ParameterList *list);

/* Index by name, or -1. */
int parameters_find(const ParameterList *list, const char *name);

/* Elements of all parameters together. */
int64_t parameters_elements(const ParameterList *list);

/* Writes a parameter's initial values, shape_elements(shape) of them. A function of seed, name,
 * shape and rule only: not of the order of calls, nor of other parameters. */
void parameter_initialize(const Parameter *parameter, uint64_t seed, float *values);

#endif
