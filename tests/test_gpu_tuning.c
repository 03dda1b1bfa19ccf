/* Tunings of products: test_gpu_tuning vulkan|opencl, on device 0 of the backend.
 *
 * Exit code 77, a skip, where this build or machine has none. */
#include "tests/scratch.h"
#include "tests/support.h"

#include "backends/gpu/cache.h"
#include "backends/gpu/gpu.h"
#include "base/files.h"
#include "check/check.h"
#include "check/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Backend *backend;
static Device *gpu;

static GpuTuning *tuning_of(Device *device)
{
    return gpu_limits_tuning(device->backend->gpu_limits(device));
}

/* ---- every way gives the right numbers ---- */

static void expect_right(void *context, const CheckResult *result)
{
    const ProductChoice *choice = context;
    if (result->verdict != CHECK_OK)
        fail_msg("%s in %d, %s: %s, error %g, bound %g", product_tile_names[choice->tile],
                 choice->splits, result->name, result->detail, result->error, result->bound);
}

static void expect_all_right(ProductChoice choice, DType storage)
{
    CheckTotals totals = {0};
    if (gpu->limits.dtype_size[storage] == 0) return;
    tuning_of(gpu)->forced = choice;
    test_ok(check_device(
        gpu,
        &(CheckParams){
            .op = "product", .storage = storage, .report = expect_right, .context = &choice},
        &totals));
    tuning_of(gpu)->forced = (ProductChoice){0};
    assert_true(totals.passed > 20);
}

static void every_tile_is_right(void **state)
{
    (void)state;
    for (int tile = TILE_RULE + 1; tile < TILE_COUNT; tile++) {
        expect_all_right((ProductChoice){(uint8_t)tile, 1}, DTYPE_REAL);
        expect_all_right((ProductChoice){(uint8_t)tile, 3}, DTYPE_REAL);
        expect_all_right((ProductChoice){(uint8_t)tile, 1}, DTYPE_F16);
    }
}

/* A large product's result, by this choice. */
static double *multiply(Device *device, const ProductParams *p, ProductChoice forced)
{
    OneOp op = {.op = OP_PRODUCT, .n_in = 3, .n_out = 1, .params = {.product = *p}};
    op.in[0] = operand_real(SHAPE(p->rows * p->inner), test_normal(1, p->rows * p->inner, 1));
    op.in[1] = operand_real(SHAPE(p->cols * p->inner), test_normal(2, p->cols * p->inner, 1));
    op.in[2] = (Operand){.absent = true};
    op.out[0] = operand_real(SHAPE(p->rows, p->cols), NULL);
    tuning_of(device)->forced = forced;
    double *result = test_run(device, &op).out[0];
    tuning_of(device)->forced = (ProductChoice){0};
    return result;
}

static void tiles_round_alike(void **state)
{
    (void)state;
    ProductParams p = product_packed(132, 140, 1044, false, true);
    size_t bytes = (size_t)(p.rows * p.cols) * sizeof(double);
    const double *first = multiply(gpu, &p, (ProductChoice){TILE_64X64, 1});
    for (int tile = TILE_16X64; tile < TILE_MATRIX_64; tile++) /* which are not of floats */
        assert_memory_equal(multiply(gpu, &p, (ProductChoice){(uint8_t)tile, 1}), first, bytes);
    assert_true(memcmp(multiply(gpu, &p, (ProductChoice){TILE_64X64, 7}), first, bytes) != 0);
}

/* ---- what the rules make of a large device ---- */

static ProductChoice by_the_rules(int64_t rows, int64_t cols, int64_t inner)
{
    GpuLimits limits = {.groups = {INT32_MAX, 65535, 65535}, .busy_groups = 528};
    ProductParams p = product_packed(rows, cols, inner, true, false);
    return gpu_product_choice(&limits, &p, DTYPE_REAL, (ProductChoice){0});
}

