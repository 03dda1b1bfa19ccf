/* wavefield tune: how a GPU computes products fastest. */
#include "check/tune.h"
#include "cli/common.h"

#include "model/model.h"

#include <stdio.h>

typedef struct TuneValues {
    const char *device, *config, *precision;
    TextList set;
    int64_t batch_size, sequence_length;
    bool quick, forget;
} TuneValues;

static wf_status gather_config(wf_device *device, const TuneValues *v, const char *name,
                               ProductList *list)
{
    wf_config *config;
    TRY(config_open(name, &v->set, &config));
    int64_t tokens = v->sequence_length > 0 ? v->sequence_length : config->max_seq_len;
    wf_status status = tune_products(device, config, v->batch_size, tokens, list);
    wf_config_destroy(config);
    return status ? fail_within(status, "%s", name) : WF_OK;
}

static wf_status gather_all(wf_device *device, const TuneValues *v, ProductList *list)
{
    if (v->config) return gather_config(device, v, v->config, list);
    if (v->quick) return gather_config(device, v, "demo", list);
    for (const char *const *name = wf_config_presets(); *name; name++)
        TRY(gather_config(device, v, *name, list));
    return WF_OK;
}

static const char *choice_print(ProductChoice choice, char *text, size_t size)
{
    if (choice.splits > 1)
        snprintf(text, size, "%s in %d", product_tile_names[choice.tile], choice.splits);
    else
        snprintf(text, size, "%s", product_tile_names[choice.tile]);
    return text;
}
#define CHOICE_TEXT(choice) choice_print((choice), (char[32]){0}, 32)

static double rate(const TuneResult *result, int candidate)
{
    const ProductParams *p = &result->product;
    return 2e-12 * (double)p->batch * (double)p->rows * (double)p->cols * (double)p->inner /
           result->candidates[candidate].seconds;
}

/* "4096 x 384 x 1536, B transposed": rows, columns, inner. */
static void print_product(const ProductParams *p)
{
    printf("%lld x %lld x %lld", (long long)p->rows, (long long)p->cols, (long long)p->inner);
    if (p->batch > 1) printf(", %lld of them%s", (long long)p->batch, p->sum_batch ? " added" : "");
    if (p->trans_a || p->trans_b)
        printf(", %s transposed", p->trans_a && p->trans_b ? "A and B" : p->trans_a ? "A" : "B");
    putchar('\n');
}

static void report(void *context, const TuneResult *result)
{
    enum { COLUMNS = 4 };
    int printed = 0;
    (void)context;
    print_product(&result->product);
    for (int i = 0; i < result->count; i++) {
        if (result->candidates[i].seconds == 0) continue;
        if (printed % COLUMNS == 0) printf("%s   ", printed ? "\n" : "");
        printf(" %14s %8.4g", CHOICE_TEXT(result->candidates[i].choice), rate(result, i));
        printed++;
    }
    printf("\n    chosen: %s", CHOICE_TEXT(result->candidates[result->best].choice));
    if (result->best > 0)
        printf(", %.2f times as fast as %s",
               result->candidates[0].seconds / result->candidates[result->best].seconds,
               CHOICE_TEXT(result->candidates[0].choice));
    putchar('\n');
    fflush(stdout);
}

static wf_status tune(wf_device *device, const TuneValues *v, const ProductList *list)
{
    static const TuneEffort usual = {2e-3, {.least = 5, .most = 25, .budget = 0.05}};
    static const TuneEffort quick = {0, {.least = 1, .most = 1}};
    const char *backend = device->backend->name;
    GpuTuning tuning = *gpu_limits_tuning(device->backend->gpu_limits(device));
    printf(
        "%s: %s (%s), %d classes of products in %s; TFLOP/s of each tile (in so many splits)\n\n",
        device->id, device->info.name, device->info.driver, list->count, dtype_name(list->storage));
    fflush(stdout);
    TRY(tune_list(device, list, v->quick ? &quick : &usual, report, NULL, &tuning));
    TRY(gpu_tuning_store(&tuning, backend, &device->info));
    printf("\nkept for %s: %d classes of products, tuning %016llx\n", device->id, tuning.count,
           (unsigned long long)gpu_tuning_fingerprint(&tuning));
    return WF_OK;
}

static wf_status tune_or_forget(wf_device *device, const TuneValues *v)
{
    ProductList list = {.storage = DTYPE_REAL};
    if (!device->backend->gpu_limits)
        return fail(WF_ERROR_UNSUPPORTED, "%s is no GPU: there is nothing to tune", device->id);
    if (v->forget) {
        gpu_tuning_forget(device->backend->name, &device->info);
        printf("%s goes by the rules again\n", device->id);
        return WF_OK;
    }
    TRY(model_storage(v->precision, &list.storage));
    wf_status status = gather_all(device, v, &list);
    if (!status) status = tune(device, v, &list);
    product_list_free(&list);
    return status;
}

static int run(const void *values)
{
    const TuneValues *v = values;
    wf_device *device = NULL;
    wf_status status = wf_device_open(v->device, &device);
    if (!status) status = tune_or_forget(device, v);
    int exit_status = finish("tune", status);
    wf_device_close(device);
    return exit_status;
}

static const Option options[] = {
    OPTION_DEVICE(TuneValues),
    OPTION(TuneValues, config, "config", TEXT, "PRESET|FILE", NULL,
           "the products of this configuration (default: of all presets)", .names = NAMES_PRESET),
    OPTION_SET(TuneValues),
    OPTION(TuneValues, batch_size, "batch-size", COUNT, "N", "8", "sequences of a training step"),
    OPTION(TuneValues, sequence_length, "sequence-length", COUNT, "N", NULL,
           "their tokens (default: the longest of the configuration)"),
    OPTION(TuneValues, precision, "precision", WORD, "TYPE", "f32",
           "the type they are stored in; each is tuned by itself", PRECISIONS),
    OPTION(TuneValues, quick, "quick", FLAG, NULL, NULL,
           "time everything once only, and of presets only demo: to see that it works"),
    OPTION(TuneValues, forget, "forget", FLAG, NULL, NULL, "remove what was kept for the device"),
};

const Subcommand command_tune = {
    .name = "tune",
    .summary = "find how a GPU computes products fastest",
    .details =
        "Times the matrix products of training and decoding in every way there is on the device, "
        "and keeps the fastest for each class of shapes in the user's cache folder "
        "($WAVEFIELD_CACHE, else wavefield/ in $XDG_CACHE_HOME or ~/.cache), for this device, "
        "driver and version of the kernels. From then on every command uses it there. What has "
        "not been tuned, the other types of --precision among it, goes by fixed rules; tuning "
        "again adds to what is kept.\n"
        "Other choices add in another order: results differ in rounding. With the same tuning "
        "they are the same to the bit; a resumed training says when it has changed.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "For the models of one preset, trained 16 sequences at a time:\n"
                "  wavefield tune --device vulkan --config v4-130m --batch-size 16\n"
                "The same for training in bfloat16:\n"
                "  wavefield tune --device vulkan --config v4-130m --batch-size 16 "
                "--precision bf16\n",
    .values_size = sizeof(TuneValues),
    .run = run,
};
