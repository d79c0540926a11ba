/* The hub's clock under a wall that jumps: random jumps against the three promises of its header.
 */
#include "hub/core/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t start_ms = 1700000000000, hour_ms = 3600000, day_ms = 86400000;
static const uint64_t begin_us = 5000000;

/* A clock that was right until the wall jumped, so much later. */
static int64_t after(struct clock *clock, int64_t jump_ms, uint64_t passed_ms)
{
    uint64_t us = begin_us;
    clock_set(clock, start_ms, us);
    for (uint64_t ms = 0; ms < passed_ms; ms += 100) {
        us += 100000;
        clock_follow(clock, start_ms + (int64_t)ms + 100 + jump_ms, us);
    }
    return clock_now(clock, us);
}

static void jump_changes_the_pace_by_a_hundredth_and_no_more(void **state)
{
    (void)state;
    const int64_t jumps[] = {hour_ms, -hour_ms, 10 * day_ms, -10 * day_ms};
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        struct clock clock = {0};
        int64_t passed = after(&clock, jumps[i], 60000) - start_ms;
        assert_true(passed >= 60000 - 60000 / CLOCK_SLEW);
        assert_true(passed <= 60000 + 60000 / CLOCK_SLEW);
        /* … and the wall is known for what it is. */
        assert_int_equal(clock_wall(&clock, start_ms + passed), start_ms + 60000 + jumps[i]);
    }
}

static void small_difference_is_made_up_whole(void **state)
{
    (void)state;
    for (int64_t off = -300; off <= 300; off += 60) {
        struct clock clock = {0};
        assert_int_equal(after(&clock, off, 60000), start_ms + 60000 + off);
    }
}

static void hour_is_made_up_within_five_days(void **state)
{
    (void)state;
    struct clock clock = {0};
    assert_int_equal(after(&clock, hour_ms, 5 * (uint64_t)day_ms), start_ms + 5 * day_ms + hour_ms);
    assert_int_equal(after(&clock, -hour_ms, 5 * (uint64_t)day_ms),
                     start_ms + 5 * day_ms - hour_ms);
}

static void time_goes_back_by_no_more_than_a_millisecond(void **state)
{
    (void)state;
    unsigned seed = 20240917;
    printf("seed %u\n", seed);
    srand(seed);
    struct clock clock = {0};
    uint64_t us = begin_us;
    int64_t wall = start_ms, before = start_ms;
    clock_set(&clock, wall, us);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t passed_us = (uint64_t)(rand() % 400) * 1000;
        us += passed_us;
        wall += (int64_t)passed_us / 1000;
        if (rand() % 50 == 0) {
            wall += (rand() % 2000 - 1000) * (int64_t)(rand() % 1000000);
        }
        clock_follow(&clock, wall, us);
        int64_t now = clock_now(&clock, us);
        assert_true(now >= before - 1);
        before = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jump_changes_the_pace_by_a_hundredth_and_no_more),
        cmocka_unit_test(small_difference_is_made_up_whole),
        cmocka_unit_test(hour_is_made_up_within_five_days),
        cmocka_unit_test(time_goes_back_by_no_more_than_a_millisecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
