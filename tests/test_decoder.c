/* The streaming decoder equals the full forward pass, however a sequence is cut into chunks. */
#include "generate/decoder.h"

#include "base/rng.h"
#include "check/check.h"
#include "check/outputs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 2, MAX_SETTINGS = 14 };

typedef struct Case {
    const char *name;
    int64_t tokens;
    const char *settings[MAX_SETTINGS];
} Case;

#define SMALL                                                                                      \
    "vocab_size=37", "embedding_dim=24", "num_heads=3", "ffn_dim=20", "num_layers=3", "dropout=0.1"

static const Case cases[] = {
    {"v4", 150, {SMALL, "version=4", "max_seq_len=150", "field_size=150"}},
    {"v4, stride 5/2",
     149,
     {SMALL, "version=4", "max_seq_len=149", "field_size=371", "interference_interval=1"}},
    {"v4, stride 5/3, dc",
     61,
     {SMALL, "version=4", "max_seq_len=61", "field_size=101", "kernel_norm=dc",
      "interference_interval=0", "feature_map_depth=1", "cross_dim=false"}},
    {"v4, far apart", 70, {SMALL, "version=4", "max_seq_len=101", "field_size=5003"}},
    {"v4, all chunk sizes",
     700,
     {SMALL, "version=4", "max_seq_len=801", "field_size=1601", "interference_interval=2"}},
    {"v4 gated",
     149,
     {SMALL, "version=4", "max_seq_len=149", "field_size=371", "spectral_gate=true"}},
    {"v4 gated, far apart",
     67,
     {SMALL, "version=4", "max_seq_len=71", "field_size=2003", "spectral_gate=true",
      "interference_interval=1"}},
    {"v4 gated, all chunk sizes",
     590,
     {SMALL, "version=4", "max_seq_len=601", "field_size=601", "spectral_gate=true"}},
    {"v4 attention", 150, {SMALL, "version=4", "max_seq_len=151", "mixer=attention"}},
    {"v4 attention, all chunk sizes",
     700,
     {SMALL, "version=4", "max_seq_len=701", "mixer=attention", "interference_interval=0"}},
    {"v4 hybrid, all chunk sizes",
     590,
     {SMALL, "version=4", "max_seq_len=601", "field_size=601", "mixer=wave,attention,wave"}},
    {"v4 gated hybrid",
     149,
     {SMALL, "version=4", "max_seq_len=149", "field_size=371", "spectral_gate=true",
      "mixer=attention,wave,attention"}},
    {"v3.5 attention", 97, {SMALL, "version=3.5", "max_seq_len=97", "mixer=attention"}},
    {"v3.5 hybrid",
     96,
     {SMALL, "version=3.5", "max_seq_len=101", "field_size=241", "mixer=attention,attention,wave"}},
    {"v3.5", 150, {SMALL, "version=3.5", "max_seq_len=150", "field_size=447"}},
    {"v3.5, stride 12/5",
     96,
     {SMALL, "version=3.5", "max_seq_len=101", "field_size=241", "interference_interval=2"}},
};
enum { CASES = sizeof cases / sizeof *cases };

static wf_device *open_float(void)
{
    wf_device *device = NULL;
    if (wf_device_open("cpu", &device)) fail_msg("%s", wf_error_message());
    return device;
}

static wf_device *open_double(void)
{
    Device *device = NULL;
    if (backend_cpu64.open(0, &device)) fail_msg("%s", wf_error_message());
    return device;
}

/* Initial values have gates at rest and identities; noise sets every path going. */
static void stir(wf_model *model)
{
    Rng rng = {.seed = 3};
    for (int i = 0; i < wf_model_parameter_count(model); i++) {
        wf_parameter_info info;
        assert_int_equal(wf_model_parameter(model, i, &info), WF_OK);
        float *values = malloc((size_t)info.elements * sizeof *values);
        assert_int_equal(wf_model_read(model, info.name, values), WF_OK);
        for (int64_t k = 0; k < info.elements; k++) values[k] += (float)(0.2 * rng_normal(&rng));
        assert_int_equal(wf_model_write(model, info.name, values), WF_OK);
        free(values);
    }
}

