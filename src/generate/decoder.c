#include "generate/decoder.h"

#include "base/status.h"
#include "model/builder.h"

#include <stdlib.h>

static const int64_t chunk_tokens[DECODER_CHUNKS] = {512, 64, 1};

/* ---- state ---- */

/* Bytes of the state are counted in 64 bits; is that enough? */
static bool state_is_countable(const Config *config, int64_t batch)
{
    int64_t room = INT64_MAX / 64;
    room /= batch;
    room /= config->num_layers;
    int64_t rows = 1; /* of D numbers a layer keeps */
    if (config_gated(config)) rows = int64_max(config->max_seq_len, config->field_size);
    if (config_has(config, MIXER_ATTENTION)) rows = int64_max(rows, 2 * config->max_seq_len);
    room /= rows;
    return room / config->embedding_dim > 0;
}

/* A gated field looks back at all its deposits: it needs every token's place. */
static wf_status write_places(wf_decoder *decoder)
{
    const wf_model *model = decoder->model;
    if (!config_gated(model->config)) return WF_OK;
    StreamState *state = &decoder->state;
    int64_t n = model->geometry.tokens;
    int32_t *cell = malloc((size_t)n * sizeof *cell);
    double *fraction = malloc((size_t)n * sizeof *fraction);
    wf_status status = WF_OK;
    if (!cell || !fraction)
        status = fail(WF_ERROR_MEMORY, "out of memory for the places of %lld tokens", (long long)n);
    if (!status) {
        geometry_places(&model->geometry, 0, n, cell, fraction);
        status = device_write_ints(&state->region, state->cell, cell, n);
    }
    if (!status) status = device_write_doubles(&state->region, state->fraction, fraction, n);
    free(cell);
    free(fraction);
    return status;
}

wf_status wf_decoder_reset(wf_decoder *decoder)
{
    decoder->failed = true;
    TRY(device_clear(&decoder->state.region));
    TRY(write_places(decoder));
    decoder->failed = false;
    decoder->position = 0;
    return WF_OK;
}

static wf_status check_model(const wf_model *model, int64_t batch)
{
    int64_t token;
    if (batch < 1 || !state_is_countable(model->config, batch))
        return fail(WF_ERROR_ARGUMENT, "a decoder of %lld sequences", (long long)batch);
    if (geometry_causal(&model->geometry, &token)) return WF_OK;
    return fail(
        WF_ERROR_UNSUPPORTED,
        "a decoder needs a causal geometry: with field_size %lld and max_seq_len %lld token "
        "%lld reads cell %lld, which token %lld still changes; use wf_model_logits",
        (long long)model->geometry.cells, (long long)model->geometry.tokens, (long long)token,
        (long long)geometry_last_cell(&model->geometry, token), (long long)token + 1);
}

wf_status wf_decoder_create(wf_model *model, int64_t batch, wf_decoder **out)
{
    if (!model || !out)
        return fail(WF_ERROR_ARGUMENT, "wf_decoder_create: model and out are needed");
    TRY(check_model(model, batch));
    wf_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder) return fail(WF_ERROR_MEMORY, "out of memory for a decoder");
    decoder->model = model;
    decoder->batch = batch;
    wf_status status = stream_state_layout(&decoder->state, model->config, &model->device->limits,
                                           model->storage, batch);
    if (!status) status = device_allocate(model->device, &decoder->state.region);
    if (!status) status = wf_decoder_reset(decoder);
    if (status) {
        wf_decoder_destroy(decoder);
        return status;
    }
    *out = decoder;
    return WF_OK;
}

static void program_free(ChunkProgram *program)
{
    runnable_destroy(&program->run);
    graph_destroy(program->graph);
    *program = (ChunkProgram){0};
}

void wf_decoder_destroy(wf_decoder *decoder)
{
    if (!decoder) return;
    for (int chunk = 0; chunk < DECODER_CHUNKS; chunk++) {
        for (int start = 0; start < 2; start++)
            for (int head = 0; head < DECODER_HEADS; head++)
                program_free(&decoder->programs[chunk][start][head]);
        device_release(&decoder->inputs[chunk].region);
    }
    runnable_destroy(&decoder->open);
    graph_destroy(decoder->opening);
    stream_state_destroy(&decoder->state);
    free(decoder);
}

