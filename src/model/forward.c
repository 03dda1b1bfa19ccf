#include "model/forward.h"

wf_status forward_begin(Forward *forward, wf_model *model, int64_t batch, int64_t n,
                        const char *evaluator)
{
    FieldEvaluator choice;
    TRY(model_evaluator(model->config, evaluator, &choice));
    if (batch < 1 || n < 1)
        return fail(WF_ERROR_ARGUMENT,
                    "a forward pass of %lld sequences of %lld tokens: at least 1 of each",
                    (long long)batch, (long long)n);
    forward->model = model;
    model_inputs_layout(&forward->inputs, model->config, &model->device->limits, batch, n);
    forward->graph = graph_create();
    TRY(graph_status(forward->graph));
    forward->builder = model_builder(model, forward->graph, &forward->inputs);
    forward->builder.evaluator = choice;
    return builder_begin(&forward->builder);
}

void forward_keep(Forward *forward, TensorId tensor, Region *result)
{
    Graph *graph = forward->graph;
    if (graph->status) return;
    Shape shape = graph_shape(graph, tensor);
    result->size = 0;
    region_append(result, &forward->model->device->limits, DTYPE_REAL, shape);
    TensorId kept = graph_external(graph, result->name, DTYPE_REAL, shape, result, 0);
    graph_append(graph,
                 &(NodeParams){.op = OP_COPY, .in = &tensor, .n_in = 1, .out = &kept, .n_out = 1});
}

wf_status forward_run(Forward *forward, const int32_t *tokens)
{
    wf_model *model = forward->model;
    Device *device = model->device;
    ModelInputs *inputs = &forward->inputs;
    Runnable *run = &forward->run;
    TRY(graph_status(forward->graph));
    TRY(model_check_tokens(model, tokens, inputs->batch * inputs->tokens));
    TRY(device_plan_create(device, forward->graph, &run->plan));
    for (int i = 0; i < run->plan->n_external; i++)
        TRY(device_allocate(device, run->plan->slabs[i]));
    TRY(device_plan_allocate(device, run->plan));
    TRY(device->backend->program_create(device, run->plan, &run->program));
    TRY(device_clear(&inputs->region));
    TRY(model_inputs_place(inputs, model->config, &model->geometry, 0));
    TRY(device_write_ints(&inputs->region, inputs->token, tokens, inputs->batch * inputs->tokens));
    TRY(model_ready(model));
    return device->backend->program_run(run->program);
}

void forward_end(Forward *forward)
{
    runnable_destroy(&forward->run);
    builder_end(&forward->builder);
    graph_destroy(forward->graph);
    device_release(&forward->inputs.region);
    *forward = (Forward){0};
}