static wf_model *model_of(wf_device *device, const char *const *settings)
{
    wf_config *config;
    wf_model *model = NULL;
    assert_int_equal(wf_config_create("demo", &config), WF_OK);
    for (int i = 0; i < MAX_SETTINGS && settings[i]; i++)
        if (wf_config_set(config, settings[i])) fail_msg("%s", wf_error_message());
    if (wf_model_create(device, config, 1, &model)) fail_msg("%s", wf_error_message());
    wf_config_destroy(config);
    stir(model);
    return model;
}

/* tokens [rows, n] */
static int32_t *draw_tokens(const wf_model *model, int64_t rows, int64_t n)
{
    Rng rng = {.seed = 8};
    int32_t *tokens = malloc((size_t)(rows * n) * sizeof *tokens);
    for (int64_t i = 0; i < rows * n; i++)
        tokens[i] = (int32_t)rng_below(&rng, (uint64_t)model->config->vocab_size);
    return tokens;
}

/* ---- logits in the device's own precision ---- */

static void read_place(const Runnable *run, TensorId id, double *to, int64_t n)
{
    Place place = run->plan->places[id];
    assert_int_equal(device_read_doubles(run->plan->slabs[place.slab], place.offset, to, n), WF_OK);
}

/* Of whole sequences, as wf_model_logits does: [B, n, V]. */
static double *full_logits(wf_model *model, const int32_t *tokens, int64_t n,
                           FieldEvaluator evaluator)
{
    ModelInputs inputs;
    Runnable run = {0};
    int64_t elements = BATCH * n * model->config->vocab_size;
    double *logits = malloc((size_t)elements * sizeof *logits);
    model_inputs_layout(&inputs, model->config, &model->device->limits, BATCH, n);
    assert_int_equal(device_allocate(model->device, &inputs.region), WF_OK);
    Builder builder = {.graph = graph_create(),
                       .config = model->config,
                       .parameters = &model->parameters,
                       .values = &model->values,
                       .inputs = &inputs,
                       .evaluator = evaluator};
    assert_int_equal(builder_begin(&builder), WF_OK);
    TensorId id = transformer_logits(&builder, transformer_hidden(&builder), false);
    builder_end(&builder);
    if (runnable_create(model->device, builder.graph, &run)) fail_msg("%s", wf_error_message());
    assert_int_equal(model_inputs_place(&inputs, model->config, &model->geometry, 0), WF_OK);
    assert_int_equal(device_write_ints(&inputs.region, inputs.token, tokens, BATCH * n), WF_OK);
    assert_int_equal(model->device->backend->program_run(run.program), WF_OK);
    read_place(&run, id, logits, elements);
    runnable_destroy(&run);
    graph_destroy(builder.graph);
    device_release(&inputs.region);
    return logits;
}

/* Feeds exactly one chunk of [B, count] tokens, `done` into rows of n; its logits into [B, n, V].
 */
static void feed_chunk(wf_decoder *decoder, const int32_t *tokens, int64_t n, int64_t done,
                       int chunk, int64_t count, double *logits)
{
    int64_t vocabulary = decoder->model->config->vocab_size;
    int32_t *part = malloc((size_t)(BATCH * count) * sizeof *part);
    float *ignored = malloc((size_t)(BATCH * count * vocabulary) * sizeof *ignored);
    double *values = malloc((size_t)(BATCH * count * vocabulary) * sizeof *values);
    for (int64_t b = 0; b < BATCH; b++)
        memcpy(part + b * count, tokens + b * n + done, (size_t)count * sizeof *part);
    bool start = decoder->model->config->spectral_gate && decoder->position == 0;
    if (wf_decoder_feed(decoder, part, count, NULL, ignored)) fail_msg("%s", wf_error_message());
    const ChunkProgram *program = &decoder->programs[chunk][start][HEAD_ALL];
    read_place(&program->run, program->logits, values, BATCH * count * vocabulary);
    for (int64_t b = 0; b < BATCH; b++)
        memcpy(logits + (b * n + done) * vocabulary, values + b * count * vocabulary,
               (size_t)(count * vocabulary) * sizeof *values);
    free(part);
    free(ignored);
    free(values);
}

