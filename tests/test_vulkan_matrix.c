/* Products by cooperative matrices: which sizes suit the kernels, when products are lowered to
 * them, and what becomes of a device that computes wrongly. On a driver that has no such matrices a
 * layer claims some, and plain kernels, which take the same arguments, stand in for those that use
 * them: all of the host's side is as on a device that has them. */
#include "tests/scratch.h"
#include "tests/support.h"

#include "backends/vulkan/vulkan.h"
#include "check/check.h"
#include "tests/vulkan_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77 };

static const Backend *backend;

/* ---- which sizes ---- */

static VkCooperativeMatrixPropertiesKHR offer(uint32_t rows, uint32_t cols, uint32_t inner)
{
    return (VkCooperativeMatrixPropertiesKHR){
        .sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR,
        .MSize = rows,
        .NSize = cols,
        .KSize = inner,
        .AType = VK_COMPONENT_TYPE_FLOAT16_KHR,
        .BType = VK_COMPONENT_TYPE_FLOAT16_KHR,
        .CType = VK_COMPONENT_TYPE_FLOAT32_KHR,
        .ResultType = VK_COMPONENT_TYPE_FLOAT32_KHR,
        .scope = VK_SCOPE_SUBGROUP_KHR};
}

/* Every subgroup has the same number of matrices, and all together they are the tile. */
static void expect_fit(uint32_t rows, uint32_t cols, uint32_t inner, uint32_t subgroup)
{
    VkCooperativeMatrixPropertiesKHR offered = offer(rows, cols, inner);
    VulkanMatrix fit;
    assert_true(vulkan_matrix_fit(&offered, subgroup, 49152, &fit));
    assert_true(fit.rows == rows && fit.cols == cols && fit.inner == inner);
    assert_int_equal(fit.down * fit.across * subgroup, 256);
    assert_int_equal(64 % (rows * fit.down), 0);
    assert_int_equal(64 % (cols * fit.across), 0);
    assert_int_equal(32 % inner, 0);
}

static void expect_no_fit(VkCooperativeMatrixPropertiesKHR offered, uint32_t subgroup,
                          uint32_t shared)
{
    VulkanMatrix fit;
    assert_false(vulkan_matrix_fit(&offered, subgroup, shared, &fit));
}

static void sizes_that_suit(void **state)
{
    (void)state;
    expect_fit(16, 16, 16, 32); /* NVIDIA, AMD */
    expect_fit(16, 16, 16, 64);
    expect_fit(16, 8, 16, 32);
    expect_fit(16, 8, 8, 32);
    expect_fit(8, 8, 16, 32); /* Intel */
    expect_fit(8, 16, 16, 16);
    expect_fit(8, 8, 8, 8); /* lavapipe */
    expect_fit(32, 32, 16, 64);
    expect_fit(16, 16, 32, 128);

    VkCooperativeMatrixPropertiesKHR good = offer(16, 16, 16), bad = good;
    bad.scope = (VkScopeKHR)2;
    expect_no_fit(bad, 32, 32768);
    bad = good, bad.AType = VK_COMPONENT_TYPE_FLOAT32_KHR;
    expect_no_fit(bad, 32, 32768);
    bad = good, bad.BType = VK_COMPONENT_TYPE_FLOAT32_KHR;
    expect_no_fit(bad, 32, 32768);
    bad = good, bad.CType = VK_COMPONENT_TYPE_FLOAT16_KHR;
    expect_no_fit(bad, 32, 32768);
    bad = good, bad.ResultType = VK_COMPONENT_TYPE_FLOAT16_KHR;
    expect_no_fit(bad, 32, 32768);
    bad = good, bad.saturatingAccumulation = VK_TRUE;
    expect_no_fit(bad, 32, 32768);
    expect_no_fit(good, 0, 32768);
    expect_no_fit(good, 24, 32768);
    expect_no_fit(good, 512, 32768);
    expect_no_fit(good, 32, 16384);
    expect_no_fit(good, 8, 65536);              /* more subgroups than matrices */
    expect_no_fit(offer(4, 16, 16), 32, 32768); /* less than a word */
    expect_no_fit(offer(16, 16, 4), 32, 32768);
    expect_no_fit(offer(24, 16, 16), 32, 65536);
    expect_no_fit(offer(16, 128, 16), 64, 65536); /* more than a tile */
    expect_no_fit(offer(16, 16, 64), 32, 65536);
    expect_no_fit(offer(0, 16, 16), 32, 32768);
}