/* ---- programs ---- */

static wf_status prepare_inputs(wf_decoder *decoder, int chunk)
{
    ModelInputs *inputs = &decoder->inputs[chunk];
    if (inputs->region.buffer) return WF_OK;
    Device *device = decoder->model->device;
    model_inputs_layout(inputs, decoder->model->config, &device->limits, decoder->batch,
                        chunk_tokens[chunk]);
    TRY(device_allocate(device, &inputs->region));
    return device_clear(&inputs->region);
}

static wf_status program_build(wf_decoder *decoder, int chunk, bool start, Head head,
                               ChunkProgram *program)
{
    const wf_model *model = decoder->model;
    program->graph = graph_create();
    TRY(graph_status(program->graph));
    Builder builder = model_builder(model, program->graph, &decoder->inputs[chunk]);
    builder.stream = &decoder->state;
    builder.stream_start = start;
    TRY(model_evaluator(model->config, NULL, &builder.evaluator));
    wf_status status = builder_begin(&builder);
    if (!status) {
        TensorId hidden = transformer_hidden(&builder);
        program->logits =
            head == HEAD_NONE ? NO_TENSOR : transformer_logits(&builder, hidden, head == HEAD_LAST);
        status = graph_status(program->graph);
    }
    builder_end(&builder);
    TRY(status);
    return runnable_create(model->device, program->graph, &program->run);
}

static wf_status prepare_program(wf_decoder *decoder, int chunk, bool start, Head head)
{
    ChunkProgram *program = &decoder->programs[chunk][start][head];
    if (program->graph) return WF_OK;
    TRY(prepare_inputs(decoder, chunk));
    wf_status status = program_build(decoder, chunk, start, head, program);
    if (status) program_free(program);
    return status;
}

static wf_status opening_build(wf_decoder *decoder)
{
    const wf_model *model = decoder->model;
    TRY(graph_status(decoder->opening));
    TRY(prepare_inputs(decoder, DECODER_CHUNKS - 1)); /* of which it reads none */
    Builder builder = model_builder(model, decoder->opening, &decoder->inputs[DECODER_CHUNKS - 1]);
    builder.stream = &decoder->state;
    TRY(model_evaluator(model->config, NULL, &builder.evaluator));
    wf_status status = builder_begin(&builder);
    if (!status) transformer_open_stream(&builder);
    if (!status) status = graph_status(decoder->opening);
    builder_end(&builder);
    if (status || decoder->opening->n_nodes == 0) return status;
    return runnable_create(model->device, decoder->opening, &decoder->open);
}

static wf_status prepare_opening(wf_decoder *decoder)
{
    if (decoder->opening) return WF_OK;
    decoder->opening = graph_create();
    wf_status status = opening_build(decoder);
    if (!status) return WF_OK;
    graph_destroy(decoder->opening);
    decoder->opening = NULL;
    return status;
}

/* ---- feeding ---- */

/* One call of wf_decoder_feed, and how much of it is done. */
typedef struct Feed {
    const int32_t *tokens; /* [B, n] */
    int64_t n, done;
    float *logits, *all_logits;
    /* the next chunk */
    int chunk;
    bool start;
    Head head;
} Feed;

/* Chooses the next chunk; false when nothing is left. */
static bool next_chunk(const wf_decoder *decoder, int64_t from, Feed *feed)
{
    int64_t left = feed->n - feed->done;
    if (left == 0) return false;
    feed->chunk = 0;
    while (chunk_tokens[feed->chunk] > left) feed->chunk++;
    feed->start = config_gated(decoder->model->config) && from + feed->done == 0;
    bool last = chunk_tokens[feed->chunk] == left;
    feed->head = feed->all_logits ? HEAD_ALL : feed->logits && last ? HEAD_LAST : HEAD_NONE;
    return true;
}

