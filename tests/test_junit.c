/* The check's record, and its JUnit form. */
#include "cli/junit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

static void assert_escaped(const char *text, const char *expected)
{
    Text out = {0};
    text_append(&out, "%s", "");
    xml_escape(&out, text);
    assert_string_equal(out.data, expected);
    text_destroy(&out);
}

static void what_xml_cannot_hold_is_escaped(void **state)
{
    (void)state;
    assert_escaped("", "");
    assert_escaped("a<b>&\"c'", "a&lt;b&gt;&amp;&quot;c&apos;");
    assert_escaped("1\n2\t3\r", "1&#10;2&#9;3&#13;");
    assert_escaped("\x01\x1b[0m\x7f", "??[0m?");
    assert_escaped("ω³ 🌊", "ω³ 🌊");
    assert_escaped("\xff\xc3", "??");                 /* not UTF-8, and cut short */
    assert_escaped("\xef\xbf\xbe\xef\xbf\xbd", "?�"); /* U+FFFE is no character, U+FFFD is */
    assert_escaped("\xed\xa0\x80", "???");            /* a surrogate */
}

static void add(CheckRecord *record, const char *name, CheckVerdict verdict, double error)
{
    record_case(record, &(CheckResult){.name = name,
                                       .verdict = verdict,
                                       .error = error,
                                       .bound = verdict == CHECK_MISSING ? 0 : 1e-5,
                                       .detail = verdict == CHECK_MISSING ? "no <kernel>" : "y",
                                       .elapsed = 0.25});
}

static int count(const Text *text, const char *what)
{
    int n = 0;
    for (const char *at = text->data; (at = strstr(at, what)); at++) n++;
    return n;
}

static void a_suite_a_device_and_a_testcase_a_case(void **state)
{
    (void)state;
    CheckRecord record = {0};
    assert_non_null(record_device(&record, "vulkan:0"));
    for (int i = 0; i < 40; i++) add(&record, "fill 7", CHECK_OK, 2e-6);
    add(&record, "training version 4", CHECK_OK, 3e-6);
    assert_true(record_nothing_failed(&record));
    add(&record, "gelu \"3x5\"", CHECK_MISSING, 0);
    assert_true(record_nothing_failed(&record));
    const CheckedDevice *device = &record.devices[0];
    assert_float_equal(device->worst, 0.2, 1e-9);
    assert_float_equal(device->training, 3e-6, 1e-12);
    add(&record, "sum", CHECK_FAILED, HUGE_VAL);
    assert_false(record_nothing_failed(&record));
    assert_true(isinf(device->worst));
    assert_int_equal(device->totals.passed, 41);

    Text text = {0};
    junit_print(&text, &record);
    assert_int_equal(count(&text, "<testcase "), 43);
    assert_int_equal(count(&text, "</testcase>"), 43);
    assert_non_null(strstr(text.data, "<testsuite name=\"vulkan:0\" tests=\"43\" failures=\"1\" "
                                      "errors=\"0\" skipped=\"1\""));
    assert_non_null(strstr(text.data, "name=\"gelu &quot;3x5&quot;\""));
    assert_non_null(strstr(text.data, "<skipped message=\"no &lt;kernel&gt;\"/>"));
    assert_non_null(strstr(text.data, "<failure message=\"error inf, bound 1e-05: y\"/>"));
    text_destroy(&text);
    record_destroy(&record);
}

static void an_absent_backend_is_skipped_and_a_device_in_trouble_an_error(void **state)
{
    (void)state;
    CheckRecord record = {0};
    record_device(&record, "cuda")->absent = true;
    record_problem(&record, "no driver");
    assert_true(record_nothing_failed(&record));
    record_device(&record, "opencl:0");
    record_problem(&record, "lost & gone");
    assert_false(record_nothing_failed(&record));
    Text text = {0};
    junit_print(&text, &record);
    assert_non_null(strstr(text.data, "<testsuite name=\"cuda\" tests=\"1\" failures=\"0\" "
                                      "errors=\"0\" skipped=\"1\""));
    assert_non_null(strstr(text.data, "<skipped message=\"no driver\"/>"));
    assert_non_null(strstr(text.data, "<testsuite name=\"opencl:0\" tests=\"1\" failures=\"0\" "
                                      "errors=\"1\" skipped=\"0\""));
    assert_non_null(strstr(text.data, "<error message=\"lost &amp; gone\"/>"));
    text_destroy(&text);
    record_destroy(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_xml_cannot_hold_is_escaped),
        cmocka_unit_test(a_suite_a_device_and_a_testcase_a_case),
        cmocka_unit_test(an_absent_backend_is_skipped_and_a_device_in_trouble_an_error),
    };
    return cmocka_run_group_tests_name("junit", tests, NULL, NULL);
}