/* ---- a device that claims them ---- */

static VkCooperativeMatrixPropertiesKHR offered[3];

/* Every kernel that products by matrices take, what can stand in for it (of tiles as large), and
 * the first known product that is wrong where it is. */
static const struct {
    KernelId kernel, plain; /* the latter for floats, those for halves and bfloat16 follow it */
    const char *wrong;
} taken[] = {
    {KERNEL_PRODUCT_MATRIX_64, KERNEL_PRODUCT_64X64,
     "a layer's product (67x131x75 f16, matrix 64): "},
    {KERNEL_PRODUCT_MATRIX_128, KERNEL_PRODUCT_128X128,
     "a layer's product (67x131x75 f16, matrix 128): "},
    {KERNEL_PRODUCT_MATRIX_64_WIDE, KERNEL_PRODUCT_64X64_WIDE,
     "a layer's product (128x64x96 f16, matrix 64): "},
    {KERNEL_PRODUCT_MATRIX_128_WIDE, KERNEL_PRODUCT_128X128_WIDE,
     "a layer's product (128x64x96 f16, matrix 128): "},
    {KERNEL_PRODUCT_MATRIX_64_THEN, KERNEL_PRODUCT_64X64_THEN,
     "a product's GELU (67x131x75 f16, matrix 64): "},
    {KERNEL_PRODUCT_MATRIX_128_THEN, KERNEL_PRODUCT_128X128_THEN,
     "a product's GELU (67x131x75 f16, matrix 128): "},
    {KERNEL_PRODUCT_MATRIX_64_WIDE_THEN, KERNEL_PRODUCT_64X64_WIDE_THEN,
     "a product's GELU (128x64x96 f16, matrix 64): "},
    {KERNEL_PRODUCT_MATRIX_128_WIDE_THEN, KERNEL_PRODUCT_128X128_WIDE_THEN,
     "a product's GELU (128x64x96 f16, matrix 128): "},
    {KERNEL_PRODUCT_SUM_F16, KERNEL_PRODUCT_SUM,
     "a layer's product (67x131x75 f16, matrix 64, split): "},
    {KERNEL_PRODUCT_SUM_THEN_F16, KERNEL_PRODUCT_SUM_THEN,
     "a product's GELU (67x131x75 f16, matrix 64, split): "},
};
enum { TAKEN = sizeof taken / sizeof *taken };
static FakeCode codes[TAKEN];

static void put_in_place(int k, KernelId plain, DType storage)
{
    VulkanCode of = vulkan_kernel_code(taken[k].kernel);
    VulkanCode code = vulkan_kernel_code((KernelId)(plain + (storage == DTYPE_F16 ? 1 : 2)));
    codes[k] = (FakeCode){of.words, code.words, code.bytes};
}

static int claim(void **state)
{
    (void)state;
    fake_reset();
    offered[0] = offer(64, 64, 32); /* too large for subgroups of 8 */
    offered[1] = offer(8, 8, 8);
    offered[2] = offer(8, 8, 16);
    for (int k = 0; k < TAKEN; k++) put_in_place(k, taken[k].plain, DTYPE_F16);
    fake.matrices = offered;
    fake.codes = codes;
    fake.n_matrices = 3;
    fake.n_codes = TAKEN;
    folder_run("rm -rf kept");
    return setenv("WAVEFIELD_CACHE", IN_FOLDER("kept"), 1);
}

static VulkanDevice *open_device(void)
{
    Device *device;
    test_ok(backend->open(0, &device));
    return vulkan_device(device);
}

static void expect_listed(const char *text)
{
    DeviceInfo info;
    int count;
    test_ok(backend->list(&info, 1, &count));
    assert_string_equal(info.matrices, text);
}