static double *streamed_logits(wf_model *model, const int32_t *tokens, int64_t n, bool largest)
{
    wf_decoder *decoder;
    double *logits = malloc((size_t)(BATCH * n * model->config->vocab_size) * sizeof *logits);
    if (wf_decoder_create(model, BATCH, &decoder)) fail_msg("%s", wf_error_message());
    static const int64_t sizes[DECODER_CHUNKS] = {512, 64, 1};
    for (int64_t done = 0; done < n;) {
        int chunk = largest ? 0 : DECODER_CHUNKS - 1;
        while (sizes[chunk] > n - done) chunk++;
        feed_chunk(decoder, tokens, n, done, chunk, sizes[chunk], logits);
        done += sizes[chunk];
    }
    assert_int_equal(wf_decoder_position(decoder), n);
    wf_decoder_destroy(decoder);
    return logits;
}

static void expect_near(const char *what, const Case *this, const double *a, const double *b,
                        int64_t n, double bound)
{
    double error = relative_error(a, b, n);
    if (!(error <= bound))
        fail_msg("%s, %s: error %.3g exceeds %.3g", this->name, what, error, bound);
}

static void test_double_equals_full(void **state)
{
    (void)state;
    wf_device *device = open_double();
    for (int c = 0; c < CASES; c++) {
        wf_model *model = model_of(device, cases[c].settings);
        int64_t n = cases[c].tokens, elements = BATCH * n * model->config->vocab_size;
        int32_t *tokens = draw_tokens(model, BATCH, n);
        double *full = full_logits(model, tokens, n, FIELD_DIRECT);
        double *one = streamed_logits(model, tokens, n, false);
        double *many = streamed_logits(model, tokens, n, true);
        expect_near("token by token", &cases[c], one, full, elements, 1e-10);
        expect_near("in chunks", &cases[c], many, full, elements, 1e-10);
        one[elements / 2] += 1e-8; /* that the comparison can fail */
        assert_true(relative_error(one, full, elements) > 1e-10);
        free(tokens);
        free(full);
        free(one);
        free(many);
        wf_model_destroy(model);
    }
    wf_device_close(device);
}

/* ---- the product ---- */

/* Terms behind one logit: of the field, and of the products of every layer. */
static int64_t reduction_of(const Config *config)
{
    return config->num_layers * (config->field_size + 4 * config->embedding_dim + config->ffn_dim);
}

/* Feeds n tokens in pieces of `piece`; the logits of every token, and those of each piece's last.
 */
static void stream(wf_model *model, const int32_t *tokens, int64_t n, int64_t piece, double *logits,
                   double *lasts)
{
    int64_t vocabulary = model->config->vocab_size;
    wf_decoder *decoder;
    assert_int_equal(wf_decoder_create(model, BATCH, &decoder), WF_OK);
    int32_t *part = malloc((size_t)(BATCH * piece) * sizeof *part);
    float *all = malloc((size_t)(BATCH * piece * vocabulary) * sizeof *all);
    float *last = malloc((size_t)(BATCH * vocabulary) * sizeof *last);
    for (int64_t done = 0; done < n;) {
        int64_t count = int64_min(piece, n - done);
        for (int64_t b = 0; b < BATCH; b++)
            memcpy(part + b * count, tokens + b * n + done, (size_t)count * sizeof *part);
        if (wf_decoder_feed(decoder, part, count, last, logits ? all : NULL))
            fail_msg("%s", wf_error_message());
        for (int64_t b = 0; b < BATCH; b++)
            for (int64_t i = 0; i < count * vocabulary; i++) {
                int64_t to = (b * n + done) * vocabulary + i;
                if (logits) logits[to] = (double)all[b * count * vocabulary + i];
                if (i < (count - 1) * vocabulary)
                    lasts[to] = 0;
                else
                    lasts[to] = (double)last[b * vocabulary + i - (count - 1) * vocabulary];
            }
        done += count;
    }
    free(part);
    free(all);
    free(last);
    wf_decoder_destroy(decoder);
}

/* Takes from `full` what `stream` cannot have in its `lasts`. */
static double *only_lasts(const double *full, int64_t n, int64_t piece, int64_t vocabulary)
{
    double *lasts = calloc((size_t)(BATCH * n * vocabulary), sizeof *lasts);
    for (int64_t b = 0; b < BATCH; b++)
        for (int64_t i = 0; i < n; i++)
            if ((i + 1) % piece == 0 || i + 1 == n)
                memcpy(lasts + (b * n + i) * vocabulary, full + (b * n + i) * vocabulary,
                       (size_t)vocabulary * sizeof *lasts);
    return lasts;
}

