/* What a wf_field is inside the library: one graph for the forward pass and one for the backward,
 * over tensors that both share. */
#ifndef OPERATOR_OPERATOR_H
#define OPERATOR_OPERATOR_H

#include "backends/backend.h"
#include "field/geometry.h"
#include "wavefield/field.h"

/* The tensors, each in a region of its own. */
typedef enum FieldTensor {
    FIELD_U,         /* [B,N,H,d] */
    FIELD_FREQUENCY, /* [H] */
    FIELD_DAMPING,   /* [H] */
    FIELD_PHASE,     /* [H] */
    FIELD_CELL,      /* i32 [N] */
    FIELD_FRACTION,  /* [N] */
    FIELD_R,         /* [B,N,H,d] */
    FIELD_CARRY,     /* see OP_FIELD */
    FIELD_D_R,       /* gradients, of the same shapes */
    FIELD_D_U,
    FIELD_D_FREQUENCY,
    FIELD_D_DAMPING,
    FIELD_D_PHASE,
    FIELD_TENSORS
} FieldTensor;

struct wf_field {
    Device *device; /* borrowed */
    Geometry geometry;
    FieldParams params;
    int64_t batch, tokens;
    Region regions[FIELD_TENSORS];
    Graph *forward_graph, *backward_graph;
    Runnable forward, backward;
    bool has_kernel; /* the kernel has been set, */
    bool has_input;  /* and since then a forward pass run */
};

/* Elements of a tensor. */
int64_t field_elements(const wf_field *field, FieldTensor tensor);

#endif