static void expect_tile(VulkanDevice *device, DType storage, int64_t rows, int64_t cols,
                        int64_t inner, ProductTile tile)
{
    ProductParams p = product_packed(rows, cols, inner, false, true);
    assert_int_equal(gpu_product_choice(&device->gpu, &p, storage, (ProductChoice){0}).tile, tile);
}

static bool is_candidate(VulkanDevice *device, DType storage)
{
    ProductParams p = product_packed(100, 100, 100, false, true);
    ProductChoice choices[PRODUCT_MOST_CANDIDATES];
    int n = gpu_product_candidates(&device->gpu, &p, storage, choices);
    for (int i = 0; i < n; i++)
        if (choices[i].tile == TILE_MATRIX_64) return true;
    return false;
}

static void expect_ok(void *context, const CheckResult *result)
{
    (void)context;
    if (result->verdict != CHECK_OK) fail_msg("%s: %s", result->name, result->detail);
}

static void right_ones_are_used(void **state)
{
    (void)state;
    expect_listed("8x8x16, to be checked at first use");
    VulkanDevice *device = open_device();
    assert_true(device->gpu.matrices);
    assert_string_equal(device->base.info.matrices, "8x8x16");
    expect_listed("8x8x16");
    expect_tile(device, DTYPE_F16, 64, 64, 32, TILE_MATRIX_64);
    expect_tile(device, DTYPE_F16, 63, 64, 32, TILE_64X64);
    expect_tile(device, DTYPE_F16, 64, 63, 32, TILE_64X64);
    expect_tile(device, DTYPE_F16, 64, 64, 31, TILE_64X64);
    expect_tile(device, DTYPE_F16, 4096, 4096, 64, TILE_MATRIX_128);
    expect_tile(device, DTYPE_BF16, 64, 64, 32, TILE_64X64);
    expect_tile(device, DTYPE_REAL, 4096, 4096, 64, TILE_128X128);
    assert_true(is_candidate(device, DTYPE_F16));
    assert_false(is_candidate(device, DTYPE_REAL));
    backend->close(&device->base);

    /* Known from here on: the kernels are not even compiled. */
    int compiled = fake.calls[FAKE_vkCreateComputePipelines];
    device = open_device();
    assert_true(device->gpu.matrices);
    assert_int_equal(fake.calls[FAKE_vkCreateComputePipelines], compiled);
    const ProductTile tiles[] = {TILE_MATRIX_64, TILE_MATRIX_128};
    for (int t = 0; t < 2; t++) {
        CheckTotals totals = {0};
        device->gpu.tuning.forced = (ProductChoice){(uint8_t)tiles[t], 1};
        test_ok(check_device(
            &device->base,
            &(CheckParams){.op = "product", .storage = DTYPE_F16, .report = expect_ok}, &totals));
        assert_true(totals.passed > 20);
    }
    backend->close(&device->base);
    folder_damage("kept", 0, 40);
    expect_listed("8x8x16, to be checked at first use");
}

/* Found out when it is opened, and known from then on. */
static void expect_wrong(const char *wrong)
{
    char text[96];
    snprintf(text, sizeof text, "8x8x16, not used: %s", wrong);
    for (int again = 0; again < 2; again++) {
        VulkanDevice *device = open_device();
        assert_false(device->gpu.matrices);
        assert_int_equal(device->gpu.tuning.forced.tile, TILE_RULE);
        if (strncmp(device->base.info.matrices, text, strlen(text)) != 0)
            fail_msg("%s, which is not what was to be wrong: %s", device->base.info.matrices, text);
        expect_tile(device, DTYPE_F16, 64, 64, 32, TILE_64X64);
        assert_false(is_candidate(device, DTYPE_F16));
        backend->close(&device->base);
    }
}

static void wrong_ones_are_not_used(void **state)
{
    put_in_place(1, KERNEL_PRODUCT_64X64, DTYPE_F16); /* leaves results out */
    expect_wrong("a layer's product (67x131x75 f16, matrix 128): NaN out of place");
    expect_listed("8x8x16, not used: a layer's product (67x131x75 f16, matrix 128): "
                  "NaN out of place");
    claim(state);
    put_in_place(4, KERNEL_PRODUCT_64X64, DTYPE_F16); /* and here what follows */
    expect_wrong("a product's GELU (67x131x75 f16, matrix 64): NaN out of place");
}