static void test_float_equals_full(void **state)
{
    (void)state;
    static const int64_t pieces[] = {1, 7, 63, 65, 577, 1000000};
    wf_device *device = open_float(), *reference = open_double();
    for (int c = 0; c < CASES; c++) {
        wf_model *exact = model_of(reference, cases[c].settings);
        wf_model *model = model_of(device, cases[c].settings);
        int64_t n = cases[c].tokens, vocabulary = model->config->vocab_size;
        int64_t elements = BATCH * n * vocabulary;
        int32_t *tokens = draw_tokens(model, BATCH, n);
        double *full = full_logits(exact, tokens, n, FIELD_DIRECT);
        double *found = malloc((size_t)elements * sizeof *found);
        double *last = malloc((size_t)elements * sizeof *last);
        double bound = check_bound(reduction_of(model->config));
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
            int64_t piece = int64_min(pieces[k], n);
            double *lasts = only_lasts(full, n, piece, vocabulary);
            stream(model, tokens, n, piece, found, last);
            expect_near("every token", &cases[c], found, full, elements, bound);
            expect_near("the last of pieces", &cases[c], last, lasts, elements, bound);
            stream(model, tokens, n, piece, NULL, last);
            expect_near("only the last", &cases[c], last, lasts, elements, bound);
            free(lasts);
        }
        free(tokens);
        free(full);
        free(found);
        free(last);
        wf_model_destroy(model);
        wf_model_destroy(exact);
    }
    wf_device_close(device);
    wf_device_close(reference);
}

/* Streamed bits do not depend on what comes after, and a reset forgets everything. */
static void test_reset(void **state)
{
    (void)state;
    wf_device *device = open_float();
    for (int c = 0; c < CASES; c += 2) {
        wf_model *model = model_of(device, cases[c].settings);
        int64_t vocabulary = model->config->vocab_size, n = 60;
        int32_t *tokens = draw_tokens(model, 1, n);
        float *first = malloc((size_t)(n * vocabulary) * sizeof *first);
        float *second = malloc((size_t)(n * vocabulary) * sizeof *second);
        wf_decoder *decoder;
        assert_int_equal(wf_decoder_create(model, 1, &decoder), WF_OK);
        assert_int_equal(wf_decoder_feed(decoder, tokens, n, NULL, first), WF_OK);
        assert_int_equal(wf_decoder_reset(decoder), WF_OK);
        assert_int_equal(wf_decoder_position(decoder), 0);
        assert_int_equal(wf_decoder_feed(decoder, tokens, 20, NULL, second), WF_OK);
        tokens[20] = (tokens[20] + 1) % (int32_t)vocabulary;
        assert_int_equal(
            wf_decoder_feed(decoder, tokens + 20, n - 20, NULL, second + 20 * vocabulary), WF_OK);
        assert_memory_equal(first, second, (size_t)(20 * vocabulary) * sizeof *first);
        for (int64_t i = 20; i < n; i++)
            assert_memory_not_equal(first + i * vocabulary, second + i * vocabulary,
                                    (size_t)vocabulary * sizeof *first);
        free(tokens);
        free(first);
        free(second);
        wf_decoder_destroy(decoder);
        wf_model_destroy(model);
    }
    wf_device_close(device);
}

static int count_nodes(const Graph *graph, Op op)
{
    int count = 0;
    for (int n = 0; n < graph->n_nodes; n++) count += graph->nodes[n].op == op;
    return count;
}

/* The sums over a whole field that parameters alone decide are made once, for the parameters that
 * there are when a stream begins. */