/* Large tiles wherever these, and splits that are worth it, are enough groups. */
static void the_rules_fill_a_large_device(void **state)
{
    (void)state;
    assert_int_equal(by_the_rules(8192, 6144, 1536).tile, TILE_128X128);
    assert_int_equal(by_the_rules(8192, 6144, 1536).splits, 1);
    assert_int_equal(by_the_rules(8192, 768, 768).tile, TILE_128X128);
    assert_int_equal(by_the_rules(8192, 768, 768).splits, 2);
    assert_int_equal(by_the_rules(768, 768, 8192).tile, TILE_128X128);
    assert_int_equal(by_the_rules(768, 768, 8192).splits, 15);
    assert_int_equal(by_the_rules(1024, 1024, 1024).tile, TILE_64X64);
    /* The gradient of a head's square matrix, over all tokens and heads. */
    assert_int_equal(by_the_rules(64, 64, 196608).tile, TILE_64X64);
    assert_true(by_the_rules(64, 64, 196608).splits > 200);
}

/* ---- what lowering makes of a tuning ---- */

typedef struct Lowered {
    KernelId kernel;
    uint32_t splits;
} Lowered;

static Lowered lower_stored(Device *device, const ProductParams *p, DType type)
{
    Region region = {.name = "values"};
    Graph *graph = graph_create();
    graph->storage = type;
    const Shape shapes[] = {SHAPE(p->rows * p->inner), SHAPE(p->inner * p->cols),
                            SHAPE(p->rows, p->cols)};
    TensorId ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = graph_external(graph, "value", type, shapes[i], &region,
                                region_append(&region, &device->limits, type, shapes[i]));
    TensorId in[] = {ids[0], ids[1], NO_TENSOR};
    graph_append(graph, &(NodeParams){.op = OP_PRODUCT,
                                      .params = {.product = *p},
                                      .in = in,
                                      .n_in = 3,
                                      .out = &ids[2],
                                      .n_out = 1});
    Plan *plan;
    GpuList list = {0};
    test_ok(device_plan_create(device, graph, &plan));
    test_ok(gpu_lower(plan, device->backend->gpu_limits(device), &list));
    assert_int_equal(list.steps[0].kind, GPU_DISPATCH);
    Lowered lowered = {list.steps[0].dispatch.kernel, list.steps[0].dispatch.groups[2]};
    gpu_list_free(&list);
    plan_destroy(plan);
    graph_destroy(graph);
    return lowered;
}

static Lowered lower(Device *device, const ProductParams *p)
{
    return lower_stored(device, p, DTYPE_REAL);
}

static void expect_lowered(Device *device, int64_t rows, int64_t cols, int64_t inner,
                           KernelId kernel, uint32_t splits)
{
    ProductParams p = product_packed(rows, cols, inner, false, true);
    Lowered lowered = lower(device, &p);
    assert_int_equal(lowered.kernel, kernel);
    assert_int_equal(lowered.splits, splits);
}

static int use_folder(void **state)
{
    (void)state;
    folder_run("rm -rf kept");
    setenv("WAVEFIELD_PRODUCTS", "own", 1); /* of the kernels; those by a library have their test */
    return setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
}

static Device *open_again(void)
{
    Device *device;
    test_ok(backend->open(0, &device));
    return device;
}

static GpuTuning some_tuning(void)
{
    GpuTuning tuning = {0};
    ProductParams p = product_packed(256, 256, 512, false, true);
    assert_true(gpu_tuning_set(&tuning, &p, DTYPE_REAL, (ProductChoice){TILE_128X64, 3}));
    p = product_packed(2, 256, 512, false, true);
    assert_true(gpu_tuning_set(&tuning, &p, DTYPE_REAL, (ProductChoice){TILE_FEW, 5}));
    p = product_packed(32, 32, 4096, false, true);
    assert_true(gpu_tuning_set(&tuning, &p, DTYPE_REAL, (ProductChoice){TILE_128X128, 64}));
    return tuning;
}

