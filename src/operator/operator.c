#include "operator/operator.h"

#include "graph/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    DType dtype;
} tensor_info[FIELD_TENSORS] = {
    [FIELD_U] = {"u", DTYPE_REAL},
    [FIELD_FREQUENCY] = {"frequency", DTYPE_REAL},
    [FIELD_DAMPING] = {"damping", DTYPE_REAL},
    [FIELD_PHASE] = {"phase", DTYPE_REAL},
    [FIELD_CELL] = {"cell", DTYPE_I32},
    [FIELD_FRACTION] = {"fraction", DTYPE_REAL},
    [FIELD_R] = {"r", DTYPE_REAL},
    [FIELD_CARRY] = {"carry", DTYPE_REAL},
    [FIELD_D_R] = {"gradient of r", DTYPE_REAL},
    [FIELD_D_U] = {"gradient of u", DTYPE_REAL},
    [FIELD_D_FREQUENCY] = {"gradient of frequency", DTYPE_REAL},
    [FIELD_D_DAMPING] = {"gradient of damping", DTYPE_REAL},
    [FIELD_D_PHASE] = {"gradient of phase", DTYPE_REAL},
};

static Shape tensor_shape(const wf_field *field, FieldTensor tensor)
{
    int64_t heads = field->params.heads, width = field->params.width;
    switch (tensor) {
    case FIELD_U:
    case FIELD_R:
    case FIELD_D_R:
    case FIELD_D_U: return SHAPE(field->batch, field->tokens, heads, width);
    case FIELD_CELL:
    case FIELD_FRACTION: return SHAPE(field->tokens);
    case FIELD_CARRY:
        return SHAPE(field->batch, heads, ceil_div(field->tokens, FIELD_CHUNK), 2, width);
    default: return SHAPE(heads);
    }
}

int64_t field_elements(const wf_field *field, FieldTensor tensor)
{
    return shape_elements(tensor_shape(field, tensor));
}

/* ---- parameters ---- */

static wf_status check_sizes(const wf_field_params *p)
{
    const struct {
        const char *name;
        int64_t value, least, most;
    } sizes[] = {
        {"batch", p->batch, 1, GEOMETRY_MAX},
        {"tokens", p->tokens, 1, GEOMETRY_MAX},
        {"heads", p->heads, 1, GEOMETRY_MAX},
        {"width", p->width, 1, GEOMETRY_MAX},
        {"max_tokens", p->max_tokens ? p->max_tokens : p->tokens, 1, GEOMETRY_MAX},
        {"cells", p->cells ? p->cells : 2, 2, GEOMETRY_MAX},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < sizes[i].least || sizes[i].value > sizes[i].most)
            return fail(WF_ERROR_ARGUMENT, "%s is %lld: from %lld to %lld", sizes[i].name,
                        (long long)sizes[i].value, (long long)sizes[i].least,
                        (long long)sizes[i].most);
    if (p->max_tokens && p->tokens > p->max_tokens)
        return fail(WF_ERROR_ARGUMENT,
                    "tokens is %lld, max_tokens only %lld: positions are absolute",
                    (long long)p->tokens, (long long)p->max_tokens);
    int64_t room = INT64_MAX / (int64_t)sizeof(double) / 4;
    for (int i = 0; i < 4; i++) room /= sizes[i].value;
    if (room < 1)
        return fail(WF_ERROR_MEMORY, "u of shape %s fits no memory",
                    SHAPE_TEXT(SHAPE(p->batch, p->tokens, p->heads, p->width)));
    if (!(p->damping_limit >= 0) || !isfinite(p->damping_limit))
        return fail(WF_ERROR_ARGUMENT, "damping_limit is %g: above 0, or 0 for none",
                    (double)p->damping_limit);
    return WF_OK;
}

/* The index of `name` among n names, the first where it is NULL. */
static wf_status choose(const char *key, const char *name, const char *const *names, int n,
                        int *out)
{
    for (int i = 0; i < n; i++)
        if (!name || !strcmp(name, names[i])) {
            *out = i;
            return WF_OK;
        }
    char list[64] = "";
    for (int i = 0; i < n; i++) {
        if (i) strcat(list, ", ");
        strcat(list, names[i]);
    }
    return fail(WF_ERROR_ARGUMENT, "%s is \"%s\": one of %s", key, name, list);
}

static wf_status choose_geometry(wf_field *field, const wf_field_params *p)
{
    static const char *const names[] = {"4", "3.5"};
    int version = 0;
    TRY(choose("geometry", p->geometry, names, 2, &version));
    int64_t max_tokens = p->max_tokens ? p->max_tokens : p->tokens;
    field->geometry = (Geometry){
        .version = version == 0 ? MODEL_V4 : MODEL_V3_5,
        .cells = p->cells ? p->cells : int64_max(max_tokens, 2),
        .tokens = max_tokens,
    };
    return WF_OK;
}