static void test_norms_are_summed_once_a_stream(void **state)
{
    (void)state;
    static const char *const settings[MAX_SETTINGS] = {
        SMALL, "version=4", "max_seq_len=90", "field_size=90", "mixer=wave,attention,wave"};
    enum { N = 5 };
    wf_device *device = open_float();
    wf_model *model = model_of(device, settings);
    const int64_t vocabulary = model->config->vocab_size;
    const size_t bytes = (size_t)vocabulary * sizeof(float);
    float *logits = malloc(3 * bytes), *again = logits + vocabulary, *fresh = again + vocabulary;
    int32_t *tokens = draw_tokens(model, 1, N);
    wf_decoder *decoder, *other;
    assert_int_equal(wf_decoder_create(model, 1, &decoder), WF_OK);
    assert_int_equal(wf_decoder_feed(decoder, tokens, N, logits, NULL), WF_OK);
    const ChunkProgram *token = &decoder->programs[DECODER_CHUNKS - 1][0][HEAD_LAST];
    assert_int_equal(count_nodes(token->graph, OP_FIELD_STREAM), 2);
    assert_int_equal(count_nodes(token->graph, OP_FIELD_NORM), 0);
    assert_int_equal(count_nodes(decoder->opening, OP_FIELD_NORM), 2);
    assert_int_equal(decoder->opening->n_nodes, 2);

    stir(model);
    assert_int_equal(wf_decoder_reset(decoder), WF_OK);
    assert_int_equal(wf_decoder_feed(decoder, tokens, N, again, NULL), WF_OK);
    assert_int_equal(wf_decoder_create(model, 1, &other), WF_OK);
    assert_int_equal(wf_decoder_feed(other, tokens, N, fresh, NULL), WF_OK);
    assert_memory_equal(again, fresh, bytes);
    assert_memory_not_equal(again, logits, bytes);
    wf_decoder_destroy(decoder);
    wf_decoder_destroy(other);
    wf_model_destroy(model);
    wf_device_close(device);
    free(logits);
    free(tokens);
}

/* ---- what is refused ---- */

static void expect_refused(wf_decoder *decoder, const int32_t *tokens, int64_t n, wf_status status,
                           const char *word)
{
    int64_t before = wf_decoder_position(decoder);
    assert_int_equal(wf_decoder_feed(decoder, tokens, n, NULL, NULL), status);
    if (!strstr(wf_error_message(), word))
        fail_msg("\"%s\" does not say \"%s\"", wf_error_message(), word);
    assert_int_equal(wf_decoder_position(decoder), before);
}

static void test_refusals(void **state)
{
    (void)state;
    wf_device *device = open_float();
    wf_model *model = model_of(device, cases[0].settings);
    int64_t vocabulary = model->config->vocab_size, limit = model->config->max_seq_len;
    int32_t *tokens = draw_tokens(model, 1, limit + 1);
    float *calm = malloc((size_t)vocabulary * sizeof *calm);
    float *disturbed = malloc((size_t)vocabulary * sizeof *disturbed);
    wf_decoder *decoder, *other;
    assert_int_equal(wf_decoder_create(model, 1, &decoder), WF_OK);
    assert_int_equal(wf_decoder_create(model, 1, &other), WF_OK);
    assert_int_equal(wf_decoder_feed(other, tokens, limit, calm, NULL), WF_OK);

    expect_refused(decoder, tokens, limit + 1, WF_ERROR_ARGUMENT, "max_seq_len 150");
    expect_refused(decoder, tokens, INT64_MAX, WF_ERROR_ARGUMENT, "max_seq_len 150");
    expect_refused(decoder, tokens, 0, WF_ERROR_ARGUMENT, "0 tokens");
    expect_refused(decoder, NULL, 5, WF_ERROR_ARGUMENT, "tokens");
    assert_int_equal(wf_decoder_feed(decoder, tokens, 100, NULL, NULL), WF_OK);
    expect_refused(decoder, tokens, 51, WF_ERROR_ARGUMENT, "position 100");
    const int32_t wrong[] = {1, 2, (int32_t)vocabulary}, negative[] = {1, -1};
    expect_refused(decoder, wrong, 3, WF_ERROR_ARGUMENT, "37");
    expect_refused(decoder, negative, 2, WF_ERROR_ARGUMENT, "-1");
    assert_int_equal(wf_decoder_feed(decoder, tokens + 100, limit - 100, disturbed, NULL), WF_OK);
    expect_refused(decoder, tokens, 1, WF_ERROR_ARGUMENT, "position 150");
    double a[64], b[64]; /* what was refused left no trace */
    for (int64_t i = 0; i < vocabulary; i++) a[i] = (double)disturbed[i], b[i] = (double)calm[i];
    assert_true(relative_error(a, b, vocabulary) < check_bound(reduction_of(model->config)));

    wf_decoder *none = NULL;
    assert_int_equal(wf_decoder_create(model, 0, &none), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_decoder_create(model, INT64_MAX, &none), WF_ERROR_ARGUMENT);
    assert_null(none);
    free(tokens);
    free(calm);
    free(disturbed);
    wf_decoder_destroy(decoder);
    wf_decoder_destroy(other);
    wf_decoder_destroy(NULL);
    wf_model_destroy(model);
    wf_device_close(device);
}