static void a_stored_tuning_is_honoured(void **state)
{
    (void)state;
    GpuTuning tuning = some_tuning();
    Device *before = open_again();
    assert_int_equal(before->info.tuned, 0);
    assert_true(before->info.tuning == 0);
    ProductParams p = product_packed(256, 256, 512, false, true);
    ProductParams untuned = product_packed(256, 256, 256, false, true);
    Lowered rule = lower(before, &p), same = lower(before, &untuned);
    assert_int_not_equal(rule.kernel, KERNEL_PRODUCT_128X64_WIDE);
    test_ok(gpu_tuning_store(&tuning, backend->name, &before->info));

    Device *device = open_again();
    assert_int_equal(device->info.tuned, 3);
    assert_false(device->info.tuning_damaged);
    assert_true(device->info.tuning == gpu_tuning_fingerprint(&tuning));
    expect_lowered(device, 256, 256, 512, KERNEL_PRODUCT_128X64_WIDE, 3);
    expect_lowered(device, 300, 200, 530, KERNEL_PRODUCT_128X64, 3); /* of the same class */
    expect_lowered(device, 256, 256, 256, same.kernel, same.splits);
    expect_lowered(device, 2, 256, 512, KERNEL_PRODUCT_FEW, 5);
    expect_lowered(device, 32, 32, 4096, KERNEL_PRODUCT_128X128_WIDE, 64);
    expect_lowered(device, 32, 33, 4097, KERNEL_PRODUCT_128X128, 52); /* unaligned; whole splits */
    /* The device that was open goes on as it began. */
    expect_lowered(before, 256, 256, 512, rule.kernel, rule.splits);

    /* Again and again the same bits, and those of the choice made by force. */
    double *result = multiply(device, &p, (ProductChoice){0});
    size_t bytes = (size_t)(p.rows * p.cols) * sizeof *result;
    assert_memory_equal(multiply(device, &p, (ProductChoice){0}), result, bytes);
    assert_memory_equal(multiply(before, &p, (ProductChoice){TILE_128X64, 3}), result, bytes);

    gpu_tuning_forget(backend->name, &device->info);
    backend->close(device);
    device = open_again();
    assert_int_equal(device->info.tuned, 0);
    backend->close(device);
    backend->close(before);
}

/* What was measured in one type says nothing of another. */
static void each_storage_type_is_tuned_by_itself(void **state)
{
    (void)state;
    GpuTuning tuning = {0};
    const ProductParams p = product_packed(256, 256, 512, false, true);
    static const struct {
        DType type;
        ProductChoice choice;
        KernelId kernel;
    } tuned[] = {{DTYPE_REAL, {TILE_128X64, 3}, KERNEL_PRODUCT_128X64_WIDE},
                 {DTYPE_F16, {TILE_64X128, 2}, KERNEL_PRODUCT_64X128_WIDE}};
    Device *device = open_again();
    if (device->limits.dtype_size[DTYPE_F16] == 0) {
        backend->close(device);
        skip();
    }
    for (int i = 0; i < 2; i++) {
        assert_true(gpu_tuning_set(&tuning, &p, tuned[i].type, tuned[i].choice));
        assert_int_equal(tuning.count, i + 1);
    }
    Lowered rule = lower_stored(device, &p, DTYPE_F16);
    uint64_t both = gpu_tuning_fingerprint(&tuning);
    test_ok(gpu_tuning_store(&tuning, backend->name, &device->info));
    backend->close(device);
    device = open_again();
    assert_int_equal(device->info.tuned, 2);
    assert_true(device->info.tuning == both);
    for (int i = 0; i < 2; i++) {
        Lowered lowered = lower_stored(device, &p, tuned[i].type);
        /* an f16 kernel is a variant, some places behind */
        assert_in_range(lowered.kernel, tuned[i].kernel, tuned[i].kernel + (unsigned)tuned[i].type);
        assert_int_equal(lowered.splits, tuned[i].choice.splits);
    }
    tuning.products[1].shapes.storage = DTYPE_BF16;
    assert_true(gpu_tuning_fingerprint(&tuning) != both);
    test_ok(gpu_tuning_store(&tuning, backend->name, &device->info));
    backend->close(device);
    device = open_again();
    Lowered untuned = lower_stored(device, &p, DTYPE_F16);
    assert_int_equal(untuned.kernel, rule.kernel);
    assert_int_equal(untuned.splits, rule.splits);
    backend->close(device);
}