static wf_status choose_evaluator(wf_field *field, const wf_field_params *p)
{
    static const char *const names[] = {"auto", "scan", "fft", "direct"};
    int evaluator = 0;
    TRY(choose("evaluator", p->evaluator, names, 4, &evaluator));
    bool causal = geometry_causal(&field->geometry, NULL);
    if (!causal && !p->allow_leaky_geometry)
        return fail_within(geometry_check(&field->geometry), "cells %lld, max_tokens %lld",
                           (long long)field->geometry.cells, (long long)field->geometry.tokens);
    if (!causal && evaluator == 1)
        return fail(WF_ERROR_UNSUPPORTED, "evaluator \"scan\" needs a causal geometry: choose fft");
    if (evaluator == 0)
        field->params.evaluator = causal ? FIELD_SCAN : FIELD_FFT;
    else
        field->params.evaluator = (FieldEvaluator)(FIELD_SCAN + evaluator - 1);
    return WF_OK;
}

static wf_status choose_params(wf_field *field, const wf_field_params *p)
{
    static const char *const norms[] = {"l1", "dc"};
    int norm = 0;
    TRY(check_sizes(p));
    TRY(choose_geometry(field, p));
    TRY(choose("kernel_norm", p->kernel_norm, norms, 2, &norm));
    TRY(choose_evaluator(field, p));
    field->batch = p->batch;
    field->tokens = p->tokens;
    field->params.heads = p->heads;
    field->params.width = p->width;
    field->params.cells = field->geometry.cells;
    field->params.reach = geometry_reach(&field->geometry, p->tokens);
    field->params.norm = norm == 0 ? KERNEL_NORM_L1 : KERNEL_NORM_DC;
    field->params.damping_limit = p->damping_limit > 0 ? p->damping_limit : INFINITY;
    return WF_OK;
}

/* ---- graphs ---- */

static TensorId name_tensor(wf_field *field, Graph *graph, FieldTensor tensor)
{
    return graph_external(graph, tensor_info[tensor].name, tensor_info[tensor].dtype,
                          tensor_shape(field, tensor), &field->regions[tensor], 0);
}

static wf_status build_forward(wf_field *field)
{
    Graph *graph = field->forward_graph = graph_create();
    TRY(graph_status(graph));
    graph_scope(graph, "field");
    TensorId in[7], out[2];
    for (int i = 0; i < 6; i++) in[i] = name_tensor(field, graph, (FieldTensor)(FIELD_U + i));
    in[6] = NO_TENSOR;
    out[0] = name_tensor(field, graph, FIELD_R);
    out[1] = name_tensor(field, graph, FIELD_CARRY);
    graph_append(graph, &(NodeParams){.op = OP_FIELD,
                                      .params = {.field = field->params},
                                      .in = in,
                                      .n_in = 7,
                                      .out = out,
                                      .n_out = 2});
    return graph_status(graph);
}

static wf_status build_backward(wf_field *field)
{
    Graph *graph = field->backward_graph = graph_create();
    TRY(graph_status(graph));
    graph_scope(graph, "field");
    TensorId in[9], out[5];
    in[0] = name_tensor(field, graph, FIELD_D_R);
    for (int i = 0; i < 6; i++) in[1 + i] = name_tensor(field, graph, (FieldTensor)(FIELD_U + i));
    in[7] = name_tensor(field, graph, FIELD_CARRY);
    in[8] = NO_TENSOR;
    for (int i = 0; i < 4; i++) out[i] = name_tensor(field, graph, (FieldTensor)(FIELD_D_U + i));
    out[4] = NO_TENSOR;
    for (int i = 1; i < 4; i++)
        graph_append(graph, &(NodeParams){.op = OP_FILL, .out = &out[i], .n_out = 1});
    graph_append(graph, &(NodeParams){.op = OP_FIELD_BACKWARD,
                                      .params = {.field = field->params},
                                      .in = in,
                                      .n_in = 9,
                                      .out = out,
                                      .n_out = 5,
                                      .skip = 1u << 4});
    return graph_status(graph);
}

static wf_status allocate(wf_field *field)
{
    for (int i = 0; i < FIELD_TENSORS; i++) {
        Region *region = &field->regions[i];
        region->name = tensor_info[i].name;
        region->size = field_elements(field, (FieldTensor)i) *
                       field->device->limits.dtype_size[tensor_info[i].dtype];
        TRY(device_allocate(field->device, region));
    }
    return WF_OK;
}