static void test_leaky_geometry(void **state)
{
    (void)state;
    static const char *const settings[MAX_SETTINGS] = {SMALL, "version=4", "max_seq_len=4",
                                                       "field_size=5", "allow_leaky_geometry=true"};
    wf_device *device = open_float();
    wf_model *model = model_of(device, settings);
    wf_decoder *decoder = NULL;
    assert_int_equal(wf_decoder_create(model, 1, &decoder), WF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(wf_error_message(), "token 1 reads cell 2"));
    assert_null(decoder);
    wf_model_destroy(model);
    wf_device_close(device);
}

/* ---- a device that fails ---- */

static wf_status fail_to_run(Program *program)
{
    (void)program;
    return (fail)(WF_ERROR_DEVICE, "lost");
}

static wf_status fail_to_allocate(Device *device, int64_t size, Buffer **out)
{
    (void)device;
    (void)out;
    return (fail)(WF_ERROR_MEMORY, "no room for %lld bytes", (long long)size);
}

static void test_failing_device(void **state)
{
    (void)state;
    wf_device *device = open_float();
    const Backend *good = device->backend;
    Backend lost = *good, full = *good;
    lost.program_run = fail_to_run;
    full.buffer_create = fail_to_allocate;

    wf_model *model = model_of(device, cases[6].settings);
    int64_t vocabulary = model->config->vocab_size;
    int32_t *tokens = draw_tokens(model, 1, 66);
    float *calm = malloc((size_t)vocabulary * sizeof *calm);
    float *disturbed = malloc((size_t)vocabulary * sizeof *disturbed);
    wf_decoder *decoder, *other;
    assert_int_equal(wf_decoder_create(model, 1, &decoder), WF_OK);
    assert_int_equal(wf_decoder_create(model, 1, &other), WF_OK);
    assert_int_equal(wf_decoder_feed(other, tokens, 66, calm, NULL), WF_OK);

    device->backend = &full; /* no memory: as if it had not been called */
    assert_int_equal(wf_decoder_feed(decoder, tokens, 66, disturbed, NULL), WF_ERROR_MEMORY);
    device->backend = good;
    assert_int_equal(wf_decoder_position(decoder), 0);
    assert_int_equal(wf_decoder_feed(decoder, tokens, 66, disturbed, NULL), WF_OK);
    assert_memory_equal(calm, disturbed, (size_t)vocabulary * sizeof *calm);

    device->backend = &lost; /* a failed step: only a reset helps */
    assert_int_equal(wf_decoder_feed(decoder, tokens, 1, NULL, NULL), WF_ERROR_DEVICE);
    device->backend = good;
    expect_refused(decoder, tokens, 1, WF_ERROR_DEVICE, "reset");
    assert_int_equal(wf_decoder_reset(decoder), WF_OK);
    assert_int_equal(wf_decoder_feed(decoder, tokens, 66, disturbed, NULL), WF_OK);
    assert_memory_equal(calm, disturbed, (size_t)vocabulary * sizeof *calm);

    free(tokens);
    free(calm);
    free(disturbed);
    wf_decoder_destroy(decoder);
    wf_decoder_destroy(other);
    wf_model_destroy(model);
    wf_device_close(device);
}

/* ---- far from the start ---- */

enum { LONG = 100000, SINGLE = 3000, TAIL = 500 };

static const char *const long_settings[MAX_SETTINGS] = {
    "vocab_size=11",     "embedding_dim=8",
    "num_heads=2",       "ffn_dim=8",
    "num_layers=2",      "version=4",
    "dropout=0",         "max_seq_len=131072",
    "field_size=262143", "interference_interval=1"};

