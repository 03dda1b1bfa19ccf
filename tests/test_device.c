/* Devices by name, on whatever this machine has: the CPU at least. */
#include "wavefield/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 64 };

static int list_all(wf_device_info infos[MANY])
{
    int count = -1;
    assert_int_equal(wf_device_list(infos, MANY, &count), WF_OK);
    assert_in_range(count, 1, MANY);
    return count;
}

static void test_list(void **state)
{
    (void)state;
    wf_device_info infos[MANY], first[MANY];
    int count = list_all(infos), cpus = 0;
    for (int i = 0; i < count; i++) {
        cpus += !strcmp(infos[i].id, "cpu");
        assert_true(*infos[i].name);
        assert_true(infos[i].memory >= 0);
        assert_string_equal(infos[i].reason, "");
        for (int k = 0; k < i; k++) assert_string_not_equal(infos[i].id, infos[k].id);
    }
    assert_int_equal(cpus, 1);

    int again = -1;
    assert_int_equal(wf_device_list(NULL, 0, &again), WF_OK);
    assert_int_equal(again, count);
    memset(first, 0x5a, sizeof first);
    assert_int_equal(wf_device_list(first, 1, &again), WF_OK);
    assert_int_equal(again, count);
    assert_string_equal(first[0].id, infos[0].id);
    assert_int_equal(first[1].id[0], 0x5a); /* no more than the capacity */
    assert_int_equal(wf_device_list(NULL, 3, &again), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_device_list(infos, 1, NULL), WF_ERROR_ARGUMENT);
}

/* Every device of the list opens under its id and is what the list said. */
static void test_open_each(void **state)
{
    (void)state;
    wf_device_info infos[MANY], info;
    int count = list_all(infos);
    for (int i = 0; i < count; i++) {
        wf_device *device = NULL;
        if (wf_device_open(infos[i].id, &device))
            fail_msg("%s: %s", infos[i].id, wf_error_message());
        wf_device_describe(device, &info);
        assert_string_equal(info.id, infos[i].id);
        assert_string_equal(info.name, infos[i].name);
        assert_string_equal(info.driver, infos[i].driver);
        assert_int_equal(info.kind, infos[i].kind);
        assert_int_equal(info.memory, infos[i].memory);
        assert_int_equal(info.subgroup_size, infos[i].subgroup_size);
        assert_int_equal(info.half_storage, infos[i].half_storage);
        assert_int_equal(info.half_arithmetic, infos[i].half_arithmetic);
        assert_int_equal(info.bfloat16, infos[i].bfloat16);
        assert_int_equal(info.matrix_units, infos[i].matrix_units);
        assert_string_equal(info.reason, "");
        wf_device_close(device);
    }
}

static int rank(wf_device_kind kind)
{
    return kind == WF_DEVICE_DISCRETE ? 0 : kind == WF_DEVICE_INTEGRATED ? 1 : 2;
}

/* auto never takes a software driver, says why, and takes the same device every time. */
static void test_auto(void **state)
{
    (void)state;
    wf_device_info infos[MANY], info, again;
    int count = list_all(infos);
    wf_device *device;
    assert_int_equal(wf_device_open("auto", &device), WF_OK);
    wf_device_describe(device, &info);
    wf_device_close(device);
    assert_int_not_equal(info.kind, WF_DEVICE_SOFTWARE);
    assert_true(strlen(info.reason) > 5);
    if (rank(info.kind) == 2) assert_string_equal(info.id, "cpu");
    int present = 0;
    for (int i = 0; i < count; i++) present += !strcmp(infos[i].id, info.id);
    assert_int_equal(present, 1);

    assert_int_equal(wf_device_open(NULL, &device), WF_OK);
    wf_device_describe(device, &again);
    wf_device_close(device);
    assert_string_equal(again.id, info.id);
    assert_string_equal(again.reason, info.reason);
}

static void test_names_without_an_index(void **state)
{
    (void)state;
    wf_device_info infos[MANY], info;
    int count = list_all(infos);
    for (int i = 0; i < count; i++) {
        char name[sizeof infos[i].id];
        memcpy(name, infos[i].id, sizeof name);
        name[strcspn(name, ":")] = 0;
        wf_device *device;
        assert_int_equal(wf_device_open(name, &device), WF_OK);
        wf_device_describe(device, &info);
        wf_device_close(device);
        assert_memory_equal(info.id, name, strlen(name));
        assert_true(rank(info.kind) <= rank(infos[i].kind));
    }
    wf_device *device;
    assert_int_equal(wf_device_open("cpu:0", &device), WF_OK);
    wf_device_close(device);
}

static void test_wrong_names(void **state)
{
    (void)state;
    const char *const names[] = {"",
                                 "gpu",
                                 ":",
                                 "cpu:",
                                 "cpu:x",
                                 "cpu:1",
                                 "cpu:-1",
                                 "cpu:0x",
                                 "vulkan:99999",
                                 "cpu:99999999999",
                                 "CPU",
                                 "auto:0",
                                 "cpu 0",
                                 "a-name-much-longer-than-any-backend-has"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        wf_device *device = NULL;
        wf_status status = wf_device_open(names[i], &device);
        if (status != WF_ERROR_DEVICE) fail_msg("\"%s\": %s", names[i], wf_status_name(status));
        assert_null(device);
        char quoted[64];
        snprintf(quoted, sizeof quoted, "\"%s\"", names[i]);
        if (!strstr(wf_error_message(), quoted) || !strstr(wf_error_message(), "present: ") ||
            !strstr(wf_error_message(), "cpu ("))
            fail_msg("\"%s\" does not say what is present", wf_error_message());
    }
    assert_int_equal(wf_device_open("cpu", NULL), WF_ERROR_ARGUMENT);
    wf_device_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),        cmocka_unit_test(test_open_each),
        cmocka_unit_test(test_auto),        cmocka_unit_test(test_names_without_an_index),
        cmocka_unit_test(test_wrong_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