/* ---- files ---- */

static DeviceInfo described(const char *driver)
{
    DeviceInfo info = {.name = "device \"0\""};
    snprintf(info.driver, sizeof info.driver, "%s", driver);
    gpu_tuning_load(NULL, "backend", &info);
    return info;
}

static void other_devices_and_drivers_are_not_tuned(void **state)
{
    (void)state;
    GpuTuning tuning = some_tuning(), found;
    DeviceInfo info = described("1.0");
    assert_true(info.tuned == 0 && info.tuning == 0 && !info.tuning_damaged);
    test_ok(gpu_tuning_store(&tuning, "backend", &info));
    info = described("1.0");
    assert_true(info.tuned == 3 && info.tuning == gpu_tuning_fingerprint(&tuning));
    gpu_tuning_load(&found, "backend", &info);
    assert_memory_equal(&found, &tuning, sizeof tuning);
    info = described("1.1");
    assert_true(info.tuned == 0 && !info.tuning_damaged);
    gpu_tuning_load(&found, "another", &info);
    assert_int_equal(found.count, 0);
}

/* The one file kept. */
static char *kept_file(void)
{
    FolderList names;
    test_ok(folder_list(IN_FOLDER("kept"), &names));
    assert_int_equal(names.count, 1);
    char *path = path_join(IN_FOLDER("kept"), names.names[0]);
    folder_list_destroy(&names);
    return path;
}

static void damaged_tunings_are_not_used(void **state)
{
    (void)state;
    GpuTuning tuning = some_tuning(), found;
    DeviceInfo info = described("1.0");
    test_ok(gpu_tuning_store(&tuning, "backend", &info));
    char *path = kept_file(), *whole;
    size_t size;
    test_ok(file_read(path, 1 << 20, &whole, &size));
    for (size_t i = 0; i < size; i += 7) {
        whole[i] ^= 1;
        test_ok(file_write_atomic(path, whole, size));
        whole[i] ^= 1;
        info = described("1.0");
        assert_true(info.tuned == 0 && info.tuning == 0 && info.tuning_damaged);
    }
    for (size_t i = 0; i < size; i += 31) {
        test_ok(file_write_atomic(path, whole, i));
        assert_true(described("1.0").tuning_damaged);
    }
    /* Of another device, under this one's name. */
    DeviceInfo other = described("2.0");
    test_ok(file_write_atomic(path, whole, size));
    folder_run("mkdir -p aside && mv kept/* aside/");
    test_ok(gpu_tuning_store(&tuning, "backend", &other));
    char *foreign = kept_file();
    assert_string_not_equal(foreign, path);
    assert_int_equal(rename(foreign, path), 0);
    gpu_tuning_load(&found, "backend", &info);
    assert_true(info.tuned == 0 && info.tuning_damaged && found.count == 0);
    /* A new one takes its place. */
    test_ok(gpu_tuning_store(&tuning, "backend", &info));
    assert_int_equal(described("1.0").tuned, 3);
    free(foreign);
    free(whole);
    free(path);
}

/* A whole file, with a checksum that is right (see backends/gpu/cache.c). */
static void files_of_another_format_are_not_used(void **state)
{
    (void)state;
    enum { HEADER = 32, CHECKSUM = 24 };
    GpuTuning tuning = some_tuning();
    DeviceInfo info = described("1.0");
    test_ok(gpu_tuning_store(&tuning, "backend", &info));
    char *path = kept_file(), *whole;
    size_t size;
    test_ok(file_read(path, 1 << 20, &whole, &size));
    for (char format = '2'; format >= '1'; format--) {
        char *at = whole + HEADER;
        while (memcmp(at, "\"format\": ", 10) != 0) at++;
        at[10] = format;
        uint64_t checksum = gpu_hash(GPU_HASH_START, whole + HEADER, size - HEADER);
        memcpy(whole + CHECKSUM, &checksum, sizeof checksum);
        test_ok(file_write_atomic(path, whole, size));
        info = described("1.0");
        assert_int_equal(info.tuned, format == '2' ? 3 : 0);
        assert_int_equal(info.tuning_damaged, format != '2');
    }
    free(whole);
    free(path);
}

