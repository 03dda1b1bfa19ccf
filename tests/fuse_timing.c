/* What running nodes as one gains on a GPU backend:
 *
 *     fuse_timing vulkan|opencl [CONFIGURATION [KEY=VALUE …]]
 *
 * Times each pair of nodes, then a training pass, an evaluation and a decoder's token of the
 * configuration (demo), fused and node by node in turns, in processor time: where the device is the
 * processor, that is its work, and what else the machine does hardly shows. Prints medians, and the
 * bytes that the commands read and write. */
#include "backends/gpu/gpu.h"
#include "check/timing.h"
#include "train/pass.h"
#include "wavefield/generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 2, TURNS = 15 };

static Device *gpu;

static void check(wf_status status)
{
    if (status == WF_OK) return;
    fprintf(stderr, "%s\n", wf_error_message());
    exit(1);
}

static void set_apart(bool apart)
{
    gpu->backend->gpu_limits(gpu)->apart = apart;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Bytes of a replay; a dispatch moves each of its buffers once. */
static double bytes_moved(const Program *program)
{
    const CommandList *list = gpu->backend->program_commands(program);
    double bytes = 0;
    for (int i = 0; i < list->n_accesses; i++) bytes += (double)list->accesses[i].place.size;
    return bytes;
}

static void report(const char *what, double *fused, double *apart, double bytes, double apart_bytes)
{
    double a = median(fused, TURNS), b = median(apart, TURNS);
    printf("%-38s %9.3f over %9.3f ms = %.3f", what, 1e3 * a, 1e3 * b, a / b);
    if (bytes > 0)
        printf("   %8.2f over %8.2f MB = %.3f", 1e-6 * bytes, 1e-6 * apart_bytes,
               bytes / apart_bytes);
    printf("\n");
    fflush(stdout);
}

/* ---- pairs ---- */

typedef struct Pair {
    const char *name;
    Op op;
    int64_t rows, cols, inner;
    bool plain, second, kept; /* B is not transposed; c is the second input; it is read again */
} Pair;

static const Pair pairs[] = {
    {"gelu", OP_GELU, 128, 512, 128, false, false, false},
    {"gelu, product kept", OP_GELU, 128, 512, 128, false, false, true},
    {"gelu_backward", OP_GELU_BACKWARD, 128, 512, 128, true, false, false},
    {"add", OP_ADD, 128, 128, 512, false, true, false},
    {"feature", OP_FEATURE, 2048, 32, 32, false, false, false},
    {"feature, product kept", OP_FEATURE, 2048, 32, 32, false, false, true},
    {"gate (cross_dim)", OP_GATE, 2048, 32, 32, false, false, false},
    {"gate (gate_proj)", OP_GATE, 128, 128, 128, false, true, false},
    {"gelu, one row", OP_GELU, 1, 1024, 256, false, false, false},
    {"add, one row", OP_ADD, 1, 256, 1024, false, true, false},
};

typedef struct PairRun {
    Graph *graph;
    Region region;
    Runnable fused, apart;
} PairRun;

static TensorId tensor(PairRun *run, Shape shape)
{
    int64_t offset = region_append(&run->region, &gpu->limits, DTYPE_REAL, shape);
    return graph_external(run->graph, "value", DTYPE_REAL, shape, &run->region, offset);
}

static void append(PairRun *run, Op op, OpParams params, const TensorId *in, int n_in, TensorId out)
{
    graph_append(
        run->graph,
        &(NodeParams){.op = op, .params = params, .in = in, .n_in = n_in, .out = &out, .n_out = 1});
}

static void pair_create(PairRun *run, const Pair *pair)
{
    *run = (PairRun){.graph = graph_create(), .region = {.name = "values"}};
    Shape shape = SHAPE(pair->rows, pair->cols);
    TensorId a = tensor(run, SHAPE(pair->rows, pair->inner));
    TensorId b = tensor(run, SHAPE(pair->cols * pair->inner)),
             bias = tensor(run, SHAPE(pair->cols));
    TensorId x = tensor(run, shape), y = tensor(run, shape);
    TensorId c =
        pair->kept ? tensor(run, shape) : graph_activation(run->graph, "c", DTYPE_REAL, shape);
    OpParams product = {
        .product = product_packed(pair->rows, pair->cols, pair->inner, false, !pair->plain)};
    append(run, OP_PRODUCT, product, (TensorId[]){a, b, pair->plain ? NO_TENSOR : bias}, 3, c);
    append(run, pair->op, (OpParams){{0}}, (TensorId[]){pair->second ? x : c, pair->second ? c : x},
           pair->op == OP_GELU ? 1 : 2, y);
    check(graph_status(run->graph));
    check(device_allocate(gpu, &run->region));
    int64_t n = run->region.size / 4;
    float *values = malloc((size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++) values[i] = (float)((i * 7919) % 2003) / 1001 - 1;
    check(device_write_floats(&run->region, 0, values, n));
    free(values);
    check(runnable_create(gpu, run->graph, &run->fused));
    set_apart(true);
    check(runnable_create(gpu, run->graph, &run->apart));
    set_apart(false);
    if (run->fused.plan->group[0] != 2) fprintf(stderr, "%s: not fused\n", pair->name);
}

static double time_runs(Program *program, const Region *region, int runs)
{
    float word;
    check(device_read_floats(region, 0, &word, 1));
    double start = now();
    for (int i = 0; i < runs; i++) check(gpu->backend->program_run(program));
    check(device_read_floats(region, 0, &word, 1));
    return (now() - start) / runs;
}

static void time_pair(const Pair *pair)
{
    PairRun run;
    pair_create(&run, pair);
    double fused[TURNS], apart[TURNS];
    int runs = pair->rows == 1 ? 40 : 4;
    time_runs(run.fused.program, &run.region, 1);
    time_runs(run.apart.program, &run.region, 1);
    for (int i = 0; i < TURNS; i++) {
        fused[i] = time_runs(run.fused.program, &run.region, runs);
        apart[i] = time_runs(run.apart.program, &run.region, runs);
    }
    report(pair->name, fused, apart, bytes_moved(run.fused.program),
           bytes_moved(run.apart.program));
    runnable_destroy(&run.fused);
    runnable_destroy(&run.apart);
    device_release(&run.region);
    graph_destroy(run.graph);
}

/* ---- a model ---- */

static void pass_create(Pass *pass, wf_model *model, const Sequence *gradients, int64_t tokens)
{
    const PassParams params = {.batch = BATCH, .tokens = tokens, .gradients = gradients};
    check(pass_plan(pass, model, &params));
    check(pass_allocate(pass, model));
    size_t n = (size_t)(BATCH * tokens);
    int32_t *token = calloc(n, sizeof *token), *order = malloc(n * sizeof *order);
    for (size_t i = 0; i < n; i++) order[i] = (int32_t)i;
    check(pass_load(pass, &(PassBatch){token, token, gradients ? order : NULL, {1, 1}, 1e-3}));
    free(token);
    free(order);
}

static void time_pass(const char *what, wf_model *model, const Sequence *gradients, int64_t tokens)
{
    Pass pass[2] = {0};
    double seconds[2][TURNS];
    for (int apart = 0; apart < 2; apart++) {
        set_apart(apart);
        pass_create(&pass[apart], model, gradients, tokens);
        time_runs(pass[apart].program, &pass[apart].tally.region, 1);
        set_apart(false);
    }
    for (int i = 0; i < TURNS; i++)
        for (int apart = 0; apart < 2; apart++)
            seconds[apart][i] = time_runs(pass[apart].program, &pass[apart].tally.region, 1);
    printf("%d nodes in %d and %d commands\n", pass[0].graph->n_nodes,
           gpu->backend->program_commands(pass[0].program)->n_commands,
           gpu->backend->program_commands(pass[1].program)->n_commands);
    printf("%.2f and %.2f MB of activations\n", 1e-6 * (double)plan_memory(pass[0].plan),
           1e-6 * (double)plan_memory(pass[1].plan));
    report(what, seconds[0], seconds[1], bytes_moved(pass[0].program),
           bytes_moved(pass[1].program));
    for (int apart = 0; apart < 2; apart++) pass_destroy(&pass[apart]);
}

static double time_tokens(wf_decoder *decoder, float *logits)
{
    enum { TOKENS = 4 };
    const int32_t token[TOKENS] = {1, 2, 3, 4};
    double start = now();
    for (int i = 0; i < TOKENS; i++) check(wf_decoder_feed(decoder, &token[i], 1, logits, NULL));
    return (now() - start) / TOKENS;
}

static void time_decoder(wf_model *model)
{
    wf_decoder *decoder[2];
    double seconds[2][TURNS];
    float *logits = malloc((size_t)model->config->vocab_size * sizeof *logits);
    for (int apart = 0; apart < 2; apart++) {
        set_apart(apart);
        check(wf_decoder_create(model, 1, &decoder[apart]));
        time_tokens(decoder[apart], logits);
        set_apart(false);
    }
    for (int i = 0; i < TURNS; i++)
        for (int apart = 0; apart < 2; apart++)
            seconds[apart][i] = time_tokens(decoder[apart], logits);
    report("a decoder's token", seconds[0], seconds[1], 0, 0);
    for (int apart = 0; apart < 2; apart++) wf_decoder_destroy(decoder[apart]);
    free(logits);
}

static void time_model(const char *name, int n_settings, char **settings)
{
    wf_config *config;
    wf_model *model;
    check(wf_config_create(name, &config));
    for (int i = 0; i < n_settings; i++) check(wf_config_set(config, settings[i]));
    check(wf_model_create(gpu, config, 1, &model));
    wf_config_destroy(config);
    check(model_ready(model));
    Sequence gradients;
    check(sequence_create(&model->layout, &gpu->limits, DTYPE_REAL, "gradients", &gradients));
    check(sequence_allocate(&gradients, gpu));
    int64_t tokens = int64_min(model->config->max_seq_len - TURNS, 128);
    time_pass("a training pass", model, &gradients, tokens);
    time_pass("an evaluation", model, NULL, tokens);
    time_decoder(model);
    sequence_destroy(&gradients);
    wf_model_destroy(model);
}

int main(int argc, char **argv)
{
    wf_device *device;
    if (argc < 2) {
        fprintf(stderr, "usage: %s vulkan|opencl [CONFIGURATION [KEY=VALUE …]]\n", argv[0]);
        return 2;
    }
    check(wf_device_open(argv[1], &device));
    gpu = device;
    if (!gpu->backend->gpu_limits) return 2;
    GpuLimits *limits = gpu->backend->gpu_limits(gpu);
    GpuLibrary *library = limits->library;
    limits->library = NULL; /* nothing is fused to a library's products */
    printf("%s (%s)\n", gpu->info.name, gpu->info.driver);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) time_pair(&pairs[i]);
    time_model(argc > 2 ? argv[2] : "demo", argc > 3 ? argc - 3 : 0, argv + 3);
    limits->library = library;
    wf_device_close(device);
    return 0;
}