/* Waves that fade over some 20,000 cells and turn slowly: the state remembers. */
static void slow_waves(wf_model *model)
{
    const float damping[2] = {-9.9f, -9.0f}, frequency[2] = {1e-4f, 0.01f};
    for (int layer = 0; layer < 2; layer++) {
        char name[64];
        snprintf(name, sizeof name, "layers.%d.attention.wave_damping", layer);
        assert_int_equal(wf_model_write(model, name, damping), WF_OK);
        snprintf(name, sizeof name, "layers.%d.attention.wave_frequency", layer);
        assert_int_equal(wf_model_write(model, name, frequency), WF_OK);
    }
}

static void test_long_state_is_accurate(void **state)
{
    (void)state;
    wf_device *device = open_float(), *reference = open_double();
    wf_model *model = model_of(device, long_settings);
    wf_model *exact = model_of(reference, long_settings);
    slow_waves(model);
    slow_waves(exact);
    int64_t vocabulary = model->config->vocab_size, tail = TAIL * vocabulary;
    int32_t *tokens = draw_tokens(model, BATCH, LONG);
    double *full = full_logits(exact, tokens, LONG, FIELD_SCAN);
    double *expected = full + (LONG - TAIL) * vocabulary; /* of the first sequence */
    double *found = malloc((size_t)tail * sizeof *found);
    float *logits = malloc((size_t)tail * sizeof *logits);

    wf_decoder *decoder;
    assert_int_equal(wf_decoder_create(model, 1, &decoder), WF_OK);
    for (int64_t i = 0; i < SINGLE; i++)
        assert_int_equal(wf_decoder_feed(decoder, tokens + i, 1, NULL, NULL), WF_OK);
    assert_int_equal(wf_decoder_feed(decoder, tokens + SINGLE, LONG - SINGLE - TAIL, NULL, NULL),
                     WF_OK);
    assert_int_equal(wf_decoder_feed(decoder, tokens + LONG - TAIL, TAIL, NULL, logits), WF_OK);
    for (int64_t i = 0; i < tail; i++) found[i] = (double)logits[i];
    double error = relative_error(found, expected, tail);
    print_message("float state after %d tokens: error %.2g, bound %.2g\n", LONG, error,
                  check_bound(LONG));
    assert_true(error <= check_bound(LONG));

    free(tokens);
    free(full);
    free(found);
    free(logits);
    wf_decoder_destroy(decoder);
    wf_model_destroy(model);
    wf_model_destroy(exact);
    wf_device_close(device);
    wf_device_close(reference);
}

/* One-pole states do not grow with the context. */
static void test_memory_of_a_long_context(void **state)
{
    (void)state;
    static const char *const shorter[MAX_SETTINGS] = {SMALL, "version=4", "max_seq_len=100",
                                                      "field_size=100"};
    static const char *const longer[MAX_SETTINGS] = {SMALL, "version=4", "max_seq_len=1000000",
                                                     "field_size=1000000"};
    wf_device *device = open_float();
    const char *const *const settings[2] = {shorter, longer};
    int64_t bytes[2];
    for (int k = 0; k < 2; k++) {
        wf_model *model = model_of(device, settings[k]);
        wf_decoder *decoder;
        const int32_t token = 1;
        assert_int_equal(wf_decoder_create(model, 1, &decoder), WF_OK);
        assert_int_equal(wf_decoder_feed(decoder, &token, 1, NULL, NULL), WF_OK);
        bytes[k] = decoder->state.region.size + decoder->inputs[DECODER_CHUNKS - 1].region.size +
                   plan_memory(decoder->programs[DECODER_CHUNKS - 1][0][HEAD_NONE].run.plan);
        wf_decoder_destroy(decoder);
        wf_model_destroy(model);
    }
    assert_int_equal(bytes[0], bytes[1]);
    wf_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_double_equals_full),
        cmocka_unit_test(test_float_equals_full),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_norms_are_summed_once_a_stream),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_leaky_geometry),
        cmocka_unit_test(test_failing_device),
        cmocka_unit_test(test_long_state_is_accurate),
        cmocka_unit_test(test_memory_of_a_long_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