static void nothing_is_kept_without_a_folder(void **state)
{
    (void)state;
    GpuTuning tuning = some_tuning();
    DeviceInfo info = described("1.0");
    setenv("WAVEFIELD_CACHE", "off", 1);
    assert_int_equal(gpu_tuning_store(&tuning, "backend", &info), WF_ERROR_IO);
    assert_non_null(strstr(wf_error_message(), "WAVEFIELD_CACHE"));
}

static void classes_are_limited(void **state)
{
    (void)state;
    GpuTuning tuning = {0};
    int set = 0;
    for (int k = 0; k < 3 * 20 * 20; k++) {
        static const DType types[] = {DTYPE_REAL, DTYPE_F16, DTYPE_BF16};
        ProductParams p = product_packed(1 << k / 3 % 20, 1 << k / 60, 1, false, false);
        set += gpu_tuning_set(&tuning, &p, types[k % 3], (ProductChoice){TILE_64X64, 1});
    }
    assert_int_equal(set, GPU_TUNED_MOST);
    assert_int_equal(tuning.count, GPU_TUNED_MOST);
    ProductParams huge = product_packed(INT64_C(1) << 40, 181, 182, false, false);
    assert_int_equal(product_class(&huge, DTYPE_REAL).rows, 31);
    assert_int_equal(product_class(&huge, DTYPE_REAL).cols, 7);  /* 181 < 128·√2 */
    assert_int_equal(product_class(&huge, DTYPE_REAL).inner, 8); /* 182 > 128·√2 */
}

/* ---- tuning ---- */

static void expect_fastest(DType storage)
{
    if (gpu->limits.dtype_size[storage] == 0) return;
    ProductParams p = product_packed(40, 24, 300, false, true);
    const TuneEffort effort = {0, {.least = 1, .most = 1}};
    TuneResult result;
    test_ok(tune_product(gpu, &p, storage, &effort, &result));
    assert_true(result.count > 1 && result.storage == storage);
    double least = result.candidates[0].seconds;
    for (int i = 0; i < result.count; i++) {
        const TuneCandidate *c = &result.candidates[i];
        for (int j = 0; j < i; j++)
            assert_true(memcmp(&c->choice, &result.candidates[j].choice, sizeof c->choice) != 0);
        if (c->seconds > 0 && c->seconds < least) least = c->seconds;
    }
    assert_true(result.candidates[result.best].seconds <= least * TUNE_GAIN);
    assert_int_equal(tuning_of(gpu)->forced.tile, TILE_RULE);
}

static void the_fastest_is_chosen(void **state)
{
    (void)state;
    expect_fastest(DTYPE_REAL);
    expect_fastest(DTYPE_F16);
    expect_fastest(DTYPE_BF16);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        print_error("usage: %s vulkan|opencl\n", argv[0]);
        return 2;
    }
    setenv("WAVEFIELD_CACHE", "off", 1);
    int closed = test_open(argv[1], &gpu);
    if (closed) return closed;
    backend = gpu->backend;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_tile_is_right, test_release),
        cmocka_unit_test_teardown(tiles_round_alike, test_release),
        cmocka_unit_test(the_rules_fill_a_large_device),
        cmocka_unit_test_setup_teardown(a_stored_tuning_is_honoured, use_folder, test_release),
        cmocka_unit_test_setup_teardown(each_storage_type_is_tuned_by_itself, use_folder,
                                        test_release),
        cmocka_unit_test_setup(other_devices_and_drivers_are_not_tuned, use_folder),
        cmocka_unit_test_setup(damaged_tunings_are_not_used, use_folder),
        cmocka_unit_test_setup(files_of_another_format_are_not_used, use_folder),
        cmocka_unit_test_setup(nothing_is_kept_without_a_folder, use_folder),
        cmocka_unit_test(classes_are_limited),
        cmocka_unit_test(the_fastest_is_chosen),
    };
    int failed = cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
    test_close_devices();
    gpu->backend->close(gpu);
    return failed;
}