/* Row by row, as the caller's sequences are longer than the chunk. */
static wf_status write_tokens(wf_decoder *decoder, const Feed *feed)
{
    ModelInputs *inputs = &decoder->inputs[feed->chunk];
    int64_t count = inputs->tokens;
    int64_t row = count * decoder->model->device->limits.dtype_size[DTYPE_I32];
    for (int64_t b = 0; b < decoder->batch; b++)
        TRY(device_write_ints(&inputs->region, inputs->token + b * row,
                              feed->tokens + b * feed->n + feed->done, count));
    return WF_OK;
}

/* Of every sequence the tokens `skip` … `skip`+count-1 of the chunk's `rows` into
 * to[b·apart … ]. */
static wf_status read_logits(const wf_decoder *decoder, const ChunkProgram *program, int64_t rows,
                             int64_t skip, float *to, int64_t apart)
{
    const Plan *plan = program->run.plan;
    Place place = plan->places[program->logits];
    int64_t vocabulary = decoder->model->config->vocab_size;
    int64_t size = plan->limits.dtype_size[DTYPE_REAL];
    for (int64_t b = 0; b < decoder->batch; b++)
        TRY(device_read_floats(plan->slabs[place.slab],
                               place.offset + (b * rows + skip) * vocabulary * size, to + b * apart,
                               (rows - skip) * vocabulary));
    return WF_OK;
}

static wf_status run_chunk(wf_decoder *decoder, const Feed *feed)
{
    const wf_model *model = decoder->model;
    const ChunkProgram *program = &decoder->programs[feed->chunk][feed->start][feed->head];
    int64_t count = chunk_tokens[feed->chunk], vocabulary = model->config->vocab_size;
    TRY(model_inputs_place(&decoder->inputs[feed->chunk], model->config, &model->geometry,
                           decoder->position));
    TRY(write_tokens(decoder, feed));
    TRY(model->device->backend->program_run(program->run.program));
    if (feed->head == HEAD_NONE) return WF_OK;
    if (feed->head == HEAD_LAST)
        return read_logits(decoder, program, 1, 0, feed->logits, vocabulary);
    TRY(read_logits(decoder, program, count, 0, feed->all_logits + feed->done * vocabulary,
                    feed->n * vocabulary));
    if (!feed->logits || feed->done + count < feed->n) return WF_OK;
    return read_logits(decoder, program, count, count - 1, feed->logits, vocabulary);
}

static wf_status check_feed(const wf_decoder *decoder, const Feed *feed)
{
    int64_t limit = decoder->model->config->max_seq_len;
    if (decoder->failed)
        return fail(WF_ERROR_DEVICE, "the decoder failed half-way through a step: reset it");
    if (!feed->tokens || feed->n < 1)
        return fail(WF_ERROR_ARGUMENT, "wf_decoder_feed: %lld tokens", (long long)feed->n);
    if (feed->n > limit - decoder->position)
        return fail(WF_ERROR_ARGUMENT,
                    "%lld tokens at position %lld pass max_seq_len %lld: positions are absolute",
                    (long long)feed->n, (long long)decoder->position, (long long)limit);
    return model_check_tokens(decoder->model, feed->tokens, decoder->batch * feed->n);
}

wf_status wf_decoder_feed(wf_decoder *decoder, const int32_t *tokens, int64_t n, float *logits,
                          float *all_logits)
{
    Feed feed = {.tokens = tokens, .n = n, .logits = logits, .all_logits = all_logits};
    TRY(check_feed(decoder, &feed));
    TRY(model_ready(decoder->model));
    /* Everything that may not fit into memory is made before anything is fed. */
    for (; next_chunk(decoder, decoder->position, &feed); feed.done += chunk_tokens[feed.chunk])
        TRY(prepare_program(decoder, feed.chunk, feed.start, feed.head));
    TRY(prepare_opening(decoder));

    int64_t from = decoder->position;
    if (from == 0 && decoder->open.program)
        TRY(decoder->model->device->backend->program_run(decoder->open.program));
    for (feed.done = 0; next_chunk(decoder, from, &feed); feed.done += chunk_tokens[feed.chunk]) {
        wf_status status = run_chunk(decoder, &feed);
        if (status) {
            decoder->failed = true;
            return status;
        }
        decoder->position += chunk_tokens[feed.chunk];
    }
    return WF_OK;
}

int64_t wf_decoder_position(const wf_decoder *decoder)
{
    return decoder->position;
}
