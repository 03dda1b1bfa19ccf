#include "train/pass.h"

#include "graph/autodiff.h"

static void append_loss(Pass *pass, Builder *builder, TensorId hidden)
{
    Graph *graph = pass->graph;
    Region *sums = &pass->tally.region;
    TensorId table = builder_weight(builder, "token_embedding.weight");
    TensorId in[] = {hidden, table, builder->target, builder->seed};
    TensorId out[] = {
        graph_external(graph, "loss", DTYPE_REAL, SHAPE(1), sums, pass->tally.loss),
        graph_external(graph, "loss counts", DTYPE_I32, SHAPE(2), sums, pass->tally.counts),
        NO_TENSOR,
        NO_TENSOR,
    };
    graph_append(graph, &(NodeParams){.op = OP_HEAD_LOSS,
                                      .in = in,
                                      .n_in = 4,
                                      .out = out,
                                      .n_out = 4,
                                      .skip = 1u << 2 | 1u << 3});
}

static wf_status build(Pass *pass, const wf_model *model, const PassParams *params)
{
    Builder builder = model_builder(model, pass->graph, &pass->inputs);
    builder.gradients = params->gradients;
    builder.evaluator = params->evaluator;
    builder.training = params->gradients != NULL;
    builder.recompute = params->gradients && params->recompute;
    TRY(builder_begin(&builder));
    append_loss(pass, &builder, transformer_hidden(&builder));
    wf_status status = graph_status(pass->graph);
    if (!status && params->gradients) status = graph_backward(pass->graph, NO_TENSOR, NO_TENSOR);
    builder_end(&builder);
    return status;
}

wf_status pass_plan(Pass *pass, const wf_model *model, const PassParams *params)
{
    Device *device = model->device;
    *pass = (Pass){0};
    model_inputs_layout(&pass->inputs, model->config, &device->limits, params->batch,
                        params->tokens);
    tally_layout(&pass->tally, &device->limits);
    pass->graph = graph_create();
    TRY(graph_status(pass->graph));
    TRY(build(pass, model, params));
    return device_plan_create(device, pass->graph, &pass->plan);
}

int64_t pass_activation_bytes(const Pass *pass)
{
    return plan_memory(pass->plan);
}

int64_t pass_input_bytes(const Pass *pass)
{
    return pass->inputs.region.size + pass->tally.region.size;
}

wf_status pass_allocate(Pass *pass, const wf_model *model)
{
    Device *device = model->device;
    TRY(device_allocate(device, &pass->inputs.region));
    TRY(device_allocate(device, &pass->tally.region));
    TRY(device_plan_allocate(device, pass->plan));
    TRY(device_clear(&pass->inputs.region));
    TRY(device_clear(&pass->tally.region));
    TRY(model_inputs_place(&pass->inputs, model->config, &model->geometry, 0));
    return device->backend->program_create(device, pass->plan, &pass->program);
}

void pass_destroy(Pass *pass)
{
    if (pass->program) pass->program->device->backend->program_destroy(pass->program);
    if (pass->plan) device_plan_release(pass->plan);
    plan_destroy(pass->plan);
    graph_destroy(pass->graph);
    device_release(&pass->inputs.region);
    device_release(&pass->tally.region);
    *pass = (Pass){0};
}

wf_status pass_load(Pass *pass, const PassBatch *batch)
{
    ModelInputs *inputs = &pass->inputs;
    Region *region = &inputs->region;
    int64_t n = inputs->batch * inputs->tokens;
    const int32_t key[2] = {(int32_t)batch->key[0], (int32_t)batch->key[1]};
    TRY(device_write_ints(region, inputs->token, batch->token, n));
    TRY(device_write_ints(region, inputs->target, batch->target, n));
    if (batch->order) TRY(device_write_ints(region, inputs->order, batch->order, n));
    TRY(device_write_ints(region, inputs->key, key, 2));
    return device_write_doubles(region, inputs->seed, &batch->seed, 1);
}

wf_status pass_run(Pass *pass)
{
    return pass->program->device->backend->program_run(pass->program);
}
