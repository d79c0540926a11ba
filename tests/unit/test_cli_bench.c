/* Percentiles of `waggle bench`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/cli/bench_stats.h"

static void percentiles_are_times_that_were_measured(void **state)
{
    (void)state;
    struct bench_stats s = {0};
    assert_int_equal(bench_stats_at(&s, 0.5), 0);
    for (int64_t i = 100; i >= 1; i--) {
        bench_stats_add(&s, i);
    }
    assert_int_equal(bench_stats_at(&s, 0.5), 50);
    assert_int_equal(bench_stats_at(&s, 0.99), 99);
    assert_int_equal(bench_stats_at(&s, 1), 100);
    assert_int_equal(bench_stats_at(&s, 0), 1);
    assert_int_equal(s.max, 100);
    bench_stats_done(&s);
}

static void past_the_limit_a_sample_is_kept_and_the_count_is_right(void **state)
{
    (void)state;
    struct bench_stats s = {0};
    const int64_t all = 5 * (int64_t)BENCH_TIMES_MAX;
    for (int64_t i = 0; i < all; i++) {
        bench_stats_add(&s, i);
    }
    assert_int_equal(s.count, all);
    assert_true(s.n <= BENCH_TIMES_MAX && s.n > BENCH_TIMES_MAX / 2);
    double middle = (double)bench_stats_at(&s, 0.5) / (double)all;
    assert_true(middle > 0.49 && middle < 0.51);
    assert_int_equal(s.max, all - 1);
    bench_stats_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_times_that_were_measured),
        cmocka_unit_test(past_the_limit_a_sample_is_kept_and_the_count_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