/* Each in turn takes halves for bfloat16. */
static void every_kernel_is_tried(void **state)
{
    for (int k = 0; k < TAKEN; k++) {
        claim(state);
        put_in_place(k, taken[k].plain, DTYPE_BF16);
        expect_wrong(taken[k].wrong);
    }
}

static void kernels_that_do_not_compile_are_not_used(void **state)
{
    (void)state;
    fake_arm(FAKE_vkCreateComputePipelines, 1, VK_ERROR_UNKNOWN);
    VulkanDevice *device = open_device();
    assert_true(fake.failed);
    assert_false(device->gpu.matrices);
    assert_non_null(strstr(device->base.info.matrices, "not used: "));
    backend->close(&device->base);
    /* It need not be so the next time. */
    device = open_device();
    assert_true(device->gpu.matrices);
    backend->close(&device->base);
}

static void a_device_lost_by_them_opens_without(void **state)
{
    (void)state;
    Device *lost;
    fake_arm(FAKE_vkCreateComputePipelines, 1, VK_ERROR_DEVICE_LOST);
    assert_int_equal(backend->open(0, &lost), WF_ERROR_DEVICE);
    int live = fake.live;
    fake.function = FAKE_FUNCTIONS;
    fake.lost = false;
    VulkanDevice *device = open_device();
    assert_false(device->gpu.matrices);
    assert_non_null(strstr(device->base.info.matrices, "not used: "));
    backend->close(&device->base);
    assert_int_equal(fake.live, live);
}

static void what_is_lacking_is_said(void **state)
{
    (void)state;
    fake.withheld.vulkanMemoryModel = VK_TRUE;
    expect_listed("not used: no Vulkan memory model");
    fake.withheld.shaderFloat16 = VK_TRUE;
    expect_listed("not used: no 16-bit floats");
    VulkanDevice *device = open_device();
    assert_false(device->gpu.matrices);
    backend->close(&device->base);
    fake.withheld = (VkPhysicalDeviceVulkan12Features){0};
    fake.n_matrices = 1;
    expect_listed("not used: of sizes or types that the kernels are not made for");
}

static void a_build_without_them_says_so(void **state)
{
    (void)state;
    expect_listed("not in this build, whose GLSL compiler does not know them");
    VulkanDevice *device = open_device();
    assert_false(device->gpu.matrices);
    expect_tile(device, DTYPE_F16, 4096, 4096, 64, TILE_128X128);
    backend->close(&device->base);
}

int main(void)
{
    DeviceInfo info = {0};
    int count = 0;
    backend = backend_find("vulkan");
    setenv("WAVEFIELD_CACHE", "off", 1);
    const struct CMUnitTest any[] = {cmocka_unit_test(sizes_that_suit)};
    int failed = cmocka_run_group_tests(any, NULL, NULL);
    if (backend->list(&info, 1, &count) || count == 0 || !info.half_storage) {
        print_message("skipped: %s\n", count ? "no 16-bit floats here" : wf_error_message());
        return failed ? failed : SKIPPED;
    }
    fake_install();
    const struct CMUnitTest built[] = {
        cmocka_unit_test_setup_teardown(right_ones_are_used, claim, test_release),
        cmocka_unit_test_setup(wrong_ones_are_not_used, claim),
        cmocka_unit_test(every_kernel_is_tried),
        cmocka_unit_test_setup(kernels_that_do_not_compile_are_not_used, claim),
        cmocka_unit_test_setup(a_device_lost_by_them_opens_without, claim),
        cmocka_unit_test_setup(what_is_lacking_is_said, claim),
    };
    const struct CMUnitTest absent[] = {
        cmocka_unit_test_setup(a_build_without_them_says_so, claim)};
    if (vulkan_kernel_code(KERNEL_PRODUCT_MATRIX_64).bytes)
        failed += cmocka_run_group_tests(built, folder_set_up, folder_tear_down);
    else
        failed += cmocka_run_group_tests(absent, folder_set_up, folder_tear_down);
    return failed;
}
