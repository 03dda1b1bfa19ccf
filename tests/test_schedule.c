/* The learning rate: its corner points, its shape between them, and lengths that leave a part out.
 */
#include "train/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_near(double value, double expected)
{
    assert_true(fabs(value - expected) <= 1e-15 * (1 + fabs(expected)));
}

static void corner_points(void **state)
{
    (void)state;
    Schedule s = {.peak = 2e-3, .minimum = 2e-4, .warmup = 100, .steps = 1100};
    assert_near(schedule_rate(&s, 1), 2e-5);
    assert_near(schedule_rate(&s, 50), 1e-3);
    assert_near(schedule_rate(&s, 100), 2e-3);
    assert_near(schedule_rate(&s, 600), 1.1e-3); /* half of the cosine: the mean of both ends */
    assert_near(schedule_rate(&s, 350), 2e-4 + 0.5 * 1.8e-3 * (1 + sqrt(0.5)));
    assert_near(schedule_rate(&s, 1100), 2e-4);
    assert_near(schedule_rate(&s, 5000), 2e-4);
}

static void rises_then_falls(void **state)
{
    (void)state;
    Schedule s = {.peak = 1, .minimum = 0, .warmup = 7, .steps = 31};
    for (int64_t step = 2; step <= s.steps; step++) {
        double change = schedule_rate(&s, step) - schedule_rate(&s, step - 1);
        assert_true(step <= s.warmup ? change > 0 : change < 0);
    }
    assert_near(schedule_rate(&s, s.steps), 0);
}

static void without_warmup(void **state)
{
    (void)state;
    Schedule s = {.peak = 1, .minimum = 0.5, .warmup = 0, .steps = 4};
    assert_near(schedule_rate(&s, 1), 0.5 + 0.25 * (1 + sqrt(0.5)));
    assert_near(schedule_rate(&s, 4), 0.5);
}

static void warmup_only(void **state)
{
    (void)state;
    Schedule s = {.peak = 1, .minimum = 0.5, .warmup = 4, .steps = 4};
    assert_near(schedule_rate(&s, 4), 1);
    assert_near(schedule_rate(&s, 5), 0.5);
    Schedule longer = {.peak = 1, .minimum = 0.5, .warmup = 8, .steps = 4};
    assert_near(schedule_rate(&longer, 4), 0.5);
    Schedule single = {.peak = 1, .minimum = 1, .warmup = 0, .steps = 1};
    assert_near(schedule_rate(&single, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corner_points),
        cmocka_unit_test(rises_then_falls),
        cmocka_unit_test(without_warmup),
        cmocka_unit_test(warmup_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
