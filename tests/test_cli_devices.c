/* The command line from outside: devices, their check, tuning and measurements. */
#include "cli_support.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void devices_are_listed(void **state)
{
    (void)state;
    assert_int_equal(wavefield("devices"), 0);
    assert_says("cpu");
    assert_says("auto is ");
    for (int i = 0; i < 3; i++) { /* each is there, or is said not to be */
        static const char *const there[] = {"vulkan:0 ", "opencl:0 ", "cuda:0 "};
        static const char *const absent[] = {
            "vulkan     absent: ", "opencl     absent: ", "cuda       absent: "};
        assert_true(!strstr(output, there[i]) != !strstr(output, absent[i]));
    }
    assert_int_equal(wavefield("devices --names"), 0);
    assert_memory_equal(output, "auto\n", 5);
    assert_says("\ncpu\n");
    assert_int_equal(wavefield("devices --json devices.json"), 0);
    json_t *listed = json_load_file(IN_FOLDER("devices.json"), 0, NULL);
    const json_t *devices = json_object_get(listed, "devices");
    const char *chosen = json_string_value(json_object_get(listed, "auto"));
    assert_non_null(chosen);
    size_t present = 0;
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        present += !strcmp(json_string_value(json_object_get(device, "id")), chosen);
        assert_true(json_is_boolean(json_object_get(device, "half_storage")));
        assert_true(json_integer_value(json_object_get(device, "subgroup_size")) >= 0);
    }
    assert_int_equal(present, 1);
    json_decref(listed);
    assert_int_equal(wavefield("info --config demo --device vulkan:99"), 1);
    assert_says("vulkan:99");
    assert_says("cpu ("); /* those present are listed */
}

/* On the first Vulkan device, whatever it is. */
static void a_tuning_is_kept_shown_and_forgotten(void **state)
{
    (void)state;
    assert_int_equal(wavefield("tune --device cpu"), 1);
    assert_says("cpu is no GPU");
    assert_int_equal(wavefield("devices --names"), 0);
    if (!strstr(output, "vulkan:0")) skip();
    assert_int_equal(setenv("WAVEFIELD_CACHE", IN_FOLDER("caches"), 1), 0);
    assert_int_equal(wavefield("devices"), 0);
    assert_null(strstr(output, "tuned for"));
    assert_int_equal(wavefield("tune --device vulkan:0 --quick --batch-size 2 " TINY), 0);
    assert_says("TFLOP/s");
    assert_says("\n    chosen: ");
    assert_says("\nkept for vulkan:0: ");
    assert_int_equal(wavefield("devices"), 0);
    assert_says("tuned for ");
    assert_int_equal(wavefield("check --op product --device vulkan:0"), 0);
    assert_null(strstr(output, "warning"));
    assert_int_equal(folder_run("for f in caches/*; do truncate -s -1 $f; done"), 0);
    assert_int_equal(wavefield("devices"), 0);
    assert_says("damaged tuning, or another version's, not used");
    assert_int_equal(wavefield("check --op product --device vulkan:0"), 0);
    assert_says("wavefield check: warning: the tuning kept for vulkan:0 is damaged");
    assert_int_equal(wavefield("tune --device vulkan:0 --forget"), 0);
    assert_int_equal(wavefield("devices"), 0);
    assert_null(strstr(output, "damaged"));
    assert_int_equal(setenv("WAVEFIELD_CACHE", "off", 1), 0);
    assert_int_equal(wavefield("tune --device vulkan:0 --quick " TINY), 1);
    assert_says("cannot be kept: WAVEFIELD_CACHE keeps nothing");
    assert_int_equal(unsetenv("WAVEFIELD_CACHE"), 0);
}

static void check_fails_where_a_device_is_wrong_or_asked_for_nothing(void **state)
{
    (void)state;
    assert_int_equal(wavefield("check --device cpu --op nosuchop"), 1);
    assert_says("nosuchop");
    assert_int_equal(wavefield("check --device cpu --op layernorm --bench --json check.json"), 0);
    assert_says("ok      layernorm");
    assert_int_equal(count_text("check.json", "\"failed\": 0"), 1);
}

static void a_model_is_measured_at_positions_it_has_no_place_for(void **state)
{
    (void)state;
    assert_int_equal(wavefield("bench --device cpu --figure training --sequence-length 1000 "
                               "--set max_seq_len=64"),
                     1);
    assert_says("--sequence-length 1000");
    assert_int_equal(
        wavefield("bench --device cpu --figure model --preset demo --set embedding_dim=16 "
                  "num_layers=1 num_heads=2 ffn_dim=24 field_size=20000 "
                  "max_seq_len=20000 --batch-size 2 --sequence-length 24 "
                  "--precision f16 --json rates.json"),
        0);
    assert_says("| training | demo f16, batch 2 x 24 |");
    assert_says("| generation | demo f16, position 10000 of 20000 |");
    assert_says("| generation | demo f16, position 1000000 of 1048576 |");
    assert_int_equal(count_text("rates.json", "\"figure\": \"generation\""), 4);
    assert_int_equal(count_text("rates.json", "\"memory_planned\""), 1);
    assert_int_equal(count_text("rates.json", "\"missing\""), 0);
}

static void every_device_is_checked_and_an_absent_one_is_not_passed(void **state)
{
    (void)state;
    assert_int_equal(wavefield("check --all --device cpu"), 2);
    assert_int_equal(wavefield("check --model x --all"), 2);
    assert_int_equal(setenv("VK_DRIVER_FILES", "/nonexistent.json", 1), 0);
    assert_int_equal(setenv("VK_ICD_FILENAMES", "/nonexistent.json", 1), 0);
    assert_int_equal(wavefield("check --all --op fill --json all.json --junit all.xml"), 0);
    assert_says("| cpu ");
    assert_says("| vulkan | absent: ");
    assert_int_equal(count_text("all.json", "\"nothing_failed\": true"), 1);
    assert_int_equal(count_text("all.json", "\"absent\": "), count_text("all.xml", "\"device\""));
    assert_int_equal(count_text("all.xml", "<testsuite name=\"cpu\""), 1);
    assert_int_equal(count_text("all.xml", "<testsuite name=\"vulkan\" tests=\"1\" failures=\"0\" "
                                           "errors=\"0\" skipped=\"1\""),
                     1);
    /* devices that could not be checked are failures */
    assert_int_equal(wavefield("check --all --op nosuchop --junit none.xml"), 1);
    assert_says("FAILED: no case is named");
    assert_true(count_text("none.xml", "<error ") > 0);
    assert_int_equal(wavefield("check --device cpu:7 --junit none.xml --json none.json"), 1);
    assert_says("cpu:7");
    assert_int_equal(count_text("none.xml", "<error "), 1);
    assert_int_equal(count_text("none.json", "\"problem\""), 1);
    assert_int_equal(unsetenv("VK_DRIVER_FILES"), 0);
    assert_int_equal(unsetenv("VK_ICD_FILENAMES"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_listed),
        cmocka_unit_test(a_tuning_is_kept_shown_and_forgotten),
        cmocka_unit_test(check_fails_where_a_device_is_wrong_or_asked_for_nothing),
        cmocka_unit_test(a_model_is_measured_at_positions_it_has_no_place_for),
        cmocka_unit_test(every_device_is_checked_and_an_absent_one_is_not_passed),
    };
    return cmocka_run_group_tests_name("cli devices", tests, cli_set_up, folder_tear_down);
}