static wf_status write_geometry(wf_field *field)
{
    int64_t n = field->tokens;
    int32_t *cell = malloc((size_t)n * sizeof *cell);
    double *fraction = malloc((size_t)n * sizeof *fraction);
    wf_status status = WF_OK;
    if (!cell || !fraction) status = fail(WF_ERROR_MEMORY, "out of memory for a geometry");
    if (!status) {
        geometry_places(&field->geometry, 0, n, cell, fraction);
        status = device_write_ints(&field->regions[FIELD_CELL], 0, cell, n);
    }
    if (!status) status = device_write_doubles(&field->regions[FIELD_FRACTION], 0, fraction, n);
    free(cell);
    free(fraction);
    return status;
}

static wf_status create(wf_field *field, const wf_field_params *params)
{
    TRY(choose_params(field, params));
    TRY(build_forward(field));
    TRY(build_backward(field));
    TRY(allocate(field));
    TRY(write_geometry(field));
    TRY(runnable_create(field->device, field->forward_graph, &field->forward));
    return runnable_create(field->device, field->backward_graph, &field->backward);
}

/* ---- the public interface ---- */

wf_status wf_field_create(wf_device *device, const wf_field_params *params, wf_field **out)
{
    if (!device || !params || !out)
        return fail(WF_ERROR_ARGUMENT, "wf_field_create: device, params and out are needed");
    wf_field *field = calloc(1, sizeof *field);
    if (!field) return fail(WF_ERROR_MEMORY, "out of memory for a field");
    field->device = device;
    wf_status status = create(field, params);
    if (status) {
        wf_field_destroy(field);
        return status;
    }
    *out = field;
    return WF_OK;
}

void wf_field_destroy(wf_field *field)
{
    if (!field) return;
    runnable_destroy(&field->forward);
    runnable_destroy(&field->backward);
    graph_destroy(field->forward_graph);
    graph_destroy(field->backward_graph);
    for (int i = 0; i < FIELD_TENSORS; i++) device_release(&field->regions[i]);
    free(field);
}

static wf_status write_tensor(wf_field *field, FieldTensor tensor, const float *values)
{
    if (!values)
        return fail(WF_ERROR_ARGUMENT, "wf_field: no values for %s", tensor_info[tensor].name);
    return device_write_floats(&field->regions[tensor], 0, values, field_elements(field, tensor));
}

static wf_status read_tensor(const wf_field *field, FieldTensor tensor, float *values)
{
    if (!values) return WF_OK;
    return device_read_floats(&field->regions[tensor], 0, values, field_elements(field, tensor));
}

wf_status wf_field_set_kernel(wf_field *field, const float *frequency, const float *damping,
                              const float *phase)
{
    const float *const values[] = {frequency, damping, phase};
    for (int i = 0; i < 3; i++)
        for (int64_t h = 0; values[i] && h < field->params.heads; h++)
            if (!isfinite(values[i][h]))
                return fail(WF_ERROR_NUMERIC, "%s of head %lld is %g",
                            tensor_info[FIELD_FREQUENCY + i].name, (long long)h,
                            (double)values[i][h]);
    field->has_kernel = field->has_input = false;
    for (int i = 0; i < 3; i++)
        TRY(write_tensor(field, (FieldTensor)(FIELD_FREQUENCY + i), values[i]));
    field->has_kernel = true;
    return WF_OK;
}

wf_status wf_field_forward(wf_field *field, const float *u, float *r)
{
    if (!field->has_kernel)
        return fail(WF_ERROR_ARGUMENT, "wf_field_forward: call wf_field_set_kernel first");
    TRY(write_tensor(field, FIELD_U, u));
    TRY(field->device->backend->program_run(field->forward.program));
    field->has_input = true;
    return read_tensor(field, FIELD_R, r);
}

wf_status wf_field_backward(wf_field *field, const float *dr, float *du, float *dfrequency,
                            float *ddamping, float *dphase)
{
    if (!field->has_input)
        return fail(WF_ERROR_ARGUMENT, "wf_field_backward: call wf_field_forward first");
    TRY(write_tensor(field, FIELD_D_R, dr));
    TRY(field->device->backend->program_run(field->backward.program));
    TRY(read_tensor(field, FIELD_D_U, du));
    TRY(read_tensor(field, FIELD_D_FREQUENCY, dfrequency));
    TRY(read_tensor(field, FIELD_D_DAMPING, ddamping));
    return read_tensor(field, FIELD_D_PHASE, dphase);
}
